"""What people do with one job: from which status it may be done, once, and never beside a worker's word."""

import asyncio
import datetime as dt
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
import pytest

from v7_task_processor import database, queue
from v7_task_processor.queue import Connection, Failure

from ..support import add, everything, one, rows, take, take_one, until_waiting, worker

LATER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
Act = Callable[[Connection, int], Coroutine[Any, Any, object]]

ACTS: dict[str, tuple[Act, str]] = {
    "cancel": (queue.cancel, "cancel"),
    "retry": (queue.retry, "retry"),
    "reschedule": (lambda connection, job_id: queue.reschedule(connection, job_id, LATER), "reschedule"),
    "priority": (lambda connection, job_id: queue.set_priority(connection, job_id, 7), "priority"),
    "redrive": (queue.redrive_one, "redrive"),
    "redrive edited": (lambda connection, job_id: queue.redrive_edited(connection, job_id, "2"), "redrive"),
}
STATUSES = ("scheduled", "queued", "running", "dead", "succeeded", "cancelled")


async def job_that_is(connection: Connection, status: str) -> int:
    (job_id,) = await add(connection)
    if status == "scheduled":
        await connection.execute("update v7.jobs set status = 'scheduled', run_at = now() + interval '1 hour'")
    elif status == "cancelled":
        await queue.cancel(connection, job_id)
    elif status != "queued":
        worker_id = await worker(connection)
        await take(connection, worker_id)
        if status == "dead":
            await queue.fail(connection, worker_id, "w", [Failure(job_id, 1, 0, "E", "m", dead_reason="x")])
        elif status == "succeeded":
            await queue.complete(connection, worker_id, [(job_id, 1)], kept=True)
    assert await queue.status_of(connection, job_id) == status
    return job_id


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("name", ACTS)
async def test_each_act_is_for_some_statuses_and_changes_nothing_else(
    connection: Connection, name: str, status: str
) -> None:
    act, verb = ACTS[name]
    may = queue.MAY[verb]
    job_id = await job_that_is(connection, status)
    before = await everything(connection)
    done = await act(connection, job_id)
    assert bool(done) == (status in may)
    assert (await everything(connection) != before) == (status in may)
    assert not await act(connection, 10**15)


@pytest.mark.parametrize("name", ["retry", "redrive", "redrive edited", "cancel"])
async def test_of_two_callers_at_once_one_does_it(connection: Connection, database_url: str, name: str) -> None:
    act, _ = ACTS[name]
    job_id = await job_that_is(connection, "dead")
    async with await database.connect(database_url) as other:
        await other.execute("begin")
        assert await act(other, job_id)
        second = asyncio.create_task(act(connection, job_id))
        await until_waiting(other, connection)
        await other.execute("commit")
        assert not await second
    assert await rows(connection, "select count(*) from v7.jobs") == [(0 if name == "cancel" else 1,)]


@pytest.mark.parametrize("first", ["cancel", "complete", "fail"])
async def test_a_cancel_beside_the_workers_word(connection: Connection, database_url: str, first: str) -> None:
    """Whichever commits first, the job ends once, and the other hears that it came too late."""
    (job_id,) = await add(connection)
    worker_id = await worker(connection)
    await take_one(connection, worker_id)

    async def speak(on: Connection) -> object:
        if first == "fail":
            return await queue.fail(on, worker_id, "w", [Failure(job_id, 1, 0, "E", "m")])
        return await queue.complete(on, worker_id, [(job_id, 1)], kept=True)

    async def cancel(on: Connection) -> object:
        return await queue.cancel(on, job_id)

    one_first, then = (cancel, speak) if first == "cancel" else (speak, cancel)
    async with await database.connect(database_url) as other:
        await other.execute("begin")
        assert await one_first(other)
        waiting = asyncio.create_task(then(connection))
        await until_waiting(other, connection)
        await other.execute("commit")
        # What failed is back in the queue, and may be cancelled there.
        assert await waiting == {"cancel": 0, "complete": None, "fail": "queued"}[first]
    expected = "succeeded" if first == "complete" else "cancelled"
    assert await rows(connection, "select id, status from v7.all_jobs") == [(job_id, expected)]


async def test_a_cancelled_job_keeps_its_history(connection: Connection) -> None:
    job_id = await job_that_is(connection, "dead")
    assert await queue.cancel(connection, job_id) == "dead"
    columns = "status, event_data::text, retry_count, attempt, last_error, finished_at is not null, dead_at"
    assert await one(connection, columns, job_id) == ("cancelled", "{}", 1, 1, "E: m", True, None)
    assert await rows(connection, "select count(*) from v7.failures where job_id = %s", job_id) == [(1,)]


