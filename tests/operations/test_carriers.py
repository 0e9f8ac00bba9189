"""Operations: each job once, whoever carries them out, and however often."""

import asyncio

import pytest

from v7_task_processor import queue
from v7_task_processor.chosen import Chosen
from v7_task_processor.operations import Operator, drive, step
from v7_task_processor.queue import Connection, Hand, Order

from ..support import rows, until_waiting
from .support import HAND, REDRIVE, dead, in_order


async def test_one_at_a_time_carries_it_out_and_another_goes_on(connection: Connection, other: Connection) -> None:
    await dead(connection, 25)
    operation = await queue.start_operation(connection, REDRIVE, HAND, carrier="first")
    assert not await queue.operations_wait(connection)
    assert await step(other, "second") is None
    assert (await step(connection, "first")) is not None
    assert await step(other, "second") is None
    await connection.execute("update v7.operations set carried_at = carried_at - interval '6 s'")  # it was killed
    assert await queue.operations_wait(connection)
    end = await drive(other, operation.id, "second", lambda _: None)
    assert end is not None
    assert (end.status, end.done) == ("done", 25)
    assert await step(connection, "first") is None
    assert not await queue.operations_wait(connection)


async def test_two_in_the_same_batch_do_it_once(connection: Connection, other: Connection) -> None:
    """The row of the operation is locked for as long as a batch takes."""
    ids = await dead(connection, 5)
    operation = await queue.start_operation(connection, REDRIVE, HAND)
    await connection.execute("begin")
    assert await step(connection, "first", operation.id) is not None
    assert await step(other, "second", operation.id) is None
    await connection.execute("commit")
    assert await in_order(connection) == ids
    assert await rows(connection, "select done from v7.operations") == [(5,)]


async def test_what_a_batch_did_is_taken_back_with_its_progress(connection: Connection) -> None:
    await dead(connection, 25)
    operation = await queue.start_operation(connection, REDRIVE, HAND)
    await step(connection, "first", operation.id)
    await connection.execute("begin")
    await step(connection, "first", operation.id)
    await connection.execute("rollback")  # as where its process is killed
    end = await drive(connection, operation.id, "first", lambda _: None)
    assert end is not None
    assert end.done == 25
    assert await rows(connection, "select count(*) from v7.jobs where status = 'queued'") == [(25,)]


async def test_a_stop_waits_for_the_batch_and_is_heard(connection: Connection, other: Connection) -> None:
    await dead(connection, 25)
    operation = await queue.start_operation(connection, REDRIVE, HAND)
    await other.execute("begin")
    await step(other, "me", operation.id)
    stopping = asyncio.create_task(queue.stop_operation(connection, operation.id, Hand("bob", "api")))
    await until_waiting(other, connection)
    await other.execute("commit")
    stopped = await stopping
    assert stopped is not None
    assert (stopped.status, stopped.done) == ("stopped", 10)
    assert await drive(other, operation.id, "me", lambda _: None) is None
    assert await queue.stop_operation(connection, operation.id, HAND) is None
    assert await rows(connection, "select count(*) from v7.jobs where status = 'queued'") == [(10,)]
    assert await rows(connection, "select who, through, act, operation_id, jobs from v7.audit order by id") == [
        ("ann", "cli", "redrive", operation.id, 10),
        ("bob", "api", "stop", operation.id, None),
    ]


@pytest.mark.fault(44)
@pytest.mark.parametrize("ago", ["1 minute", "-1 day"])
async def test_one_whose_carrier_is_gone_is_carried_on_also_where_the_clock_was_set_back(
    connection: Connection, ago: str
) -> None:
    await dead(connection, 5)
    operation = await queue.start_operation(connection, REDRIVE, HAND, "another")
    assert await step(connection, "me") is None
    await connection.execute(f"update v7.operations set carried_at = now() - interval '{ago}'".encode())
    assert await queue.operations_wait(connection)
    assert (now := await step(connection, "me")) is not None
    assert (now.id, now.done) == (operation.id, 5)


@pytest.mark.parametrize("newer", ['filter = \'{"tag": "x"}\'', "act = 'archive'"])
async def test_what_a_newer_release_asks_for_is_left_to_it(connection: Connection, newer: str) -> None:
    """Without the one thing that this one does not know, all jobs would be meant."""
    async with connection.transaction(force_rollback=True):
        await dead(connection, 5)
        theirs = await queue.start_operation(connection, Order("redrive", Chosen()), HAND)
        await connection.execute("alter table v7.operations drop constraint operations_act")
        await connection.execute(f"update v7.operations set {newer}".encode())
        assert not await queue.operations_wait(connection)
        assert await step(connection, "me") is None
        assert await step(connection, "me", theirs.id) is None
        ours = await queue.start_operation(connection, Order("redrive", Chosen(event_type_id=1)), HAND)
        assert await queue.operations_wait(connection)
        assert (now := await step(connection, "me")) is not None
        assert (now.id, now.done) == (ours.id, 2)
        assert await rows(connection, "select done, status from v7.operations where id = %s", theirs.id) == [
            (0, "waiting")
        ]


async def test_an_operator_does_a_batch_of_each_in_turn_and_leaves(connection: Connection, database_url: str) -> None:
    await dead(connection, 40)
    for event_type_id in (1, 2):
        await queue.start_operation(connection, Order("redrive", Chosen(event_type_id=event_type_id)), HAND)
    wanted = asyncio.Event()
    operator = Operator(database_url, wanted)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(operator.step(), 0.05)
    wanted.set()
    await operator.step()
    await operator.step()
    assert await rows(connection, "select done, status from v7.operations order by id") == [(10, "running")] * 2
    while wanted.is_set():
        await operator.step()
    assert operator.link.connection is None
    assert await rows(connection, "select done, status from v7.operations order by id") == [(20, "done")] * 2
