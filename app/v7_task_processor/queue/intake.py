"""Events on their way in."""

from collections.abc import Sequence
from typing import NamedTuple

from ..deadline import Connection
from .statement import Statement


class Enqueued(NamedTuple):
    """One event on its way in. `event_data` is JSON text; `digest` tells it from another under the same key."""

    event_type_id: int
    user_id: int
    priority: int
    event_data: str
    correlation_id: str
    key: str | None = None
    digest: bytes = b""
    traceparent: str | None = None
    tracestate: str | None = None


_enqueue = Statement("enqueue")
_enqueue_once = Statement("enqueue_once")
_wake = Statement("wake")


async def enqueue(connection: Connection, events: Sequence[Enqueued]) -> list[int]:
    """Add events; the ids, in their order. Durable when it returns. Raises psycopg.Error, and then either all of
    them were refused (DataError) or it is not known (OperationalError)."""
    rows = await _enqueue(
        connection,
        event_type_ids=[event.event_type_id for event in events],
        user_ids=[event.user_id for event in events],
        priorities=[event.priority for event in events],
        event_data=[event.event_data for event in events],
        correlation_ids=[event.correlation_id for event in events],
        **_traces(events),
    )
    return sorted(row[0] for row in rows)


async def enqueue_once(connection: Connection, events: Sequence[Enqueued]) -> list[tuple[int, bool]]:
    """Add events that carry keys, no key twice; for each its id, and whether the key stood for the same event."""
    rows = await _enqueue_once(
        connection,
        keys=[event.key for event in events],
        digests=[event.digest for event in events],
        event_type_ids=[event.event_type_id for event in events],
        user_ids=[event.user_id for event in events],
        priorities=[event.priority for event in events],
        event_data=[event.event_data for event in events],
        correlation_ids=[event.correlation_id for event in events],
        **_traces(events),
    )
    return [(job_id, same) for job_id, same in rows]


def _traces(events: Sequence[Enqueued]) -> dict[str, list[str]]:
    """Empty arrays where no event has one: the others pay nothing for it. An empty text stands for none."""
    parents = [event.traceparent or "" for event in events]
    if not any(parents):
        return {"traceparents": [], "tracestates": []}
    return {"traceparents": parents, "tracestates": [event.tracestate or "" for event in events]}


async def wake(connection: Connection, *, back: bool = False) -> None:
    """Hint to workers that jobs came; or came `back` to where they had stood, where claims may have passed."""
    await _wake(connection, back=back)
