"""F33 and F34: the primary goes and a standby takes over, writing is forbidden for a while, the standby goes."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from v7_task_processor import database

from ..nodes import EVENT, check_books, check_log, enqueue, get, jobs, node, post, wait_for_end, wait_until
from ..standbys import set_up, value
from ..standbys import standby as standby_of
from ..support import add, rows, take
from ..support import node as a_node
from ..support import worker as a_worker
from ..worker.recording import Recording, cut
from .books import (
    answered,
    check_ledger,
    killed,
    may_be_lost,
    seconds_until_it_works,
    work_on,
)
from .cluster import Cluster
from .lab import Lab
from .looks import Record

OUTAGE_SECONDS = 8.0


@pytest.fixture
def standby(cluster: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """A standby without which the cluster acknowledges nothing."""
    with standby_of(cluster, tmp_path / "standby", "standby") as made:
        set_up(cluster, synchronous_standby_names="standby")
        wait_until(lambda: value(cluster, "select sync_state from pg_stat_replication") == "sync", "it is synchronous")
        yield made


@pytest.mark.fault(33)
@pytest.mark.slow
def test_the_primary_dies_and_its_standby_is_promoted(
    cluster: Cluster, standby: Cluster, tmp_path: Path, record_property: Record
) -> None:
    with Lab(tmp_path / "lab", cluster, 33) as lab:
        place = lab.add("node", "run")
        lab.ready()
        lab.send()
        work_on(lab)
        crash = killed(cluster)
        place.proxy.url = standby.url  # as a name that is moved at once: until it is promoted it takes no writes
        wait_until(lambda: time.monotonic() > crash[1] + 2, "who was answered before has noted it")
        told = len(answered(lab))
        wait_until(lambda: time.monotonic() > crash[1] + OUTAGE_SECONDS, "nobody promotes it for a while")
        assert len(answered(lab)) == told
        standby.promote()
        lab.cluster = standby
        seconds = seconds_until_it_works(lab, time.monotonic())
        record_property("recovery_seconds", round(seconds, 2))
        work_on(lab)
        lab.settle()
        check_ledger(lab, may_be_lost(crash))  # claims wait for no standby
    assert seconds < 10


@pytest.mark.fault(33)
@pytest.mark.slow
def test_sessions_made_while_writing_was_forbidden_do_not_keep_to_it(
    cluster: Cluster, tmp_path: Path, record_property: Record
) -> None:
    """As where a provider forbids it on a full disk, and nobody ends our connections when it is allowed again."""
    ids = enqueue(cluster.url, {"do": "sleep", "seconds": 5}, count=30)
    with node(tmp_path / "node", cluster.url, "run", LOG_FORMAT="json") as one:
        address = one.address()
        wait_until(lambda: len(one.starts()) >= 16, "the first run")
        with psycopg.connect(cluster.socket_url, autocommit=True) as admin:
            admin.execute("set default_transaction_read_only = off")
            admin.execute("alter database v7 set default_transaction_read_only = on")
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = 'v7' and pid <> pg_backend_pid()"
            )
            wait_until(lambda: len(one.noted("end")) >= 16, "what ran has ended, and cannot be written")
            wait_until(lambda: get(address, "/readyz") == 503, "it says that it takes none")
            forbidden_at = time.monotonic()
            while time.monotonic() < forbidden_at + OUTAGE_SECONDS:
                assert post(address, EVENT)[0] == 500
                assert get(address, "/readyz") == 503
            before = len(one.starts())
            admin.execute("alter database v7 reset default_transaction_read_only")
        began = time.monotonic()
        wait_until(lambda: post(address, EVENT)[0] == 200, "events are taken again")
        wait_until(lambda: len(one.starts()) > before, "jobs are started again")
        seconds = time.monotonic() - began
        wait_for_end(cluster.socket_url)
        record_property("recovery_seconds", round(seconds, 2))
        check_log(one, processes=3)
        assert one.stop() == 0
    assert seconds < 10
    check_books(cluster.url, one)
    assert {row for row in jobs(cluster.url) if row[0] in ids} == {(job_id, "succeeded", 0) for job_id in ids}
    assert len(one.starts()) == len(jobs(cluster.url))


@pytest.mark.fault(33)
@pytest.mark.slow
def test_sessions_that_are_made_read_only_under_way_are_given_up(cluster: Cluster, tmp_path: Path) -> None:
    """By a reload, which no connection notices until it writes."""
    with node(tmp_path / "node", cluster.url, "run") as one:
        address = one.address()
        assert post(address, EVENT)[0] == 200
        for setting in ("on", "off"):
            with psycopg.connect(cluster.socket_url, autocommit=True) as admin:
                admin.execute(f"alter system set default_transaction_read_only = {setting}")
                admin.execute("select pg_reload_conf()")
            wait_until(lambda: post(address, EVENT)[0] == (500 if setting == "on" else 200), "it is noticed")  # noqa: B023
        wait_for_end(cluster.socket_url)
        wait_until(lambda: get(address, "/readyz") == 200, "it is ready")
        assert one.stop() == 0
    check_books(cluster.url, one)
    assert {row[1:] for row in jobs(cluster.url)} == {("succeeded", 0)}


@pytest.mark.fault(34)
@pytest.mark.slow
def test_the_synchronous_standby_dies_and_comes_back(
    cluster: Cluster, standby: Cluster, tmp_path: Path, record_property: Record
) -> None:
    """Nothing is acknowledged meanwhile, and what is in the queue is worked on, longer than a node may be silent."""
    beat = "select heartbeat_at from v7.workers where node_id is null"
    with node(tmp_path / "node", cluster.url, "run", V7_CONCURRENCY=4) as one:
        address = one.address()
        ids = enqueue(cluster.url, {"do": "sleep", "seconds": 0.5}, count=400)
        assert post(address, EVENT)[0] == 200
        wait_until(lambda: len(one.noted("end")) > 8, "they are worked on")
        standby.kill()
        gone_at, last = time.monotonic(), cluster.sql(beat)
        began = time.monotonic()
        status, sentence = post(address, EVENT)
        answered_after = time.monotonic() - began
        assert (status, sentence[:12]) == (500, "It is not kn")
        assert answered_after < 15
        wait_until(lambda: time.monotonic() > gone_at + 20, "others would have given up a node that does not beat")
        starts = len(one.starts())
        wait_until(lambda: len(one.starts()) > starts + 40, "handlers go on", 20)
        assert cluster.sql(beat) > last
        assert post(address, EVENT)[0] == 500
        assert "given up" not in one.said()
        standby.start()
        began = time.monotonic()
        wait_until(lambda: post(address, EVENT)[0] == 200, "events are acknowledged again")
        seconds = time.monotonic() - began
        record_property("recovery_seconds", round(seconds, 2))
        wait_for_end(cluster.socket_url, 120)
        assert one.stop() == 0
    assert seconds < 15
    check_books(cluster.url, one)
    assert {row for row in jobs(cluster.url) if row[0] in ids} == {(job_id, "succeeded", 0) for job_id in ids}
    assert len(one.starts()) == len(jobs(cluster.url))
    assert "taken_away" not in one.said()


@pytest.mark.fault(34)
@pytest.mark.slow
def test_a_node_starts_while_the_synchronous_standby_is_missing(
    cluster: Cluster, standby: Cluster, tmp_path: Path
) -> None:
    ids = enqueue(cluster.url, {}, count=20)
    standby.kill()
    with node(tmp_path / "node", cluster.url) as one:
        wait_until(lambda: len(one.noted("end")) == 20, "handlers run")
        standby.start()
        wait_for_end(cluster.socket_url)
        assert one.stop() == 0
    assert jobs(cluster.url) == [(job_id, "succeeded", 0) for job_id in ids]
    check_books(cluster.url, one)


@pytest.mark.fault(33)
async def test_a_failover_brings_back_an_identity_that_its_worker_had_given_up(
    cluster: Cluster, tmp_path: Path
) -> None:
    """With what it ran, which nobody would rescue: the worker lives. It is released and forgotten once more."""
    async with await database.connect(cluster.url) as admin:
        node_id = await a_node(admin)
        bench = Recording(cluster.url, tmp_path, node_id)
        await bench.session.open()
        before = bench.session.worker_id
        await add(admin)
        given_up = await a_worker(admin, node_id, os.getpid())
        (job,) = await take(admin, given_up)
        await cut(admin, bench.session.records)
        await bench.session.attempt(lambda: bench.session.records.execute("select 1"))
        assert await rows(admin, "select id, status, retry_count from v7.jobs") == [(job.id, "queued", 0)]
        await bench.session.forget_earlier(admin)
        registered = await rows(admin, "select id from v7.workers where node_id is not null")
        assert registered == [(bench.session.worker_id,)]
        assert bench.session.worker_id > given_up > before
        await bench.session.close()
