"""F23 to F25: Postgres is restarted, killed, or loses one of its processes, under load."""

import signal
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from ..nodes import EVERYTHING, check_books, enqueue, jobs, node, wait_for_end, wait_until
from .books import busy, check_ledger, killed, may_be_lost, seconds_until_it_works, work_on
from .cluster import Cluster, cluster_from
from .lab import Lab
from .looks import Record

DOES = "select pid from pg_stat_activity where position(%s in query) > 0 and pid <> pg_backend_pid()"


def hits(cluster: Cluster) -> int:
    """How many of its processes Postgres found killed."""
    return cluster.log.read_text().count("terminated by signal 9")


both_modes = pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])


@pytest.mark.fault(23)
@pytest.mark.slow
@both_modes
def test_a_restart_under_load_charges_nobody_and_repeats_nothing(
    cluster: Cluster, tmp_path: Path, record_property: Record, how: signal.Signals
) -> None:
    with Lab(tmp_path / "lab", cluster, 1) as lab:
        busy(lab)
        nodes = "select id from v7.workers where node_id is null"
        before = cluster.sql(nodes)
        began = time.monotonic()
        cluster.stop(how)
        stop = began, time.monotonic()
        cluster.start()
        seconds = seconds_until_it_works(lab, time.monotonic())
        record_property("recovery_seconds", round(seconds, 2))
        work_on(lab)
        lab.settle()
        assert cluster.sql(nodes) == before  # nobody was given up
        check_ledger(lab, may_be_lost(*([stop] if how == signal.SIGQUIT else [])))
    assert seconds < 10


@pytest.mark.fault(23)
@pytest.mark.slow
@both_modes
def test_what_ended_while_postgres_was_away_is_written_afterwards(
    cluster: Cluster, tmp_path: Path, record_property: Record, how: signal.Signals
) -> None:
    slow = enqueue(cluster.url, {"do": "sleep", "seconds": 1}, count=6)
    failing = enqueue(cluster.url, {"do": "fail"}, event_type_id=2)
    fails_late = "\n@handler(event_type_id=2)\nasync def late(job):\n    note('start', job)\n"
    fails_late += "    await asyncio.sleep(1)\n    note('end', job)\n    raise ValueError('late')\n"
    handlers = fails_late + EVERYTHING
    with node(tmp_path / "node", cluster.url, handlers=handlers, V7_MAX_RETRIES=1) as one:
        wait_until(lambda: len(one.starts()) == 7, "all run")
        cluster.sql("select pg_logical_emit_message(true, '', '')")  # durable, and the claims before it
        cluster.stop(how)
        wait_until(lambda: len(one.noted("end")) == 7, "all have ended")
        cluster.start()
        began = time.monotonic()
        wait_for_end(cluster.socket_url)
        seconds = time.monotonic() - began
        record_property("recovery_seconds", round(seconds, 2))
        assert one.stop() == 0
    assert seconds < 10
    assert jobs(cluster.url) == [*((job_id, "succeeded", 0) for job_id in slow), (failing[0], "dead", 1)]
    assert len(one.starts()) == 7
    assert "taken_away" not in one.said()
    check_books(cluster.url, one)


@pytest.mark.fault(24)
@pytest.mark.slow
def test_all_of_postgres_is_killed_under_load(cluster: Cluster, tmp_path: Path, record_property: Record) -> None:
    """Claims are committed asynchronously: the last may be lost, and be given out again, but under another name."""
    with Lab(tmp_path / "lab", cluster, 2) as lab:
        busy(lab)
        crashes, seconds = [], []
        for _ in range(3):
            [(last_worker,)] = cluster.sql("select max(id) from v7.workers")
            crashes.append(killed(cluster))
            cluster.start()
            [(restarted_at,)] = cluster.sql("select now()")
            seconds.append(seconds_until_it_works(lab, time.monotonic()))
            work_on(lab)
            claims = "select min(worker_id) from v7.finished_jobs where claimed_at > %s"
            assert cluster.sql(claims, restarted_at) > [(last_worker,)]
        record_property("recovery_seconds", round(max(seconds), 2))
        lab.settle()
        check_ledger(lab, may_be_lost(*crashes))
    assert max(seconds) < 10


@pytest.mark.fault(25)
@pytest.mark.slow
def test_one_process_of_postgres_is_killed(cluster: Cluster, tmp_path: Path, record_property: Record) -> None:
    """It takes all others with it, and Postgres recovers as from a crash."""
    with Lab(tmp_path / "lab", cluster, 3) as lab:
        busy(lab)
        crashes, seconds = [], []
        for statement in ("with fresh as", "delete from v7.jobs", "insert into v7.jobs"):  # claims, ends, begins
            [pid, *_] = wait_until(partial(cluster.sql, DOES, statement), "somebody does it")
            before = hits(cluster)
            began = time.monotonic()
            psutil.Process(int(str(pid[0]))).kill()
            wait_until(lambda: hits(cluster) > before, "it is hit")  # noqa: B023
            cluster.wait()
            crashes.append((began, time.monotonic()))
            seconds.append(seconds_until_it_works(lab, began))
            work_on(lab)
        record_property("recovery_seconds", round(max(seconds), 2))
        lab.settle()
        check_ledger(lab, may_be_lost(*crashes))
    assert max(seconds) < 15


@pytest.mark.fault(24)
@pytest.mark.slow
def test_a_crash_takes_back_no_identity_of_a_worker(cluster_template: Path, tmp_path: Path) -> None:
    """Even where commits are not durable by default: else the same fence would be given out twice."""
    lazy = {"synchronous_commit": "off", "wal_writer_delay": "10s"}
    identities = "select node_id is null, id from v7.workers order by 1, 2"
    with (
        cluster_from(cluster_template, tmp_path / "cluster", lazy) as cluster,
        node(tmp_path / "node", cluster.url) as one,
    ):
        before = wait_until(lambda: len(found := cluster.sql(identities)) == 2 and found, "they are registered")
        cluster.kill()
        cluster.start()
        wait_until(lambda: "connected again" in one.said(), "the worker is back")
        after = wait_until(lambda: len(found := cluster.sql(identities)) >= 2 and found, "they are registered")
        (job,) = enqueue(cluster.url, {})
        wait_for_end(cluster.url)
        [(worker,)] = cluster.sql("select worker_id from v7.finished_jobs where id = %s", job)
    [(_, before_worker), (_, before_node)] = before
    assert (True, before_node) in after
    assert worker > before_worker
