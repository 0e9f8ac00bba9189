"""An operator changes rows by hand while they run."""

import re
from pathlib import Path

import psycopg
import pytest

from ..nodes import enqueue, failures, jobs, node, wait_for_end, wait_until
from .cluster import Cluster

SLEEP = {"do": "sleep", "seconds": 3}


@pytest.mark.slow
@pytest.mark.fault(79)
def test_running_rows_are_queued_and_deleted_by_hand(cluster: Cluster, tmp_path: Path) -> None:
    """Half of a change is refused. After a whole one who ran it is told, and its word is void."""
    queued, deleted, untouched = (enqueue(cluster.url, SLEEP)[0] for _ in range(3))
    with node(tmp_path / "node", cluster.url) as one:
        wait_until(lambda: len(one.starts()) == 3, "they run")
        for half in ("status = 'queued'", "worker_id = null", "status = 'dead'"):
            with pytest.raises(psycopg.errors.CheckViolation):
                cluster.sql(f"update v7.jobs set {half} where id = {queued}")
        cluster.sql(f"update v7.jobs set status = 'queued', worker_id = null where id = {queued}")
        cluster.sql(f"delete from v7.jobs where id = {deleted}")
        wait_for_end(cluster.url)
        assert one.stop() == 0
        starts = sorted((job_id, attempt) for job_id, attempt, _ in one.starts())
    assert starts == sorted([(queued, 1), (queued, 2), (deleted, 1), (untouched, 1)])
    ended = jobs(cluster.url, "id, status, attempt, retry_count")
    assert ended == sorted([(queued, "succeeded", 2, 0), (untouched, "succeeded", 1, 0)])
    assert failures(cluster.url) == []
    taken_away = [line for line in one.said().splitlines() if "taken_away" in line or "taken away" in line]
    assert sum(int(count) for line in taken_away for count in re.findall(r"count=(\d+)", line)) == 2
