"""What others like to know soon, and nothing depends on: that jobs came, and which event types are new.

On a connection of its own: notifying commits wait for each other in the whole cluster, and a type's row may be
locked by a sender's long transaction.
"""

import asyncio

import psycopg

from .. import queue
from ..database import LOCAL, Link
from ..observability import logs

log = logs.get(__name__)

WAKE_SECONDS_PER_JOB, WAKE_SECONDS_MAX = 0.0005, 0.01
"""The pause after a hint: hardly any where few jobs come and workers idle, longer the busier it is."""
ROUND_SECONDS_MAX = 1.0
AGAIN_SECONDS = 1.0
TYPES_MAX = 100_000


class Hints:
    """Passes hints on, one round at a time; what comes during a round goes into the next."""

    def __init__(self, url: str) -> None:
        self.link = Link(url, LOCAL)
        self.known: set[int] = set()
        self.new: dict[int, asyncio.Future[None]] = {}
        self.jobs_came = 0
        self.due = asyncio.Event()
        self.works = False

    def wake(self, jobs: int) -> None:
        """Jobs came, so many."""
        self.jobs_came += jobs
        self.due.set()

    def meet(self, event_type_id: int) -> asyncio.Future[None] | None:
        """An event of this type came. Where it is the first, something to wait for: the type's row is then there."""
        if event_type_id in self.known:
            return None
        if len(self.known) >= TYPES_MAX:
            self.known.clear()
        self.known.add(event_type_id)
        tried = self.new[event_type_id] = asyncio.get_running_loop().create_future()
        self.due.set()
        return tried if self.works else None

    async def run(self) -> None:
        """Pass hints on, for ever."""
        while True:
            await self.due.wait()
            pause = min(WAKE_SECONDS_MAX, self.jobs_came * WAKE_SECONDS_PER_JOB)
            await self.once()
            await asyncio.sleep(pause if self.works else AGAIN_SECONDS)

    async def once(self) -> None:
        """One round. Whoever waits for a type is told when it is over, however it ended."""
        self.due.clear()
        new, self.new = self.new, {}
        try:
            async with asyncio.timeout(ROUND_SECONDS_MAX):
                await self.round(list(new))
            self.works = True
        except (psycopg.Error, TimeoutError, OSError) as error:
            await self.failed(error, new)
        for tried in new.values():
            if not tried.done():
                tried.set_result(None)

    async def round(self, new: list[int]) -> None:
        connection = await self.link.get()
        if new:
            await queue.ensure_event_types(connection, new)
        if self.jobs_came:
            self.jobs_came = 0
            await queue.wake(connection)

    async def failed(self, error: Exception, new: dict[int, asyncio.Future[None]]) -> None:
        """Try these types again later, with nobody waiting for it."""
        log.warning("workers and listings get no hints", error=logs.said(error))
        self.works = False
        self.new = new | self.new if len(new) < TYPES_MAX else {}  # workers find types, too
        self.due.set()
        await self.link.close()
