"""The history has no partition for today, and every completion would fail."""

import time
from pathlib import Path

import psycopg
import pytest

from ..nodes import check_books, enqueue, get, jobs, node, wait_for_end, wait_until
from .cluster import Cluster
from .looks import Record

DROP_ALL = """
do $$ declare day regclass; begin
    for day in select inhrelid::regclass from pg_inherits where inhparent = 'v7.finished_jobs'::regclass
    loop execute 'drop table ' || day; end loop; end $$"""


@pytest.mark.slow
@pytest.mark.fault(43)
@pytest.mark.parametrize("dies", [False, True])
def test_the_partition_of_today_is_missing(
    cluster: Cluster, tmp_path: Path, record_property: Record, dies: bool
) -> None:
    """It is made on demand: by who completes, or by the supervisor for one that ended well in a worker that died."""
    with node(tmp_path / "node", cluster.url, "run", V7_RETRY_SECONDS=0) as one:
        address = one.address()
        enqueue(cluster.url, {"do": "wait"}, count=10)
        wait_until(lambda: len(one.starts()) == 10, "they run")
        cluster.sql(DROP_ALL)
        began = time.monotonic()
        wait_until(lambda: get(address, "/readyz") == 503, "readyz says that it cannot complete")
        if dies:
            one.workers()[0].kill()
        (one.folder / "go").touch()
        wait_for_end(cluster.url)
        wait_until(lambda: get(address, "/readyz") == 200, "it is ready again")
        record_property("recovery_seconds", time.monotonic() - began)
        check_books(cluster.url, one)
        if not dies:
            assert len(one.starts()) == 10
        assert one.stop() == 0
    assert {row[1:] for row in jobs(cluster.url)} == {("succeeded", 0)}
    ((partitions,),) = cluster.sql("select count(*) from pg_inherits where inhparent = 'v7.finished_jobs'::regclass")
    assert partitions == 15


@pytest.mark.slow
@pytest.mark.fault(43)
def test_a_node_comes_back_after_weeks_in_which_nobody_made_days(cluster: Cluster, tmp_path: Path) -> None:
    """What its last life had done, and not written, ends on a day that is not there."""
    with node(tmp_path / "node", cluster.url) as one:
        enqueue(cluster.url, {})
        wait_for_end(cluster.url)
        with psycopg.connect(cluster.url) as admin:
            admin.execute("lock table v7.finished_jobs in access exclusive mode")
            [job_id] = enqueue(cluster.url, {})
            writing = (
                "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%into v7.finished%'"
            )
            wait_until(lambda: cluster.sql(writing), "its word waits")
            one.kill_tree()
            admin.execute(DROP_ALL)  # before the lock is gone: its backend does not know yet that it is dead
        one.start()
        wait_for_end(cluster.url)
        assert len(one.starts()) == 2, "it was completed for the one that died"
        assert one.stop() == 0
    assert jobs(cluster.url) == [(job_id, "succeeded", 0)]
