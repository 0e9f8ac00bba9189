"""The connection that listings read on."""

import contextlib
import datetime as dt
import functools
from collections.abc import Iterator

import sqlalchemy as sa

from .. import database, overview
from ..overview import STATEMENT_SECONDS_MAX
from ..redaction import Names

REDACT = "v7_redact"
"""The option of a connection that says what is masked: no listing has to be told, and none can forget it."""


@functools.lru_cache
def reader(url: str) -> sa.Engine:
    """Kept, though it keeps no connection: it remembers how our statements are compiled, which took half of a look."""
    return database.engine(url, only_reads=True)


@contextlib.contextmanager
def reading(
    url: str, seconds_max: float = STATEMENT_SECONDS_MAX, redact: Names = frozenset()
) -> Iterator[sa.Connection]:
    """A connection that only reads, sees one moment, and gives up a query after so many seconds.

    In the events that are listed on it the values of these keys are masked. Raises sqlalchemy.exc.OperationalError.
    """
    with reader(url).connect() as connection:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True, REDACT: redact}
        connection = connection.execution_options(**options)
        connection.exec_driver_sql(database.BEGIN_READING, (f"{seconds_max:g}s",))
        yield connection


def now(connection: sa.Connection) -> dt.datetime:
    """The database's clock, when the connection's transaction began."""
    return overview.now(connection.exec_driver_sql)
