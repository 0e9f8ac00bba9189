"""What Postgres refuses for the sake of one row, which must not keep the others of its batch."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import psycopg

from ..observability import logs

log = logs.get(__name__)
Item = TypeVar("Item")

REFUSALS = ("22", "23", "54", "P0")
"""Classes of SQLSTATE that one row of a batch can cause: data, constraints, limits, somebody's triggers."""
DAMAGE = "XX"
"""The class of SQLSTATE for a row that is broken on disk."""


def is_refusal(error: Exception) -> bool:
    """Whether one row may be to blame, and not the batch, the server or the connection."""
    if lacks_partition(error):
        return False
    if isinstance(error, psycopg.Error) and error.sqlstate:
        return error.sqlstate.startswith(REFUSALS)
    return isinstance(error, psycopg.DataError | UnicodeError)


def is_damage(error: Exception) -> bool:
    """Whether a row that is broken on disk may be to blame; or an index, or Postgres itself."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(DAMAGE)


def lacks_partition(error: Exception) -> bool:
    """Whether the history has no partition for today: a CHECK that has no name."""
    return isinstance(error, psycopg.errors.CheckViolation) and not error.diag.constraint_name


async def write_past(
    write: Callable[[Sequence[Item]], Awaitable[Any]], batch: Sequence[Item]
) -> list[tuple[Item, Exception]]:
    """Write a batch; where it is refused, its halves, down to the rows that are to blame: those, each with why.

    Raises whatever is no refusal.
    """
    try:
        await write(batch)
    except Exception as error:
        if not is_refusal(error):
            raise
        if len(batch) == 1:
            return [(batch[0], error)]
        middle = len(batch) // 2
        return [*await write_past(write, batch[:middle]), *await write_past(write, batch[middle:])]
    return []


def left_running(refused: list[tuple[Any, Exception]]) -> None:
    """Say of each (job id, ...) that its row cannot be changed, by somebody's trigger or constraint."""
    for (job_id, *_), error in refused:
        log.error("Postgres refuses to change a job, which is left running", job_id=job_id, error=logs.said(error))
