"""A network that delays and loses: slower, but nobody is rescued, charged or run twice for it."""

import time
from pathlib import Path

import pytest

from ..nodes import check_books, enqueue, jobs, node, wait_for_end, wait_until
from .cluster import Cluster
from .looks import NODES, WORKERS, Record
from .namespaces import Network, cable, inside, listen_on
from .proxy import proxied

__all__ = ["cable"]


@pytest.mark.slow
@pytest.mark.fault(51)
def test_two_hundred_milliseconds_to_the_database(cluster: Cluster, tmp_path: Path, record_property: Record) -> None:
    """By batches. One by one, sixteen attempts at a time would need 200 s for the claims and words of so many."""
    watcher = "\n@handler(event_type_id=9)\nasync def other(job): pass\n"
    with (
        proxied(cluster.url) as proxy,
        node(tmp_path / "far", proxy.through()) as far,
        node(tmp_path / "near", cluster.url, handlers=watcher) as near,
    ):
        wait_until(lambda: len(cluster.sql(WORKERS)) == 2, "both work")
        nodes = cluster.sql(NODES)
        proxy.delay_seconds = 0.2
        began = time.monotonic()
        enqueue(cluster.socket_url, {}, count=4000)
        wait_for_end(cluster.socket_url)
        record_property("jobs_per_second", 4000 / (time.monotonic() - began))
        assert time.monotonic() - began < 90  # one by one it would be an hour
        assert cluster.sql(NODES) == nodes, "nobody was given up"
    check_books(cluster.socket_url, far, near)
    assert {row[1:] for row in jobs(cluster.socket_url)} == {("succeeded", 0)}
    assert len({start[0] for start in far.starts()}) == len(far.starts()) == 4000, "nobody ran twice"


@pytest.mark.slow
@pytest.mark.fault(52)
def test_a_fifth_of_all_packets_is_lost(
    cluster: Cluster, cable: Network, tmp_path: Path, record_property: Record
) -> None:
    """In each direction, for one of two nodes. Its connections may break, so that it is given up and begins anew."""
    through = listen_on(cluster, cable.outside)
    with (
        node(tmp_path / "lossy", through, program=inside(cable), V7_CONCURRENCY=4) as lossy,
        node(tmp_path / "clean", cluster.url, V7_CONCURRENCY=4) as clean,
    ):
        wait_until(lambda: len(cluster.sql(WORKERS)) == 2, "both work")
        cable.lose(0.2)
        ids: list[int] = []

        def all_taken() -> bool:
            return not cluster.sql("select id from v7.jobs where status = 'queued' limit 1")

        def both_have_worked() -> bool:
            if all_taken():  # perhaps by one of them
                ids.extend(enqueue(cluster.socket_url, {"do": "sleep", "seconds": 0.2}, count=100))
            return len(lossy.noted("end")) > 20 and len(clean.noted("end")) > 20

        wait_until(both_have_worked, "both have worked")
        wait_until(all_taken, "all were taken")
        cable.mend()
        mended_at = time.monotonic()
        wait_for_end(cluster.socket_url)
        record_property("recovery_seconds", time.monotonic() - mended_at)
    check_books(cluster.socket_url, lossy, clean)
    assert jobs(cluster.socket_url) == [(job_id, "succeeded", 0) for job_id in ids]
