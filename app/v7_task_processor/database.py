"""Connections to Postgres, and the version of our schema in it."""

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import Diagnostic

from . import migration, pooler
from .deadline import PROMPT_SECONDS_MAX, deadline, hang_up
from .errors import ConfigurationError
from .times import NearestTime
from .unavailable import READ_ONLY, explained

if TYPE_CHECKING:  # half a second to import, and most processes never migrate or list
    import sqlalchemy as sa

SCHEMA_VERSION = "0013"
"""The migration that this release needs."""


CONNECTION_DEFAULTS = {
    "connect_timeout": "3",  # psycopg waits 130 s for each silent host otherwise
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "client_encoding": "UTF8",  # a database may have another default
    # Of several hosts the primary; a standby is no connection. Servers say which they are as they greet: it costs
    # nothing (behind a pooler that keeps it to itself, one round trip).
    "target_session_attrs": "read-write",
}
MIGRATING_LOOK_SECONDS = 0.2
STATEMENT_TIMEOUT = "30s"
# Roles and databases with settings of their own are common, and would break what must take its time, or wait, or read.
SESSION = {
    "default_transaction_isolation": "read committed",
    "statement_timeout": STATEMENT_TIMEOUT,
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": STATEMENT_TIMEOUT,
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "datestyle": "ISO, MDY",  # all that psycopg reads
    "timezone": "UTC",
    "client_min_messages": "warning",  # all that tells a commit from one whose wait for the standby was cancelled
}
BEGIN_READING = """
select set_config('statement_timeout', %s, true), set_config('datestyle', 'ISO, MDY', true),
    set_config('timezone', 'UTC', true)"""
"""For a transaction that may be behind a pooler, whose sessions keep nothing of ours."""
# What this server does not know yet (transaction_timeout is of 17) is left out. A pooler greets with a process id of
# its own making: its sessions are others' as well, and keep nothing of ours.
SETTLE = """
select pooled, name, set_config(name, given.setting, pooled), extract(epoch from pg_postmaster_start_time())::text
from (select pg_backend_pid() <> %s) as between(pooled),
    unnest(%s::text[], %s::text[]) as given(name, setting) where current_setting(name, true) is not null"""
LOCAL = {"synchronous_commit": "local"}
"""For what need not be on a standby: it goes on while a synchronous one is missing."""


def conninfo(url: str, application_name: str = "v7", *, variable: str = "DATABASE_URL", **instead: str) -> str:
    """A libpq connection string from a variable such as DATABASE_URL, in any of the spellings that libraries use."""
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] in ("postgres", "postgresql") and rest:
        url = f"postgresql://{rest}"
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            f"{variable} is not a Postgres address: it must look like postgresql://user:password@host/database."
        ) from None
    return make_conninfo("", **{**CONNECTION_DEFAULTS, "application_name": application_name, **given, **instead})


async def connect(url: str, settings: Mapping[str, str] | None = None) -> pooler.Session:
    """An autocommit connection whose session has our settings, whatever its role, database or server has by default,
    and `settings` over them; behind a pooler each of our statements has them. Raises psycopg.OperationalError."""
    connection = await pooler.Session.connect(conninfo(url), autocommit=True, prepare_threshold=0)
    try:
        own = {**SESSION, **(settings or {})}
        with deadline(connection, PROMPT_SECONDS_MAX):
            given = [connection.info.backend_pid, list(own), list(own.values())]
            rows = await (await connection.execute(SETTLE, given, prepare=False)).fetchall()
        if rows[0][0]:
            await pooler.adapt(connection, {name: own[name] for _, name, *_ in rows}, rows[0][3])
    except BaseException:
        await connection.close()
        raise
    return connection


