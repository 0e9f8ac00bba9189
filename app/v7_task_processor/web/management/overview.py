"""`/api/event-types/v1`, `/api/workers/v1`, `/api/stats/v1`."""

import datetime as dt
from typing import Annotated

import msgspec
from msgspec import Meta

from ... import listing, queue
from ...database import transaction
from ...listing import HOURS_MAX, Minute, TypePage
from ...overview import NodeRow, Overview, glance, nodes
from ...queue import Connection
from ..event import Integer
from ..problem import Problem
from .call import Call
from .jobs import Limit, Text

RUNNING_SHOWN_MAX = 100
"""Jobs of each worker."""


class TypesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which types, in the order of their numbers."""

    after: Annotated[Integer, Meta(description="The last page's next_after.")] | None = None
    limit: Limit = 100


class Pause(msgspec.Struct, frozen=True):
    """Who pauses it, for those who will ask."""

    paused_by: Text | None = None


class TypeLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a type's jobs run at once, on all nodes together; null: any number."""

    concurrency_limit: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None


class LimitState(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a type's jobs run at once, on all nodes together; null: any number."""

    event_type_id: int
    concurrency_limit: int | None


class TypeState(msgspec.Struct, frozen=True, kw_only=True):
    """Since when a type's jobs wait; null: they run."""

    event_type_id: int
    paused_at: dt.datetime | None


class Nodes(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes, each with its workers, and of each worker the jobs that it has run longest, up to 100."""

    nodes: list[NodeRow]


class SeriesQuery(msgspec.Struct, frozen=True):
    """Over how many hours."""

    hours: Annotated[int, Meta(ge=1, le=HOURS_MAX)] = 1


class Series(msgspec.Struct, frozen=True):
    """Minute by minute, the earliest first, up to the last one that has ended."""

    minutes: list[Minute]


async def types_page(call: Call) -> TypePage:
    asked: TypesQuery = call.query
    return await call.store.read(
        lambda connection: listing.types_page(connection, after=asked.after, limit=asked.limit)
    )


async def pause(call: Call) -> TypeState:
    by = call.body.paused_by or f"the management API, {call.caller.who}"

    async def step(connection: Connection) -> dt.datetime:
        async with transaction(connection):
            since = await queue.pause_event_type(connection, call.id, by)
            given = {"paused_by": by}
            await queue.note_act(connection, call.caller.hand, "pause", event_type_id=call.id, given=given)
        return since

    return TypeState(event_type_id=call.id, paused_at=await call.store.act(step))


async def resume(call: Call) -> TypeState:
    async def step(connection: Connection) -> bool:
        async with transaction(connection):
            known = await queue.resume_event_type(connection, call.id)
            if known:
                await queue.note_act(connection, call.caller.hand, "resume", event_type_id=call.id)
        return known

    if not await call.store.act(step):
        raise Problem("not-found", f"There is no event type {call.id}: GET /api/event-types/v1 lists those there are.")
    return TypeState(event_type_id=call.id, paused_at=None)


async def limit(call: Call) -> LimitState:
    to: int | None = call.body.concurrency_limit

    async def step(connection: Connection) -> None:
        async with transaction(connection):
            await queue.limit_event_type(connection, call.id, to)
            given = {"concurrency_limit": to}
            await queue.note_act(connection, call.caller.hand, "limit", event_type_id=call.id, given=given)

    await call.store.act(step)
    return LimitState(event_type_id=call.id, concurrency_limit=to)


class Drain(msgspec.Struct, frozen=True):
    """Who drains it, for those who will ask."""

    drained_by: Text | None = None


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """Since when a node takes no more jobs; null: it takes them."""

    id: int
    drained_at: dt.datetime | None


async def drain(call: Call) -> NodeState:
    by = call.body.drained_by or f"the management API, {call.caller.who}"

    async def step(connection: Connection) -> dt.datetime | None:
        async with transaction(connection):
            since = await queue.drain_node(connection, call.id, by)
            if since:
                given = {"node_id": call.id, "drained_by": by}
                await queue.note_act(connection, call.caller.hand, "drain", given=given)
        return since

    since = await call.store.act(step)
    if since is None:
        raise no_node(call.id)
    return NodeState(id=call.id, drained_at=since)


async def undrain(call: Call) -> NodeState:
    async def step(connection: Connection) -> bool:
        async with transaction(connection):
            known = await queue.resume_node(connection, call.id)
            if known:
                await queue.note_act(connection, call.caller.hand, "resume", given={"node_id": call.id})
        return known

    if not await call.store.act(step):
        raise no_node(call.id)
    return NodeState(id=call.id, drained_at=None)


def no_node(node_id: int) -> Problem:
    detail = (
        f"There is no node {node_id}: GET /api/workers/v1 lists those there are. A worker is drained with its node."
    )
    return Problem("not-found", detail)


async def workers(call: Call) -> Nodes:
    return Nodes(nodes=await call.store.read(lambda connection: nodes(connection.exec_driver_sql, RUNNING_SHOWN_MAX)))


async def stats(call: Call) -> Overview:
    return await call.store.read(lambda connection: glance(connection.exec_driver_sql))


async def series(call: Call) -> Series:
    asked: SeriesQuery = call.query
    return Series(await call.store.read(lambda connection: listing.series(connection, asked.hours)))
