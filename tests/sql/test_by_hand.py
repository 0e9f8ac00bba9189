"""What a worker says of a job waits for whoever changes its row by hand, and holds all the same."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from v7_task_processor import database, queue
from v7_task_processor.queue import Connection

from ..support import add, one, take, until_waiting, worker

Say = Callable[[Connection, int, int], Awaitable[object]]


async def completes(connection: Connection, worker_id: int, job_id: int) -> object:
    return await queue.complete(connection, worker_id, [(job_id, 1)], kept=True)


async def completes_unkept(connection: Connection, worker_id: int, job_id: int) -> object:
    return await queue.complete(connection, worker_id, [(job_id, 1)], kept=False)


async def completes_logged(connection: Connection, worker_id: int, job_id: int) -> object:
    return await queue.complete_logged(connection, worker_id, [(job_id, 1)], ["said"])


async def releases(connection: Connection, worker_id: int, job_id: int) -> object:
    return await queue.release(connection, worker_id, [(job_id, 1)])


@pytest.mark.fault(48)
@pytest.mark.parametrize(
    ("say", "status"), [(completes, None), (completes_unkept, None), (completes_logged, None), (releases, "queued")]
)
async def test_a_word_that_waits_for_a_hand_holds(
    connection: Connection, database_url: str, say: Say, status: str | None
) -> None:
    """That of a failure and of a Snooze is written once more: tests/worker/test_recorder_locked.py."""
    (job_id,) = await add(connection)
    worker_id = await worker(connection)
    await take(connection, worker_id)
    async with await database.connect(database_url) as hand:
        await hand.execute("begin")
        await hand.execute("update v7.jobs set priority = 3 where id = %s", [job_id])
        waiting = asyncio.ensure_future(say(connection, worker_id, job_id))
        await until_waiting(hand, connection, waiting)
        await hand.execute("commit")
        assert await waiting == 1
    if status is not None:
        assert await one(connection, "status, priority", job_id) == (status, 3)


@pytest.mark.fault(79)
async def test_which_rows_are_locked(connection: Connection, database_url: str) -> None:
    ids = await add(connection, 3)
    async with await database.connect(database_url) as hand, hand.transaction():
        await hand.execute("select from v7.jobs where id = any(%s) for update", [ids[1:]])
        assert await queue.locked(connection, [*ids[:2], 10**15]) == {ids[1]}
    assert await queue.locked(connection, ids) == set()
    async with connection.transaction():
        assert await queue.locked(connection, ids[:1]) == set()
        async with await database.connect(database_url) as other:
            assert await queue.locked(other, ids) == {ids[0]}, "to the end of the transaction"
