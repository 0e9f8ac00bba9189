"""Connections to Postgres, and the version of our schema in it."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .errors import ConfigurationError, DatabaseUnavailable

if TYPE_CHECKING:  # half a second to import, and most processes never migrate or list
    import sqlalchemy as sa

SCHEMA_VERSION = "0002"
"""The migration that this release needs."""

MIGRATION_LOCK = 0x76375F6D  # "v7_m": one migrator at a time, the others wait and find nothing to do

CONNECTION_DEFAULTS = {
    "connect_timeout": "3",  # psycopg waits 130 s for each silent host otherwise
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


def conninfo(url: str, application_name: str = "v7") -> str:
    """A libpq connection string from DATABASE_URL, in any of the spellings that libraries use."""
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] in ("postgres", "postgresql") and rest:
        url = f"postgresql://{rest}"
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            "DATABASE_URL is not a Postgres address: it must look like postgresql://user:password@host/database."
        ) from None
    return make_conninfo("", **{**CONNECTION_DEFAULTS, "application_name": application_name, **given})


async def connect(url: str, settings: Mapping[str, str] | None = None) -> psycopg.AsyncConnection[Any]:
    """An autocommit connection with `settings` made in its session. Raises psycopg.OperationalError."""
    connection = await psycopg.AsyncConnection.connect(conninfo(url), autocommit=True, prepare_threshold=0)
    try:
        for name, value in (settings or {}).items():
            await connection.execute("select set_config(%s, %s, false)", [name, value])
    except BaseException:
        await connection.close()
        raise
    return connection


def engine(url: str) -> "sa.Engine":
    """For migrations and listings; hot statements use psycopg itself (0.1 ms a statement less)."""
    import sqlalchemy as sa

    return sa.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo(url)), poolclass=sa.NullPool
    )


def migrate(url: str) -> tuple[str | None, str]:
    """Bring the schema to what this release needs: (version before, version after), None where there was none.

    Several at once: one does it, the others wait and find nothing to do. Raises DatabaseUnavailable, and
    ConfigurationError where the database is of a newer release.
    """
    import sqlalchemy as sa
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations()))
    config.set_main_option("path_separator", "os")
    try:
        with engine(url).connect() as connection:
            connection.execute(sa.text("select pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
            connection.commit()
            before = schema_version(connection.connection.driver_connection)
            if before is not None and before > SCHEMA_VERSION:
                raise ConfigurationError(mismatch(before))
            config.attributes["connection"] = connection
            command.upgrade(config, SCHEMA_VERSION)
    except (sa.exc.OperationalError, psycopg.OperationalError) as error:
        raise unavailable(error) from None
    return before, SCHEMA_VERSION


def migrations() -> Path:
    """The folder of the migrations: in the package where it was installed, at the top of a checkout."""
    packaged = Path(str(resources.files(__package__) / "migrations"))
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "migrations"


def schema_version(connection: Any) -> str | None:
    """The version that a (synchronous) connection's database has; None: it has none."""
    if connection.execute("select to_regclass('v7.alembic_version')").fetchone()[0] is None:
        return None
    row = connection.execute("select version_num from v7.alembic_version").fetchone()
    return row[0] if row else None


def check(url: str) -> None:
    """Make sure that there is a database with the schema that this release needs.

    Raises DatabaseUnavailable or ConfigurationError, each with what to do.
    """
    try:
        with psycopg.connect(conninfo(url)) as connection:
            found = schema_version(connection)
    except psycopg.OperationalError as error:
        raise unavailable(error) from None
    if found != SCHEMA_VERSION:
        raise ConfigurationError(mismatch(found))


class Server(NamedTuple):
    """A server as it describes itself. `number` is its version as libpq counts: 180006."""

    version: str
    number: int
    host: str
    database: str
    settings: dict[str, str]


def describe(url: str, names: list[str]) -> Server:
    """What serves a database, with these of its settings (those that it knows). Raises DatabaseUnavailable."""
    try:
        with psycopg.connect(conninfo(url)) as connection:
            rows = connection.execute(
                "select name, current_setting(name) from pg_settings where name = any(%s)", [names]
            ).fetchall()
            info = connection.info
            version = info.parameter_status("server_version") or str(info.server_version)
            return Server(version, info.server_version, info.host, info.dbname, dict(rows))
    except psycopg.OperationalError as error:
        raise unavailable(error) from None


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


def unavailable(error: Exception) -> DatabaseUnavailable:
    """The error for people: what libpq said, without our connection string."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines() or ["no reason given"]
    return DatabaseUnavailable(
        f"Cannot reach the database: {said[0]}. Check DATABASE_URL and that the server runs "
        "(without DATABASE_URL an embedded one is used)."
    )


class Link:
    """A connection that is made anew after it broke. For one task: two that share it would wait for each other."""

    def __init__(self, url: str, settings: Mapping[str, str] | None = None) -> None:
        self.url, self.settings = url, settings
        self.connection: psycopg.AsyncConnection[Any] | None = None

    async def get(self) -> psycopg.AsyncConnection[Any]:
        """A connection that was not broken when it was last used. Raises psycopg.OperationalError."""
        if self.connection is not None and not self.connection.closed:
            return self.connection
        self.connection = await connect(self.url, self.settings)
        return self.connection

    async def close(self) -> None:
        if self.connection is not None:
            await self.connection.close()
            self.connection = None
