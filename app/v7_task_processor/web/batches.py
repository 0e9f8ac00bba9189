"""Batches on their way into the queue: each in one transaction, on a connection that only batches wait for."""

import asyncio
import time
from collections.abc import Iterator, Sequence

from .. import queue
from ..observability import telemetry
from ..queue import Connection, Enqueued
from .batch import Batch
from .commit import Committer, Waiting
from .hints import Hints
from .lane import Lane
from .outcome import (
    BUSY,
    NOT_ADDED,
    SHUTTING_DOWN,
    Added,
    Failed,
    Outcome,
    Stopped,
    Written,
    conflict_of_batch,
    named,
    of_batch,
    refused,
    statuses,
)

CUT_EVENTS_MAX = 500
CUT_CHARS_MAX = 2**20
"""Of one statement: what it takes to make its arrays holds the event loop for a millisecond or two."""
REFUSALS_MAX = 100
"""To find each costs some twenty statements; more are no accident, and end the batch."""
WAITING_EVENTS_MAX = 10_000
WAITING_BYTES_MAX = 64 * 2**20
TYPE_SECONDS_MAX = 1.0
PATIENCE = 3
"""A batch may take so many times as long as the commit of single events."""

Told = Written | Stopped


class Batches(Lane[Waiting[Batch, Told]]):
    """Takes batches from any number of requests, and commits one after the other."""

    waiting_events = 0

    def start(self, url: str, hints: Hints, commit_seconds_max: float) -> None:
        """Begin to take batches. The connection is made with the first."""
        self.committer = Committer(url, PATIENCE * commit_seconds_max)
        self.hints = hints
        self.closed = False

    async def add(self, batch: Batch) -> Told | Failed:
        """Add a batch, durably. To cancel this has no effect on what becomes of it."""
        if self.closed:
            return turned_away(SHUTTING_DOWN, batch)
        events, size = len(batch.events), batch.size
        if self.waiting and (
            self.waiting_events + events > WAITING_EVENTS_MAX or self.waiting_bytes + size > WAITING_BYTES_MAX
        ):
            return turned_away(BUSY, batch)
        waiting: Waiting[Batch, Told] = Waiting(batch)
        self.waiting.append(waiting)
        self.waiting_events += events
        self.waiting_bytes += size
        self.arrived.set()
        types = [self.hints.meet(each) for each in {event.event_type_id for event in batch.events}]
        outcome = await waiting.outcome
        if made := [each for each in types if each is not None]:
            await asyncio.wait(made, timeout=TYPE_SECONDS_MAX)
        return of_batch(outcome) if isinstance(outcome, Failed) and outcome.status != 409 else outcome

    async def commit(self) -> int:
        waiting = self.waiting.popleft()
        self.waiting_events -= len(waiting.event.events)
        self.waiting_bytes -= waiting.event.size
        began = time.monotonic()
        await self.committer.carry_out([(write, [waiting])])
        outcomes = [] if waiting.outcome.cancelled() else each_of(waiting.outcome.result(), waiting.event)
        answered = statuses(outcomes)
        telemetry.publish("events.committed", seconds=time.monotonic() - began, statuses=answered)
        telemetry.publish("job.enqueued", each=lambda: named(waiting.event.events, outcomes))
        return answered[200]

    def fail_waiting(self) -> None:
        failed = [each for each in self.waiting if not each.outcome.cancelled()]
        super().fail_waiting()
        for each in failed:
            count_unadded(NOT_ADDED, each.event)
        self.waiting_events = 0


def turned_away(answer: Failed, batch: Batch) -> Failed:
    count_unadded(answer, batch)
    return of_batch(answer)


def count_unadded(answer: Failed, batch: Batch) -> None:
    telemetry.publish("events.answered", statuses={answer.status: len(batch.events)})


def each_of(told: Told | Failed, batch: Batch) -> list[Outcome]:
    """What became of each event."""
    if isinstance(told, Written):
        return told.outcomes
    return [told.failed if isinstance(told, Stopped) else told] * len(batch.events)


class Stop(Exception):
    """Nothing of the batch is to be added."""

    def __init__(self, told: Stopped | Failed) -> None:
        super().__init__(told)
        self.told = told


async def write(connection: Connection, batches: Sequence[Batch]) -> list[Told | Failed]:
    """Add all of a batch, or nothing. Durable when it returns, except where it was Stopped or Failed."""
    (batch,) = batches
    writing = Writing(connection, batch)
    try:
        async with connection.transaction():
            for start, end in cuts(batch.events):
                await writing.write(batch.cut(start, end))
    except Stop as stop:
        return [stop.told]
    return [Written(writing.outcomes)]


class Writing:
    """A batch in its transaction, which has not ended yet."""

    def __init__(self, connection: Connection, batch: Batch) -> None:
        self.connection, self.batch = connection, batch
        self.outcomes: list[Outcome] = []
        self.refusals_left = REFUSALS_MAX if batch.partial else 0

    async def write(self, events: Sequence[Enqueued]) -> None:
        """Write some; where they are refused, their halves, down to those that are to blame. Raises Stop."""
        try:
            async with self.connection.transaction():
                self.outcomes += await self.enqueue(events)
        except Exception as error:
            if not queue.is_refusal(error):
                raise
            if len(events) == 1:
                self.refuse(refused(error))
                return
            middle = len(events) // 2
            await self.write(events[:middle])
            await self.write(events[middle:])

    async def enqueue(self, events: Sequence[Enqueued]) -> list[Added]:
        if self.batch.key is None:
            return [Added(job_id) for job_id in await queue.enqueue(self.connection, events)]
        answers = await queue.enqueue_once(self.connection, events)
        for job_id, same in answers:
            if not same:
                raise Stop(conflict_of_batch(self.batch.key, job_id))
        return [Added(job_id) for job_id, _ in answers]

    def refuse(self, failed: Failed) -> None:
        if self.refusals_left == 0:
            raise Stop(Stopped(len(self.outcomes), failed))
        self.refusals_left -= 1
        self.outcomes.append(failed)


def cuts(events: Sequence[Enqueued]) -> Iterator[tuple[int, int]]:
    """Where to cut a batch into statements."""
    start = chars = 0
    for index, event in enumerate(events):
        chars += len(event.event_data)
        if index > start and (index - start == CUT_EVENTS_MAX or chars > CUT_CHARS_MAX):
            yield start, index
            start, chars = index, len(event.event_data)
    if start < len(events):
        yield start, len(events)
