"""sql/snooze.sql, release.sql, release_orphans.sql and held.sql: what goes back without being charged."""

import datetime as dt

import pytest

from v7_task_processor import queue
from v7_task_processor.maintenance import release_orphans
from v7_task_processor.queue import Connection, Running

from ..support import add, one, rows, take, take_one, worker


async def test_a_snoozed_job_is_scheduled_and_not_charged(connection: Connection) -> None:
    ids = await add(connection, 3)
    worker_id = await worker(connection)
    await take(connection, worker_id)
    await connection.execute("update v7.jobs set suspect = true, retry_count = 1, last_error = 'before'")
    async with connection.transaction():
        ((now,),) = await rows(connection, "select now()")
        seconds = [0.25, 0, 86_400]
        put_off = [(job_id, 1, each) for job_id, each in zip(ids, seconds, strict=True)]
        assert sorted(await queue.snooze(connection, worker_id, put_off[::-1])) == ids
    columns = "status, run_at, worker_id, retry_count, suspect, last_error"
    assert await rows(connection, f"select {columns} from v7.jobs order by id") == [
        ("scheduled", now + dt.timedelta(seconds=each), None, 1, False, "before") for each in seconds
    ]
    assert await rows(connection, "select count(*) from v7.failures") == [(0,)]


async def test_a_released_job_stands_where_it_stood(connection: Connection) -> None:
    first, second = await add(connection, 2)
    worker_id = await worker(connection)
    before = await one(connection, "position, queued_at, retry_count", first)
    assert (await take_one(connection, worker_id)).id == first
    assert await queue.release(connection, worker_id, [(first, 1)]) == 1
    assert await one(connection, "position, queued_at, retry_count", first) == before
    columns = "status, worker_id, attempt, suspect, last_error"
    assert await one(connection, columns, first) == ("queued", None, 1, False, None)
    assert [(job.id, job.attempt) for job in await take(connection, worker_id)] == [(first, 2), (second, 1)]


@pytest.mark.parametrize(("was", "becomes", "then"), [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)])
async def test_a_suspect_stays_one_until_it_has_shown_what_it_is(
    connection: Connection, was: int, becomes: int, then: int
) -> None:
    (job_id,) = await add(connection)
    worker_id = await worker(connection)
    await take_one(connection, worker_id)
    await connection.execute("update v7.jobs set suspect = %s", [bool(was)])
    await queue.release(connection, worker_id, [(job_id, 1)], suspect=bool(becomes))
    assert await one(connection, "suspect", job_id) == (bool(then),)


async def test_what_runs_under_no_worker_is_given_back(connection: Connection) -> None:
    first, second, third = await add(connection, 3)
    gone, alive = await worker(connection), await worker(connection)
    for worker_id in (gone, gone, alive):
        await take_one(connection, worker_id)
    before = await one(connection, "position, suspect, retry_count", first)
    assert await release_orphans(connection) == 0
    await queue.unregister(connection, [gone])
    assert [len(held) for held in (await queue.orphans(connection, 1)).values()] == [1]
    assert await release_orphans(connection, {first}) == 1
    assert await release_orphans(connection) == 1
    assert await release_orphans(connection) == 0
    assert await one(connection, "position, suspect, retry_count", first) == before
    assert await rows(connection, "select id, status, worker_id from v7.jobs order by id") == [
        (first, "queued", None),
        (second, "queued", None),
        (third, "running", alive),
    ]


async def test_what_the_database_says_that_workers_hold(connection: Connection) -> None:
    worse, suspect, better = await add(connection, priority=2) + await add(connection) + await add(connection)
    one_worker, another, third = [await worker(connection) for _ in range(3)]
    await take_one(connection, one_worker)
    await take_one(connection, another)
    await take_one(connection, one_worker)
    await connection.execute("update v7.jobs set suspect = true, retry_count = 3 where id = %s", [suspect])
    found = await queue.held_by(connection, [one_worker, another, third])
    assert found == [
        Running(suspect, 1, one_worker, True, 5, 3, 1),
        Running(better, 1, another, False, 5, 0, 1),
        Running(worse, 1, one_worker, False, 5, 0, 1),
    ]
    assert await queue.held_by(connection, [another]) == [found[1]]
    assert await queue.held_by(connection, []) == []
