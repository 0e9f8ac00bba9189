"""A connection to look on, without SQLAlchemy."""

import contextlib
import datetime as dt
from collections.abc import Iterator

import psycopg

from .. import database
from .look import Ask

STATEMENT_SECONDS_MAX = 30


@contextlib.contextmanager
def seeing(url: str, seconds_max: float = STATEMENT_SECONDS_MAX) -> Iterator[Ask]:
    """To ask on a connection that only reads, sees one moment, and gives up a query after so many seconds.

    Raises psycopg.OperationalError.
    """
    # Its end also ends the transaction: a pooler would throw away a session that is left in one.
    with database.connect_to_read(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.execute(database.BEGIN_READING, [f"{seconds_max:g}s"])
        yield connection.execute


def now(ask: Ask) -> dt.datetime:
    """The database's clock, when the transaction began."""
    moment: dt.datetime
    ((moment,),) = ask("select now()", {}).fetchall()
    return moment
