"""One type of event fails, each time."""

from pathlib import Path

import pytest

from ..nodes import check_books, enqueue, failures, jobs, node, wait_for_end, wait_until
from .cluster import Cluster

PAUSES = """select min(failed_at - before) >= interval '0.9 s' from (
    select failed_at, lag(failed_at) over (partition by job_id order by attempt) as before from v7.failures) as each"""


@pytest.mark.slow
@pytest.mark.fault(72)
def test_every_event_of_a_type_fails(cluster: Cluster, tmp_path: Path) -> None:
    """It waits longer and longer, is dead in the end, and takes nothing from the others meanwhile."""
    with node(tmp_path / "node", cluster.url, V7_RETRY_SECONDS=1, V7_MAX_RETRIES=3) as one:
        failing = enqueue(cluster.url, {"do": "fail"}, count=2000, event_type_id=2)
        others = enqueue(cluster.url, {}, count=4000)
        left = "select count(*) from v7.jobs where event_type_id = 1"
        wait_until(lambda: cluster.sql(left) == [(0,)], "the others are done")
        # Each of them was done before any failing event could have failed for the last time.
        assert cluster.sql("select count(*) from v7.jobs where status = 'dead' and event_type_id = 2") == [(0,)]
        wait_for_end(cluster.url)
        check_books(cluster.url, one)
        assert len(one.starts()) == len(others) + 3 * len(failing)
        assert one.stop() == 0
    assert cluster.sql(PAUSES) == [(True,)]
    assert failures(cluster.url) == [(job_id, "ValueError") for job_id in sorted(failing) for _ in range(3)]
    states = {(status, retry_count) for job_id, status, retry_count in jobs(cluster.url) if job_id in set(failing)}
    assert states == {("dead", 3)}
