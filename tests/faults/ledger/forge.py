"""Ways to change records of the made-up run, to see whether the checks find it."""

from typing import Any

from msgspec.structs import replace

from .faults import excused
from .ledger import Ledger, Run
from .records import Change, End, Row, Sent, Start, Tables

Records = dict[str, Any]
DOUBLE = 99_999
"""An id that no job has."""


def copied(records: Records) -> Records:
    """The same, in lists of its own."""
    tables = records["tables"]
    own = Tables(list(tables.rows), list(tables.failures), list(tables.changes))
    return {name: list(values) for name, values in records.items() if name != "tables"} | {"tables": own}


def plain(ledger: Ledger) -> Row:
    """A job that was sent once, and had one run, which no fault came near."""
    for run in ledger.runs:
        row = ledger.rows_by_id[run.id]
        once = ledger.events[run.n].sends == 1 == len(ledger.runs_by_id[run.id])
        waited = run.began > ledger.runs[0].began + 0.5
        if row.do == "ok" and once and waited and row.status == "succeeded" and not excused(ledger, run):
            return row
    raise AssertionError("there is none")


def rescued(ledger: Ledger) -> list[Run]:
    """The two runs of a job whose first process was killed."""
    (pid,) = next(fault.pids for fault in ledger.faults if fault.fault == "worker-killed")
    found = (ledger.runs_by_id[run.id] for run in ledger.fallen_by_pid[pid])
    return next(runs for runs in found if len(runs) == 2 and runs[1].outcome == "ok")


def exchange(records: list[Any], record: Any, **new: object) -> None:
    records[records.index(record)] = replace(record, **new)


def put(records: Records, job_id: int, **new: object) -> None:
    """Change a job's row."""
    rows = records["tables"].rows
    exchange(rows, next(row for row in rows if row.id == job_id), **new)


def put_change(records: Records, change: Change, **new: object) -> None:
    """Change an entry of the audit."""
    changes = records["tables"].changes
    exchange(changes, next(each for each in changes if each.seq == change.seq), **new)


def sent_of(records: Records, n: int | None) -> Sent:
    return next(each for each in records["clients"] if isinstance(each, Sent) and each.n == n)


def start_of(records: Records, job_id: int, attempt: int = 1) -> Start:
    starts = (each for each in records["handled"] if isinstance(each, Start))
    return next(each for each in starts if (each.id, each.attempt) == (job_id, attempt))


def end_of(records: Records, start: Start) -> End:
    return next(each for each in records["handled"] if isinstance(each, End) and each.nonce == start.nonce)


def put_start(records: Records, start: Start, **new: object) -> None:
    exchange(records["handled"], start, **new)


def put_end(records: Records, start: Start, **new: object) -> None:
    exchange(records["handled"], end_of(records, start), **new)


def add_run(records: Records, start: Start, **new: Any) -> None:
    """The same run again, but for what is new; it ends well, no later than the first."""
    again = replace(start, nonce=f"again {start.nonce}", **new)
    ended = max(end_of(records, start).mono, again.mono)
    records["handled"] += [again, End(again.nonce, "ok", ended)]
