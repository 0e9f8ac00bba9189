"""Rows of event types: made by their first event, paused and resumed by people."""

import asyncio

import pytest

from v7_task_processor import database, queue
from v7_task_processor.queue import FIRST, LAST, Connection

from ..support import add, rows, until_waiting


async def test_rows_are_made_once(connection: Connection) -> None:
    assert await queue.ensure_event_types(connection, [3, FIRST, 3, LAST]) == [FIRST, 3, LAST]
    assert await queue.ensure_event_types(connection, [LAST, 4, 3]) == [4]
    assert await queue.ensure_event_types(connection, []) == []


@pytest.mark.fault(30)
async def test_two_that_meet_types_in_opposite_orders_do_not_deadlock(
    connection: Connection, database_url: str
) -> None:
    async with await database.connect(database_url) as other:
        await other.execute("begin")
        await queue.ensure_event_types(other, [1])
        waiting = asyncio.create_task(queue.ensure_event_types(connection, [2, 1]))
        await until_waiting(other, connection)
        assert await queue.ensure_event_types(other, [2]) == [2]  # a deadlock, had the other begun with it
        await other.execute("commit")
        assert await waiting == []


async def test_types_that_came_by_sql_are_found_in_the_queue(connection: Connection) -> None:
    for event_type_id in (5, FIRST, 5, LAST, 2):
        await add(connection, 3, event_type_id=event_type_id)
    await queue.ensure_event_types(connection, [2])
    known = "select event_type_id from v7.event_types order by 1"
    assert await queue.discover_event_types(connection, FIRST, 2) == 5
    assert await rows(connection, known) == [(FIRST,), (2,)]
    assert await queue.discover_event_types(connection, 5, 2) is None
    assert await rows(connection, known) == [(FIRST,), (2,), (5,), (LAST,)]
    assert await queue.discover_event_types(connection, FIRST, 3) == LAST


async def test_pausing_twice_keeps_since_when_and_by_whom(connection: Connection) -> None:
    since = await queue.pause_event_type(connection, 7, "Ann")
    assert await queue.pause_event_type(connection, 7, "Bob") == since
    assert await rows(connection, "select paused_at, paused_by from v7.event_types") == [(since, "Ann")]
    assert (await queue.restrictions(connection, -1)).paused == [7]


async def test_a_resumed_type_runs_and_may_be_paused_anew(connection: Connection) -> None:
    first = await queue.pause_event_type(connection, 7, "Ann")
    assert await queue.resume_event_type(connection, 7)
    assert (await queue.restrictions(connection, -1)).paused == []
    assert await queue.resume_event_type(connection, 7)
    assert not await queue.resume_event_type(connection, 8)
    assert await queue.pause_event_type(connection, 7, "Bob") > first
    assert await rows(connection, "select paused_by from v7.event_types") == [("Bob",)]


async def test_workers_hear_of_a_pause_and_of_its_end(connection: Connection, database_url: str) -> None:
    async with await database.connect(database_url) as listener:
        await listener.execute("listen v7")
        await queue.pause_event_type(connection, 1, "Ann")
        await queue.resume_event_type(connection, 1)
        heard = [notice.payload async for notice in listener.notifies(timeout=30, stop_after=2)]
        assert heard == ["types", "types"]
