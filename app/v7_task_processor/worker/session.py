"""A worker's connections, and the identity under which it claims.

After any of its connections broke, a worker takes a new identity: a crash of Postgres takes back claims that were
committed asynchronously, and the same (job, attempt, worker) would be given out twice. What it still runs under an
earlier one is written under that one; what the database says it holds and it does not know of (the answer to a
claim was lost) is released.
"""

import asyncio
import contextlib
import os
import platform
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import psycopg

from .. import __version__, queue
from ..child import Assignment
from ..deadline import hang_up
from ..maintenance import DAYS_AHEAD, recognise
from ..observability import logs, telemetry
from ..observability.seldom import Seldom
from ..queue import Connection, Held
from .forked import connect, leave_if_copy

Answer = TypeVar("Answer")
log = logs.get(__name__)

RECONNECT_SECONDS_MAX = 3.0
RETRY_SECONDS = 0.05
"""The first pause after what failed, where the connection did not break."""

# The planner must guess how many rows a claim's LIMIT wants, and then sorts the whole queue: 12 ms instead of 1.
# And what it plans while the table is empty a session keeps when it is full: so only index scans, whatever it guesses.
HOT = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
# Where somebody has locked the row of one job (a psql that was left open), the others must not wait for him.
LOCK_SECONDS = 2.0
RECORDS = {**HOT, "lock_timeout": f"{LOCK_SECONDS}s"}
# Only transactions that do nothing but claim may be lost in a crash: the job is then simply queued.
CLAIMS = {**RECORDS, "synchronous_commit": "off"}


class Rescued(Exception):
    """This worker, or its node, was given up by others: nothing that it holds is its own any more."""


class Session:
    """Two connections, one that claims and one that records, so that each waits for the other no more."""

    def __init__(self, url: str, assignment: Assignment, holds: Callable[[], set[tuple[Held, int]]]) -> None:
        self.url, self.assignment, self.holds = url, assignment, holds
        self.name = f"{platform.node()}:{os.getpid()}"
        self.worker_id = 0
        self.earlier: list[int] = []
        """Identities under which something may still run."""
        self.claims: Connection
        self.records: Connection
        self.generation = 0
        """How many identities it has had. Words that were under way when there came another may have landed before."""
        self.lock = asyncio.Lock()
        self.seldom = Seldom()

    async def open(self) -> None:
        """Connect and register. Raises psycopg.Error, and Rescued.

        All three change at once: a claim on a new connection must never be made under an earlier identity.
        """
        claims = await connect(self.url, CLAIMS)
        try:
            records = await connect(self.url, RECORDS)
        except BaseException:
            await claims.close()
            raise
        try:
            await recognise(records)  # before an identity is drawn, which must not have been given out already
            worker_id = await self.register(records)
        except BaseException:
            await claims.close()
            await records.close()
            raise
        self.claims, self.records, self.worker_id = claims, records, worker_id
        self.generation += 1

    async def register(self, connection: Connection) -> int:
        worker_id = await queue.register(
            connection,
            node_id=self.assignment.node_id,
            name=self.name,
            pid=os.getpid(),
            token=self.assignment.token,
            version=__version__,
            concurrency=self.assignment.settings.concurrency,
            event_type_ids=None,
        )
        if worker_id is None:
            raise Rescued
        return worker_id

    async def attempt(self, statement: Callable[[], Awaitable[Answer]], *raised: type[psycopg.Error]) -> Answer:
        """Run a statement until it goes through, over whatever breaks; repeatable ones only. Raises what is refused
        for the sake of a row, and `raised`.

        After a break it runs on the new connections, and under the new identity if it asks for it.
        """
        pause = RETRY_SECONDS
        while True:
            leave_if_copy()
            generation = self.generation
            try:
                return await statement()
            except psycopg.Error as error:
                if queue.is_refusal(error) or isinstance(error, raised):
                    raise  # what was sent is at fault, and will be the next time too
                if self.seldom.allows(error):
                    log.warning("the database did not do it; trying again", error=logs.said(error))
                if queue.lacks_partition(error):
                    with contextlib.suppress(psycopg.Error):
                        await queue.add_days(self.records, DAYS_AHEAD)
            if self.claims.closed or self.records.closed or self.claims.broken or self.records.broken:
                await self.renew(generation)
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, RECONNECT_SECONDS_MAX)

    async def renew(self, generation: int) -> None:
        """Connect again, under a new identity. Once, however many ask for it."""
        async with self.lock:
            if generation != self.generation:
                return
            await self.close()
            pause = 0.05
            while True:
                if self.worker_id not in self.earlier:
                    self.earlier.append(self.worker_id)
                try:
                    await self.open()
                    await self.remember(self.records)
                    await self.reconcile(self.records)
                    break
                except psycopg.Error as error:
                    if self.seldom.allows(error):
                        log.warning("no connection to the database", error=logs.said(error), again_in=pause)
                    await self.close()
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, RECONNECT_SECONDS_MAX)
            log.info("connected again", worker_id=self.worker_id)

    async def remember(self, connection: Connection) -> None:
        """Earlier identities of this process that the register has and we forgot: a failover took back their end."""
        registered = await queue.workers_of(connection, self.assignment.node_id, os.getpid())
        ids = {each.worker_id for each in registered} - {self.worker_id, *self.earlier}
        self.earlier.extend(sorted(ids))

    async def reconcile(self, connection: Connection) -> None:
        """Release what the database says we run and we do not: claims whose answers were lost. What somebody has locked
        is left to the chore for orphans."""
        known = self.holds()
        lost: dict[int, list[Held]] = {}
        rows = await queue.held_by(connection, self.earlier)
        unknown = [row for row in rows if ((row.id, row.attempt), row.worker_id) not in known]
        locked = await queue.locked(connection, [row.id for row in unknown]) if unknown else set()
        for row in unknown:
            if row.id not in locked:
                lost.setdefault(row.worker_id, []).append((row.id, row.attempt))
        for worker_id, held_jobs in lost.items():

            async def release(part: Sequence[Held], worker_id: int = worker_id) -> None:
                count = await queue.release(connection, worker_id, part)
                telemetry.publish(
                    "job.released",
                    count=count,
                    each=lambda: [{"job_id": job_id, "attempt": attempt} for job_id, attempt in part],
                    why="the claim's answer was lost",
                )

            queue.left_running(await queue.write_past(release, held_jobs))

    async def forget_earlier(self, connection: Connection) -> None:
        """Unregister earlier identities under which nothing runs any more.

        A lost claim may have committed after the reconnection looked for it, hence once more until then.
        """
        if self.earlier:
            await self.reconcile(connection)
            needed = {worker_id for _, worker_id in self.holds()}
            done = [worker_id for worker_id in self.earlier if worker_id not in needed]
            if done:
                await queue.unregister(connection, done)
                self.earlier = [worker_id for worker_id in self.earlier if worker_id in needed]

    async def close(self) -> None:
        for name in ("claims", "records"):
            connection: Connection | None = getattr(self, name, None)
            if connection is not None:
                await hang_up(connection)
