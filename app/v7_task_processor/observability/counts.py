"""What one process counts, in plain lists: once a batch, never for each job, without locks."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from . import families, telemetry
from .families import OTHER, Family

TYPES_MAX = 2 * families.TYPES_MAX
"""Further types that a process tells apart: some are too new for a row, and may have a label soon. Which have one is
decided where all are known: when they are read."""

SECOND_PARTS = 2**20
"""Sums are kept in parts of a second that floats add exactly, so that they are the same in whatever order rows of many
processes are added: one that fell by its last bit would pass for a counter that began anew."""

Numbers = dict[str, list[float]]
"""By `Family.key`: one number for a counter; for a histogram its buckets, what is beyond them, and the sum."""


class Counts:
    """A telemetry subscriber. Numbers only grow."""

    def __init__(self) -> None:
        self.numbers: Numbers = {}
        self.apart: set[int] = set()
        """Types that it tells apart whatever else it meets."""
        self.further: set[int] = set()

    def hear(self, event: str, fields: Mapping[str, object]) -> None:
        """The subscriber."""
        count = EVENTS.get(event)
        if count is not None:
            count(self, **fields)

    def add(self, family: Family, amount: float = 1, event_type_id: int | None = None, label: str = "") -> None:
        self.series(family, event_type_id, label)[0] += amount

    def observe(self, family: Family, seconds: Sequence[float], event_type_id: int | None = None) -> None:
        """Many at once: to sort them costs less than to find a bucket for each."""
        ordered = sorted(seconds)
        numbers = self.series(family, event_type_id)
        passed = 0
        for place, bound in enumerate(family.bounds):
            upto = bisect_right(ordered, bound)
            numbers[place] += upto - passed
            passed = upto
        numbers[-2] += len(ordered) - passed
        numbers[-1] += round(sum(ordered) * SECOND_PARTS) / SECOND_PARTS

    def series(self, family: Family, event_type_id: int | None = None, label: str = "") -> list[float]:
        key = family.key("" if event_type_id is None else self.named(event_type_id), label)
        numbers = self.numbers.get(key)
        if numbers is None:
            numbers = self.numbers[key] = family.nothing()
        return numbers

    def named(self, event_type_id: int) -> object:
        if event_type_id in self.apart or event_type_id in self.further:
            return event_type_id
        if len(self.further) >= TYPES_MAX:
            return OTHER
        self.further.add(event_type_id)
        return event_type_id

    def tell_apart(self, event_type_ids: Iterable[int]) -> None:
        """From now on these types are no part of `other`: those with a handler of their own, and with a label."""
        self.apart.update(event_type_ids)
        self.further -= self.apart

    def copy(self) -> Numbers:
        return {key: list(numbers) for key, numbers in self.numbers.items()}

    def subtract(self, other: Numbers) -> None:
        """Forget what is kept elsewhere."""
        for key, numbers in other.items():
            own = self.numbers[key]
            own[:] = [mine - theirs for mine, theirs in zip(own, numbers, strict=True)]


def collect() -> Counts:
    """Count from now on, in this process."""
    counts = Counts()
    telemetry.subscribe(counts.hear)
    return counts


def attempts_ended(counts: Counts, outcome: str, ended: Sequence[tuple[int, float]]) -> None:
    """(event type, seconds) of a batch."""
    by_type: dict[int, list[float]] = {}
    for event_type_id, seconds in ended:
        by_type.setdefault(event_type_id, []).append(seconds)
    for event_type_id, each in by_type.items():
        counts.add(families.ATTEMPTS, len(each), event_type_id, outcome)
        counts.observe(families.HANDLER_DURATION, each, event_type_id)


def attempts_rescued(counts: Counts, charged: Sequence[tuple[int, str]], completed: Sequence[int]) -> None:
    """What dead workers had run: (event type, the job's status after it), and the types of what had ended well."""
    for event_type_id in completed:
        counts.add(families.ATTEMPTS, 1, event_type_id, "succeeded")
    for event_type_id, status in charged:
        counts.add(families.ATTEMPTS, 1, event_type_id, "crashed")
        counts.add(families.DEAD_LETTERED if status == "dead" else families.RETRIES, 1, event_type_id)


def events_committed(counts: Counts, seconds: float, statuses: Mapping[int, int]) -> None:
    """How many senders were told which HTTP status."""
    counts.observe(families.COMMIT_DURATION, [seconds])
    events_answered(counts, statuses)


def events_answered(counts: Counts, statuses: Mapping[int, int]) -> None:
    for status, count in statuses.items():
        if status == 200:
            counts.add(families.RECEIVED, count)
        else:
            counts.add(families.NOT_ADDED, count, label=str(status))


def jobs_claimed(counts: Counts, count: int, seconds: float) -> None:
    counts.add(families.CLAIMED, count)
    counts.observe(families.CLAIM_DURATION, [seconds])


def jobs_started(counts: Counts, waits: Sequence[float]) -> None:
    counts.observe(families.QUEUE_WAIT, waits)


def job_failed(counts: Counts, event_type_id: int, **_: object) -> None:
    counts.add(families.RETRIES, 1, event_type_id)


def job_dead(counts: Counts, event_type_id: int, **_: object) -> None:
    counts.add(families.DEAD_LETTERED, 1, event_type_id)


def job_released(counts: Counts, count: int, **_: object) -> None:
    counts.add(families.RELEASED, count)


def job_taken_away(counts: Counts, count: int, **_: object) -> None:
    counts.add(families.TAKEN_AWAY, count)


def job_rescued(counts: Counts, count: int, **_: object) -> None:
    counts.add(families.RESCUED, count)


def worker_crashed(counts: Counts, role: str, **_: object) -> None:
    counts.add(families.WORKERS_CRASHED, label=role)


def worker_stuck(counts: Counts, **_: object) -> None:
    counts.add(families.WORKERS_STUCK)


def node_lost(counts: Counts, **_: object) -> None:
    counts.add(families.NODES_LOST)


EVENTS: dict[str, Callable[..., Any]] = {
    "attempts.ended": attempts_ended,
    "attempts.rescued": attempts_rescued,
    "events.answered": events_answered,
    "events.committed": events_committed,
    "jobs.claimed": jobs_claimed,
    "jobs.started": jobs_started,
    "job.dead": job_dead,
    "job.failed": job_failed,
    "job.released": job_released,
    "job.rescued": job_rescued,
    "job.taken_away": job_taken_away,
    "node.lost": node_lost,
    "worker.crashed": worker_crashed,
    "worker.stuck": worker_stuck,
}
