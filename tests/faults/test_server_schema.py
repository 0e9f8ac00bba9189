"""The schema changes under nodes that run: the next release's migration."""

from pathlib import Path

import psycopg
import pytest

from ..nodes import EVENT, check_books, enqueue, jobs, node, post, wait_for_end, wait_until
from .cluster import Cluster
from .looks import ADDING

NEXT_RELEASE = """
set lock_timeout = '30s';
alter table v7.jobs add column tenant_id bigint default 7;
alter table v7.finished_jobs add column tenant_id bigint;
alter table v7.failures add column host text;
alter table v7.workers add column region text default 'here';
alter table v7.event_types add column owner text;
create index jobs_tenant on v7.jobs (tenant_id);
alter table v7.jobs alter column last_error set default null"""
EVERY_WAY = """
@handler()
async def handle(job):
    note("start", job)
    do = job.event_data.get("do")
    if do == "fail":
        raise ValueError
    if do == "snooze" and job.attempt == 1:
        return Snooze(0.05)
    if do == "discard":
        return Discard("no")
    if do == "die":
        os._exit(3)
    await asyncio.sleep(job.event_data.get("seconds", 0))
"""


@pytest.mark.slow
@pytest.mark.fault(50)
def test_a_newer_schema_comes_under_a_running_node(cluster: Cluster, tmp_path: Path) -> None:
    """Every statement that it has prepared goes on, on the connections that it has."""

    def in_every_way() -> None:
        for do in ("fail", "snooze", "discard", "die", "succeed"):
            enqueue(cluster.url, {"do": do})
            wait_for_end(cluster.url)
        assert post(address, EVENT)[0] == 200
        assert post(address, EVENT, **{"Idempotency-Key": "k"})[0] == 200
        wait_for_end(cluster.url)

    with node(
        tmp_path / "node", cluster.url, "run", handlers=EVERY_WAY, V7_RETRY_SECONDS=0.05, V7_MAX_RETRIES=2
    ) as one:
        address = one.address()
        in_every_way()
        adding = cluster.pids(ADDING)
        before = len(one.starts())
        enqueue(cluster.url, {"seconds": 5}, count=5)
        wait_until(lambda: len(one.starts()) >= before + 5, "they run")
        with psycopg.connect(cluster.url) as migrating:
            migrating.execute(NEXT_RELEASE)
        cluster.sql("update v7.alembic_version set version_num = '9999'")
        in_every_way()
        assert cluster.pids(ADDING) == adding
        assert "cached plan" not in one.said()
        assert one.stop() == 0
        check_books(cluster.url, one)
    states = {(status, retry_count) for _, status, retry_count in jobs(cluster.url)}
    assert states == {("succeeded", 0), ("dead", 2), ("dead", 1)}
