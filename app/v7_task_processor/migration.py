"""How the schema gets from one version to another, under nodes that run.

A migration is one transaction. It waits for its locks for a fifth of a second in all, since everybody waits behind it;
where that is not enough it is undone, lets the others pass, and is tried again.
"""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from .errors import ConfigurationError, V7Error

if TYPE_CHECKING:  # half a second to import, and most processes never migrate
    import sqlalchemy as sa
    from alembic.config import Config

LOCK = 0x76375F6D
"""Of the database, for each step: one migrator at a time. "v7_m"."""
MIGRATOR = "v7 migrate"
"""What the connection of one who migrates calls itself."""
LOCKS_SECONDS_MAX = 0.2
AGAIN_SECONDS = 0.5
TRY_SECONDS_MAX = 600.0
IN_THE_WAY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


def folder() -> Path:
    """Where the migrations are: in the package where it was installed, at the top of a checkout."""
    packaged = Path(str(resources.files(__package__) / "migrations"))
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "migrations"


def config() -> "Config":
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(folder()))
    made.set_main_option("path_separator", "os")
    return made


def versions() -> list[str]:
    """All that this release knows, the oldest first."""
    from alembic.script import ScriptDirectory

    return [each.revision for each in ScriptDirectory.from_config(config()).walk_revisions()][::-1]


def sql(before: str, after: str) -> str:
    """What a migration does, without a database: for those who check it."""
    from alembic import command

    made = config()
    made.output_buffer = io.StringIO()
    command.upgrade(made, f"{before}:{after}", sql=True)
    return made.output_buffer.getvalue()


def is_under_way(connection: psycopg.Connection[Any]) -> bool:
    """Whether somebody migrates this database; an end of it is certain."""
    row = connection.execute(
        "select from pg_stat_activity where datname = current_database() and application_name = %s", [MIGRATOR]
    ).fetchone()
    return row is not None


def move(connection: "sa.Connection", target: str, found: Callable[[], str | None]) -> str | None:
    """Bring the schema to a version, forward or back, one version at a time; the version that there was before. Where
    there was none, nobody can be in the way, and it is made at once.

    `found` reads the version. Several at once: one does a step, the others wait and find it done. Raises V7Error
    where the tables are in use without a pause, ConfigurationError for a version that there is not.
    """
    known: list[str | None] = [None, *versions()]
    if target not in known[1:]:
        raise ConfigurationError(
            f"There is no version {target} of the schema: this release knows {known[1]} to {known[-1]}."
        )
    began, first, before, now = time.monotonic(), True, None, None
    while True:
        try:
            with connection.begin():
                now = locked(connection, found)
                before, first = (now if first else before), False
                if now == target or now not in known:
                    return before
                step(connection, now, target if now is None else neighbour(known, now, target))
        except Exception as error:
            if not isinstance(getattr(error, "orig", error), IN_THE_WAY):
                raise
            if time.monotonic() - began > TRY_SECONDS_MAX:
                raise in_the_way(now) from None
            time.sleep(AGAIN_SECONDS)


def locked(connection: "sa.Connection", found: Callable[[], str | None]) -> str | None:
    """The version, which nobody else changes before this transaction ends."""
    import sqlalchemy as sa

    for timeout in ("lock_timeout", "statement_timeout"):  # a role may have its own
        connection.execute(sa.text(f"set local {timeout} = 0"))
    connection.execute(sa.text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    return found()


def neighbour(known: list[str | None], now: str, target: str) -> str:
    """The next version on the way."""
    way = 1 if known.index(target) > known.index(now) else -1
    return str(known[known.index(now) + way])


def step(connection: "sa.Connection", now: str | None, following: str) -> None:
    from alembic import command

    made = config()
    made.attributes["connection"] = connection
    change = command.downgrade if now is not None and following < now else command.upgrade
    with hurried(connection):
        change(made, following)


@contextmanager
def hurried(connection: "sa.Connection") -> Iterator[None]:
    """Give each statement what is left of the time to wait for locks. One that needs not wait never fails for it."""
    import sqlalchemy as sa

    began: float | None = None

    def hurry(_connection: Any, cursor: Any, *_: object) -> None:
        nonlocal began
        began = began or time.monotonic()
        left = LOCKS_SECONDS_MAX - (time.monotonic() - began)
        cursor.execute(f"set local lock_timeout = {max(1, int(left * 1000))}")

    sa.event.listen(connection, "before_cursor_execute", hurry)
    try:
        yield
    finally:
        sa.event.remove(connection, "before_cursor_execute", hurry)


def in_the_way(version: str | None) -> V7Error:
    return V7Error(
        f"The schema stays at version {version}: for {TRY_SECONDS_MAX / 60:g} minutes its tables were in use without a "
        "pause. A long transaction does that (v7 doctor names the oldest): end it, and migrate again."
    )
