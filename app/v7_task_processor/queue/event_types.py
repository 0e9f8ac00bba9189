"""The rows of event types, their pauses and their limits."""

import datetime as dt
from collections.abc import Sequence

from ..deadline import Connection
from .statement import Statement

_ensure_event_types = Statement("ensure_event_types")
_discover_event_types = Statement("discover_event_types")
_pause_event_type = Statement("pause_event_type")
_resume_event_type = Statement("resume_event_type")
_limit_event_type = Statement("limit_event_type")


async def ensure_event_types(connection: Connection, event_type_ids: Sequence[int]) -> list[int]:
    """Make the rows of types that have none. Those that this call made."""
    return [row[0] for row in await _ensure_event_types(connection, event_type_ids=list(event_type_ids))]


async def discover_event_types(connection: Connection, first: int, batch: int) -> int | None:
    """Make the rows of queued types that have none, looking at up to `batch` types, from `first` on. The type with
    which to go on; None: it has seen all."""
    rows = await _discover_event_types(connection, first=first, batch=batch)
    return rows[0][0]  # type: ignore[no-any-return]


async def pause_event_type(connection: Connection, event_type_id: int, paused_by: str) -> dt.datetime:
    """Let a type's jobs wait, on all nodes. Since when it is paused, which may be before this call."""
    rows = await _pause_event_type(connection, event_type_id=event_type_id, paused_by=paused_by)
    paused_at: dt.datetime = rows[0][1]
    return paused_at


async def resume_event_type(connection: Connection, event_type_id: int) -> bool:
    """Let a type's jobs run. False: there is no such type."""
    return bool(await _resume_event_type(connection, event_type_id=event_type_id))


async def limit_event_type(connection: Connection, event_type_id: int, concurrency_limit: int | None) -> None:
    """Let not more than so many (1 or more; None: any number) of a type's jobs run at once, on all nodes together."""
    await _limit_event_type(connection, event_type_id=event_type_id, concurrency_limit=concurrency_limit)
