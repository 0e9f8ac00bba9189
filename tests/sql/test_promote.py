"""sql/promote.sql and next_due.sql: scheduled jobs whose time has come."""

import pytest

from v7_task_processor import database, queue
from v7_task_processor.queue import Connection

from ..support import one, rows, take, worker


async def scheduled(connection: Connection, seconds: float, priority: int = 0) -> int:
    """A job that is due in so many seconds; negative ones are past."""
    statement = "select v7.enqueue(1, 1, %s, '0', run_at => now() + interval '1 hour')"
    ((job_id,),) = await rows(connection, statement, priority)
    await connection.execute(
        "update v7.jobs set run_at = now() + make_interval(secs => %s::float8) where id = %s", [seconds, job_id]
    )
    return int(job_id)


async def test_what_is_due_is_queued_in_the_order_in_which_it_came_due(connection: Connection) -> None:
    third, first, second = [await scheduled(connection, seconds) for seconds in (-60, -180, -120)]
    later = await scheduled(connection, 60)
    assert await queue.promote(connection, 100) == 3
    assert await one(connection, "status", later) == ("scheduled",)
    columns = "status, run_at, queued_at > created_at, attempt, retry_count"
    assert await one(connection, columns, first) == ("queued", None, True, 0, 0)
    assert [job.id for job in await take(connection, await worker(connection))] == [first, second, third]


async def test_what_came_due_at_once_is_queued_in_the_order_of_arrival(connection: Connection) -> None:
    ids = [await scheduled(connection, -1) for _ in range(3)]
    await connection.execute("update v7.jobs set run_at = '2020-01-01' where id = %s", [ids[2]])
    await connection.execute("update v7.jobs set run_at = '2020-01-01' where id = any(%s)", [ids[:2]])
    assert await queue.promote(connection, 100) == 3
    assert [job.id for job in await take(connection, await worker(connection))] == ids


async def test_it_goes_to_the_tail_of_its_priority(connection: Connection) -> None:
    due = await scheduled(connection, -1)
    ((queued,),) = await rows(connection, "select v7.enqueue(1, 1, 0, '0')")
    ((worse,),) = await rows(connection, "select v7.enqueue(1, 1, 1, '0')")
    await queue.promote(connection, 100)
    assert [job.id for job in await take(connection, await worker(connection))] == [queued, due, worse]


async def test_batches_begin_with_what_waits_longest(connection: Connection) -> None:
    ids = [await scheduled(connection, seconds) for seconds in (-120, -180, -60)]
    for expected in (ids[1], ids[0], ids[2]):
        assert await queue.promote(connection, 1) == 1
        newest = await rows(connection, "select id from v7.jobs where status = 'queued' order by position desc limit 1")
        assert newest == [(expected,)]
    assert await queue.promote(connection, 1) == 0


async def test_two_at_once_pass_over_each_others_rows(connection: Connection, database_url: str) -> None:
    ids = [await scheduled(connection, seconds) for seconds in (-3, -2, -1)]
    await connection.execute("set lock_timeout = '5s'")
    async with await database.connect(database_url) as other:
        await other.execute("begin")
        assert await queue.promote(other, 1) == 1
        assert await queue.promote(connection, 10) == 2
        assert await one(connection, "status", ids[0]) == ("scheduled",)
        await other.execute("commit")
    assert await rows(connection, "select count(*) from v7.jobs where status = 'queued'") == [(3,)]


async def test_when_the_next_one_is_due(connection: Connection) -> None:
    assert await queue.next_due_seconds(connection) is None
    async with connection.transaction():
        await scheduled(connection, 90)
        await scheduled(connection, 30)
        assert await queue.next_due_seconds(connection) == pytest.approx(30)
        await scheduled(connection, -5)
        assert await queue.next_due_seconds(connection) == pytest.approx(-5)
