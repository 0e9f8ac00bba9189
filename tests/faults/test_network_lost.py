"""The network between nodes and their database goes, silently or not, for one of them or for all."""

import re
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from ..nodes import EVENT, Node, check_books, enqueue, get, jobs, node, post, wait_for_end, wait_until
from .cluster import Cluster
from .looks import NODES, WORKERS, Record, beat_age_seconds
from .namespaces import Network, cable, inside, listen_on
from .proxy import proxied

__all__ = ["cable"]
WORKERS_OF = """
select count(*) from v7.workers worker join v7.workers node on node.id = worker.node_id
where node.pid = %s and node.id <> %s
"""
SUCCEEDED = ("succeeded", 0)


def outcomes(cluster: Cluster) -> Counter[tuple[str, int]]:
    """How many jobs ended with which status and how many charges."""
    return Counter(row[1:] for row in jobs(cluster.socket_url))


def complaints(one: Node) -> int:
    """How often it said that the database is not there."""
    return len(re.findall(r"\[(?:warning|error) ", one.said()))


def starts_of(*nodes: Node) -> Counter[int]:
    """How often each job was started."""
    return Counter(start[0] for each in nodes for start in each.starts())


@pytest.mark.slow
@pytest.mark.fault(53)
@pytest.mark.parametrize("newcomers", ["blocked", "let through"])
def test_connections_stay_open_and_nothing_passes(
    newcomers: str, cluster: Cluster, tmp_path: Path, record_property: Record
) -> None:
    """As behind a balancer that lost its server: every byte is confirmed by it, so no keepalive can tell."""
    with (
        proxied(cluster.url) as proxy,
        node(tmp_path / "node", proxy.through(), V7_WORKER_PROCESSES=2, V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0.5) as one,
    ):
        wait_until(lambda: len(cluster.sql(WORKERS)) == 2, "it works")
        first = enqueue(cluster.socket_url, {"do": "sleep", "seconds": 1}, count=40)
        wait_until(lambda: len(one.starts()) >= 32, "all of its slots are taken")
        stalled_at = time.monotonic()
        if newcomers == "blocked":
            proxy.stall()
        else:
            proxy.stall_open()
        before = complaints(one)
        wait_until(lambda: complaints(one) > before, "it is noticed", 15)
        record_property("noticed_seconds", time.monotonic() - stalled_at)
        if newcomers == "blocked":
            proxy.resume()
        second = enqueue(cluster.socket_url, {}, count=40)
        enqueue(cluster.socket_url, {"do": "fail"})
        healed_at = time.monotonic()
        wait_for_end(cluster.socket_url, 30)
        record_property("recovery_seconds", time.monotonic() - healed_at)
    check_books(cluster.socket_url, one)
    assert outcomes(cluster) == {SUCCEEDED: len(first + second), ("dead", 2): 1}


@pytest.mark.slow
@pytest.mark.fault(53)
def test_packets_are_dropped_both_ways(
    cluster: Cluster, cable: Network, tmp_path: Path, record_property: Record
) -> None:
    through = listen_on(cluster, cable.outside)
    with node(tmp_path / "node", through, program=inside(cable)) as one:
        wait_until(lambda: cluster.sql(WORKERS), "it works")
        ids = enqueue(cluster.socket_url, {"do": "sleep", "seconds": 1}, count=20)
        wait_until(lambda: len(one.starts()) >= 16, "all of its slots are taken")
        before = complaints(one)
        cable.drop_to(cluster.port)
        dropped_at = time.monotonic()
        wait_until(lambda: complaints(one) > before, "it is noticed", 15)
        record_property("noticed_seconds", time.monotonic() - dropped_at)
        cable.mend()
        mended_at = time.monotonic()
        wait_for_end(cluster.socket_url, 30)
        record_property("recovery_seconds", time.monotonic() - mended_at)
    check_books(cluster.socket_url, one)
    assert jobs(cluster.socket_url) == [(job_id, "succeeded", 0) for job_id in ids]


