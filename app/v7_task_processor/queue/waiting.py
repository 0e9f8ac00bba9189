"""Back into the queue, of what waited for its time or for somebody to look at it."""

from collections.abc import Collection

from ..deadline import PROMPT_SECONDS_MAX, Connection
from .statement import Statement

_promote = Statement("promote", PROMPT_SECONDS_MAX)
_first_due = Statement("first_due")
_next_due = Statement("next_due", PROMPT_SECONDS_MAX)


async def promote(connection: Connection, batch: int, passed_over: Collection[int] = ()) -> int:
    """Queue up to `batch` scheduled jobs that are due, but none of these. How many."""
    return len(await _promote(connection, batch=batch, passed_over=list(passed_over)))


async def first_due(connection: Connection, passed_over: Collection[int] = ()) -> int | None:
    """The job that would be queued first; None: none is due."""
    rows = await _first_due(connection, passed_over=list(passed_over))
    return int(rows[0][0]) if rows else None


async def next_due_seconds(connection: Connection) -> float | None:
    """In how many seconds the next scheduled job is due; None: none is scheduled."""
    rows = await _next_due(connection)
    return float(rows[0][0]) if rows else None
