"""Claims jobs for the executor: the best first, as many as will start soon, over all that breaks."""

import asyncio
import contextlib
from collections.abc import Iterable

import psycopg

from .. import queue
from ..job import Job
from ..observability import logs, telemetry
from ..queue import BEGINNING, Asked, Claim, Frontier, Restrictions, Served
from .executor import BYTES_MAX, Executor
from .forked import connect
from .frontier import Cursor
from .lane import BATCH
from .passed_over import PassedOver
from .recorder import Recorder
from .session import CLAIMS, Rescued, Session
from .slots import now

log = logs.get(__name__)
POLL_SECONDS = 1.0
HEED_SECONDS = 3.0
"""How long what operators let it claim may be known, at most. The listener asks each second."""
REST_SECONDS = 0.2
"""After a claim that was refused for the sake of no job that could be passed over."""


class Scheduler:
    """The claiming of one worker. `lone`: it claims suspects, one at a time."""

    def __init__(self, session: Session, executor: Executor, recorder: Recorder, served: Served, *, lone: bool) -> None:
        self.session, self.executor, self.served, self.lone = session, executor, served, lone
        self.recorder = recorder
        recorder.on_requeued = self.look_back
        recorder.on_left = self.room_came
        self.cursor = Cursor()
        self.generation = session.generation
        self.wake = asyncio.Event()
        self.limited: frozenset[int] = frozenset()
        """Types with a limit; while there are any, claims are made under a lock, and count what runs."""
        self.full: frozenset[int] = frozenset()
        """Of those, which the frontier has passed since they were full: claims look for their jobs one by one."""
        self.left: set[int] = set()
        """Limited types of which something ended since the last claim began."""
        self.met: set[int] = set()
        """Event types of claimed jobs whose rows may be missing."""
        self.empty_claims = 0
        self.drained = self.gave_back = False
        """`gave_back`: something stands again where the claims of others have passed, and they were not told."""
        self.heeded_at = -HEED_SECONDS
        self.batch_max = BATCH
        self.asked: Asked
        """What the last claim asked for."""
        self.unread: Exception | None = None
        """Why the answer to the last claim, of one, could not be read."""
        self.passed_over = PassedOver()

    async def run(self) -> None:
        """Claim until the executor drains. Raises Rescued."""
        node_id = self.session.assignment.node_id
        while not self.executor.draining:
            if now() - self.heeded_at > HEED_SECONDS:  # at first, and while the listener has no connection
                self.heed(await self.session.attempt(lambda: queue.restrictions(self.session.records, node_id)))
            if self.drained:
                if self.gave_back:
                    self.gave_back = False
                    with contextlib.suppress(psycopg.Error):  # a hint: the queue of notifications may be full
                        await queue.wake(self.session.claims, back=True)
                self.empty_claims += 1  # a lone worker ends of them
                self.wake.clear()
                await self.wait(self.wake)
                continue
            # A lone worker lets the word be written first (or laid aside): else the last job would be beside the next.
            wanted = 0 if self.lone and self.recorder.ends.words() else min(BATCH, self.executor.wanted())
            if wanted == 0:
                self.executor.room.clear()
                await self.wait(self.executor.room)
                continue
            self.wake.clear()
            self.left.clear()
            if not self.lone:
                self.executor.pace.measure(now())
            claim, worker_id = await self.session.attempt(lambda batch=wanted: self.claim(batch))  # type: ignore[misc]
            if not claim.registered:
                raise Rescued
            self.take(claim, worker_id)
            if not claim.more:
                await self.wait(self.wake)

    def take(self, claim: Claim, worker_id: int) -> None:
        """Have what was claimed started."""
        self.met.update(job.event_type_id for job in claim.jobs)
        self.executor.add(claim.jobs, worker_id)
        if self.drained:  # meanwhile
            self.executor.give_back()
        elif claim.more:
            # Soon, not now: the next claim is on its way first, and Postgres works while handlers do.
            self.executor.dispatch_soon()
        else:
            self.executor.dispatch()
            # With a suspect that is passed over a lone worker lives on: the next one would meet it at once.
            self.empty_claims += not claim.jobs and not self.passed_over.until

    async def wait(self, event: asyncio.Event) -> None:
        """Until the event, or until it is time to look by oneself."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await event.wait()
        except TimeoutError:
            pass

    async def claim(self, batch: int) -> tuple[Claim, int]:
        """What was claimed, and under which identity: it may be another by the time of the answer.

        Where one job is in the way nothing was, and there is more: the next claim is half as large, or passes over it.
        """
        if (unread := self.unread) is not None:
            self.unread = None
            await self.pass_over(self.session.worker_id, unread)
        worker_id = self.session.worker_id
        if self.generation != self.session.generation:
            self.generation, self.cursor = self.session.generation, Cursor()
        if not self.lone and not self.cursor.sequence:
            self.cursor.begin(now(), await queue.last_position(self.session.claims))
        try:
            return await (self.claim_suspect(worker_id) if self.lone else self.claim_best(worker_id, batch)), worker_id
        except (psycopg.Error, UnicodeError) as error:
            if not queue.is_refusal(error) and not queue.is_damage(error):
                raise
            if getattr(error, "sqlstate", None) is None:
                await self.give_up_unread(error)
            if self.asked.batch == 1:
                await self.pass_over(worker_id, error)
            return Claim(True, 0, [], True), worker_id

    async def claim_best(self, worker_id: int, batch: int) -> Claim:
        began = now()
        # After an answer that never came ask for less: large events over a slow line take longer than it may. And after
        # a refusal: ever smaller claims lead up to the job that is to blame.
        limit = self.batch_max
        batch = min(batch, limit)
        self.batch_max = max(1, batch // 2)
        looked = self.cursor.next(began)
        bytes_max = max(1, BYTES_MAX - self.executor.buffered_bytes)
        claim, in_order = await self.claim_from(looked, worker_id, batch, bytes_max)
        if claim.registered and claim.more and not claim.jobs and self.asked.full_types is None:
            raise queue.Vetoed  # it found some, and changed none
        ended = now()
        self.cursor.took(looked, in_order, began, ended)
        tell_claimed(claim.jobs, ended - began)
        self.batch_max = min(BATCH, limit + max(1, limit // 4))
        return claim

    async def claim_from(self, looked: Frontier, worker_id: int, batch: int, bytes_max: int) -> tuple[Claim, Claim]:
        """What was claimed, and what of it stands in the global order, in which the frontier goes on."""
        connection, served, full = self.session.claims, self.served, self.full
        passed = self.passed_over.at(now())
        self.asked = Asked(batch, served, looked, full if self.limited else None)
        if not self.limited:
            claim = await queue.claim(connection, worker_id, batch, looked, served, bytes_max, passed)
            return claim, claim
        try:
            claim = await queue.claim_limited(connection, worker_id, batch, looked, served, full, bytes_max, passed)
        except psycopg.errors.LockNotAvailable:
            # Another claim stands still, perhaps with its server process. What has no limit goes on.
            open_only = served._replace(closed_types=sorted(self.limited.union(served.closed_types)))
            self.full = self.limited
            self.asked = Asked(batch, open_only, looked)
            claim = await queue.claim(connection, worker_id, batch, looked, open_only, bytes_max, passed)
            return claim, claim
        if self.served is served and self.full is full:
            self.full = claim.full_types
            self.room_came(())
        return claim, claim._replace(jobs=[job for job in claim.jobs if job.event_type_id not in full])

    async def claim_suspect(self, worker_id: int) -> Claim:
        began = now()
        self.asked = Asked(1, self.served, None)
        passed = self.passed_over.at(began)
        try:
            claim = await queue.claim_suspect(self.session.claims, worker_id, self.served, passed)
        except psycopg.errors.LockNotAvailable:
            claim = Claim(True, 0, [], False)
        tell_claimed(claim.jobs, now() - began)
        return claim

    async def give_up_unread(self, why: Exception) -> None:
        """Postgres gave out jobs, and a text among them is broken, so that nobody knows which jobs they are.

        Raises OperationalError, after which they are released, as those are whose answer was lost.
        """
        if self.asked.batch == 1:
            self.unread = why
            if self.asked.frontier is not None:
                self.asked = self.asked._replace(frontier=BEGINNING)  # where the next claim begins, too
        await self.session.claims.close()
        raise psycopg.OperationalError(logs.said(why)) from why

    async def pass_over(self, worker_id: int, why: Exception) -> None:
        """Find the job for whose sake the last claim, of one, was refused, and let the next ones go past it.

        Where none is found (others try it now, or an index is broken), or too many are passed over, it rests: here and
        not in the session, since this may last, and whoever drains the node meanwhile is to be heard.
        """
        passed = self.passed_over.at(now())
        # On a connection of its own: what is given back meanwhile would be taken back with what is tried.
        async with await connect(self.session.url, CLAIMS) as connection:
            found = await queue.unclaimable(connection, worker_id, self.asked, passed)
        added = self.passed_over.add(found, now())
        for job_id, _, error in added:
            log.error(
                "Postgres refuses to let a job be claimed; passing over it", job_id=job_id, error=logs.said(error)
            )
        if not added:
            if self.session.seldom.allows(why):
                log.warning("nothing can be claimed; trying again", error=logs.said(why))
            await asyncio.sleep(REST_SECONDS)

    def heed(self, restrictions: Restrictions) -> None:
        """Claim from now on no more than operators let it."""
        self.heeded_at = now()
        self.set_paused(restrictions.paused)
        self.set_limited(restrictions.limited)
        self.set_drained(restrictions.drained)

    def set_limited(self, limited: list[int]) -> None:
        """Count what runs of these types before one more is claimed."""
        new = frozenset(limited if self.served.all_types else set(limited) & set(self.served.open_types))
        if new != self.limited:
            self.limited, self.full = new, frozenset()
            self.look_everywhere()

    def room_came(self, jobs: Iterable[Job]) -> None:
        """These ended: where their type was full, or a claim that runs now finds it full, it is not any more."""
        if self.limited:
            self.left.update(job.event_type_id for job in jobs if job.event_type_id in self.limited)
            if not self.left.isdisjoint(self.full):
                self.wake.set()

    def set_paused(self, paused: list[int]) -> None:
        """Claim nothing of these types from now on."""
        served = self.served
        if served.all_types:
            new = served._replace(closed_types=paused)
        else:
            new = served._replace(closed_types=sorted(set(paused) & set(served.open_types)))
        if new != served:
            self.served, self.full = new, frozenset()
            self.look_everywhere()

    def set_drained(self, drained: bool) -> None:
        """Claim nothing from now on, and give back what has not started; or go on."""
        if drained == self.drained:
            return
        self.drained = drained
        if drained:
            self.executor.give_back()
        else:
            self.look_everywhere()

    def look_everywhere(self) -> None:
        """Anything may be there for the taking."""
        self.cursor.look_everywhere()
        self.wake.set()

    def look_back(self, jobs: Iterable[Job]) -> None:
        """These are there for the taking again, where earlier claims have passed."""
        given = list(jobs)
        self.cursor.look_back(given)
        self.gave_back = self.gave_back or (self.drained and bool(given))
        self.wake.set()


def tell_claimed(jobs: list[Job], seconds: float) -> None:
    telemetry.publish("jobs.claimed", count=len(jobs), seconds=seconds)
    if jobs:
        telemetry.publish("job.claimed", each=lambda: map(logs.named, jobs))
