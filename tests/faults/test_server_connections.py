"""A server that has no connection left to give."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ..nodes import EVENT, check_books, enqueue, get, jobs, node, post, wait_for_end, wait_until
from .cluster import Cluster, cluster_from
from .looks import BEATING, Record


@pytest.fixture
def small(cluster_template: Path, tmp_path: Path) -> Iterator[Cluster]:
    with cluster_from(cluster_template, tmp_path / "small", {"max_connections": "12"}) as made:
        yield made


class Idlers:
    """Others, that take each connection that is free."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.connections = cluster, contextlib.ExitStack()
        self.admin = self.connect()

    def connect(self) -> psycopg.Connection:
        return self.connections.enter_context(psycopg.connect(self.cluster.url, autocommit=True))

    def take_all(self) -> None:
        """Also what the node gave back since, when it got one connection and not the next."""
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                self.connect()

    def end(self, pid: int) -> None:
        self.admin.execute("select pg_terminate_backend(%s, 10000)", [pid])
        self.take_all()

    def ours(self, other_than: str) -> list[int]:
        """The product's backends, but not those whose last statement is like this."""
        query = "select pid from pg_stat_activity where application_name = 'v7' and query not like %s"
        return [pid for (pid,) in self.admin.execute(query, [other_than])]

    def beat(self) -> object:
        return self.admin.execute("select heartbeat_at from v7.workers where node_id is null").fetchone()


@pytest.mark.slow
@pytest.mark.fault(37)
def test_others_take_every_connection_of_a_node_that_runs(
    small: Cluster, tmp_path: Path, record_property: Record
) -> None:
    """But the one of its beat: clients are told at once, what runs goes on, and nobody is charged."""
    with node(tmp_path / "node", small.url, "run") as one:
        address = one.address()
        assert post(address, EVENT)[0] == 200
        wait_until(lambda: one.noted("end"), "it was handled")
        enqueue(small.url, {"do": "sleep", "seconds": 3}, count=20)
        wait_until(lambda: len(one.starts()) >= 17, "they run")
        idlers = Idlers(small)
        with idlers.connections:
            while ours := idlers.ours(other_than=BEATING):
                idlers.end(ours[0])

            def unready() -> bool:
                idlers.take_all()
                return get(address, "/readyz") == 503

            wait_until(unready, "it says that it can take none")
            status, text = post(address, EVENT)
            while status == 200:  # by a connection that a worker had, and gave up since
                idlers.take_all()
                status, text = post(address, EVENT)
            assert (status, text.partition(",")[0]) == (500, "The event could not be added")
            assert get(address, "/livez") == 200
            beat = idlers.beat()
            wait_until(lambda: len(one.noted("end")) >= 17, "what ran has ended")
            wait_until(lambda: idlers.beat() != beat, "the node says that it lives")
            assert "too many clients" in one.said()
        began = time.monotonic()
        wait_until(lambda: post(address, EVENT)[0] == 200, "events are taken again")
        wait_for_end(small.url)
        record_property("recovery_seconds", time.monotonic() - began)
        check_books(small.url, one)
        assert one.stop() == 0
    assert {row[1:] for row in jobs(small.url)} == {("succeeded", 0)}


@pytest.mark.fault(37)
def test_a_node_that_finds_no_connection_says_why_and_does_not_start(small: Cluster, tmp_path: Path) -> None:
    idlers = Idlers(small)
    with idlers.connections:
        idlers.take_all()
        with node(tmp_path / "node", small.url, "worker") as one:
            assert one.running.wait(30) == 69
        assert "too many clients" in one.said()
        assert "A node needs 5 connections, 3 more for each worker process" in one.said()
        assert "Traceback" not in one.said()
