"""What a worker says of a job waits for whoever changes its row by hand, and holds all the same."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from v7_task_processor import database, queue
from v7_task_processor.queue import Connection, Failure

from ..support import add, one, take, until_waiting, worker

Say = Callable[[Connection, int, int], Awaitable[object]]


async def completes(connection: Connection, worker_id: int, job_id: int) -> object:
    return await queue.complete(connection, worker_id, [(job_id, 1)], kept=True)


async def fails(connection: Connection, worker_id: int, job_id: int) -> object:
    return len(await queue.fail(connection, worker_id, "w", [Failure(job_id, 1, 0, "E", "m")]))


async def snoozes(connection: Connection, worker_id: int, job_id: int) -> object:
    return await queue.snooze(connection, worker_id, [(job_id, 1, 60.0)], [None])


async def releases(connection: Connection, worker_id: int, job_id: int) -> object:
    return await queue.release(connection, worker_id, [(job_id, 1)])


@pytest.mark.fault(48)
@pytest.mark.parametrize(
    ("say", "status"), [(completes, None), (fails, "queued"), (snoozes, "scheduled"), (releases, "queued")]
)
async def test_a_word_that_waits_for_a_hand_holds(
    connection: Connection, database_url: str, say: Say, status: str | None
) -> None:
    (job_id,) = await add(connection)
    worker_id = await worker(connection)
    await take(connection, worker_id)
    async with await database.connect(database_url) as hand:
        await hand.execute("begin")
        await hand.execute("update v7.jobs set priority = 3 where id = %s", [job_id])
        waiting = asyncio.ensure_future(say(connection, worker_id, job_id))
        await until_waiting(hand, connection)
        await hand.execute("commit")
        assert await waiting == 1
    if status is not None:
        assert await one(connection, "status, priority", job_id) == (status, 3)
