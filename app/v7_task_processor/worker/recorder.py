"""Tells the database how attempts ended, in batches, durably, until it has heard."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

import psycopg
from msgspec.structs import replace

from .. import queue
from ..handlers import Described, clean, describe
from ..job import Discard, Job, Snooze, retry_delay_seconds
from ..observability import logs, telemetry
from ..queue import Connection, Failure, Held
from ..settings import Settings
from .lane import Lane, ids_of
from .outcome import Ended, Failed, Release, Void
from .session import RETRY_SECONDS, Session
from .slots import Section
from .telling import named, tell, tell_ended

log = logs.get(__name__)
LOCKED_SECONDS = 1.0
"""How often words whose rows somebody has locked are looked at."""
Write = Callable[[Sequence[Ended]], Awaitable[int]]
"""Writes words, and answers how many of them found their row."""
Connecting = Callable[[], Connection]
"""The connection as it is now: there may be another after a break."""


class Recorder:
    """The words of one worker that are not written yet. Their slots bound how many there can be."""

    def __init__(self, settings: Settings, session: Session, section: Section) -> None:
        self.settings, self.session, self.section = settings, session, section
        self.ends, self.returns, self.laid_aside = Lane(), Lane(), Lane()
        self.idle = asyncio.Event()
        """Set while there is nothing to write, but for what is laid aside."""
        self.idle.set()
        self.on_requeued: Callable[[Iterable[Job]], None] = lambda jobs: None
        """Called when something went back into the queue, with what stands again where it stood."""
        self.on_left: Callable[[Iterable[Job]], None] = lambda jobs: None
        """Called with jobs that ended well or were put off."""
        self.on_returned: Callable[[int], None] = lambda count: None
        """Called with how many jobs that had not started are back in the queue, as far as they can be."""
        self.on_written: Callable[[], None] = lambda: None
        """Called when slots came free."""

    def add(self, ended: Ended) -> None:
        """What has no slot was never started: it goes back, for which claims wait."""
        (self.returns if ended.slot is None else self.ends).add(ended)
        self.idle.clear()

    async def run(self) -> None:
        """Write, for ever.

        What was never started goes back beside the rest, on the connection that claims: the word about an end may
        wait for a synchronous standby, and claims wait for what goes back.
        """
        await asyncio.gather(
            self.keep(self.ends, self.write), self.keep(self.returns, self.give_back), self.look_for_free()
        )

    async def keep(self, lane: Lane, write: Callable[[list[Ended]], Awaitable[None]]) -> None:
        while True:
            await lane.news.wait()
            while lane.waiting:
                batch = lane.next()
                await write(batch)
                for ended in self.not_aside(batch):
                    if ended.slot is not None:
                        self.section.clear(ended.slot)
                lane.writing = []
                self.on_written()
            lane.news.clear()
            if not self.ends.words() and not self.returns.words():
                self.idle.set()

    async def look_for_free(self) -> None:
        """Words whose rows somebody has locked come again when he lets go. Until then they keep their slots."""
        while True:
            await self.laid_aside.news.wait()
            await asyncio.sleep(LOCKED_SECONDS)
            words = self.laid_aside.next()
            ids = await self.session.attempt(lambda: queue.locked(self.session.records, ids_of(words)))  # noqa: B023
            # Those of a batch that is not through would count as its own.
            under_way = keys_of([*self.ends.writing, *self.returns.writing])
            for ended in words:
                stays = ended.job.id in ids or key_of(ended) in under_way
                (self.laid_aside if stays else self.ends).add(ended)
            self.laid_aside.writing = []
            if self.ends.waiting:
                self.idle.clear()
            if not self.laid_aside.waiting:
                self.laid_aside.news.clear()

    def not_aside(self, batch: Sequence[Ended]) -> Sequence[Ended]:
        """Those of a batch that are not laid aside."""
        aside = keys_of(self.laid_aside.words())
        return [ended for ended in batch if key_of(ended) not in aside] if aside else batch

    def holds(self) -> set[tuple[Held, int]]:
        """((job, attempt), worker id) of all that is not written yet."""
        return keys_of(self.unwritten())

    def unwritten(self) -> list[Ended]:
        return [*self.ends.words(), *self.returns.words(), *self.laid_aside.words()]

    async def put(
        self, write: Write, words: Sequence[Ended], connection: Connecting | None = None
    ) -> list[tuple[Ended, Exception]]:
        """Write words, over whatever breaks; those that Postgres refuses, each with why. Those whose rows somebody has
        locked are laid aside: they must not keep the others."""
        chosen = connection or (lambda: self.session.records)

        async def write_free(part: Sequence[Ended]) -> None:
            begun = min([self.session.generation, *(ended.begun for ended in part)])
            while part := self.not_aside(part):
                try:
                    written = await self.session.attempt(lambda: write(part), psycopg.errors.LockNotAvailable)
                except psycopg.errors.LockNotAvailable as error:
                    await self.lay_aside([replace(ended, begun=begun) for ended in part], error, chosen)
                    continue
                # Words that find no row are void, and never repeated. After a break the first try may have landed.
                if written < len(part) and begun == self.session.generation:
                    telemetry.publish("job.taken_away", count=len(part) - written)
                return

        return await queue.write_past(write_free, words)

    async def put_moving(
        self, write: Callable[[Sequence[Ended]], Awaitable[set[int]]], words: Sequence[Ended]
    ) -> list[tuple[Ended, Exception]]:
        """The same for a statement that finds its rows by their places, and answers whose it found. The row that
        somebody changed by hand meanwhile is at another: its word is written once more."""
        missed: list[Ended] = []
        now = self.session.generation

        async def once(part: Sequence[Ended]) -> int:
            written = await write(part)
            missed.extend(replace(ended, begun=min(now, ended.begun)) for ended in part if ended.job.id not in written)
            return len(part)

        async def again(part: Sequence[Ended]) -> int:
            return len(await write(part))

        return [*await self.put(once, words), *await self.put(again, missed)]

    async def lay_aside(self, part: Sequence[Ended], error: Exception, connection: Connecting) -> None:
        """Those of a batch whose rows are not free."""
        ids = await self.session.attempt(lambda: queue.locked(connection(), ids_of(part)))
        if ids:
            log.warning(
                "another session has locked the rows of jobs that ended; written when it ends", job_ids=sorted(ids)
            )
            self.laid_aside.add(*(ended for ended in part if ended.job.id in ids))
        else:  # he has just let go; or he has locked a table
            if self.session.seldom.allows(error):
                log.warning("the database did not do it; trying again", error=logs.said(error))
            await asyncio.sleep(RETRY_SECONDS)

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
        self.on_requeued(each.job for each in self.not_aside(batch))
        self.on_returned(len(batch))  # also those that are laid aside: claims must not wait for them

    async def complete(self, worker_id: int, succeeded: list[Ended]) -> None:
        silent = [ended for ended in succeeded if ended.log is None]
        logged = [ended for ended in succeeded if ended.log is not None]
        for each in filter(None, (silent, logged)):
            for ended, error in await self.put(lambda part: self.complete_all(worker_id, part), each):
                # By somebody's trigger or constraint: so it is charged, and ends in the dead letters with that reason.
                await self.fail(worker_id, [replace(ended, outcome=Failed(describe(error)))])

    async def complete_all(self, worker_id: int, succeeded: Sequence[Ended]) -> int:
        written = await self.move(worker_id, succeeded)
        self.on_left(ended.job for ended in succeeded)
        if written == len(succeeded):
            telemetry.publish("job.completed", count=written, each=partial(named, succeeded))
        else:  # whose rows were gone is not known
            telemetry.publish("job.completed", count=written)
        tell_ended("succeeded", succeeded)
        return written

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
        async def write(part: Sequence[Ended]) -> set[int]:
            put_off, logs = [put_off_by(ended) for ended in part], [ended.log for ended in part]
            written = set(await queue.snooze(self.session.records, worker_id, put_off, logs))
            if written:
                through = [ended for ended in part if ended.job.id in written]
                telemetry.publish("job.snoozed", count=len(through), each=partial(named, through))
            return written

        refused = await self.put_moving(write, snoozed)
        through = self.not_aside(snoozed)
        self.on_left(ended.job for ended in through)
        tell_ended("snoozed", through)
        queue.left_running([((each.job.id, each.job.attempt), why) for each, why in refused])

    async def release(self, worker_id: int, released: list[Ended], connection: Connecting) -> None:
        async def write(part: Sequence[Ended]) -> int:
            count = await queue.release(connection(), worker_id, held_of(part))
            telemetry.publish("job.released", count=count, each=partial(named, part))
            return len(part)

        refused = await self.put(write, released, connection)
        queue.left_running([((each.job.id, each.job.attempt), why) for each, why in refused])

    async def fail(self, worker_id: int, failed: list[Ended]) -> None:
        async def write(part: Sequence[Ended]) -> set[int]:
            return await self.charge(worker_id, part)

        for ended, error in await self.put_moving(write, failed):
            # Texts are cleaned, so it should not be for them; if it is, the job must still be charged: it would run
            # for ever.
            log.error("Postgres refuses to record a failure", job_id=ended.job.id, error=logs.said(error))
            plain = replace(ended, outcome=without_text(ended.outcome), log=None)
            refused = await self.put_moving(write, [plain])
            queue.left_running([((each.job.id, each.job.attempt), why) for each, why in refused])
        through = self.not_aside(failed)
        tell_ended("failed", [each for each in through if isinstance(each.outcome, Failed)])
        tell_ended("discarded", [each for each in through if isinstance(each.outcome, Discard)])
        self.on_requeued(())

    async def charge(self, worker_id: int, failed: Sequence[Ended]) -> set[int]:
        """Those that still were this worker's."""
        failures = [self.failure(ended) for ended in failed]
        written = await queue.fail(self.session.records, worker_id, self.session.name, failures)
        states = {job_id: (status, retry_count) for job_id, status, retry_count in written}
        for ended, failure in zip(failed, failures, strict=True):
            if ended.job.id in states:
                tell(ended, failure, *states[ended.job.id])
        return set(states)

    def failure(self, ended: Ended) -> Failure:
        job, outcome = ended.job, ended.outcome
        if isinstance(outcome, Discard):
            reason = clean(str(outcome.reason), 1000)
            dead = f"discarded: {reason}"
            return Failure(job.id, job.attempt, 0, "Discard", reason, dead_reason=dead, log=ended.log)
        assert isinstance(outcome, Failed)
        delay = retry_delay_seconds(job.retry_count + 1, self.settings.retry_seconds)
        return Failure(job.id, job.attempt, delay, *outcome.error, log=ended.log)


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


def key_of(ended: Ended) -> tuple[Held, int]:
    """After a crash of Postgres the same attempt may be given out again, to another identity."""
    return (ended.job.id, ended.job.attempt), ended.worker_id


def keys_of(words: Iterable[Ended]) -> set[tuple[Held, int]]:
    return {key_of(ended) for ended in words}


def held_of(ended: Sequence[Ended]) -> list[Held]:
    return [(each.job.id, each.job.attempt) for each in ended]
