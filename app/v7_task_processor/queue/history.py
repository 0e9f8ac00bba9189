"""Days of the history, and what is forgotten."""

from ..deadline import Connection
from .statement import Statement

_add_days = Statement("add_days")
_has_tomorrow = Statement("has_tomorrow")
_drop_oldest_day = Statement("drop_oldest_day")
_prune_failures = Statement("prune_failures")
_prune_idempotency_keys = Statement("prune_idempotency_keys")
OLDEST = ("-infinity", 0)
"""Before the first failure."""


async def add_days(connection: Connection, days_ahead: int) -> int:
    """Make the history's partitions for today and the days ahead. How many were missing."""
    rows = await _add_days(connection, days_ahead=days_ahead)
    return int(rows[0][0])


async def has_tomorrow(connection: Connection) -> bool:
    """Whether the history has its partition for tomorrow."""
    rows = await _has_tomorrow(connection)
    return bool(rows[0][0])


async def drop_oldest_day(connection: Connection, retention_days: int) -> str | None:
    """Drop the history's oldest day if it is older than the retention. Its name; None: none was."""
    rows = await _drop_oldest_day(connection, retention_days=retention_days)
    name: str | None = rows[0][0]
    return name


async def prune_failures(
    connection: Connection, retention_days: int, batch: int, after: tuple[str, int] = OLDEST
) -> tuple[str, int] | None:
    """Look at up to `batch` failures older than the retention, and forget those of jobs that stand in the queue no
    more. After which to go on: (when it was, id); None: it has seen all."""
    failed_at, failure_id = after
    rows = await _prune_failures(
        connection, retention_days=retention_days, batch=batch, after=failed_at, after_id=failure_id
    )
    return rows[0] if rows else None


async def prune_idempotency_keys(connection: Connection, batch: int) -> int:
    """Forget up to `batch` keys older than seven days."""
    return len(await _prune_idempotency_keys(connection, batch=batch))
