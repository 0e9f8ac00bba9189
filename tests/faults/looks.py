"""What the tests of faults look at, in the tables and at the server's backends."""

from collections.abc import Callable

import psycopg

from ..nodes import Node, check_books, jobs
from .cluster import Cluster

Record = Callable[[str, object], None]
"""pytest's `record_property`: a figure for the report."""

NODES = "select id from v7.workers where node_id is null order by id"
WORKERS = "select id from v7.workers where node_id is not null"
RUNNING = "select id from v7.jobs where status = 'running' order by id"

# What backends do, by the beginning of their last statement, as Cluster.pids takes it.
CLAIMING = "with fresh as%"
RECORDING = "with durably as%delete from v7.jobs%"
BEATING = "update v7.workers set heartbeat_at%"
ADDING = "with durably as%insert into v7.jobs%"


def node_ids(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(NODES)]


def running(url: str) -> list[int]:
    """The jobs that somebody has."""
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(RUNNING)]


def states(url: str) -> dict[int, tuple[str, int]]:
    """The status and the charges of each job."""
    return {job_id: (status, retry_count) for job_id, status, retry_count in jobs(url)}


def beats(cluster: Cluster) -> dict[object, object]:
    """When each node last said that it lives."""
    return dict(cluster.sql("select id, heartbeat_at from v7.workers where node_id is null order by id"))


def beat_age_seconds(url: str, node_id: int) -> float:
    """How long ago a node last said that it lives."""
    with psycopg.connect(url) as connection:
        age = "select extract(epoch from clock_timestamp() - heartbeat_at)::float8 from v7.workers where id = %s"
        row = connection.execute(age, [node_id]).fetchone()
        assert row is not None
        return float(row[0])


def check_one_dead(url: str, one: Node, bad: int, neighbours: list[int]) -> None:
    """After two tries, charged alone: its neighbours have succeeded uncharged."""
    state = states(url)
    assert state[bad] == ("dead", 2)
    assert {state[job_id] for job_id in neighbours} == {("succeeded", 0)}
    check_books(url, one)
