"""Tells the database how attempts ended, in batches, durably, until it has heard."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from msgspec.structs import replace

from .. import queue
from ..handlers import Described, clean, describe
from ..job import Discard, Job, Snooze, retry_delay_seconds
from ..observability import logs, telemetry
from ..queue import Connection, Failure, Held
from ..settings import Settings
from .outcome import Ended, Failed, Release, Void
from .session import Session
from .slots import Section

log = logs.get(__name__)
BATCH = 500


class Lane:
    """Words that wait for their turn, and those that are being written."""

    def __init__(self) -> None:
        self.waiting: deque[Ended] = deque()
        self.writing: list[Ended] = []
        self.news = asyncio.Event()

    def add(self, ended: Ended) -> None:
        self.waiting.append(ended)
        self.news.set()

    def next(self) -> list[Ended]:
        self.writing = [self.waiting.popleft() for _ in range(min(BATCH, len(self.waiting)))]
        return self.writing

    def words(self) -> list[Ended]:
        return [*self.waiting, *self.writing]


class Recorder:
    """The words of one worker that are not written yet. Their slots bound how many there can be."""

    def __init__(self, settings: Settings, session: Session, section: Section) -> None:
        self.settings, self.session, self.section = settings, session, section
        self.ends, self.returns = Lane(), Lane()
        self.idle = asyncio.Event()
        self.idle.set()
        self.on_requeued: Callable[[Iterable[Job]], None] = lambda jobs: None
        """Called when something went back into the queue, with what stands again where it stood."""
        self.on_left: Callable[[Iterable[Job]], None] = lambda jobs: None
        """Called with jobs that ended well or were put off."""
        self.on_returned: Callable[[int], None] = lambda count: None
        """Called with how many jobs that had not started are back in the queue."""
        self.on_written: Callable[[], None] = lambda: None
        """Called when slots came free."""

    def add(self, ended: Ended) -> None:
        """What has no slot was never started: it goes back."""
        (self.returns if ended.slot is None else self.ends).add(ended)
        self.idle.clear()

    async def run(self) -> None:
        """Write, for ever.

        What was never started goes back beside the rest, on the connection that claims: the word about an end may
        wait for a synchronous standby, and claims wait for what goes back.
        """
        await asyncio.gather(self.keep(self.ends, self.write), self.keep(self.returns, self.give_back))

    async def keep(self, lane: Lane, write: Callable[[list[Ended]], Awaitable[None]]) -> None:
        while True:
            await lane.news.wait()
            while lane.waiting:
                batch = lane.next()
                await write(batch)
                for ended in batch:
                    if ended.slot is not None:
                        self.section.clear(ended.slot)
                lane.writing = []
                self.on_written()
            lane.news.clear()
            if not self.ends.words() and not self.returns.words():
                self.idle.set()

    def holds(self) -> set[tuple[Held, int]]:
        """((job, attempt), worker id) of all that is not written yet."""
        return {((each.job.id, each.job.attempt), each.worker_id) for each in self.unwritten()}

    def unwritten(self) -> list[Ended]:
        return [*self.ends.words(), *self.returns.words()]

    async def write(self, batch: list[Ended]) -> None:
        for worker_id, own in by_worker(batch).items():
            succeeded = [ended for ended in own if ended.outcome is None]
            if succeeded:
                await self.complete(worker_id, succeeded)
            rest = [ended for ended in own if ended.outcome is not None]
            if rest:
                await self.write_others(worker_id, rest)

    async def give_back(self, batch: list[Ended]) -> None:
        for worker_id, own in by_worker(batch).items():
            await self.release(worker_id, own, lambda: self.session.claims)
        self.on_requeued(each.job for each in batch)
        self.on_returned(len(batch))

    async def complete(self, worker_id: int, succeeded: list[Ended]) -> None:
        silent = [ended for ended in succeeded if ended.log is None]
        logged = [ended for ended in succeeded if ended.log is not None]
        for each in filter(None, (silent, logged)):
            for ended, error in await queue.write_past(lambda part: self.complete_all(worker_id, part), each):
                # By somebody's trigger or constraint: so it is charged, and ends in the dead letters with that reason.
                await self.fail(worker_id, [replace(ended, outcome=Failed(describe(error)))])

    async def complete_all(self, worker_id: int, succeeded: Sequence[Ended]) -> None:
        generation = self.session.generation
        written = await self.session.attempt(lambda: self.move(worker_id, succeeded))
        self.missing(len(succeeded) - written, generation)
        self.on_left(ended.job for ended in succeeded)
        if written == len(succeeded):
            telemetry.publish("job.completed", count=written, each=partial(named, succeeded))
        else:  # whose rows were gone is not known
            telemetry.publish("job.completed", count=written)
        tell_ended("succeeded", succeeded)

    def move(self, worker_id: int, succeeded: Sequence[Ended]) -> Awaitable[int]:
        """Into the history. Either all of them logged something, or none did."""
        held, kept = held_of(succeeded), self.settings.retention_days > 0
        logs = [ended.log for ended in succeeded if ended.log is not None]
        if kept and logs:
            return queue.complete_logged(self.session.records, worker_id, held, logs)
        return queue.complete(self.session.records, worker_id, held, kept=kept)

    async def write_others(self, worker_id: int, rest: list[Ended]) -> None:
        failures = [ended for ended in rest if isinstance(ended.outcome, Failed | Discard)]
        snoozed = [ended for ended in rest if isinstance(ended.outcome, Snooze)]
        released = [ended for ended in rest if isinstance(ended.outcome, Release)]
        if void := sum(isinstance(ended.outcome, Void) for ended in rest):
            telemetry.publish("job.taken_away", count=void)
        if failures:
            await self.fail(worker_id, failures)
        if snoozed:
            await self.snooze(worker_id, snoozed)
        if released:
            await self.release(worker_id, released, lambda: self.session.records)
            self.on_requeued(each.job for each in released)

    async def snooze(self, worker_id: int, snoozed: list[Ended]) -> None:
        async def write(part: Sequence[Ended]) -> None:
            put_off, logs = [put_off_by(ended) for ended in part], [ended.log for ended in part]
            count = await self.session.attempt(lambda: queue.snooze(self.session.records, worker_id, put_off, logs))
            self.on_left(ended.job for ended in part)
            telemetry.publish("job.snoozed", count=count, each=partial(named, part))
            tell_ended("snoozed", part)

        refused = await queue.write_past(write, snoozed)
        queue.left_running([((each.job.id, each.job.attempt), why) for each, why in refused])

    async def release(self, worker_id: int, released: list[Ended], connection: Callable[[], Connection]) -> None:
        async def write(part: Sequence[Ended]) -> None:
            count = await self.session.attempt(lambda: queue.release(connection(), worker_id, held_of(part)))
            telemetry.publish("job.released", count=count, each=partial(named, part))

        refused = await queue.write_past(write, released)
        queue.left_running([((each.job.id, each.job.attempt), why) for each, why in refused])

    async def fail(self, worker_id: int, failed: list[Ended]) -> None:
        for ended, error in await queue.write_past(lambda part: self.fail_all(worker_id, part), failed):
            # Texts are cleaned, so it should not be for them; if it is, the job must still be charged: it would run
            # for ever.
            log.error("Postgres refuses to record a failure", job_id=ended.job.id, error=logs.said(error))
            plain = replace(ended, outcome=without_text(ended.outcome), log=None)
            refused = await queue.write_past(lambda part: self.fail_all(worker_id, part), [plain])
            queue.left_running([((each.job.id, each.job.attempt), why) for each, why in refused])

    async def fail_all(self, worker_id: int, failed: Sequence[Ended]) -> None:
        failures = [self.failure(ended) for ended in failed]
        generation = self.session.generation
        written = await self.session.attempt(
            lambda: queue.fail(self.session.records, worker_id, self.session.name, failures)
        )
        self.missing(len(failed) - len(written), generation)
        states = {job_id: (status, retry_count) for job_id, status, retry_count in written}
        for ended, failure in zip(failed, failures, strict=True):
            if ended.job.id in states:
                tell(ended, failure, *states[ended.job.id])
        tell_ended("failed", [each for each in failed if isinstance(each.outcome, Failed)])
        tell_ended("discarded", [each for each in failed if isinstance(each.outcome, Discard)])
        self.on_requeued(())

    def failure(self, ended: Ended) -> Failure:
        job, outcome = ended.job, ended.outcome
        if isinstance(outcome, Discard):
            reason = clean(str(outcome.reason), 1000)
            dead = f"discarded: {reason}"
            return Failure(job.id, job.attempt, 0, "Discard", reason, dead_reason=dead, log=ended.log)
        assert isinstance(outcome, Failed)
        delay = retry_delay_seconds(job.retry_count + 1, self.settings.retry_seconds)
        return Failure(job.id, job.attempt, delay, *outcome.error, log=ended.log)

    def missing(self, count: int, generation: int) -> None:
        """Words that found no row: void, and never repeated. After a break the first try may have landed."""
        if count and generation == self.session.generation:
            telemetry.publish("job.taken_away", count=count)


def without_text(outcome: object) -> Failed | Discard:
    refused = "(Postgres refused its text)"
    return Discard(refused) if isinstance(outcome, Discard) else Failed(Described("Error", refused, ""))


def by_worker(batch: list[Ended]) -> dict[int, list[Ended]]:
    """By the identity under which it was claimed: the latest, and earlier ones after a break."""
    found: dict[int, list[Ended]] = {}
    for ended in batch:
        found.setdefault(ended.worker_id, []).append(ended)
    return found


def put_off_by(ended: Ended) -> tuple[int, int, float]:
    """(id, attempt, seconds) of one whose handler said Snooze."""
    assert isinstance(ended.outcome, Snooze)
    return ended.job.id, ended.job.attempt, ended.outcome.seconds


def held_of(ended: Sequence[Ended]) -> list[Held]:
    return [(each.job.id, each.job.attempt) for each in ended]


def named(ended: Sequence[Ended]) -> list[dict[str, object]]:
    """What names each in its line of the log."""
    return [{**logs.named(each.job), "event_type_id": each.job.event_type_id} for each in ended]


def first_line(text: str) -> str:
    return text.partition("\n")[0]


def tell_ended(outcome: str, ended: Sequence[Ended]) -> None:
    """What handlers did, for metrics; also where the word of it came too late."""
    if ended:
        telemetry.publish(
            "attempts.ended", outcome=outcome, ended=[(each.job.event_type_id, each.seconds) for each in ended]
        )


def tell(ended: Ended, failure: Failure, status: str, retry_count: int) -> None:
    job = ended.job
    telemetry.publish(
        "job.dead" if status == "dead" else "job.failed",
        job_id=job.id,
        event_type_id=job.event_type_id,
        correlation_id=job.correlation_id,
        attempt=job.attempt,
        retry_count=retry_count,
        max_retries=job.max_retries,
        # One line: what follows the first is, of an error of Postgres', the row that it was about.
        error=f"{failure.error_type}: {first_line(failure.message)[:200]}",
        **({} if status == "dead" else {"again_in": round(failure.delay_seconds, 2)}),
    )