async def test_workers_are_told_of_what_runs_and_of_what_came(connection: Connection, database_url: str) -> None:
    async with await database.connect(database_url) as listening:
        await listening.execute("listen v7")
        await queue.cancel(connection, await job_that_is(connection, "queued"))
        await queue.cancel(connection, await job_that_is(connection, "running"))
        await queue.retry(connection, await job_that_is(connection, "scheduled"))
        heard = [notice.payload async for notice in listening.notifies(timeout=60, stop_after=2)]
    assert heard == ["cancelled", "jobs"]


async def test_retry_goes_to_the_tail_and_forgives_only_the_dead(connection: Connection) -> None:
    scheduled = await job_that_is(connection, "scheduled")
    await connection.execute("update v7.jobs set retry_count = 3")
    (queued,) = await add(connection)
    assert await queue.retry(connection, scheduled)
    assert await one(connection, "status, retry_count, run_at", scheduled) == ("queued", 3, None)
    assert [job.id for job in await take(connection, await worker(connection))] == [queued, scheduled]
    dead = await job_that_is(connection, "dead")
    assert await queue.retry(connection, dead)
    columns = "status, retry_count, dead_at, dead_reason, last_error"
    assert await one(connection, columns, dead) == ("queued", 0, None, None, "E: m")


async def test_reschedule_takes_any_time_in_reach(connection: Connection) -> None:
    job_id = await job_that_is(connection, "queued")
    assert await queue.reschedule(connection, job_id, LATER)
    assert await one(connection, "status, run_at", job_id) == ("scheduled", LATER)
    assert await queue.reschedule(connection, job_id, dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
    assert await queue.promote(connection, 10) == 1
    with pytest.raises(psycopg.errors.CheckViolation):
        await queue.reschedule(connection, job_id, dt.datetime(9999, 6, 1, tzinfo=dt.UTC))


async def test_a_new_priority_goes_to_its_tail_and_the_same_one_changes_nothing(connection: Connection) -> None:
    first, second, third = await add(connection, 3, priority=5)
    (better,) = await add(connection, priority=1)
    await queue.set_priority(connection, first, 5)
    await queue.set_priority(connection, third, 1)
    assert [job.id for job in await take(connection, await worker(connection))] == [better, third, first, second]


async def test_an_edited_redrive_is_a_new_job_that_names_the_old(connection: Connection) -> None:
    old = await job_that_is(connection, "dead")
    await connection.execute("update v7.jobs set priority = 3, suspect = true, correlation_id = 'order-1'")
    sent = r'{"a": 1E5, "a": "\u0000"}'
    new = await queue.redrive_edited(connection, old, sent)
    assert new is not None
    assert new > old
    columns = "status, event_data::text, priority, suspect, correlation_id, retry_count, attempt, redriven_from"
    assert await one(connection, columns, new) == ("queued", sent, 3, True, "order-1", 0, 0, old)
    assert await one(connection, "status, event_data::text, redriven_from", old) == ("cancelled", "{}", None)
    worker_id = await worker(connection)
    (job,) = (await queue.claim_suspect(connection, worker_id, queue.Served(True, [], [], {}, 5))).jobs
    await queue.complete(connection, worker_id, [(job.id, job.attempt)], kept=True)
    assert await one(connection, "status, redriven_from", new) == ("succeeded", old)


async def test_what_is_no_json_leaves_the_dead_letter_where_it_was(connection: Connection) -> None:
    old = await job_that_is(connection, "dead")
    with pytest.raises(psycopg.DataError):
        await queue.redrive_edited(connection, old, "{")
    assert await queue.status_of(connection, old) == "dead"


async def test_what_was_taken_away(connection: Connection) -> None:
    first, second, third = await add(connection, 3)
    worker_id = await worker(connection)
    await take(connection, worker_id)
    await queue.cancel(connection, first)
    await queue.release(connection, worker_id, [(second, 1)])
    mine = [(first, 1, worker_id), (second, 1, worker_id), (third, 1, worker_id), (third, 2, worker_id), (third, 1, 0)]
    assert await queue.taken_away(connection, mine) == {mine[0], mine[1], mine[3], mine[4]}
    assert await queue.taken_away(connection, []) == set()
    await take_one(connection, worker_id)
    assert (second, 1, worker_id) in await queue.taken_away(connection, mine), "its next attempt is another"


def test_why_not() -> None:
    assert queue.why_not(7, "running", "retry") == (
        "Job 7 is running, and cannot be retried: only one that is scheduled or dead can."
    )
    assert queue.why_not(7, "running", "redrive") == (
        "Job 7 is running, and cannot be redriven: only one that is dead can."
    )
    assert queue.why_not(7, "running", "cancel") == (
        "Job 7 changed while this was asked for, and is running now: ask again."
    )


async def test_where_a_job_stands(connection: Connection) -> None:
    assert await queue.status_of(connection, await job_that_is(connection, "running")) == "running"
    assert await queue.status_of(connection, 10**15) is None
