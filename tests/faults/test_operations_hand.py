"""An operator changes rows by hand while they run."""

import re
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from ..nodes import enqueue, failures, jobs, node, wait_for_end, wait_until
from .cluster import Cluster


@pytest.mark.slow
@pytest.mark.fault(79)
def test_running_rows_are_queued_and_deleted_by_hand(cluster: Cluster, tmp_path: Path) -> None:
    """Half of a change is refused. After a whole one who ran it is told, and its word is void."""
    queued, deleted, untouched = (enqueue(cluster.url, {"do": "wait"})[0] for _ in range(3))
    with node(tmp_path / "node", cluster.url) as one:
        wait_until(lambda: len(one.starts()) == 3, "they run")
        for half in ("status = 'queued'", "worker_id = null", "status = 'dead'"):
            with pytest.raises(psycopg.errors.CheckViolation):
                cluster.sql(f"update v7.jobs set {half} where id = {queued}")
        cluster.sql(f"update v7.jobs set status = 'queued', worker_id = null where id = {queued}")
        cluster.sql(f"delete from v7.jobs where id = {deleted}")
        (one.folder / "go").touch()
        wait_for_end(cluster.url)
        assert one.stop() == 0
        starts = Counter(job_id for job_id, _, _ in one.starts())
    assert starts == {queued: 2, deleted: 1, untouched: 1}
    assert jobs(cluster.url) == sorted([(queued, "succeeded", 0), (untouched, "succeeded", 0)])
    assert failures(cluster.url) == []
    taken_away = [line for line in one.said().splitlines() if "taken_away" in line or "taken away" in line]
    assert sum(int(count) for line in taken_away for count in re.findall(r"count=(\d+)", line)) == 2


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.fault(79)
def test_a_row_stays_locked_in_a_psql_that_was_left_open(database_url: str, tmp_path: Path, killed: bool) -> None:
    """Only its own end waits for that; where its worker is killed meanwhile, only its own requeue."""
    held, beside = (enqueue(database_url, {"do": "wait"})[0] for _ in range(2))
    done = "select count(*) from v7.finished_jobs"
    with node(tmp_path / "node", database_url) as one, psycopg.connect(database_url) as psql:
        wait_until(lambda: len(one.starts()) == 2, "they run")
        first = dict(jobs(database_url, "id, attempt"))
        psql.execute("select from v7.jobs where id = %s for update", [held])
        with psycopg.connect(database_url, autocommit=True) as looking:
            if killed:
                [worker] = one.workers()
                worker.kill()
                wait_until(lambda: (True,) in jobs(database_url, "suspect"), "the other is given back")
            (one.folder / "go").touch()
            enqueue(database_url, {}, count=600)
            wait_until(lambda: looking.execute(done).fetchone() == (601,), "all others have ended")
            assert jobs(database_url, "id, status, attempt")[0] == (held, "running", first[held])
        psql.rollback()
        wait_for_end(database_url)
        assert one.stop() == 0
    starts = Counter(job_id for job_id, _, _ in one.starts())
    assert (starts[held], starts[beside]) == ((2, 2) if killed else (1, 1))
    assert failures(database_url) == []
