"""What people do with jobs. Each act is one statement, so that of several at once one is done, or none."""

import datetime as dt
from collections.abc import Iterable, Sequence

from ..deadline import PROMPT_SECONDS_MAX, Connection
from .statement import Statement

_cancel = Statement("cancel")
_retry = Statement("retry")
_reschedule = Statement("reschedule")
_set_priority = Statement("set_priority")
_redrive_edited = Statement("redrive_edited")
_status_of = Statement("status_of")
_taken_away = Statement("taken_away", PROMPT_SECONDS_MAX)

MAY: dict[str, tuple[str, ...]] = {
    "cancel": ("scheduled", "queued", "running", "dead"),
    "retry": ("scheduled", "dead"),
    "reschedule": ("scheduled", "queued"),
    "priority": ("scheduled", "queued", "dead"),
    "redrive": ("dead",),
}
"""What may be done with a job, and in which statuses."""
DONE = {
    "cancel": "cancelled",
    "retry": "retried",
    "reschedule": "rescheduled",
    "priority": "given another priority",
    "redrive": "redriven",
}
"""What a job is after it."""
LOCK_SECONDS = 5
"""How long an act waits for a row that another transaction holds."""
LOCKED = (
    f"Another transaction holds the row, and did not end within {LOCK_SECONDS} seconds; nothing was done. Ask again."
)


async def cancel(connection: Connection, job_id: int) -> str | None:
    """Take a job out of the queue, for the history. The status that it had; None: it is not in the queue."""
    rows = await _cancel(connection, ids=[job_id], statuses=list(MAY["cancel"]))
    return rows[0][0] if rows else None


async def retry(connection: Connection, job_id: int) -> bool:
    """Queue now a job that waits for its time, or is dead. False: it is neither."""
    return bool(await _retry(connection, ids=[job_id], statuses=list(MAY["retry"])))


async def reschedule(connection: Connection, job_id: int, run_at: dt.datetime) -> bool:
    """Let a scheduled or queued job wait until then. False: it is neither. Raises psycopg.errors.CheckViolation where
    that is in the year 9999 or after."""
    return bool(await _reschedule(connection, ids=[job_id], statuses=list(MAY["reschedule"]), run_at=run_at))


async def set_priority(connection: Connection, job_id: int, priority: int) -> str | None:
    """Another priority for a job that does not run; it goes to the tail. Its status; None: it runs, or is finished."""
    rows = await _set_priority(connection, ids=[job_id], statuses=list(MAY["priority"]), priority=priority)
    return rows[0][0] if rows else None


async def redrive_one(connection: Connection, job_id: int) -> bool:
    """Queue a dead letter again, its failures forgiven. False: it is none."""
    return bool(await _retry(connection, ids=[job_id], statuses=list(MAY["redrive"])))


async def act_on(
    connection: Connection,
    act: str,
    ids: Sequence[int],
    statuses: Sequence[str],
    *,
    run_at: dt.datetime | None = None,
    priority: int | None = None,
) -> int:
    """Do it (a key of MAY) with those of these jobs that are in one of these statuses. With how many it was done."""
    which = {"ids": list(ids), "statuses": list(statuses)}
    if act == "cancel":
        return len(await _cancel(connection, **which))
    if act == "reschedule":
        return len(await _reschedule(connection, **which, run_at=run_at))
    if act == "priority":
        return len(await _set_priority(connection, **which, priority=priority))
    return len(await _retry(connection, **which))


async def redrive_edited(connection: Connection, job_id: int, event_data: str) -> int | None:
    """Queue a dead letter's event with other `event_data` (JSON text), as a new job; the old one is cancelled.

    The id of the new one; None: the old one is no dead letter. Raises psycopg.DataError where Postgres takes the
    text not.
    """
    rows = await _redrive_edited(connection, id=job_id, event_data=event_data)
    return rows[0][0] if rows else None


async def status_of(connection: Connection, job_id: int) -> str | None:
    """Where a job stands, also a finished one; None: there is no such job (any more)."""
    rows = await _status_of(connection, id=job_id)
    return rows[0][0] if rows else None


def why_not(job_id: int, status: str, act: str) -> str:
    """Why an act (a key of MAY) was not done with a job that has this status, in a sentence."""
    if status in MAY[act]:
        return f"Job {job_id} changed while this was asked for, and is {status} now: ask again."
    return f"Job {job_id} is {status}, and {only_those(act)}"


def only_those(act: str) -> str:
    """In which statuses it can be done."""
    *others, last = MAY[act]
    return f"cannot be {DONE[act]}: only one that is {', '.join(others)}{' or ' if others else ''}{last} can."


Mine = tuple[int, int, int]
"""(job id, attempt, worker id)"""


async def taken_away(connection: Connection, mine: Iterable[Mine]) -> set[Mine]:
    """Which of these attempts are not their workers' any more."""
    listed = list(mine)
    rows = await _taken_away(
        connection,
        ids=[each[0] for each in listed],
        attempts=[each[1] for each in listed],
        worker_ids=[each[2] for each in listed],
    )
    return {(job_id, attempt, worker_id) for job_id, attempt, worker_id in rows}
