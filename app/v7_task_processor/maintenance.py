"""What must be done in the database now and then, by any node; two at once are only waste."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import psycopg

from . import queue
from .database import Link
from .observability import logs
from .queue import Connection

log = logs.get(__name__)
BATCH = 1000
DAYS_AHEAD = 14
PROMOTE_SECONDS = 0.5
ORPHANS_SECONDS = 1.0
TYPES_SECONDS = 10.0
PRUNE_SECONDS = 3600.0


async def run_every(seconds: float, what: str, step: Callable[[], Awaitable[float | None]]) -> None:
    """Run a step for ever; `seconds` apart, or as many as it answers. A database that is away is waited for."""
    said = ""
    while True:
        pause = seconds
        try:
            answer = await step()
            pause = seconds if answer is None else answer
            said = ""
        except Exception as error:  # nothing that one step meets may end the node
            if str(error) != said:  # once for each cause, not once for each try
                said = str(error)
                log.warning(f"cannot {what} now; will go on trying", error=said.strip())
        await asyncio.sleep(pause)


async def promote(connection: Connection) -> float:
    """Queue what is due, and wake workers for it. In how many seconds to look again."""
    promoted = await queue.promote(connection, BATCH)
    if promoted:
        await queue.wake(connection)
    if promoted == BATCH:
        return 0.0
    due = await queue.next_due_seconds(connection)
    # What is due and was passed over is locked by somebody.
    return PROMOTE_SECONDS if due is None or due <= 0 else min(PROMOTE_SECONDS, max(0.005, due))


async def release_orphans(connection: Connection) -> None:
    """Give back what runs under workers that are no more."""
    if await queue.release_orphans(connection, BATCH):
        await queue.wake(connection)


async def prune(connection: Connection, retention_days: int) -> bool:
    """Make days ahead, drop days that are over, forget a batch of old keys and failures. Whether more are left."""
    await queue.add_days(connection, DAYS_AHEAD)
    with contextlib.suppress(psycopg.errors.LockNotAvailable):  # a reader is in the way: the next time, then
        while dropped := await queue.drop_oldest_day(connection, retention_days):
            log.info("dropped a day of the history", table=dropped)
    keys = await queue.prune_idempotency_keys(connection, BATCH)
    failures = await queue.prune_failures(connection, max(1, retention_days), BATCH)
    return BATCH in (keys, failures)


class Chores:
    """One round of what is due, each thing in its own rhythm, one after the other on one connection."""

    def __init__(self, link: Link, retention_days: int) -> None:
        self.link, self.retention_days = link, retention_days
        self.due: dict[str, float] = {}

    async def round(self) -> float:
        """Do what is due. In how many seconds the next round is."""
        connection = await self.link.get()
        pause = await promote(connection)
        if self.is_due("orphans"):
            await release_orphans(connection)
            self.done("orphans", ORPHANS_SECONDS)
        if self.is_due("types"):
            await queue.discover_event_types(connection)
            self.done("types", TYPES_SECONDS)
        if self.is_due("prune"):
            more = await prune(connection, self.retention_days)
            self.done("prune", 0.0 if more else PRUNE_SECONDS)
        return pause

    def is_due(self, what: str) -> bool:
        return time.monotonic() >= self.due.get(what, 0.0)

    def done(self, what: str, seconds: float) -> None:
        """It went through; in so many seconds again."""
        self.due[what] = time.monotonic() + seconds
