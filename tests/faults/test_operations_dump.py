"""A dump that is taken under load, and restored elsewhere."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ..nodes import check_books, enqueue, failures, jobs, node, wait_for_end, wait_until
from .cluster import Cluster
from .looks import Record


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Cluster]:
    """A server with nothing on it."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    made = Cluster(folder)
    made.make()
    try:
        made.start()
        with psycopg.connect(made.socket_url.replace("/v7?", "/postgres?"), autocommit=True) as admin:
            admin.execute("create database v7")
        yield made
    finally:
        made.close()


@pytest.mark.slow
@pytest.mark.fault(76)
def test_a_dump_under_load_goes_on_where_it_is_restored(
    cluster: Cluster, elsewhere: Cluster, tmp_path: Path, record_property: Record
) -> None:
    """What ran when it was taken is rescued in the copy, uncharged; ids and order go on; the original never notices."""
    long = enqueue(cluster.url, {"do": "sleep", "seconds": 15}, count=3)  # longer than pg_dump needs to begin
    with node(tmp_path / "original", cluster.url, V7_RETRY_SECONDS=0.1) as original:
        wait_until(lambda: len(original.starts()) == 3, "they run")
        enqueue(cluster.url, {"do": "sleep", "seconds": 0.02}, count=1000)
        enqueue(cluster.url, {"do": "fail"})
        wait_until(lambda: len(original.starts()) > 100, "it is under load")
        dump = [*cluster.program("pg_dump"), "-d", cluster.socket_url]
        dumped = subprocess.run(dump, check=True, capture_output=True).stdout
        wait_for_end(cluster.url)
        check_books(cluster.url, original)
        assert original.stop() == 0
    restore = [*elsewhere.program("psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-d", elsewhere.socket_url]
    subprocess.run(restore, input=dumped, check=True, capture_output=True)
    running = [job_id for (job_id,) in elsewhere.sql("select id from v7.jobs where status = 'running'")]
    assert set(long) <= set(running)
    (newest,) = elsewhere.sql("select max(id), max(position) from v7.all_jobs")
    began = time.monotonic()
    with node(tmp_path / "copy", elsewhere.url, V7_RETRY_SECONDS=0.1) as copy:
        (after,) = enqueue(elsewhere.url, {})
        wait_for_end(elsewhere.url, 120)  # suspects run one at a time
        record_property("recovery_seconds", time.monotonic() - began)
        assert copy.stop() == 0
        assert set(running) <= {job_id for job_id, _, _ in copy.starts()}
    rows = {row[0]: row[1:] for row in jobs(elsewhere.url, "id, status, retry_count, position")}
    assert after > int(str(newest[0]))
    assert rows[after][2] > int(str(newest[1]))
    failing = {job_id for job_id, _ in failures(elsewhere.url)}
    assert {row[:2] for job_id, row in rows.items() if job_id not in failing} == {("succeeded", 0)}
    assert len(rows) == len(jobs(cluster.url)) + 1
