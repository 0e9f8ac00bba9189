"""sql/complete.sql, complete_unkept.sql and complete_logged.sql: jobs that succeeded leave the queue."""

import psycopg
import pytest

from v7_task_processor import queue
from v7_task_processor.queue import Connection

from ..support import event, one, rows, take, take_one, worker

KEPT = """id, event_type_id, user_id, priority, event_data::text, correlation_id, position, retry_count, max_retries,
    attempt, worker_id, suspect, last_error, created_at, queued_at, claimed_at"""
PARTITIONS = "select inhrelid::regclass::text from pg_inherits where inhparent = 'v7.finished_jobs'::regclass"


async def test_a_job_that_succeeded_moves_into_the_history_as_it_was(connection: Connection) -> None:
    await queue.enqueue(connection, [event(-7, 3, event_data='{"a":  1E5}')])
    worker_id = await worker(connection)
    job = await take_one(connection, worker_id)
    await connection.execute("update v7.jobs set retry_count = 2, last_error = 'E: m', suspect = true")
    before = await rows(connection, f"select {KEPT} from v7.jobs")
    assert await queue.complete(connection, worker_id, [(job.id, 1)], kept=True) == 1
    assert await rows(connection, f"select {KEPT} from v7.finished_jobs") == before
    ended = await rows(connection, "select status, run_at, dead_at, finished_at >= claimed_at from v7.finished_jobs")
    assert ended == [("succeeded", None, None, True)]
    assert await rows(connection, "select count(*) from v7.jobs") == [(0,)]


async def test_without_history_it_is_gone(connection: Connection) -> None:
    await queue.enqueue(connection, [event()])
    worker_id = await worker(connection)
    job = await take_one(connection, worker_id)
    assert await queue.complete(connection, worker_id, [(job.id, 1)], kept=False) == 1
    assert await rows(connection, "select count(*) from v7.all_jobs") == [(0,)]


async def test_a_batch_of_500(connection: Connection) -> None:
    await queue.enqueue(connection, [event()] * 500)
    worker_id = await worker(connection)
    held = [(job.id, job.attempt) for job in await take(connection, worker_id, 500)]
    assert await queue.complete(connection, worker_id, held[::-1], kept=True) == 500
    assert await rows(connection, "select count(*) from v7.finished_jobs") == [(500,)]


async def test_what_was_logged_goes_into_the_history_each_with_its_own_job(connection: Connection) -> None:
    await queue.enqueue(connection, [event()] * 500)
    worker_id = await worker(connection)
    held = [(job.id, job.attempt) for job in await take(connection, worker_id, 500)]
    logs = [f'job {job_id} said "{{\\"' for job_id, _ in held]
    assert await queue.complete_logged(connection, worker_id, held[::-1], logs[::-1]) == 500
    assert await rows(connection, "select log from v7.finished_jobs order by id") == [(log,) for log in logs]


async def test_what_an_earlier_attempt_logged_is_not_taken_for_what_the_last_one_did(connection: Connection) -> None:
    await queue.enqueue(connection, [event()])
    worker_id = await worker(connection)
    job = await take_one(connection, worker_id)
    await queue.snooze(connection, worker_id, [(job.id, 1, 0)], ["not yet"])
    assert await one(connection, "log", job.id) == ("not yet",)
    await queue.promote(connection, 1)
    await take_one(connection, worker_id)
    assert await queue.complete(connection, worker_id, [(job.id, 2)], kept=True) == 1
    assert await one(connection, "log", job.id) == (None,)


@pytest.mark.fault(43)
async def test_without_a_partition_for_today_nothing_is_lost(connection: Connection) -> None:
    await queue.enqueue(connection, [event()])
    worker_id = await worker(connection)
    job = await take_one(connection, worker_id)
    async with connection.transaction(force_rollback=True):
        for (name,) in await rows(connection, PARTITIONS):
            await connection.execute(f"drop table {name}".encode())
        with pytest.raises(psycopg.errors.CheckViolation):
            async with connection.transaction():
                await queue.complete(connection, worker_id, [(job.id, 1)], kept=True)
        assert await queue.add_days(connection, 1) == 2
        assert await queue.complete(connection, worker_id, [(job.id, 1)], kept=True) == 1