@pytest.mark.slow
@pytest.mark.fault(53)
def test_the_api_answers_while_connections_are_half_open(
    cluster: Cluster, tmp_path: Path, record_property: Record
) -> None:
    with proxied(cluster.url) as proxy, node(tmp_path / "node", proxy.through(), "api") as one:
        address = one.address()
        assert post(address, EVENT)[0] == 200
        proxy.stall_open()
        stalled_at = time.monotonic()
        status, text = post(address, EVENT)
        record_property("noticed_seconds", time.monotonic() - stalled_at)
        assert (status, text.partition(",")[0]) == (500, "It is not known whether the event was added")
        assert get(address, "/livez") == 200
        wait_until(lambda: post(address, EVENT)[0] == 200, "events are taken again", 15)
        record_property("recovery_seconds", time.monotonic() - stalled_at)
        assert get(address, "/readyz") == 200


@pytest.mark.slow
@pytest.mark.fault(54)
def test_one_of_two_nodes_is_cut_off_for_a_minute(
    cluster: Cluster, cable: Network, tmp_path: Path, record_property: Record
) -> None:
    """The other has its jobs after 15 s. It starts nothing meanwhile, and comes back under another identity."""
    through = listen_on(cluster, cable.outside)
    with node(tmp_path / "lost", through, program=inside(cable)) as lost:
        wait_until(lambda: cluster.sql(WORKERS), "it works")
        [(lost_id,)] = cluster.sql(NODES)
        long = enqueue(cluster.socket_url, {"do": "sleep", "seconds": 22}, count=2)
        wait_until(lambda: len(lost.starts()) == 2, "it runs them")
        with node(tmp_path / "other", cluster.url, V7_WORKER_PROCESSES=2) as other:
            wait_until(lambda: len(cluster.sql(WORKERS)) == 3, "the other works")
            cable.drop_to(cluster.port)
            cut_at = time.monotonic()
            age_seconds = beat_age_seconds(cluster.socket_url, int(str(lost_id)))
            wait_until(lambda: (lost_id,) not in cluster.sql(NODES), "it is given up", 30)
            given_up_seconds = time.monotonic() - cut_at
            record_property("given_up_seconds", given_up_seconds)
            wait_until(lambda: len(other.starts()) == 2, "the other runs them as suspects, beside each other", 30)
            quick = enqueue(cluster.socket_url, {}, count=100)
            wait_until(lambda: time.monotonic() - cut_at > 60, "the minute is over", 60)
            assert sorted(start[0] for start in lost.starts()) == long  # by two processes
            cable.mend()
            mended_at = time.monotonic()
            wait_until(lambda: cluster.sql(WORKERS_OF, lost.running.pid, lost_id) != [(0,)], "it is back as another")
            record_property("recovery_seconds", time.monotonic() - mended_at)
            assert (lost_id,) not in cluster.sql(NODES)
            late: list[int] = []
            while not {start[0] for start in lost.starts()} & set(late):  # the other may have taken them all
                assert time.monotonic() - mended_at < 60, "it takes jobs again"
                late += enqueue(cluster.socket_url, {"do": "sleep", "seconds": 0.5}, count=60)
                wait_for_end(cluster.socket_url)
    assert given_up_seconds >= 15 - age_seconds - 0.5
    check_books(cluster.socket_url, lost, other)
    assert outcomes(cluster) == {SUCCEEDED: len(long + quick + late)}
    starts = starts_of(lost, other)
    assert {job_id for job_id, count in starts.items() if count == 2} == set(long)
    assert max(starts.values()) == 2


