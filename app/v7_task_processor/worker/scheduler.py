"""Claims jobs for the executor: the best first, as many as will start soon, over all that breaks."""

import asyncio
from collections.abc import Iterable

import psycopg

from .. import queue
from ..job import Job
from ..observability import logs, telemetry
from ..queue import Claim, Frontier, Restrictions, Served
from .executor import BYTES_MAX, Executor
from .frontier import Cursor
from .recorder import BATCH, Recorder
from .session import Rescued, Session
from .slots import now

log = logs.get(__name__)
POLL_SECONDS = 1.0


class Scheduler:
    """The claiming of one worker. `lone`: it claims suspects, one at a time."""

    def __init__(self, session: Session, executor: Executor, recorder: Recorder, served: Served, *, lone: bool) -> None:
        self.session, self.executor, self.served, self.lone = session, executor, served, lone
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
        self.batch_max = BATCH

    async def run(self) -> None:
        """Claim until the executor drains. Raises Rescued."""
        # The listener keeps these up to date; nothing of a paused type may start before it has begun to.
        node_id = self.session.assignment.node_id
        self.heed(await self.session.attempt(lambda: queue.restrictions(self.session.records, node_id)))
        while not self.executor.draining:
            if self.drained:
                if self.gave_back:
                    self.gave_back = False
                    await self.session.attempt(lambda: queue.wake(self.session.claims, back=True))
                self.empty_claims += 1  # a lone worker ends of them
                self.wake.clear()
                await self.wait(self.wake)
                continue
            wanted = min(BATCH, self.executor.wanted())
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
            self.empty_claims += not claim.jobs

    async def wait(self, event: asyncio.Event) -> None:
        """Until the event, or until it is time to look by oneself."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await event.wait()
        except TimeoutError:
            pass

    async def claim(self, batch: int) -> tuple[Claim, int]:
        """What was claimed, and under which identity: it may be another by the time of the answer."""
        worker_id = self.session.worker_id
        began = now()
        if self.lone:
            claim = await self.claim_suspect(worker_id)
            tell_claimed(claim.jobs, now() - began)
            return claim, worker_id
        if self.generation != self.session.generation:
            self.generation, self.cursor = self.session.generation, Cursor()
        if not self.cursor.sequence:
            self.cursor.begin(now(), await queue.last_position(self.session.claims))
        # After an answer that never came ask for less: large events over a slow line take longer than it may.
        limit = self.batch_max
        batch = min(batch, limit)
        self.batch_max = max(1, batch // 2)
        looked = self.cursor.next(began)
        bytes_max = max(1, BYTES_MAX - self.executor.buffered_bytes)
        claim, in_order = await self.claim_from(looked, worker_id, batch, bytes_max)
        ended = now()
        self.cursor.took(looked, in_order, began, ended)
        tell_claimed(claim.jobs, ended - began)
        self.batch_max = min(BATCH, limit + max(1, limit // 4))
        return claim, worker_id

    async def claim_from(self, looked: Frontier, worker_id: int, batch: int, bytes_max: int) -> tuple[Claim, Claim]:
        """What was claimed, and what of it stands in the global order, in which the frontier goes on."""
        connection, served, full = self.session.claims, self.served, self.full
        if not self.limited:
            claim = await queue.claim(connection, worker_id, batch, looked, served, bytes_max)
            return claim, claim
        try:
            claim = await queue.claim_limited(connection, worker_id, batch, looked, served, full, bytes_max)
        except psycopg.errors.LockNotAvailable:
            # Another claim stands still, perhaps with its server process. What has no limit goes on.
            open_only = served._replace(closed_types=sorted(self.limited.union(served.closed_types)))
            self.full = self.limited
            claim = await queue.claim(connection, worker_id, batch, looked, open_only, bytes_max)
            return claim, claim
        if self.served is served and self.full is full:
            self.full = claim.full_types
            self.room_came(())
        return claim, claim._replace(jobs=[job for job in claim.jobs if job.event_type_id not in full])

    async def claim_suspect(self, worker_id: int) -> Claim:
        try:
            return await queue.claim_suspect(self.session.claims, worker_id, self.served)
        except psycopg.errors.LockNotAvailable:
            return Claim(True, 0, [], False)

    def heed(self, restrictions: Restrictions) -> None:
        """Claim from now on no more than operators let it."""
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
