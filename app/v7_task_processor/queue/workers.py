"""The register of nodes and workers."""

import datetime as dt
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import psycopg

from ..deadline import PROMPT_SECONDS_MAX, Connection
from .claiming import Served
from .statement import Statement


class Lost(NamedTuple):
    """A worker that is to be rescued from."""

    worker_id: int
    pid: int
    name: str


class Node(NamedTuple):
    """A node's row as its watchers see it. Only that `heartbeat_at` changes matters, never what it says."""

    id: int
    token: str
    heartbeat_at: dt.datetime


class Beat(NamedTuple):
    """What a node hears when it says that it lives. `drained_by`: who lets it take nothing; None: nobody."""

    heartbeat_at: dt.datetime
    drained_by: str | None


class Restrictions(NamedTuple):
    """What operators let no worker start, or not now. `paused`: event types whose jobs wait; `limited`: those of which
    not more than so many jobs run at once; `drained`: its node takes nothing."""

    paused: list[int]
    limited: list[int]
    drained: bool


_register = Statement("register")
_unregister = Statement("unregister")
_beat = Statement("beat", 4.0, patient=False)  # another try must follow well before others give this node up
_serve = Statement("serve")
_drain_node = Statement("drain_node")
_resume_node = Statement("resume_node")
_restrictions = Statement("restrictions", PROMPT_SECONDS_MAX)
_nodes = Statement("nodes", PROMPT_SECONDS_MAX)
_workers_of = Statement("workers_of", PROMPT_SECONDS_MAX)
_give_up_node = Statement("give_up_node")
_suspects_wait = Statement("suspects_wait", PROMPT_SECONDS_MAX)


async def register(
    connection: Connection,
    *,
    node_id: int | None,
    name: str,
    pid: int,
    token: str,
    version: str,
    concurrency: int,
    event_type_ids: list[int] | None,
) -> int | None:
    """Enter a node, or a worker of a node. Its id; None: the node of this worker is not registered any more."""
    try:
        rows = await _register(
            connection,
            node_id=node_id,
            name=name,
            pid=pid,
            token=token,
            version=version,
            concurrency=concurrency,
            event_type_ids=event_type_ids,
        )
    except psycopg.errors.ForeignKeyViolation:  # it was given up while this was on its way
        return None
    return rows[0][0] if rows else None


async def unregister(connection: Connection, ids: list[int]) -> None:
    """Take workers from the register, or nodes with their workers: they can claim nothing any more."""
    await _unregister(connection, ids=ids)


async def beat(connection: Connection, node_id: int) -> Beat | None:
    """Say that a node lives. None: others have given it up."""
    rows = await _beat(connection, node_id=node_id)
    return Beat(*rows[0]) if rows else None


async def serve(
    connection: Connection, node_id: int, event_type_ids: list[int] | None, timeouts: Mapping[str, float]
) -> None:
    """Note which types a node's handlers serve (None: all), and how many seconds an attempt may take, by type."""
    text = msgspec.json.encode(timeouts).decode()
    await _serve(connection, node_id=node_id, event_type_ids=event_type_ids, timeouts=text)


async def drain_node(connection: Connection, node_id: int, drained_by: str) -> dt.datetime | None:
    """Let a node take no more jobs. Since when, which may be before this call; None: there is no such node."""
    rows = await _drain_node(connection, node_id=node_id, drained_by=drained_by)
    return rows[0][1] if rows else None


async def resume_node(connection: Connection, node_id: int) -> bool:
    """Let a node take jobs again. False: there is no such node."""
    return bool(await _resume_node(connection, node_id=node_id))


async def restrictions(connection: Connection, node_id: int) -> Restrictions:
    """For a node's workers."""
    return Restrictions(*(await _restrictions(connection, node_id=node_id))[0])


async def nodes(connection: Connection) -> list[Node]:
    """All nodes."""
    return [Node(*row) for row in await _nodes(connection)]


async def workers_of(connection: Connection, node_id: int, pid: int | None = None) -> list[Lost]:
    """A node's workers, or those rows of them that one process has used."""
    return [Lost(*row) for row in await _workers_of(connection, node_id=node_id, pid=pid)]


async def give_up_node(connection: Connection, node: Node) -> list[int] | None:
    """Take a node whose beat stands still from the register. Its workers; None: it beat, or another was first."""
    rows = await _give_up_node(connection, node_id=node.id, heartbeat_at=node.heartbeat_at)
    return rows[0][0] if rows else None


async def suspects_wait(connection: Connection, served: Served) -> bool:
    """Whether a suspect waits that this node could run."""
    rows = await _suspects_wait(connection, serves_all=served.all_types, open_types=served.open_types)
    return bool(rows[0][0])
