"""Clocks that somebody sets, of the database's machine and of a node's: libfaketime makes them."""

import contextlib
import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ..command import v7
from ..nodes import Node, check_books, enqueue, jobs, node, wait_for_end, wait_until
from .cluster import Cluster, cluster_from
from .looks import Record, beats

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
SLEEP = {"do": "sleep", "seconds": 4}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(LIBRARY is None, reason="no libfaketime here (Debian and Ubuntu: apt-get install faketime)"),
]


class Clock:
    """The wall clock of processes that are started with its environment. What measures durations stays true."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set("+0")
        self.environment = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: str) -> None:
        """Such as +3d or -10m, from the true time."""
        self.file.write_text(f"{offset}\n")
        self.file.chmod(0o644)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "offset")


@pytest.fixture
def clocked(cluster_template: Path, tmp_path: Path, clock: Clock) -> Iterator[Cluster]:
    """A server with a clock of its own."""
    with cluster_from(cluster_template, tmp_path / "clocked") as made:
        made.stop()
        made.environment = clock.environment
        yield made.start()


def now_days(cluster: Cluster) -> float:
    """How far its clock is from ours."""
    ((seconds,),) = cluster.sql("select extract(epoch from clock_timestamp())::float8")
    return (float(str(seconds)) - time.time()) / 86400


def wait_for_beats(cluster: Cluster, count: int) -> None:
    """Until each node has said so many times more that it lives."""
    for _ in range(count):
        before = beats(cluster)
        wait_until(lambda: all(beat != before.get(each) for each, beat in beats(cluster).items()), "all beat")  # noqa: B023


@pytest.mark.fault(44)
def test_the_databases_clock_is_set_a_day_on_and_two_back(clocked: Cluster, clock: Clock, tmp_path: Path) -> None:
    """Nobody is rescued or charged. What is due by the database's clock runs, and what is not does not."""
    with psycopg.connect(clocked.url, autocommit=True) as admin, two_nodes(clocked, tmp_path) as (a, b):
        nodes = beats(clocked).keys()

        def schedule(hours: int) -> int:
            statement = "select v7.enqueue(1, 1, 1, '{}', run_at => now() + make_interval(hours => %s))"
            ((job_id,),) = admin.execute(statement, [hours]).fetchall()
            return int(job_id)

        def status(job_id: int) -> object:
            return admin.execute("select status from v7.all_jobs where id = %s", [job_id]).fetchone()

        in_an_hour, in_two_days = schedule(1), schedule(48)
        for offset in ("+1d", "-1d", "+0"):
            began = len(a.starts() + b.starts())
            enqueue(clocked.url, SLEEP, count=10)
            wait_until(lambda: len(a.starts() + b.starts()) >= began + 10, "they run")  # noqa: B023
            clock.set(offset)
            days = float(offset.removesuffix("d"))
            wait_until(lambda: abs(now_days(clocked) - days) < 0.1, "its clock is set")  # noqa: B023
            wait_for_beats(clocked, 3)
            assert status(in_two_days) == ("scheduled",)
            wait_until(lambda: status(in_an_hour) == ("succeeded",), "what was due has run")
        assert beats(clocked).keys() == nodes
        admin.execute("update v7.jobs set run_at = now() where id = %s", [in_two_days])
        wait_for_end(clocked.url)
        assert v7("status", url=clocked.url).returncode == 0
        check_books(clocked.url, a, b)
        assert a.stop() == b.stop() == 0
        assert len(a.starts() + b.starts()) == len(jobs(clocked.url))
    assert {row[1:] for row in jobs(clocked.url)} == {("succeeded", 0)}


@pytest.mark.fault(43, 44)
def test_the_databases_clock_is_set_beyond_the_days_that_are_made(
    clocked: Cluster, clock: Clock, tmp_path: Path, record_property: Record
) -> None:
    with node(tmp_path / "node", clocked.url) as one:
        enqueue(clocked.url, SLEEP, count=10)
        wait_until(lambda: len(one.starts()) == 10, "they run")
        clock.set("+40d")
        began = time.monotonic()
        wait_for_end(clocked.url)
        record_property("recovery_seconds", time.monotonic() - began)
        check_books(clocked.url, one)
        assert one.stop() == 0
        assert len(one.starts()) == 10
    assert {row[1:] for row in jobs(clocked.url)} == {("succeeded", 0)}


@pytest.mark.fault(44)
def test_a_nodes_clock_is_set(cluster: Cluster, clock: Clock, tmp_path: Path) -> None:
    """Off by a day from the start, and set while handlers run: nothing in the queue goes by it."""
    clock.set("-1d")
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    with two_nodes(cluster, tmp_path, LOG_LEVEL="debug", **clock.environment) as (a, b):
        assert f"{yesterday:%Y-%m-%dT}" in b.said()
        nodes = beats(cluster).keys()
        ((later,),) = cluster.sql("select v7.enqueue(1, 1, 1, '{}', run_at => now() + interval '12 hours')")
        for offset in ("+1d", "-1h"):
            enqueue(cluster.url, SLEEP, count=10)
            clock.set(offset)
            wait_for_beats(cluster, 2)
            wait_until(lambda: cluster.sql("select count(*) from v7.jobs") == [(1,)], "they have ended")
        assert cluster.sql("select status from v7.jobs where id = %s", later) == [("scheduled",)]
        cluster.sql("delete from v7.jobs where id = %s", later)
        assert beats(cluster).keys() == nodes
        check_books(cluster.url, a, b)
        assert a.stop() == b.stop() == 0
        assert len(a.starts() + b.starts()) == 20
    rows = jobs(cluster.url, "status, retry_count, finished_at between created_at and now()")
    assert set(rows) == {("succeeded", 0, True)}


@contextlib.contextmanager
def two_nodes(cluster: Cluster, folder: Path, **environment: Any) -> Iterator[tuple[Node, Node]]:
    """The second has its clock in `environment`."""
    with node(folder / "a", cluster.url) as a, node(folder / "b", cluster.url, **environment) as b:
        wait_until(lambda: a.said() and b.said() and len(beats(cluster)) == 2, "both work")
        yield a, b
