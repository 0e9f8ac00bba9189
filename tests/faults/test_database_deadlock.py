"""F30: transactions that take the same rows in opposite orders."""

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Any

import psycopg
import pytest

from v7_task_processor import database, queue
from v7_task_processor.worker import session

from ..nodes import check_books, enqueue, jobs, node, wait_for_end
from ..support import add, event, rows, until_waiting
from ..support import node as a_node
from ..web.support import started
from ..web.test_ingest import blocked
from ..worker.recording import Recording
from .cluster import Cluster

PATIENT = "?options=-c%20deadlock_timeout%3D5s"
"""A backend looks for a deadlock once, so long after it began to wait: by then the other must wait as well."""
DEADLOCKED = "select deadlocks > 0 from pg_stat_database where datname = 'v7'"
"""Whose part is done again may meet the other once more: how often is not ours to say."""


@pytest.mark.fault(30)
async def test_a_thousand_types_met_in_opposite_orders_by_many(cluster: Cluster) -> None:
    async def meet(types: list[int]) -> None:
        async with await database.connect(cluster.url) as connection:
            for _ in range(5):
                await queue.ensure_event_types(connection, types)
                await connection.execute("delete from v7.event_types where event_type_id % 7 = 0")

    ascending = list(range(1000))
    await asyncio.gather(*(meet(ascending[::step]) for step in (1, -1, 1, -1)))
    assert cluster.sql("select count(*) from v7.event_types where event_type_id % 7 > 0") == [(857,)]


@pytest.mark.fault(30)
async def test_what_has_ended_loses_a_deadlock_and_is_written(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's transaction takes two rows that we complete together, the other way round."""
    monkeypatch.setitem(session.RECORDS, "lock_timeout", "0")  # or it would not wait for so long
    async with await database.connect(cluster.url) as admin, await database.connect(cluster.url) as other:
        bench = Recording(cluster.url + PATIENT, tmp_path, await a_node(admin))
        await bench.session.open()
        writing = asyncio.create_task(bench.recorder.run())
        try:
            low, high = await add(admin, 2)
            taken = await bench.take(2)
            touch = "update v7.jobs set correlation_id = 'touched' where id = %s"
            async with other.transaction():
                await other.execute("set local deadlock_timeout = '60s'")  # the other side finds it
                await other.execute(touch, [high])
                for job in taken:
                    bench.say(job, None)
                await until_waiting(admin, bench.session.records)
                await other.execute(touch, [low])
            await bench.written()
            assert bench.session.generation == 1  # a deadlock breaks no connection
            states = "select status, attempt, correlation_id from v7.all_jobs order by id"
            assert await rows(admin, states) == [("succeeded", 1, "touched")] * 2
        finally:
            writing.cancel()
            await bench.session.close()
    assert cluster.sql(DEADLOCKED) == [(True,)]


@pytest.mark.fault(30)
async def test_events_lose_a_deadlock_and_their_senders_do_not_hear_of_it(cluster: Cluster) -> None:
    async with (
        started(cluster.url + PATIENT, commit_seconds_max=60) as ingest,
        await database.connect(cluster.url) as other,
    ):
        enqueue_b, enqueue_a = ("select v7.enqueue(1, 1, 0, '{}', idempotency_key => %s)", ["b"]), ["a"]
        async with other.transaction():
            await other.execute("set local deadlock_timeout = '60s'")
            await other.execute(*enqueue_b)
            keyed = [asyncio.create_task(ingest.add(event(key=key))) for key in "abc"]
            await blocked(other)
            await other.execute(enqueue_b[0], enqueue_a)
        outcomes = await asyncio.gather(*keyed)
    assert [type(outcome).__name__ for outcome in outcomes] == ["Added"] * 3
    assert cluster.sql("select count(*) from v7.jobs") == [(3,)]
    assert cluster.sql(DEADLOCKED) == [(True,)]


@pytest.mark.fault(30)
@pytest.mark.slow
def test_ends_and_retries_beside_people_who_change_rows_in_any_order(cluster: Cluster, tmp_path: Path) -> None:
    """Whoever loses, each job ends once, and each charge stands."""
    chance = random.Random(30)
    good, bad = enqueue(cluster.url, {}, count=600), enqueue(cluster.url, {"do": "fail"}, count=200)
    settings: dict[str, Any] = {"V7_MAX_RETRIES": 3, "V7_RETRY_SECONDS": 0.01, "V7_WORKER_PROCESSES": 2}
    with (
        node(tmp_path / "a", cluster.url, **settings) as a,
        node(tmp_path / "b", cluster.url, **settings) as b,
        psycopg.connect(cluster.socket_url, autocommit=True) as hand,
    ):
        for _ in range(40):
            with contextlib.suppress(psycopg.errors.DeadlockDetected), hand.transaction():
                for job_id in chance.sample(good + bad, 20):
                    hand.execute("update v7.jobs set correlation_id = 'touched' where id = %s", [job_id])
            hand.execute("delete from v7.failures where failed_at < now() - interval '1 day'")
        wait_for_end(cluster.url)
        assert a.stop() == b.stop() == 0
    expected = [*((job_id, "succeeded", 0) for job_id in good), *((job_id, "dead", 3) for job_id in bad)]
    assert jobs(cluster.url) == expected
    check_books(cluster.url, a, b)
