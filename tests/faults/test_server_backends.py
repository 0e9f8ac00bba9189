"""A backend that stands still: its kernel acknowledges all that it is sent, and no answer ever comes."""

import asyncio
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from v7_task_processor import database
from v7_task_processor.queue import Statement

from ..nodes import EVENT, check_books, enqueue, failures, jobs, node, post, wait_for_end, wait_until
from ..support import until_waiting
from .cluster import Cluster
from .looks import ADDING, BEATING, CLAIMING, NODES, RECORDING, Record
from .proxy import proxied


@pytest.mark.fault(47)
async def test_a_statement_that_is_not_answered_ends_with_its_connection(cluster: Cluster) -> None:
    statement = Statement("nodes", seconds_max=0.3)
    connection = await database.connect(cluster.url)
    with cluster.standing_still(connection.info.backend_pid), pytest.raises(psycopg.OperationalError):
        await statement(connection)
    assert connection.closed


@pytest.mark.fault(47)
async def test_a_connection_whose_first_statement_is_not_answered_is_none(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a balancer that greeted, and whose server went away then."""
    with proxied(cluster.url) as proxy:
        proxy.swallow = lambda data: b"set_config" in data
        with monkeypatch.context() as hurried:
            hurried.setattr(database, "PROMPT_SECONDS_MAX", 0.3)
            async with asyncio.timeout(60):
                with pytest.raises(psycopg.OperationalError):
                    await database.connect(proxy.through())
        proxy.swallow = None
        await (await database.connect(proxy.through())).close()


@pytest.mark.fault(47)
async def test_a_statement_that_is_abandoned_leaves_no_backend_behind_a_lock(cluster: Cluster) -> None:
    statement = Statement("nodes", seconds_max=2)  # long enough to be seen waiting
    connection = await database.connect(cluster.url)
    pid = connection.info.backend_pid
    async with await database.connect(cluster.url) as other, other.transaction():
        await other.execute("lock table v7.workers")
        waiting = asyncio.create_task(statement(connection))
        await until_waiting(other, connection, waiting)
        with pytest.raises(psycopg.OperationalError):
            await waiting
        while cluster.sql("select 1 from pg_stat_activity where pid = %s", pid):
            await asyncio.sleep(0.01)
    await connection.close()


@pytest.mark.slow
@pytest.mark.fault(47)
@pytest.mark.parametrize("of", [CLAIMING, RECORDING])
def test_a_workers_backend_stands_still(cluster: Cluster, tmp_path: Path, record_property: Record, of: str) -> None:
    """It is given up, and what it had been sent does no harm when it wakes."""
    enqueue(cluster.url, {})
    with node(tmp_path / "node", cluster.url) as one:
        wait_for_end(cluster.url)
        # On a loaded machine it may have begun anew meanwhile, and the connection before is still there.
        (pid,) = wait_until(lambda: len(found := cluster.pids(of)) == 1 and found, "it has one connection")
        with cluster.standing_still(pid):
            began = time.monotonic()
            enqueue(cluster.url, {}, count=50)
            wait_for_end(cluster.url, 120)
            record_property("recovery_seconds", time.monotonic() - began)
        wait_until(lambda: pid not in cluster.pids("%"), "it has woken, done what it was sent, and ended")
        check_books(cluster.url, one)
        assert {row[1:] for row in jobs(cluster.url)} == {("succeeded", 0)}
        assert len(one.starts()) == 51
        assert one.stop() == 0


@pytest.mark.slow
@pytest.mark.fault(47)
def test_the_supervisors_backends_stand_still_while_a_worker_dies(
    cluster: Cluster, tmp_path: Path, record_property: Record
) -> None:
    """All but that of its beat. The dead worker's job is charged and run again, if late."""
    with node(tmp_path / "node", cluster.url, V7_RETRY_SECONDS=0, V7_MAX_RETRIES=2) as one:
        wait_until(lambda: cluster.pids(BEATING), "it lives")
        enqueue(cluster.url, {"do": "sleep", "seconds": 10})
        wait_until(one.starts, "it runs")
        ports = {each.laddr.port for each in psutil.Process(one.running.pid).net_connections("tcp")}
        backends = cluster.sql("select pid, client_port, query from pg_stat_activity where application_name = 'v7'")
        ours = [int(str(pid)) for pid, port, query in backends if port in ports and "heartbeat_at" not in str(query)]
        assert ours
        with cluster.standing_still(*ours):
            began = time.monotonic()
            one.workers()[0].kill()
            wait_for_end(cluster.url, 160)
            record_property("recovery_seconds", time.monotonic() - began)
        assert failures(cluster.url) == [(1, "Crash")]
        check_books(cluster.url, one)
        assert jobs(cluster.url) == [(1, "succeeded", 1)]


@pytest.mark.slow
@pytest.mark.fault(47)
def test_the_backend_of_a_nodes_beat_stands_still(cluster: Cluster, tmp_path: Path, record_property: Record) -> None:
    """Soon enough it says again that it lives: nobody rescues from it, and it goes on claiming."""
    with node(tmp_path / "a", cluster.url) as a:
        (pid,) = wait_until(lambda: cluster.pids(BEATING), "the first lives")
        with node(tmp_path / "b", cluster.url) as b:
            wait_until(lambda: len(cluster.pids(BEATING)) == 2, "the second watches")
            nodes = cluster.sql(NODES)
            enqueue(cluster.url, {"do": "sleep", "seconds": 20}, count=16)
            with cluster.standing_still(pid):
                began = time.monotonic()
                beats = set(cluster.pids(BEATING))
                wait_until(lambda: set(cluster.pids(BEATING)) - beats, "it beats on another connection")
                record_property("recovery_seconds", time.monotonic() - began)
                wait_for_end(cluster.url)
            assert cluster.sql(NODES) == nodes
        assert "given this one up" not in a.said()
        assert len(a.starts() + b.starts()) == 16
    assert {row[1:] for row in jobs(cluster.url)} == {("succeeded", 0)}


@pytest.mark.slow
@pytest.mark.fault(47)
def test_the_backend_that_adds_events_stands_still(cluster: Cluster, tmp_path: Path, record_property: Record) -> None:
    with node(tmp_path / "node", cluster.url, "api") as one:
        address = one.address()
        assert post(address, EVENT)[0] == 200
        (pid,) = cluster.pids(ADDING)
        with cluster.standing_still(pid):
            began = time.monotonic()
            status, text = post(address, EVENT)
            assert (status, text.partition(",")[0]) == (500, "It is not known whether the event was added")
            wait_until(lambda: post(address, EVENT)[0] == 200, "events are taken again")
            record_property("recovery_seconds", time.monotonic() - began)
            assert cluster.sql("select count(*) from v7.jobs") == [(2,)]
        wait_until(lambda: pid not in cluster.pids("%"), "it has woken, done what it was sent, and ended")
        assert cluster.sql("select count(*) from v7.jobs") in ([(2,)], [(3,)])  # that one was not known
        assert one.stop() == 0
