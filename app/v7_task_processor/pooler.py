"""A pooler such as PgBouncer between us and Postgres, which gives each transaction whatever session is free.

So nothing may be left in a session: not a setting, not a prepared statement, not LISTEN. What a session of our own has
by its settings each transaction sets for itself, within itself (`Session.opening`), in the same round trip.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from .errors import ConfigurationError

LIVES_ON = (
    "V7_DIRECT_DATABASE_URL must lead to Postgres itself: it leads through a pooler such as PgBouncer, whose sessions "
    "do not last. Name the address and port of the server that the pooler asks."
)
NO_MIGRATION = (
    "The database is behind a pooler such as PgBouncer, and migrations need a session of their own: name the server "
    "itself with V7_DIRECT_DATABASE_URL, or run v7 migrate with a DATABASE_URL that leads past the pooler."
)
OPTIONS_REFUSED = "unsupported startup parameter"
"""What PgBouncer says of an address that sets options."""
OPTIONS = (
    "The pooler takes no such parameter: leave it out of DATABASE_URL, or name it in PgBouncer's "
    "ignore_startup_parameters (it has no effect then)."
)
BEGIN = "begin isolation level read committed"
"""Whatever the role, the database or the server has by default."""


class Session(psycopg.AsyncConnection[Any]):
    """A connection. `opening`: what each transaction begins with behind a pooler; empty on a session of our own.
    `turn`: held by whoever sends a statement, since psycopg lets others' into the gaps of a pipeline."""

    opening: sql.Composed | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.turn = asyncio.Lock()


async def adapt(connection: Session, settings: Mapping[str, str], started: str) -> None:
    """Leave nothing in the sessions behind it: each transaction has these settings for itself."""
    connection.prepare_threshold = None
    await connection.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
    connection.opening = opening(settings, started)


def opening(settings: Mapping[str, str], started: str) -> sql.Composed:
    """The statement that gives the rest of its transaction these settings.

    It ends a session of any other server than the one that `started` then, by its clock: a pooler goes on over a crash
    or a failover and tells nobody, and after those a worker needs a new identity and sequences may have to jump. So
    our connection breaks, as one without a pooler does. A crash of a backend alone restarts no server, and takes back
    what was committed asynchronously: so nothing is.
    """
    lasting = {**settings}
    if lasting.get("synchronous_commit") == "off":
        lasting["synchronous_commit"] = "local"
    sets = [
        sql.SQL("set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(setting))
        for name, setting in lasting.items()
    ]
    pinned = sql.SQL(
        "case when extract(epoch from pg_postmaster_start_time()) <> {} then pg_terminate_backend(pg_backend_pid()) end"
    ).format(sql.Literal(Decimal(started)))
    return sql.SQL("select ") + sql.SQL(", ").join([*sets, pinned])


@contextlib.asynccontextmanager
async def opened(connection: psycopg.AsyncConnection[Any], opening: sql.Composed) -> AsyncIterator[None]:
    """What is executed here is sent with its `opening`, at once, and is one transaction, of the caller's if there is
    one. Nothing is known of it before the end. Raises psycopg.Error, also for the commit.

    Not by leaving BEGIN and COMMIT to the pipeline: psycopg takes an error of such a commit for a broken connection.
    """
    alone = connection.info.transaction_status == TransactionStatus.IDLE
    try:
        async with connection.pipeline():
            if alone:
                await connection.execute(BEGIN)
            await connection.execute(opening)
            yield
            if alone:
                await connection.execute("commit")
    except psycopg.Error:
        if alone and not connection.closed:
            await connection.rollback()
        raise


def is_between(connection: psycopg.Connection[Any]) -> bool:
    """Whether a pooler stands between: it greets with a process id of its own making."""
    row = connection.execute("select pg_backend_pid()").fetchone()
    return row is not None and row[0] != connection.info.backend_pid


def refuse_migration(connection: Any) -> None:
    """Raises ConfigurationError where its session does not last: the lock of a migration is the session's."""
    if is_between(connection):
        raise ConfigurationError(NO_MIGRATION)
