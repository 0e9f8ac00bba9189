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
        except psycopg.Error as error:
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
    return PROMOTE_SECONDS if due is None else min(PROMOTE_SECONDS, max(0.005, due))


async def release_orphans(connection: Connection) -> None:
    """Give back what runs under workers that are no more."""
    if await queue.release_orphans(connection, BATCH):
        await queue.wake(connection)


async def prune(connection: Connection, retention_days: int) -> None:
    """Make days ahead, drop days that are over, forget old failures and keys; in batches that lock out no one."""
    await queue.add_days(connection, DAYS_AHEAD)
    with contextlib.suppress(psycopg.errors.LockNotAvailable):  # a reader is in the way: the next time, then
        while dropped := await queue.drop_oldest_day(connection, retention_days):
            log.info("dropped a day of the history", table=dropped)
    while await queue.prune_failures(connection, max(1, retention_days), BATCH) == BATCH:
        pass
    while await queue.prune_idempotency_keys(connection, BATCH) == BATCH:
        pass


class Chores:
    """One round of what is due, each thing in its own rhythm, one after the other on one connection."""

    def __init__(self, link: Link, retention_days: int) -> None:
        self.link, self.retention_days = link, retention_days
        self.due: dict[str, float] = {}

    async def round(self) -> float:
        """Do what is due. In how many seconds the next round is."""
        connection = await self.link.get()
        if self.is_due("orphans", ORPHANS_SECONDS):
            await release_orphans(connection)
        if self.is_due("types", TYPES_SECONDS):
            await queue.discover_event_types(connection)
        if self.is_due("prune", PRUNE_SECONDS):
            await prune(connection, self.retention_days)
        return await promote(connection)

    def is_due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now < self.due.get(what, 0.0):
            return False
        self.due[what] = now + seconds
        return True
