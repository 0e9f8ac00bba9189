"""Nodes and the workers on them."""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from .look import Ask, Look
from .session import now

BEAT_SECONDS_MAX = 15.0
"""A node whose beat is older is given up by the others, or there is no other."""
RUNNING_MAX = 100_000

_nodes_and_workers = Look("nodes_and_workers")
_first_claimed = Look("first_claimed")


class RunningRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker runs, or has claimed to run next."""

    id: int
    event_type_id: int
    attempt: int
    claimed_at: dt.datetime
    seconds: float
    """Since it was claimed."""


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A process that runs handlers."""

    id: int
    name: str
    pid: int
    started_at: dt.datetime
    running: int
    jobs: list[RunningRow]
    """The first of them by time, as many as were asked for."""


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
    drained_at: dt.datetime | None
    """Since when it takes no more jobs. What its workers still run is finished; None: it takes them."""
    drained_by: str | None
    timeouts: dict[str, float] | None
    """Seconds that an attempt may take, by event type; `other`: of types without a handler of their own. None: not
    known yet."""
    workers: list[WorkerRow]


def nodes(ask: Ask, jobs_max: int = 0) -> list[NodeRow]:
    """All nodes, each with its workers, how many jobs each of these has claimed, and up to `jobs_max` of them."""
    moment = now(ask)
    rows = [Registered(*row) for row in _nodes_and_workers(ask, at_most=RUNNING_MAX)]
    claimed = first_claimed(ask, moment, [row.id for row in rows if row.running], jobs_max) if jobs_max else {}
    return [node_of(row, rows, claimed, moment) for row in rows if row.node_id is None]


class Registered(NamedTuple):
    """A row of workers, and how many jobs it has claimed; its columns are those of sql/nodes_and_workers.sql."""

    id: int
    node_id: int | None
    name: str
    pid: int
    version: str
    concurrency: int
    event_type_ids: list[int] | None
    started_at: dt.datetime
    heartbeat_at: dt.datetime
    drained_at: dt.datetime | None
    drained_by: str | None
    timeouts: dict[str, float] | None
    running: int


def node_of(
    row: Registered, rows: Sequence[Registered], claimed: dict[int, list[RunningRow]], moment: dt.datetime
) -> NodeRow:
    """`rows`: its workers are among them."""
    age = (moment - row.heartbeat_at).total_seconds()
    own = {name: getattr(row, name) for name in NODE}
    its_workers = [
        WorkerRow(jobs=claimed.get(each.id, []), **{name: getattr(each, name) for name in WORKER})
        for each in rows
        if each.node_id == row.id
    ]
    return NodeRow(beat_age_seconds=max(age, 0.0), alive=age <= BEAT_SECONDS_MAX, workers=its_workers, **own)


def first_claimed(ask: Ask, moment: dt.datetime, worker_ids: list[int], jobs_max: int) -> dict[int, list[RunningRow]]:
    """Of each of these workers the jobs that it took first; of RUNNING_MAX at most."""
    found: dict[int, list[RunningRow]] = {}
    for worker_id, job_id, event_type_id, attempt, claimed_at in _first_claimed(
        ask, worker_ids=worker_ids, at_most=RUNNING_MAX, shown=jobs_max
    ):
        seconds = max(0.0, (moment - claimed_at).total_seconds())
        running = RunningRow(
            id=job_id, event_type_id=event_type_id, attempt=attempt, claimed_at=claimed_at, seconds=seconds
        )
        found.setdefault(worker_id, []).append(running)
    return found


def serves(listed: list[NodeRow], event_type_id: int) -> bool:
    """Whether a node that lives has a handler for the type."""
    return any(node.alive and node_serves(node, event_type_id) for node in listed)


def node_serves(node: NodeRow, event_type_id: int) -> bool:
    return node.event_type_ids is None or event_type_id in node.event_type_ids


def takers(listed: list[NodeRow]) -> list[NodeRow]:
    """Nodes that live and have workers."""
    return [node for node in listed if node.alive and node.workers]


WORKER = [name for name in WorkerRow.__struct_fields__ if name != "jobs"]
NODE = [name for name in NodeRow.__struct_fields__ if name not in ("beat_age_seconds", "alive", "workers")]
