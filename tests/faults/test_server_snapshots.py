"""Old snapshots, transactions that commit late, and no autovacuum: dead rows pile up at the head of the queue."""

import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from v7_task_processor import database, queue
from v7_task_processor.queue import BEGINNING, Connection, Frontier, Statement
from v7_task_processor.worker.executor import BYTES_MAX
from v7_task_processor.worker.frontier import LAG_SECONDS, Cursor
from v7_task_processor.worker.session import CLAIMS

from ..command import v7
from ..nodes import check_books, node, wait_for_end, wait_until
from ..support import EVERYTHING, worker
from .cluster import Cluster, cluster_from
from .looks import Record

BATCH = 500


class Line:
    """One worker's claiming and completing, and how many pages a claim visits."""

    def __init__(self, connection: Connection, worker_id: int) -> None:
        self.connection, self.worker_id = connection, worker_id
        self.cursor = Cursor()
        self.time = 0.0
        self.taken: list[int] = []

    async def step(self, batch: int = BATCH) -> int:
        """Claim and complete a batch; how many it had. Time enough passes for the horizon to follow."""
        self.time += LAG_SECONDS
        looked = self.cursor.next(self.time)
        claim = await queue.claim(self.connection, self.worker_id, batch, looked, EVERYTHING)
        self.cursor.took(looked, claim, self.time, self.time + 0.001)
        held = [(job.id, job.attempt) for job in claim.jobs]
        self.taken += [job.id for job in claim.jobs]
        assert await queue.complete(self.connection, self.worker_id, held, kept=False) == len(held)
        return len(held)

    async def pages(self, looked: Frontier | None = None) -> int:
        """That a claim of ten visits from where the next one would look; it is taken back."""
        at = self.cursor.frontier if looked is None else looked
        statement = Statement("claim")
        values = {
            "worker_id": self.worker_id,
            "batch": 10,
            "bytes_max": BYTES_MAX,
            "frontier_priority": at.priority,
            "frontier_position": at.position,
            "horizon": at.horizon,
            "serves_all": True,
            "max_retries": 5,
            **dict.fromkeys(("open_types", "closed_types", "limited_types", "type_limits", "passed_over"), "{}"),
        }
        given = ", ".join(f"'{values[name]}'" for name in statement.names)
        async with self.connection.transaction(force_rollback=True):
            await self.connection.execute(f"prepare looking as {statement.text}".encode())
            explained = await self.connection.execute(
                f"explain (analyze, buffers, timing off, format json) execute looking({given})".encode()
            )
            ((plan,),) = await explained.fetchall()
        return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])


@contextlib.asynccontextmanager
async def line(cluster: Cluster) -> AsyncIterator[Line]:
    async with await database.connect(cluster.url, CLAIMS) as connection:
        yield Line(connection, await worker(connection))


def fill(cluster: Cluster, count: int, priority: str = "0") -> None:
    cluster.sql(
        "insert into v7.jobs (event_type_id, user_id, priority, event_data, queued_at)"
        f" select 1, 1, {priority}, '{{}}', now() from generate_series(1, {count}) n"
    )
    cluster.sql("analyze v7.jobs")


@contextlib.contextmanager
def old_snapshot(cluster: Cluster) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(cluster.url) as connection:
        connection.execute("set transaction isolation level repeatable read")
        connection.execute("select 1")
        yield connection
        connection.rollback()


@pytest.mark.fault(38)
@pytest.mark.slow
async def test_behind_an_old_snapshot_claims_do_not_walk_over_what_is_dead(cluster: Cluster) -> None:
    """Pages that a claim visits, not seconds: a claim from the head shows how many dead rows there are."""
    fill(cluster, 40_000)
    async with line(cluster) as one:
        await one.step()
        fresh = await one.pages()
        with old_snapshot(cluster):
            for _ in range(60):
                assert await one.step() == BATCH
            assert await one.pages(BEGINNING) > 5 * fresh
            assert await one.pages() <= 2 * fresh


@pytest.mark.fault(38, 70)
@pytest.mark.slow
async def test_many_priorities_are_taken_in_exact_order_behind_an_old_snapshot_too(cluster: Cluster) -> None:
    """As many as there are events, as where the priority is a time."""
    fill(cluster, 30_000, priority="(n * 7919) % 30011 - 15000")
    expected = cluster.sql("select id from v7.jobs order by priority, position")
    async with line(cluster) as one:
        await one.step()
        fresh = await one.pages()
        with old_snapshot(cluster):
            while await one.step() == BATCH:
                if len(one.taken) == 20_000:
                    assert await one.pages(BEGINNING) > 10 * fresh
                    assert await one.pages() <= 2 * fresh
    assert [(job_id,) for job_id in one.taken] == expected


@pytest.mark.fault(38, 39)
@pytest.mark.slow
def test_an_event_whose_transaction_commits_long_after_it_was_added(
    cluster: Cluster, tmp_path: Path, record_property: Record
) -> None:
    """Better than all that passed it meanwhile, behind their dead rows, and while others still come."""
    with (
        old_snapshot(cluster),
        psycopg.connect(cluster.url) as sender,
        node(tmp_path / "node", cluster.url) as one,
    ):
        ((late,),) = sender.execute("select v7.enqueue(1, 1, -5, '{}')").fetchall()
        fill(cluster, 20_000)
        wait_until(lambda: one.said() and cluster.sql("select count(*) from v7.jobs") == [(0,)], "they passed", 120)
        fill(cluster, 20_000, priority="1")
        sender.commit()
        began = time.monotonic()
        started = f"start {late} "  # at whichever attempt: on a slow machine a claim may be given back unstarted
        wait_until(lambda: started in one.log.read_text(), "the late one was started")
        record_property("recovery_seconds", time.monotonic() - began)
        wait_for_end(cluster.url, 120)
        check_books(cluster.url, one)
        assert one.stop() == 0


@pytest.fixture
def unvacuumed(cluster_template: Path, tmp_path: Path) -> Iterator[Cluster]:
    with cluster_from(cluster_template, tmp_path / "unvacuumed", {"autovacuum": "off"}) as made:
        yield made


@pytest.mark.fault(40)
@pytest.mark.slow
async def test_without_autovacuum_claims_cost_no_more_the_more_has_passed(unvacuumed: Cluster) -> None:
    fill(unvacuumed, 30_000)
    async with line(unvacuumed) as one:
        pages = []
        for step in range(58):
            assert await one.step() == BATCH
            if step in (2, 55):
                pages.append(await one.pages())
        assert pages[1] <= 2 * pages[0]


@pytest.mark.fault(40)
def test_without_autovacuum_the_doctor_says_so(unvacuumed: Cluster) -> None:
    done = v7("doctor", url=unvacuumed.url)
    assert done.returncode == 1
    assert "the queue will bloat and get slow" in done.stdout
