"""Forgeries of the made-up run's records, by the check that must find them, and no other with it."""

from collections.abc import Callable

from msgspec.structs import replace

from .forge import (
    DOUBLE,
    Records,
    add_run,
    end_of,
    exchange,
    plain,
    put,
    put_change,
    put_end,
    put_start,
    rescued,
    sent_of,
    start_of,
)
from .ledger import Ledger
from .records import Done, End, Failure, Orphans

Forgery = Callable[[Records, Ledger], None]


def drop_an_acked_row(records: Records, ledger: Ledger) -> None:
    records["tables"].rows.remove(plain(ledger))


def leave_unfinished(records: Records, ledger: Ledger) -> None:
    """Its handler is through, and nobody wrote it down."""
    row = plain(ledger)
    records["tables"].changes.remove(ledger.history[row.id][-1])
    put(records, row.id, status="running")


def add_a_phantom(records: Records, ledger: Ledger) -> None:
    """It was never sent, and fails no other check."""
    row = plain(ledger)
    records["clients"] = [each for each in records["clients"] if each.n != row.n]


def store_what_was_refused(records: Records, ledger: Ledger) -> None:
    n = plain(ledger).n
    done = next(each for each in records["clients"] if isinstance(each, Done) and each.n == n)
    records["clients"][records["clients"].index(done)] = replace(done, status=422, id=None)


def double_a_row(records: Records, ledger: Ledger) -> None:
    """The whole life again, under another id, one place behind."""
    row = plain(ledger)
    position = row.position + 1
    records["tables"].rows.append(replace(row, id=DOUBLE, position=position))
    for change in ledger.history[row.id]:
        old = None if change.old_status is None else position
        records["tables"].changes.append(replace(change, id=DOUBLE, position=position, old_position=old))
    add_run(records, start_of(records, row.id), id=DOUBLE)


def answer_a_key_with_two_ids(records: Records, ledger: Ledger) -> None:
    double_a_row(records, ledger)
    done = next(each for each in records["clients"] if isinstance(each, Done) and each.id == plain(ledger).id)
    records["clients"] += [sent_of(records, done.n), replace(done, id=DOUBLE)]


def flip_a_byte(records: Records, ledger: Ledger) -> None:
    put(records, plain(ledger).id, sha="0" * 64)


def flip_a_byte_for_the_handler(records: Records, ledger: Ledger) -> None:
    put_start(records, start_of(records, plain(ledger).id), sha="0" * 64)


def succeed_without_a_word(records: Records, ledger: Ledger) -> None:
    put_end(records, start_of(records, plain(ledger).id), outcome="cancelled")


def start_after_completion(records: Records, ledger: Ledger) -> None:
    row = plain(ledger)
    start, left = start_of(records, row.id), ledger.runs_by_id[row.id][0].left
    put_start(records, start, mono=left + 0.2)
    put_end(records, start, mono=left + 0.3)


def run_once_more(records: Records, ledger: Ledger) -> None:
    """After the first run of an attempt and before its completion, without a cause."""
    start = start_of(records, plain(ledger).id)
    ended = end_of(records, start).mono + 0.00001
    add_run(records, start, mono=ended)


def overlap(records: Records, ledger: Ledger) -> None:
    """What the killed process ran goes on running when its second run begins."""
    first, second = rescued(ledger)
    records["handled"].append(End(start_of(records, first.id).nonce, "cancelled", second.began + 0.001))


def reuse_a_fence(records: Records, ledger: Ledger) -> None:
    """A rescued job is claimed under the same attempt and worker again."""
    first, second = rescued(ledger)
    _, claim, _, again, done = ledger.history[first.id]
    put_change(records, again, attempt=1, worker=claim.worker)
    put_change(records, done, old_attempt=1, old_worker=claim.worker, attempt=1)
    put_start(records, start_of(records, second.id, 2), attempt=1)
    put(records, first.id, attempt=1)


def end_by_another_fence(records: Records, ledger: Ledger) -> None:
    put_change(records, ledger.history[plain(ledger).id][-1], old_worker=12345)


def charge_an_innocent(records: Records, ledger: Ledger) -> None:
    row = plain(ledger)
    records["tables"].failures.append(Failure(row.id, 1, "Crash", 1))
    put(records, row.id, retry_count=1)


def miscount_charges(records: Records, ledger: Ledger) -> None:
    put(records, plain(ledger).id, retry_count=1)


def let_a_killer_live(records: Records, ledger: Ledger) -> None:
    killer = next(row for row in ledger.rows if row.do == "die")
    put(records, killer.id, max_retries=3)


def exchange_two_places(records: Records, ledger: Ledger) -> None:
    """It had the best place from the beginning, and yet waited until now."""
    row, best = plain(ledger), -5
    put(records, row.id, priority=best)
    first, *rest = ledger.history[row.id]
    put_change(records, first, priority=best, wall=100.0, began=100.0)
    for change in rest:
        put_change(records, change, priority=best, old_priority=best)
    exchange(records["clients"], sent_of(records, row.n), priority=best)


def leave_an_orphan(records: Records, ledger: Ledger) -> None:
    records["orphans"] += [Orphans(5000.0 + second, [plain(ledger).id]) for second in range(31)]


def skip_a_state(records: Records, ledger: Ledger) -> None:
    """From scheduled to running."""
    promoted = next(each for each in ledger.changes if each.old_status == "scheduled")
    claimed = next(each for each in ledger.history[promoted.id] if each.seq > promoted.seq)
    records["tables"].changes.remove(promoted)
    put_change(records, claimed, old_status="scheduled")


def change_unseen(records: Records, ledger: Ledger) -> None:
    put_change(records, ledger.history[plain(ledger).id][-1], old_retry_count=7, retry_count=7)


def keep_the_position(records: Records, ledger: Ledger) -> None:
    promoted = next(each for each in ledger.changes if each.old_status == "scheduled")
    put_change(records, promoted, position=promoted.old_position)


def queue_two_at_one_position(records: Records, ledger: Ledger) -> None:
    row = plain(ledger)
    _, claim, done = ledger.history[row.id]
    other = next(each for each in ledger.changes if claim.seq < each.seq < done.seq and each.status == "running")
    for change in (claim, done):
        put_change(records, change, position=other.position, old_position=other.position)


FORGERIES = {
    "L1": [drop_an_acked_row],
    "L2": [leave_unfinished],
    "L3": [add_a_phantom, store_what_was_refused],
    "L4": [double_a_row, answer_a_key_with_two_ids],
    "L5": [flip_a_byte, flip_a_byte_for_the_handler],
    "L6": [succeed_without_a_word],
    "L7": [start_after_completion],
    "L8": [run_once_more],
    "L9": [overlap],
    "L10": [reuse_a_fence, end_by_another_fence],
    "L11": [charge_an_innocent, miscount_charges, let_a_killer_live],
    "L12": [exchange_two_places],
    "L13": [leave_an_orphan],
    "L14": [skip_a_state, change_unseen, keep_the_position, queue_two_at_one_position],
}
