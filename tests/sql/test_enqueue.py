"""sql/enqueue.sql: events in, durably, in order."""

import random

import psycopg
import pytest

from v7_task_processor import queue
from v7_task_processor.queue import FIRST, LAST, Connection

from ..support import event, one, rows, take, worker


async def test_ids_and_positions_come_in_the_order_of_the_events(connection: Connection) -> None:
    chance = random.Random(1)
    events = [event(chance.choice([0, 1, FIRST, LAST]), event_data=str(place)) for place in range(500)]
    ids = await queue.enqueue(connection, events)
    found = await rows(connection, "select id, event_data::text from v7.jobs order by position")
    assert found == [(job_id, str(place)) for place, job_id in enumerate(ids)]


async def test_events_are_queued_as_they_were_sent(connection: Connection) -> None:
    sent = event(-5, 7, user_id=9, event_data=' {"a": 1E5, "a": -0.0}\n', correlation_id="näme")
    (job_id,) = await queue.enqueue(connection, [sent])
    columns = "event_type_id, user_id, priority, event_data::text, correlation_id"
    assert await one(connection, columns, job_id) == (7, 9, -5, ' {"a": 1E5, "a": -0.0}\n', "näme")
    columns = "status, attempt, retry_count, max_retries, worker_id, suspect, run_at, queued_at = created_at"
    assert await one(connection, columns, job_id) == ("queued", 0, 0, None, None, False, None, True)


@pytest.mark.fault(45)
@pytest.mark.parametrize("number", [FIRST, FIRST + 1, -1, 0, LAST - 1, LAST])
async def test_every_64_bit_number_is_taken_and_given_out(connection: Connection, number: int) -> None:
    await queue.enqueue(connection, [event(number, number, user_id=number)])
    (job,) = await take(connection, await worker(connection))
    assert (job.priority, job.event_type_id, job.user_id) == (number, number, number)


@pytest.mark.fault(45)
async def test_ids_and_positions_near_the_limit_live_like_others(connection: Connection) -> None:
    for sequence in ("jobs_id_seq", "position"):
        await connection.execute(f"select setval('v7.{sequence}', {LAST - 1000})")
    try:
        ids = await queue.enqueue(connection, [event(LAST), event(FIRST)])
        worker_id = await worker(connection)
        assert [job.id for job in await take(connection, worker_id)] == [ids[1], ids[0]]
        assert await queue.complete(connection, worker_id, [(ids[0], 1)], kept=True) == 1
        assert await queue.snooze(connection, worker_id, [(ids[1], 1, 5)]) == [ids[1]]
    finally:
        for sequence in ("jobs_id_seq", "position"):
            await connection.execute(f"select setval('v7.{sequence}', 1000000)")


@pytest.mark.parametrize("bad", [event(event_data="{"), event(correlation_id="\0"), event(2**63)])
async def test_what_postgres_refuses_adds_nothing_of_its_batch(connection: Connection, bad: queue.Enqueued) -> None:
    with pytest.raises(psycopg.DataError):
        await queue.enqueue(connection, [event(), bad, event()])
    assert await rows(connection, "select count(*) from v7.jobs") == [(0,)]


async def test_a_rollback_of_the_caller_takes_events_back(connection: Connection) -> None:
    async with connection.transaction(force_rollback=True):
        await queue.enqueue(connection, [event()])
    assert await rows(connection, "select count(*) from v7.jobs") == [(0,)]


async def test_however_numbers_vary_a_statement_is_prepared_once(connection: Connection) -> None:
    """psycopg declares the smallest type that holds a value: each combination would be planned anew."""
    for number in (1, 2**20, 2**40, -1, LAST):
        await queue.enqueue(connection, [event(number, number), event(1, 2)])
    count = "select count(*) from pg_prepared_statements where statement like 'with durably%%'"
    assert await rows(connection, count) == [(1,)]


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_each_event_keeps_its_own_trace_and_its_handler_is_given_it(connection: Connection) -> None:
    events = [event(), event(traceparent=TRACE, tracestate='a="1"'), event(traceparent=TRACE), event()]
    await queue.enqueue(connection, events)
    expected = [(None, None), (TRACE, 'a="1"'), (TRACE, None), (None, None)]
    assert await rows(connection, "select traceparent, tracestate from v7.jobs order by id") == expected
    claimed = await take(connection, await worker(connection))
    assert [(job.traceparent, job.tracestate) for job in claimed] == expected
