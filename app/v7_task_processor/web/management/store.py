"""The management's connections: few, so that what people ask never takes them from the ingest."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg
import sqlalchemy as sa

from ... import database, listing
from ...errors import V7Error
from ...observability import logs
from ...queue import LOCK_SECONDS, LOCKED, Connection
from ...redaction import Names
from ...unavailable import is_away
from ..problem import Problem, unavailable

Answer = TypeVar("Answer")
log = logs.get(__name__)

AT_ONCE_MAX = 2
"""Listings, and as many acts."""
WAITING_MAX = 50
LISTING_SECONDS_MAX = 5.0
SESSION = {
    "lock_timeout": f"{LOCK_SECONDS}s",
    "statement_timeout": "10s",
    # Made for the table as it is now: a plan from a quiet night would read all of a full one.
    "plan_cache_mode": "force_custom_plan",
}
BUSY = "Too many wait for the database here. Ask again in a second."
UNREACHABLE = "The database cannot be reached; nothing was done. Ask again."
NOT_NOW = "The database could not do this now, for a reason that is logged; nothing was done. Ask again."
TOO_SLOW = "The database took too long over this. Ask for less: by status, by event_type_id, by a shorter time."
NOT_KNOWN = "The database was lost before it confirmed this: it may be done. Look at it before you ask again."


class Store:
    """Reads in threads, acts on the event loop, each on a connection of its own for as long as it takes: one that
    is kept would be found broken by the first who asks after an outage."""

    def __init__(self, url: str, redact: Names) -> None:
        self.url, self.redact = url, redact
        self.threads = ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="listing")
        self.acting = asyncio.Semaphore(AT_ONCE_MAX)
        self.waiting = 0

    @contextlib.contextmanager
    def room(self) -> Iterator[None]:
        """One of those who wait or are served. Raises Problem where they are too many."""
        if self.waiting >= WAITING_MAX:
            raise unavailable(BUSY)
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    async def read(self, ask: Callable[[sa.Connection], Answer]) -> Answer:
        """What a listing answers. Raises Problem."""
        with self.room():
            return await asyncio.get_running_loop().run_in_executor(self.threads, self.listed, ask)

    def listed(self, ask: Callable[[sa.Connection], Answer]) -> Answer:
        try:
            with listing.reading(self.url, LISTING_SECONDS_MAX, self.redact) as connection:
                return ask(connection)
        except V7Error as error:
            raise Problem("bad-request", str(error)) from None
        except (sa.exc.DBAPIError, psycopg.Error) as error:
            raise explained(getattr(error, "orig", None) or error) from error

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """A connection to act on. Raises Problem, also for what goes wrong on it."""
        with self.room():
            async with self.acting:
                try:
                    connection = await database.connect(self.url, SESSION)
                except psycopg.Error as error:
                    raise unavailable(UNREACHABLE) from error
                try:
                    yield connection
                except psycopg.errors.ReadOnlySqlTransaction as error:  # it became a standby, and is given up for that
                    raise unavailable(UNREACHABLE) from error
                except psycopg.Error as error:
                    raise (Problem("not-known", NOT_KNOWN) if connection.closed else explained(error)) from error
                finally:
                    await connection.close()

    async def act(self, act: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        """What an act answers. Raises Problem."""
        async with self.connected() as connection:
            return await act(connection)


def explained(error: BaseException) -> Problem:
    """A refusal of Postgres', for whoever asked."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return unavailable(TOO_SLOW)
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return unavailable(LOCKED)
    if isinstance(error, psycopg.DataError):
        return Problem("bad-request", f"The database does not take this: {str(error).strip().splitlines()[0]}.")
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return unavailable("The database has no schema that fits this release. Bring it up to date with: v7 migrate")
    if isinstance(error, psycopg.OperationalError) and is_away(error):
        return unavailable(UNREACHABLE)
    log.error("the database refused what the management asked", error=logs.said(error))
    if isinstance(error, psycopg.OperationalError):  # a full disk, a deadlock, a standby that must go on
        return unavailable(NOT_NOW)
    return Problem("internal", "The database refused this, for a reason that is logged.")
