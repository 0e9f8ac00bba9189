"""sql/fail.sql: a failure is charged; the job goes to the tail, to its back-off, or to the dead letters."""

import datetime as dt

import pytest

from v7_task_processor import handlers, queue
from v7_task_processor.queue import Connection, Failure

from ..support import EVERYTHING, add, one, rows, take, take_one, worker


@pytest.mark.parametrize(("max_retries", "runs"), [(0, 1), (1, 1), (2, 2), (5, 5)])
async def test_a_job_runs_as_often_as_its_limit_says_and_is_dead(
    connection: Connection, max_retries: int, runs: int
) -> None:
    (job_id,) = await add(connection)
    worker_id = await worker(connection)
    served = EVERYTHING._replace(max_retries=max_retries)
    for run in range(1, runs + 1):
        job = await take_one(connection, worker_id, served)
        assert (job.attempt, job.retry_count) == (run, run - 1)
        answer = await queue.fail(connection, worker_id, "w", [Failure(job_id, run, 0, "E", f"run {run}")])
        assert answer == [(job_id, "dead" if run == runs else "queued", run)]
    columns = "status, dead_reason, dead_at >= claimed_at, worker_id, run_at, retry_count, last_error"
    assert await one(connection, columns, job_id) == (
        *("dead", "max_retries reached", True, None, None, runs, f"E: run {runs}"),
    )
    assert await take(connection, worker_id) == []


async def test_without_delay_it_goes_to_the_tail_of_its_priority(connection: Connection) -> None:
    failing, waiting = await add(connection, 2)
    (worse,) = await add(connection, priority=1)
    worker_id = await worker(connection)
    await take_one(connection, worker_id)
    (last,) = await rows(connection, "select max(position) from v7.jobs")
    await queue.fail(connection, worker_id, "w", [Failure(failing, 1, 0, "E", "m")])
    columns = "status, position > %s, queued_at > created_at, worker_id, run_at"
    assert await rows(connection, f"select {columns} from v7.jobs where id = %s", last[0], failing) == [
        ("queued", True, True, None, None)
    ]
    assert [job.id for job in await take(connection, worker_id)] == [waiting, failing, worse]


async def test_with_a_delay_it_is_scheduled_by_the_databases_clock(connection: Connection) -> None:
    (job_id,) = await add(connection)
    worker_id = await worker(connection)
    await take_one(connection, worker_id)
    async with connection.transaction():
        ((now,),) = await rows(connection, "select now()")
        await queue.fail(connection, worker_id, "w", [Failure(job_id, 1, 90.5, "E", "m")])
    assert await one(connection, "status, run_at, worker_id, retry_count", job_id) == (
        *("scheduled", now + dt.timedelta(seconds=90.5), None, 1),
    )


async def test_a_discard_is_dead_at_once_with_its_reason(connection: Connection) -> None:
    (job_id,) = await add(connection)
    worker_id = await worker(connection)
    await take_one(connection, worker_id)
    failure = Failure(job_id, 1, 60, "Discard", "negative", dead_reason="discarded: negative")
    assert await queue.fail(connection, worker_id, "w", [failure]) == [(job_id, "dead", 1)]
    columns = "status, dead_reason, last_error, run_at, worker_id"
    assert await one(connection, columns, job_id) == ("dead", "discarded: negative", "Discard: negative", None, None)


@pytest.mark.parametrize("delay_seconds", [0, 60])
async def test_who_failed_by_itself_is_no_suspect_and_who_crashed_stays_one(
    connection: Connection, delay_seconds: float
) -> None:
    failed, crashed = await add(connection, 2)
    worker_id = await worker(connection)
    await take(connection, worker_id)
    await connection.execute("update v7.jobs set suspect = true")
    failures = [
        Failure(failed, 1, delay_seconds, "E", "m"),
        Failure(crashed, 1, delay_seconds, "Crash", "m", suspect=True),
    ]
    await queue.fail(connection, worker_id, "w", failures)
    assert await rows(connection, "select id, suspect from v7.jobs order by id") == [(failed, False), (crashed, True)]


async def test_each_failure_is_recorded(connection: Connection) -> None:
    (job_id,) = await add(connection, event_type_id=4)
    worker_id = await worker(connection)
    for attempt in (1, 2):
        await take_one(connection, worker_id)
        failure = Failure(job_id, attempt, 0, "ValueError", "m" * 2000, "trace" if attempt == 1 else None)
        await queue.fail(connection, worker_id, "host:1", [failure])
    columns = "attempt, event_type_id, error_type, message, traceback, worker_id, worker, failed_at >= claimed_at"
    assert await rows(connection, f"select {columns} from v7.failures order by id") == [
        (1, 4, "ValueError", "m" * 2000, "trace", worker_id, "host:1", True),
        (2, 4, "ValueError", "m" * 2000, None, worker_id, "host:1", True),
    ]
    assert await one(connection, "last_error", job_id) == ("ValueError: " + "m" * 1000,)


async def test_what_it_logged_is_recorded_with_it_and_not_with_the_job(connection: Connection) -> None:
    (job_id,) = await add(connection)
    worker_id = await worker(connection)
    await take_one(connection, worker_id)
    await queue.snooze(connection, worker_id, [(job_id, 1, 0)], ["not yet"])
    await queue.promote(connection, 1)
    await take_one(connection, worker_id)
    await queue.fail(connection, worker_id, "w", [Failure(job_id, 2, 0, "E", "m", log="said")])
    assert await rows(connection, "select attempt, log from v7.failures") == [(2, "said")]
    assert await one(connection, "status, log", job_id) == ("queued", None)


async def test_a_batch_keeps_what_belongs_to_each(connection: Connection) -> None:
    ids = await add(connection, 500)
    worker_id = await worker(connection)
    await take(connection, worker_id, 500)
    failures = [
        Failure(
            job_id,
            1,
            place % 2,
            f"E{place}",
            f"m{place}",
            f"t{place}",
            "x" if place % 5 == 0 else None,
            log=f"l{place}",
        )
        for place, job_id in enumerate(ids)
    ]
    answers = await queue.fail(connection, worker_id, "w", failures[::-1])
    states = {place: ("dead" if place % 5 == 0 else "scheduled" if place % 2 else "queued") for place in range(500)}
    assert sorted(answers) == [(job_id, states[place], 1) for place, job_id in enumerate(ids)]
    found = await rows(connection, "select job_id, error_type, message, traceback, log from v7.failures order by 1")
    assert found == [(job_id, f"E{place}", f"m{place}", f"t{place}", f"l{place}") for place, job_id in enumerate(ids)]


async def test_texts_that_no_text_column_holds_are_taken_when_described(connection: Connection) -> None:
    (job_id,) = await add(connection)
    worker_id = await worker(connection)
    await take_one(connection, worker_id)
    described = handlers.describe(ValueError("nul \0, lone \ud800, " + "ж" * 50_000))
    await queue.fail(connection, worker_id, "w", [Failure(job_id, 1, 0, *described)])
    ((message,),) = await rows(connection, "select message from v7.failures")
    assert message == described.message
    assert message.startswith("nul \\x00, lone \\ud800, жж")
