"""The connection that listings read on."""

import contextlib
import datetime as dt
from collections.abc import Iterator

import sqlalchemy as sa

from .. import database

STATEMENT_SECONDS_MAX = 30


@contextlib.contextmanager
def reading(url: str, seconds_max: float = STATEMENT_SECONDS_MAX) -> Iterator[sa.Connection]:
    """A connection that only reads, sees one moment, and gives up a query after so many seconds.

    Raises sqlalchemy.exc.OperationalError.
    """
    with database.engine(url, only_reads=True).connect() as connection:
        connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        seconds = f"{seconds_max:g}s"
        connection.execute(sa.select(sa.func.set_config("statement_timeout", seconds, True)))
        yield connection


def now(connection: sa.Connection) -> dt.datetime:
    """The database's clock, when the connection's transaction began."""
    return connection.scalars(sa.select(sa.func.now())).one()
