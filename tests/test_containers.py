"""The way of an event on the registry's Postgres: migrate, enqueue, handle."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from testcontainers.community.postgres import PostgresContainer

from .command import answer, v7
from .nodes import enqueue, jobs, node, wait_for_end

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with PostgresContainer("postgres:18", driver=None) as server:
        yield server.get_connection_url()


def test_migrate_enqueue_and_drain_on_postgres_18(url: str, tmp_path: Path) -> None:
    early = v7("worker", url=url)
    assert early.returncode == 78
    assert "v7 migrate" in early.stderr
    for _ in range(2):  # the second finds nothing to do
        assert v7("migrate", url=url).returncode == 0
    with psycopg.connect(url) as connection:
        assert connection.info.server_version // 10_000 == 18
        connection.execute("select v7.enqueue(1, 1, 1, '{}')")
        connection.rollback()  # in the caller's transaction, so this one never was
    ids = enqueue(url, {"do": "sleep", "seconds": 0.001}, count=1000)
    [dead] = enqueue(url, {"do": "fail"})
    with node(tmp_path / "node", url, V7_WORKER_PROCESSES=2, V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0) as worker:
        wait_for_end(url)
        assert worker.stop() == 0
    assert jobs(url) == [*((job_id, "succeeded", 0) for job_id in ids), (dead, "dead", 2)]
    handled = [job_id for job_id, _, _ in worker.noted("end")]
    assert sorted(handled) == ids
    assert [job["id"] for job in answer("dead", "list", url=url)["jobs"]] == [dead]
