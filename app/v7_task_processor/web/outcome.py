"""What becomes of an event that was given to the ingest, as its sender is told."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import psycopg

from ..queue import Enqueued
from .event import shown

UNTAKEN = ("22P02", "22P05", "22021", "54001")
"""What Postgres says of a text that it does not take as JSON, or not in its encoding."""


class Keyed(Protocol):
    """What is sent: an event, or a batch of them."""

    @property
    def key(self) -> str | None: ...


class Added(NamedTuple):
    """It is durable."""

    id: int


class Failed(NamedTuple):
    """It is not, or that is not known. `sentence` says which, and what to do."""

    status: int
    sentence: str
    known: bool = True


Outcome = Added | Failed


def statuses(outcomes: Iterable[Outcome]) -> Counter[int]:
    """How many events were answered with which HTTP status, as metrics count them."""
    return Counter(200 if isinstance(outcome, Added) else outcome.status for outcome in outcomes)


def named(events: Iterable[Enqueued], outcomes: Iterable[Outcome | None]) -> Iterator[dict[str, object]]:
    """What names each of those that were added in its line of the log."""
    for event, outcome in zip(events, outcomes, strict=False):
        if isinstance(outcome, Added):
            yield {
                "job_id": outcome.id,
                "event_type_id": event.event_type_id,
                "correlation_id": event.correlation_id,
            }


NOT_ADDED = Failed(500, "The event could not be added, because the database is not available; send it again.")
DISK_FULL = Failed(500, "The event could not be added, because the disk of the database is full; send it again later.")
SHUTTING_DOWN = Failed(503, "The event was not added, because this process is shutting down; send it again.")
BUSY = Failed(503, "The event was not added, because too many wait for the database; send it again in a second.")


def not_added(error: Exception) -> Failed:
    """It is certain that nothing was added; the cause is named where its sender's operator can do something."""
    if isinstance(error, psycopg.errors.DiskFull):
        return DISK_FULL
    return NOT_ADDED


def not_known(event: Keyed) -> Failed:
    """The commit was sent, and its answer was lost or does not count."""
    advice = "sending it again with the same Idempotency-Key is safe."
    if event.key is None:
        advice = "sending it again may add it twice, unless all tries carry the same Idempotency-Key."
    sentence = f"It is not known whether the event was added, because the database did not confirm it; {advice}"
    return Failed(500, sentence, known=False)


def conflict(event: Enqueued, job_id: int) -> Failed:
    return Failed(
        409, f'The Idempotency-Key "{shown(event.key or "")}" was used for another event, whose id is {job_id}.'
    )


def refused(error: Exception) -> Failed:
    """Postgres takes this event not, and others it does."""
    said, state = str(error), None
    if isinstance(error, psycopg.Error):
        said, state = error.diag.message_primary or said, error.sqlstate
    if state in UNTAKEN:
        return Failed(400, f"Failed to parse event: the database does not take event_data ({shown(said)}).")
    return Failed(500, f"The event could not be added: the database refuses it ({shown(said)}).")


class Written(NamedTuple):
    """A batch is durable: what became of each of its events."""

    outcomes: list[Outcome]


class Stopped(NamedTuple):
    """Nothing of a batch was added, because of one of its events. `at` is its index."""

    at: int
    failed: Failed


def of_batch(failed: Failed) -> Failed:
    """What is said of an event that stands for a whole batch."""
    return failed._replace(sentence=failed.sentence.replace("event", "batch", 1))


def placed(sentence: str, place: str) -> str:
    """What is said of an event, with where in its batch it stands."""
    said, colon, why = sentence.partition(": ")
    return f"{said}: {place}: {why}" if colon else f"{place}: {said}"


def conflict_of_batch(key: str, job_id: int) -> Failed:
    sentence = f'The Idempotency-Key "{shown(key)}" was used for another request, which added the job {job_id}.'
    return Failed(409, sentence)
