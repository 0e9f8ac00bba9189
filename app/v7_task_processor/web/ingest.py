"""Group commit: requests that come together share one statement and one commit, and each hears of its own."""

import asyncio
import contextlib
import hashlib
import sys
import time
from collections.abc import Iterable, Iterator

from ..observability import telemetry
from ..queue import Enqueued
from .batches import Batches
from .commit import COMMIT_SECONDS_MAX, Committer, Waiting
from .hints import Hints
from .lane import LEAVE_SECONDS_MAX, Lane
from .outcome import BUSY, SHUTTING_DOWN, Added, Failed, Outcome, named, statuses

BATCH_EVENTS_MAX = 500
BATCH_CHARS_MAX = 8 * 2**20
WAITING_EVENTS_MAX = 10_000
WAITING_BYTES_MAX = 64 * 2**20
"""As Python keeps texts: one character beyond those of Latin makes all of them twice or four times as large."""
TYPE_SECONDS_MAX = 1.0


class Ingest(Lane[Waiting[Enqueued, Added]]):
    """Takes events from any number of requests; commits a batch whenever the last one is done.

    `batches` takes those that come as batches, on a connection of its own: no single event waits for ten thousand.
    """

    def __init__(self, commit_seconds_max: float = COMMIT_SECONDS_MAX) -> None:
        super().__init__()
        self.commit_seconds_max = commit_seconds_max
        self.tasks: list[asyncio.Task[None]] = []
        self.batches = Batches()

    async def start(self, url: str) -> None:
        """Begin to take events. Where the database is away they fail until it is back."""
        self.committer = Committer(url, self.commit_seconds_max)
        self.hints = Hints(url)
        self.closed = False
        self.batches.start(url, self.hints, self.commit_seconds_max)
        with contextlib.suppress(Exception):  # it is tried again, and logged, with the first event
            await self.committer.connected()
        await self.hints.once()
        self.tasks = [asyncio.create_task(each.run()) for each in (self, self.batches, self.hints)]

    async def add(self, event: Enqueued) -> Outcome:
        """Add an event, durably. To cancel this has no effect on what becomes of it."""
        if self.closed:
            return turned_away(SHUTTING_DOWN)
        size = sys.getsizeof(event.event_data)
        if self.waiting and (len(self.waiting) >= WAITING_EVENTS_MAX or self.waiting_bytes + size > WAITING_BYTES_MAX):
            return turned_away(BUSY)
        waiting: Waiting[Enqueued, Added] = Waiting(
            event if event.key is None else event._replace(digest=digest(event))
        )
        self.waiting.append(waiting)
        self.waiting_bytes += size
        self.arrived.set()
        type_exists = self.hints.meet(event.event_type_id)
        outcome = await waiting.outcome
        if type_exists is not None:
            await asyncio.wait([type_exists], timeout=TYPE_SECONDS_MAX)
        return outcome

    async def commit(self) -> int:
        began, batch = time.monotonic(), self.take()
        added = await self.committer.commit(batch)
        telemetry.publish("events.committed", seconds=time.monotonic() - began, statuses=statuses(told(batch)))
        telemetry.publish("job.enqueued", each=lambda: named([each.event for each in batch], outcomes_of(batch)))
        return added

    def fail_waiting(self) -> None:
        failed = list(self.waiting)
        super().fail_waiting()
        telemetry.publish("events.answered", statuses=statuses(told(failed)))

    def take(self) -> list[Waiting[Enqueued, Added]]:
        """The next batch, in the order of arrival; no key twice."""
        batch: list[Waiting[Enqueued, Added]] = []
        later: list[Waiting[Enqueued, Added]] = []
        keys: set[str] = set()
        chars = 0
        while self.waiting and len(batch) + len(later) < BATCH_EVENTS_MAX:
            event = self.waiting[0].event
            chars += len(event.event_data)
            if batch and chars > BATCH_CHARS_MAX:
                break
            waiting = self.waiting.popleft()
            if event.key in keys:
                later.append(waiting)
                continue
            batch.append(waiting)
            self.waiting_bytes -= sys.getsizeof(event.event_data)
            if event.key is not None:
                keys.add(event.key)
        self.waiting.extendleft(reversed(later))
        return batch

    async def stop(self, seconds: float) -> None:
        """Take no more, commit what waits, and close. May be called twice."""
        self.close()
        self.batches.close()
        if not self.tasks:
            return
        run, batches, hints = self.tasks
        self.tasks = []
        await asyncio.gather(self.end(run, seconds), self.batches.end(batches, seconds))
        hints.cancel()
        await asyncio.wait([hints], timeout=LEAVE_SECONDS_MAX)
        await self.hints.link.close()


def turned_away(answer: Failed) -> Failed:
    telemetry.publish("events.answered", statuses={answer.status: 1})
    return answer


def told(waiting: Iterable[Waiting[Enqueued, Added]]) -> Iterator[Outcome]:
    """What senders were told; those that left were told nothing."""
    return filter(None, outcomes_of(waiting))


def outcomes_of(waiting: Iterable[Waiting[Enqueued, Added]]) -> Iterator[Outcome | None]:
    """What became of each. None: its sender left, and it is not known here."""
    return (None if each.outcome.cancelled() else each.outcome.result() for each in waiting)


def digest(event: Enqueued) -> bytes:
    """Tells an event from another under the same key; v7.enqueue computes the same."""
    text = f"{event.event_type_id},{event.user_id},{event.priority},{event.event_data}"
    return hashlib.sha256(text.encode()).digest()
