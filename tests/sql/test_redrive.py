"""sql/redrive.sql: dead letters, queued again."""

import datetime as dt

import pytest

from v7_task_processor import queue
from v7_task_processor.queue import Connection, Failure

from ..support import add, one, rows, take, take_one, worker


async def dead(connection: Connection, count: int = 1, event_type_id: int = 1) -> list[int]:
    ids = await add(connection, count, event_type_id=event_type_id)
    worker_id = await worker(connection)
    await take(connection, worker_id)
    await queue.fail(connection, worker_id, "w", [Failure(each, 1, 0, "E", "m", dead_reason="x") for each in ids])
    return ids


async def now(connection: Connection) -> dt.datetime:
    time: dt.datetime = (await rows(connection, "select clock_timestamp()"))[0][0]
    return time


async def test_a_dead_letter_runs_again_with_its_failures_forgiven(connection: Connection) -> None:
    (job_id,) = await dead(connection)
    assert await queue.redrive(connection, 10, await now(connection)) == [job_id]
    columns = "status, retry_count, dead_at, dead_reason, worker_id, run_at, attempt, max_retries, last_error"
    assert await one(connection, columns, job_id) == ("queued", 0, None, None, None, None, 1, 5, "E: m")
    job = await take_one(connection, await worker(connection))
    assert (job.attempt, job.retry_count) == (2, 0)
    assert await rows(connection, "select count(*) from v7.failures") == [(1,)]


async def test_it_goes_to_the_tail_of_its_priority_in_the_order_of_death(connection: Connection) -> None:
    first, second = await dead(connection, 2)
    await connection.execute("update v7.jobs set dead_at = dead_at - interval '1 hour' where id = %s", [second])
    (queued,) = await add(connection)
    (worse,) = await add(connection, priority=1)
    await queue.redrive(connection, 10, await now(connection))
    order = [job.id for job in await take(connection, await worker(connection))]
    assert order == [queued, second, first, worse]
    assert await one(connection, "queued_at > created_at", first) == (True,)


async def test_only_those_that_were_dead_by_then(connection: Connection) -> None:
    before = await dead(connection)
    until = await now(connection)
    after = await dead(connection)
    assert await queue.redrive(connection, 10, until) == before
    assert await one(connection, "status", after[0]) == ("dead",)


async def test_only_those_that_are_named_and_dead(connection: Connection) -> None:
    first, _, third = await dead(connection, 3)
    (queued,) = await add(connection)
    found = await queue.redrive(connection, 10, await now(connection), ids=[third, queued, first, 10**15])
    assert sorted(found) == [first, third]
    assert await queue.redrive(connection, 10, await now(connection), ids=[]) == []


async def test_only_those_of_the_type(connection: Connection) -> None:
    await dead(connection, event_type_id=1)
    of_two = await dead(connection, 2, event_type_id=2)
    found = await queue.redrive(connection, 10, await now(connection), event_type_id=2)
    assert sorted(found) == of_two
    assert await queue.redrive(connection, 10, await now(connection), ids=of_two, event_type_id=1) == []


async def test_a_batch_at_a_time(connection: Connection) -> None:
    ids, until = await dead(connection, 5), await now(connection)
    found = [await queue.redrive(connection, 2, until) for _ in range(4)]
    assert [len(batch) for batch in found] == [2, 2, 1, 0]
    assert sorted(job_id for batch in found for job_id in batch) == ids


@pytest.mark.parametrize("suspect", [False, True])
async def test_a_suspect_stays_one(connection: Connection, suspect: bool) -> None:
    (job_id,) = await dead(connection)
    await connection.execute("update v7.jobs set suspect = %s", [suspect])
    await queue.redrive(connection, 10, await now(connection))
    assert await one(connection, "suspect", job_id) == (suspect,)