@pytest.mark.slow
@pytest.mark.fault(54)
def test_the_beats_of_a_node_are_lost_and_nothing_else(
    cluster: Cluster, tmp_path: Path, record_property: Record
) -> None:
    """Its workers could go on. They start nothing once others may soon take their jobs, until it has another name."""
    every_job = {"do": "sleep", "seconds": 0.05}
    with proxied(cluster.url) as proxy, node(tmp_path / "mute", proxy.through(), V7_CONCURRENCY=1) as mute:
        wait_until(lambda: cluster.sql(WORKERS), "it works")
        [(mute_id,)] = cluster.sql(NODES)
        with node(tmp_path / "other", cluster.url, V7_CONCURRENCY=1) as other:
            wait_until(lambda: len(cluster.sql(WORKERS)) == 2, "the other works")
            ids = enqueue(cluster.socket_url, every_job, count=3000)
            proxy.swallow = lambda data: b"set heartbeat_at" in data
            proxy.cut()
            muted_at = time.monotonic()
            before = len(mute.starts())
            wait_until(lambda: len(mute.starts()) > before, "it still starts jobs")
            wait_until(lambda: time.monotonic() - muted_at > 11, "its last beat is more than 10 s old")
            started = len(mute.starts())
            wait_until(lambda: (mute_id,) not in cluster.sql(NODES), "it is given up", 20)
            record_property("given_up_seconds", time.monotonic() - muted_at)
            assert len(mute.starts()) == started
            assert cluster.sql("select id from v7.jobs where status = 'queued' limit 1"), "there was something to start"
            proxy.swallow = None
            healed_at = time.monotonic()
            wait_until(lambda: len(mute.starts()) > started, "it takes jobs again")
            record_property("recovery_seconds", time.monotonic() - healed_at)
            assert (mute_id,) not in cluster.sql(NODES)
            cluster.sql("delete from v7.jobs where status = 'queued'")  # enough was shown
            wait_for_end(cluster.socket_url)
    check_books(cluster.socket_url, mute, other)
    assert set(outcomes(cluster)) == {SUCCEEDED}
    assert set(starts_of(mute, other).values()) == {1}
    assert set(starts_of(mute, other)) <= set(ids)


@pytest.mark.slow
@pytest.mark.fault(55)
def test_an_outage_for_all_and_the_nodes_return_one_after_the_other(
    cluster: Cluster, tmp_path: Path, record_property: Record
) -> None:
    """The second 20 s after the first, which has then never seen it live since the outage, and gives it time."""
    with (
        proxied(cluster.url) as to_a,
        proxied(cluster.url) as to_b,
        node(tmp_path / "a", to_a.through(), V7_CONCURRENCY=4) as a,
        node(tmp_path / "b", to_b.through(), V7_CONCURRENCY=4) as b,
    ):
        wait_until(lambda: len(cluster.sql(WORKERS)) == 2, "both work")
        nodes = cluster.sql(NODES)
        long = enqueue(cluster.socket_url, {"do": "sleep", "seconds": 10}, count=8)
        wait_until(lambda: len(a.starts()) == len(b.starts()) == 4, "both run four")
        with to_b.away():
            with to_a.away():
                gone_at = time.monotonic()
                wait_until(lambda: time.monotonic() - gone_at > 12, "12 s of it, more than a watcher may miss")
            healed_at = time.monotonic()
            quick = enqueue(cluster.socket_url, {}, count=100)
            wait_until(lambda: starts_of(a).total() == 104, "the first works again", 15)
            record_property("recovery_seconds", time.monotonic() - healed_at)
            wait_until(lambda: time.monotonic() - healed_at > 20, "the second is away for longer")
        returned_at = time.monotonic()
        wait_for_end(cluster.socket_url, 20)
        record_property("second_recovery_seconds", time.monotonic() - returned_at)
        assert cluster.sql(NODES) == nodes, "nobody was given up"
    check_books(cluster.socket_url, a, b)
    assert outcomes(cluster) == {SUCCEEDED: len(long + quick)}
    assert set(starts_of(a, b).values()) == {1}


@pytest.mark.slow
@pytest.mark.fault(53)
def test_one_connection_breaks_while_another_waits_for_its_answer(cluster: Cluster, tmp_path: Path) -> None:
    """The worker takes new ones in their place. Whoever waited on the old one must hear that it is gone."""
    backends = "select pid from pg_stat_activity where application_name = 'v7'"
    waits = f"{backends} and wait_event_type = 'Lock' and query like '%into v7.finished_jobs%'"
    claims = f"{backends} and query like '%fresh%skip locked%'"
    with node(tmp_path / "node", cluster.url, LOG_LEVEL="debug") as one:
        wait_until(lambda: cluster.sql(WORKERS), "it works")
        with psycopg.connect(cluster.socket_url) as connection:
            connection.execute("lock table v7.finished_jobs in exclusive mode")
            ids = enqueue(cluster.socket_url, {}, count=3)
            wait_until(lambda: cluster.sql(waits), "a completion waits")
            for (pid,) in cluster.sql(claims):
                cluster.sql("select pg_terminate_backend(%s)", pid)
            wait_until(lambda: "connected again" in one.said(), "it has connected again")
        wait_for_end(cluster.socket_url, 20)
    check_books(cluster.socket_url, one)
    assert jobs(cluster.socket_url) == [(job_id, "succeeded", 0) for job_id in ids]