@contextlib.asynccontextmanager
async def transaction(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[None]:
    """Several statements as one. Its commit has an end too: it may wait for a standby, which no timeout ends.

    Raises psycopg.OperationalError, and leaves the connection closed, where it is here and not on its standby: whoever
    ends that wait, we or somebody else, makes it a success for Postgres.
    """
    unconfirmed = False

    def hear(notice: Diagnostic) -> None:
        nonlocal unconfirmed
        unconfirmed = unconfirmed or is_unconfirmed(notice)

    connection.add_notice_handler(hear)
    try:
        with deadline(connection):
            async with connection.transaction():
                yield
    finally:
        connection.remove_notice_handler(hear)
    if unconfirmed:
        await connection.close()
        raise psycopg.OperationalError("the commit was not confirmed by the synchronous standby")


def is_unconfirmed(notice: Diagnostic) -> bool:
    """A warning from elsewhere than a user's trigger: the wait for the standby was cancelled (syncrep.c)."""
    return notice.sqlstate == "01000" and notice.source_file != "pl_exec.c"


def connect_to_read(url: str) -> psycopg.Connection[Any]:
    """To the primary, or to a standby where no primary is to be had. Raises psycopg.OperationalError."""
    try:
        return connect_to_wait(url)
    except psycopg.OperationalError as error:
        if READ_ONLY not in str(error):
            raise
    return connect_to_wait(url, target_session_attrs="any")


def connect_to_wait(url: str, **instead: str) -> psycopg.Connection[Any]:
    """A connection whose caller waits for its answers, with the settings of `connect`; behind a pooler, whose sessions
    keep nothing of ours, with those of its role. Raises psycopg.OperationalError."""
    # It prepares nothing: a pooler keeps none, and no query comes often.
    connection = psycopg.connect(conninfo(url, **instead), prepare_threshold=None)
    connection.adapters.register_loader("timestamptz", NearestTime)
    try:
        connection.execute(SETTLE, [connection.info.backend_pid, list(SESSION), list(SESSION.values())])
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def engine(url: str, *, only_reads: bool = False, **instead: str) -> "sa.Engine":
    """For migrations and listings; hot statements use psycopg itself (0.1 ms a statement less)."""
    import sqlalchemy as sa

    def connect() -> psycopg.Connection[Any]:
        return connect_to_read(url) if only_reads else connect_to_wait(url, **instead)

    return sa.create_engine("postgresql+psycopg://", creator=connect, poolclass=sa.NullPool)


def migrate(url: str, to: str | None = None) -> tuple[str | None, str | None]:
    """Bring the schema to what this release needs, or to another version: (version before, after), None for none.

    A newer schema that serves this release is left as it is, unless a version is named. Several at once: one does it,
    the others wait and find nothing to do. Raises DatabaseUnavailable; ConfigurationError where the database is of a
    newer release, or there is no such version; V7Error where the tables are in use without a pause, or it is refused.
    """
    import sqlalchemy as sa

    try:
        with engine(url, application_name=migration.MIGRATOR).connect() as connection:
            plain = connection.connection.driver_connection
            assert plain is not None
            pooler.refuse_migration(plain)
            before = migration.move(connection, to or SCHEMA_VERSION, lambda: schema_version(plain))
            if problem := misfit(plain, to or SCHEMA_VERSION):
                raise ConfigurationError(problem)
            return before, schema_version(plain)
    except (sa.exc.OperationalError, psycopg.OperationalError) as error:
        raise explained(error) from None


def migrations() -> Path:
    """The folder of the migrations."""
    return migration.folder()


def schema_version(connection: Any) -> str | None:
    """The version that a (synchronous) connection's database has; None: it has none."""
    if connection.execute("select to_regclass('v7.alembic_version')").fetchone()[0] is None:
        return None
    row = connection.execute("select version_num from v7.alembic_version").fetchone()
    return row[0] if row else None


def misfit(connection: Any, needed: str = SCHEMA_VERSION) -> str:
    """Why what needs a version of the schema cannot work here, and what to do; empty: it can.

    A newer schema says itself which is the oldest version that it still serves.
    """
    found = schema_version(connection)
    if found is not None and found > needed:
        row = connection.execute("select oldest_schema from v7.server").fetchone()
        found = needed if row is not None and row[0] <= needed else found
    return "" if found == needed else mismatch(found)


def check(url: str) -> str | None:
    """Make sure that there is a database with a schema that this release can use, and return its version. Waits for
    one who migrates.

    Raises DatabaseUnavailable or ConfigurationError, each with what to do, or V7Error where it is refused.
    """
    try:
        with connect_to_read(url) as connection:
            connection.autocommit = True
            while (problem := misfit(connection)) and migration.is_under_way(connection):
                time.sleep(MIGRATING_LOOK_SECONDS)
            found = schema_version(connection)
    except psycopg.OperationalError as error:
        raise explained(error) from None
    if problem:
        raise ConfigurationError(problem)
    return found


def mismatch(found: str | None) -> str:
    if found is None:
        return "The database has no schema v7 yet. Make it with: v7 migrate"
    if found < SCHEMA_VERSION:
        return (
            f"The database's schema is version {found}, this release needs {SCHEMA_VERSION}. "
            "Bring it up to date with: v7 migrate"
        )
    return (
        f"The database's schema is version {found}, newer than this release, which needs {SCHEMA_VERSION}. "
        "Run the newer release here too; its `v7 migrate` made that schema."
    )


class Link:
    """A connection that is made anew after it broke. For one task: two that share it would wait for each other.

    `greet` is called with each new connection; where it raises, there is none.
    """

    def __init__(
        self,
        url: str,
        settings: Mapping[str, str] | None = None,
        greet: Callable[[psycopg.AsyncConnection[Any]], Awaitable[object]] | None = None,
    ) -> None:
        self.url, self.settings, self.greet = url, settings, greet
        self.connection: psycopg.AsyncConnection[Any] | None = None

    async def get(self) -> psycopg.AsyncConnection[Any]:
        """A connection that was not broken when it was last used. Raises psycopg.OperationalError."""
        if self.connection is not None and not self.connection.closed:
            return self.connection
        connection = await connect(self.url, self.settings)
        try:
            if self.greet is not None:
                await self.greet(connection)
        except BaseException:
            await connection.close()
            raise
        self.connection = connection
        return connection

    async def close(self) -> None:
        """Also where its task waits for an answer: its statement fails then."""
        if self.connection is not None:
            await hang_up(self.connection)
            self.connection = None
