"""Event types: who serves them, what stands where, how fast they go."""

import datetime as dt
from typing import Any

import msgspec
import sqlalchemy as sa

from ..overview import Depth, Oldest, depth_by_type, elsewhere, nodes, oldest_by_type, queued_types, serves
from ..schema import event_types
from .series import TypeRate, event_type_rates
from .session import now


class TypeRow(msgspec.Struct, frozen=True, kw_only=True):
    """An event type. `known` is False until a worker has met it and made its row."""

    event_type_id: int
    known: bool
    served: bool
    """Whether a node that lives has a handler for it."""
    paused_at: dt.datetime | None
    paused_by: str | None
    concurrency_limit: int | None
    """So many of its jobs run at once, on all nodes together."""
    jobs: Depth
    oldest: Oldest | None
    last_hour: TypeRate | None
    """None: nothing of it ended, or it is not among the first fifty types, which are told apart."""


class TypePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some types in their order, and the one after which the next page begins; None: there is none."""

    event_types: list[TypeRow]
    next_after: int | None


def types_page(connection: sa.Connection, *, after: int | None = None, limit: int = 100) -> TypePage:
    """Types that have met a worker, and those that wait to, by number."""
    ask, moment = connection.exec_driver_sql, now(connection)
    rows = known_types(connection, after, limit + 1)
    beyond = elsewhere(ask)
    met = {number for _, number in beyond if after is None or number > after}
    numbers = sorted({*rows, *queued_types(ask, after, limit + 1), *met})
    shown = numbers[:limit]
    waiting = oldest_by_type(ask, moment, shown)
    depths = depth_by_type(ask, shown, beyond)
    listed = nodes(ask)
    rates = {rate.event_type_id: rate for rate in event_type_rates(connection)}
    page = [
        TypeRow(
            event_type_id=number,
            known=number in rows,
            served=serves(listed, number),
            paused_at=rows[number].paused_at if number in rows else None,
            paused_by=rows[number].paused_by if number in rows else None,
            concurrency_limit=rows[number].concurrency_limit if number in rows else None,
            jobs=depths[number],
            oldest=waiting.get(number),
            last_hour=rates.get(number),
        )
        for number in shown
    ]
    return TypePage(event_types=page, next_after=shown[-1] if len(numbers) > limit else None)


def known_types(connection: sa.Connection, after: int | None, limit: int) -> dict[int, Any]:
    shown = (event_types.c.paused_at, event_types.c.paused_by, event_types.c.concurrency_limit)
    statement = sa.select(event_types.c.event_type_id, *shown)
    if after is not None:
        statement = statement.where(event_types.c.event_type_id > after)
    rows = connection.execute(statement.order_by(event_types.c.event_type_id).limit(limit))
    return {row.event_type_id: row for row in rows}
