"""Numbers with gaps, and numbers at their ends."""

import subprocess
import time
from pathlib import Path

import pytest

from v7_task_processor.queue import LAST

from ..nodes import check_books, enqueue, jobs, node, wait_for_end, wait_until
from .cluster import Cluster
from .looks import Record

TRANSACTIONS = 96 * 2**20
"""About 10^8: where a file of the commit log begins, since pg_resetwal makes none."""


@pytest.mark.fault(45)
@pytest.mark.slow
def test_sequences_leap_while_events_come(cluster: Cluster, tmp_path: Path) -> None:
    """As after a crash, a failover or a restore; and at last to where a bigint ends."""
    sent: list[int] = []
    with node(tmp_path / "node", cluster.url, V7_CONCURRENCY=1, V7_RETRY_SECONDS=0.05, V7_MAX_RETRIES=2) as one:
        for sequence, value in [
            ("position", 10**6),
            ("jobs_id_seq", 2 * 10**6),
            ("position", LAST - 1000),
            ("jobs_id_seq", LAST - 1000),
        ]:
            sent += enqueue(cluster.url, {}, count=20)
            cluster.sql(f"select setval('v7.{sequence}', {value})")
            worse = enqueue(cluster.url, {"do": "fail"}, priority=LAST)
            best = enqueue(cluster.url, {}, priority=-(2**63))
            sent += worse + best
            wait_for_end(cluster.url)
        check_books(cluster.url, one)
        assert one.stop() == 0
    assert max(sent) > LAST - 1000
    states = {job_id: status for job_id, status, _ in jobs(cluster.url)}
    assert sorted(states) == sorted(sent)
    assert list(states.values()).count("dead") == 4


@pytest.mark.fault(45)
@pytest.mark.slow
def test_a_hundred_million_transactions_are_gone(cluster: Cluster, tmp_path: Path, record_property: Record) -> None:
    enqueue(cluster.url, {"do": "sleep", "seconds": 4}, count=10)
    with node(tmp_path / "node", cluster.url) as one:
        wait_until(lambda: len(one.starts()) == 10, "they run")
        cluster.stop()
        resetwal = [*cluster.program("pg_resetwal"), "-x", str(TRANSACTIONS), "-D", str(cluster.data)]
        subprocess.run(resetwal, check=True, capture_output=True)
        cluster.start()
        began = time.monotonic()
        ((age,),) = cluster.sql("select age(xmin) from v7.alembic_version")
        assert int(str(age)) > 10**8 - 10**7
        enqueue(cluster.url, {}, count=10)
        wait_for_end(cluster.url)
        record_property("recovery_seconds", time.monotonic() - began)
        check_books(cluster.url, one)
        assert one.stop() == 0
        assert len(one.starts()) == 20
    assert [row[1:] for row in jobs(cluster.url)] == [("succeeded", 0)] * 20
