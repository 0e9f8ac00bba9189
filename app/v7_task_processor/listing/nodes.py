"""Nodes and the workers on them."""

import datetime as dt

import msgspec
import sqlalchemy as sa

from ..schema import jobs, workers
from .jobs import has_status
from .session import now

BEAT_SECONDS_MAX = 15.0
"""A node whose beat is older is given up by the others, or there is no other."""
RUNNING_MAX = 100_000


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A process that runs handlers."""

    id: int
    name: str
    pid: int
    started_at: dt.datetime
    running: int


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A machine or container, as its supervisor last said."""

    id: int
    name: str
    pid: int
    version: str
    concurrency: int
    event_type_ids: list[int] | None
    """Types that its handlers serve; None: all."""
    started_at: dt.datetime
    heartbeat_at: dt.datetime
    beat_age_seconds: float
    alive: bool
    workers: list[WorkerRow]


def nodes(connection: sa.Connection) -> list[NodeRow]:
    """All nodes, each with its workers and how many jobs each of these has claimed."""
    moment = now(connection)
    held = running(connection)
    rows = connection.execute(sa.select(workers).order_by(workers.c.id)).mappings().all()
    listed = []
    for row in rows:
        if row["node_id"] is not None:
            continue
        age = (moment - row["heartbeat_at"]).total_seconds()
        its_workers = [
            WorkerRow(running=held.get(each["id"], 0), **{name: each[name] for name in WORKER})
            for each in rows
            if each["node_id"] == row["id"]
        ]
        own = {name: row[name] for name in NODE}
        listed.append(
            NodeRow(beat_age_seconds=max(age, 0.0), alive=age <= BEAT_SECONDS_MAX, workers=its_workers, **own)
        )
    return listed


def running(connection: sa.Connection) -> dict[int, int]:
    """How many jobs each worker has claimed."""
    taken = sa.select(jobs.c.worker_id).where(has_status(jobs, "running")).limit(RUNNING_MAX).subquery()
    statement = sa.select(taken.c.worker_id, sa.func.count().label("held")).group_by(taken.c.worker_id)
    return {row.worker_id: row.held for row in connection.execute(statement)}


def serves(listed: list[NodeRow], event_type_id: int) -> bool:
    """Whether a node that lives has a handler for the type."""
    return any(node.alive and (node.event_type_ids is None or event_type_id in node.event_type_ids) for node in listed)


WORKER = [name for name in WorkerRow.__struct_fields__ if name != "running"]
NODE = [name for name in NodeRow.__struct_fields__ if name not in ("beat_age_seconds", "alive", "workers")]
