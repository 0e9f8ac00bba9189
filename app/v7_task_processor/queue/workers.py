"""The register of nodes and workers."""

import datetime as dt
from typing import NamedTuple

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


_register = Statement("register")
_unregister = Statement("unregister")
_beat = Statement("beat", seconds_max=4.0)  # another try must follow well before others give this node up
_serve = Statement("serve")
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


async def beat(connection: Connection, node_id: int) -> bool:
    """Say that a node lives. False: others have given it up."""
    return bool(await _beat(connection, node_id=node_id))


async def serve(connection: Connection, node_id: int, event_type_ids: list[int] | None) -> None:
    """Note which types a node's handlers serve; None: all."""
    await _serve(connection, node_id=node_id, event_type_ids=event_type_ids)


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
