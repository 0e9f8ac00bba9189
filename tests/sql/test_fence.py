"""What leaves `running` is guarded by id, attempt and worker: a word that comes too late changes nothing."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from v7_task_processor import database, queue
from v7_task_processor.maintenance import release_orphans
from v7_task_processor.queue import Connection, Failure, Held

from ..support import add, everything, one, rows, take, take_one, until_waiting, worker

Word = Callable[[Connection, int, list[Held]], Coroutine[Any, Any, int]]


async def complete(connection: Connection, worker_id: int, held: list[Held]) -> int:
    return await queue.complete(connection, worker_id, held, kept=True)


async def complete_unkept(connection: Connection, worker_id: int, held: list[Held]) -> int:
    return await queue.complete(connection, worker_id, held, kept=False)


async def complete_logged(connection: Connection, worker_id: int, held: list[Held]) -> int:
    return await queue.complete_logged(connection, worker_id, held, ["said"] * len(held))


async def fail(connection: Connection, worker_id: int, held: list[Held]) -> int:
    return len(await queue.fail(connection, worker_id, "w", [Failure(*each, 0, "E", "m", "t") for each in held]))


async def discard(connection: Connection, worker_id: int, held: list[Held]) -> int:
    failures = [Failure(*each, 0, "Discard", "m", dead_reason="discarded") for each in held]
    return len(await queue.fail(connection, worker_id, "w", failures))


async def snooze(connection: Connection, worker_id: int, held: list[Held]) -> int:
    return len(await queue.snooze(connection, worker_id, [(*each, 60) for each in held]))


async def release(connection: Connection, worker_id: int, held: list[Held]) -> int:
    return await queue.release(connection, worker_id, held)


async def suspect(connection: Connection, worker_id: int, held: list[Held]) -> int:
    return await queue.release(connection, worker_id, held, suspect=True)


words = pytest.mark.parametrize(
    "word", [complete, complete_unkept, complete_logged, fail, discard, snooze, release, suspect]
)


@pytest.mark.fault(79)
@words
async def test_only_who_holds_this_attempt_has_a_word(connection: Connection, word: Word) -> None:
    await add(connection)
    worker_id, other = await worker(connection), await worker(connection)
    await take(connection, worker_id)
    await queue.release(connection, worker_id, await held(connection))
    job = await take_one(connection, worker_id)
    before = await everything(connection)
    for stale in ((worker_id, job.id, 1), (worker_id, job.id, 3), (other, job.id, 2), (worker_id, job.id + 1, 2)):
        assert await word(connection, stale[0], [stale[1:]]) == 0
        assert await everything(connection) == before
    assert await word(connection, worker_id, [(job.id, 2)]) == 1
    assert await everything(connection) != before


@words
async def test_a_word_is_heard_once(connection: Connection, word: Word) -> None:
    await add(connection)
    worker_id = await worker(connection)
    job = await take_one(connection, worker_id)
    assert await word(connection, worker_id, [(job.id, 1)]) == 1
    before = await everything(connection)
    assert await word(connection, worker_id, [(job.id, 1)]) == 0
    assert await everything(connection) == before


@words
async def test_after_a_rescue_the_lost_worker_has_no_word(connection: Connection, word: Word) -> None:
    await add(connection)
    lost, rescuer = await worker(connection), await worker(connection)
    job = await take_one(connection, lost)
    await queue.unregister(connection, [lost])
    await release_orphans(connection)
    before = await everything(connection)
    assert await word(connection, lost, [(job.id, 1)]) == 0
    assert await everything(connection) == before
    await take_one(connection, rescuer)
    before = await everything(connection)
    for attempt in (1, 2):
        assert await word(connection, lost, [(job.id, attempt)]) == 0
    assert await everything(connection) == before


@words
async def test_a_word_beside_a_rescue_that_is_not_committed_waits_and_then_changes_nothing(
    connection: Connection, database_url: str, word: Word
) -> None:
    await add(connection)
    lost, rescuer = await worker(connection), await worker(connection)
    job = await take_one(connection, lost)
    async with await database.connect(database_url) as other:
        await other.execute("begin")
        await queue.release(other, lost, [(job.id, 1)])
        await take_one(other, rescuer)
        speaking = asyncio.create_task(word(connection, lost, [(job.id, 1)]))
        await until_waiting(other, connection)
        await other.execute("commit")
        assert await speaking == 0
    assert await one(connection, "status, worker_id, attempt", job.id) == ("running", rescuer, 2)
    assert await rows(connection, "select count(*) from v7.failures") == [(0,)]


@words
async def test_a_stale_word_does_not_hold_up_its_neighbours(connection: Connection, word: Word) -> None:
    ids = await add(connection, 6)
    worker_id = await worker(connection)
    await take(connection, worker_id)
    given: list[Held] = [(job_id, 1 + place % 2) for place, job_id in enumerate(ids)]
    assert await word(connection, worker_id, given) == 3
    running = "select id from v7.jobs where status = 'running' order by id"
    assert await rows(connection, running) == [(job_id,) for job_id in ids[1::2]]


@words
async def test_no_word_about_nothing(connection: Connection, word: Word) -> None:
    assert await word(connection, await worker(connection), []) == 0


async def held(connection: Connection) -> list[Held]:
    return [(job_id, attempt) for job_id, attempt in await rows(connection, "select id, attempt from v7.jobs")]
