"""Nodes and the workers on them."""

import datetime as dt

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from ..schema import jobs, workers
from .jobs import has_status
from .session import now

BEAT_SECONDS_MAX = 15.0
"""A node whose beat is older is given up by the others, or there is no other."""
RUNNING_MAX = 100_000


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


def nodes(connection: sa.Connection, jobs_max: int = 0) -> list[NodeRow]:
    """All nodes, each with its workers, how many jobs each of these has claimed, and up to `jobs_max` of them."""
    moment = now(connection)
    held = running(connection)
    claimed = first_claimed(connection, moment, list(held), jobs_max) if jobs_max else {}
    rows = connection.execute(sa.select(workers).order_by(workers.c.id)).mappings().all()
    listed = []
    for row in rows:
        if row["node_id"] is not None:
            continue
        age = (moment - row["heartbeat_at"]).total_seconds()
        its_workers = [
            WorkerRow(
                running=held.get(each["id"], 0),
                jobs=claimed.get(each["id"], []),
                **{name: each[name] for name in WORKER},
            )
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


def first_claimed(
    connection: sa.Connection, moment: dt.datetime, worker_ids: list[int], jobs_max: int
) -> dict[int, list[RunningRow]]:
    """Of each of these workers the jobs that it took first; of RUNNING_MAX at most."""
    asked = sa.func.unnest(sa.cast(worker_ids, ARRAY(sa.BigInteger))).table_valued("id").render_derived()
    listed = sa.select(jobs.c.id, jobs.c.event_type_id, jobs.c.attempt, jobs.c.claimed_at)
    taken = listed.where(has_status(jobs, "running"), jobs.c.worker_id == asked.c.id).limit(RUNNING_MAX)
    own = taken.correlate(asked).subquery()
    firsts = sa.select(own).order_by(own.c.claimed_at, own.c.id).limit(jobs_max).correlate(asked).lateral()
    found: dict[int, list[RunningRow]] = {}
    for worker_id, *row in connection.execute(sa.select(asked.c.id, firsts).join_from(asked, firsts, sa.true())):
        job_id, event_type_id, attempt, claimed_at = row
        seconds = max(0.0, (moment - claimed_at).total_seconds())
        job = RunningRow(
            id=job_id, event_type_id=event_type_id, attempt=attempt, claimed_at=claimed_at, seconds=seconds
        )
        found.setdefault(worker_id, []).append(job)
    return found


def serves(listed: list[NodeRow], event_type_id: int) -> bool:
    """Whether a node that lives has a handler for the type."""
    return any(node.alive and node_serves(node, event_type_id) for node in listed)


def node_serves(node: NodeRow, event_type_id: int) -> bool:
    return node.event_type_ids is None or event_type_id in node.event_type_ids


def takers(listed: list[NodeRow]) -> list[NodeRow]:
    """Nodes that live and have workers."""
    return [node for node in listed if node.alive and node.workers]


WORKER = [name for name in WorkerRow.__struct_fields__ if name not in ("running", "jobs")]
NODE = [name for name in NodeRow.__struct_fields__ if name not in ("beat_age_seconds", "alive", "workers")]
