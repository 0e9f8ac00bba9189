"""Operations: each job once, whoever carries them out, however often, and whatever stands in the way."""

import asyncio
import datetime as dt
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest

from v7_task_processor import database, operations, queue
from v7_task_processor.chosen import Chosen
from v7_task_processor.operations import Operator, drive, step
from v7_task_processor.queue import Connection, Hand, Operation, Order

from .support import add, emptied, one, refused, rows, shared_database, take, until_waiting, worker

HAND = Hand("ann", "cli")
REDRIVE = Order("redrive", Chosen(status="dead"))
LATER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
DEAD = """
insert into v7.jobs
    (event_type_id, user_id, priority, event_data, status, dead_at, dead_reason, last_error, retry_count)
select 1 + i %% 2, i, 0, '{}', 'dead', now(), 'x', 'ValueError: ' || i, 5 from generate_series(1, %s) i returning id"""


@pytest.fixture(scope="module")
def shared_database_url(server_url: str, template: str) -> Iterator[str]:
    yield from shared_database(server_url, template)


@pytest.fixture
def database_url(shared_database_url: str) -> str:
    return emptied(shared_database_url)


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Connection]:
    async with await database.connect(database_url, operations.SESSION) as opened:
        yield opened


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "BATCH", 10)
    monkeypatch.setattr(operations, "LOOKED_MAX", 25)


async def dead(connection: Connection, count: int) -> list[int]:
    return [job_id for (job_id,) in await rows(connection, DEAD, count)]


async def through(connection: Connection, order: Order, hand: Hand = HAND) -> Operation:
    """Asked for, and carried out to its end; each batch is seen to be short."""
    operation = await queue.start_operation(connection, order, hand)
    seen: list[Operation] = []
    end = await drive(connection, operation.id, "me", seen.append)
    assert end is not None
    for before, after in itertools.pairwise(seen):
        assert after.done - before.done <= operations.BATCH
    return end


async def in_order(connection: Connection) -> list[int]:
    return [
        job_id for (job_id,) in await rows(connection, "select id from v7.jobs where position > 0 order by position")
    ]


async def test_each_is_queued_again_once_in_the_order_in_which_they_came(connection: Connection) -> None:
    ids = await dead(connection, 35)
    done = await through(connection, REDRIVE)
    assert (done.status, done.done, done.skipped) == ("done", 35, 0)
    assert await in_order(connection) == ids
    assert await rows(connection, "select distinct status, retry_count, dead_at, dead_reason from v7.jobs") == [
        ("queued", 0, None, None)
    ]
    assert await rows(connection, "select started_at <= finished_at, error from v7.operations") == [(True, None)]


async def test_those_that_come_after_it_are_not_meant(connection: Connection) -> None:
    await dead(connection, 15)
    operation = await queue.start_operation(connection, REDRIVE, HAND)
    after = await dead(connection, 5)
    end = await drive(connection, operation.id, "me", lambda _: None)
    assert end is not None
    assert end.done == 15
    assert await rows(connection, "select id from v7.jobs where status = 'dead' order by id") == [(i,) for i in after]


async def test_what_dies_again_meanwhile_is_not_met_again(connection: Connection) -> None:
    await dead(connection, 15)
    operation = await queue.start_operation(connection, REDRIVE, HAND)
    while (now := await step(connection, "me", operation.id)) and now.status == "running":
        await connection.execute("update v7.jobs set status = 'dead', dead_at = now(), dead_reason = 'again'")
    assert now is not None
    assert now.done == 15


@pytest.mark.parametrize(
    ("chosen", "meant"),
    [
        ({}, range(30)),
        ({"status": "dead"}, range(30)),
        ({"event_type_id": 2}, range(0, 30, 2)),
        ({"user_id": 3}, [2]),
        ({"priority_min": 1}, []),
        ({"priority_max": 0, "priority_min": 0}, range(30)),
        ({"correlation_id": "none"}, []),
        ({"attempt_min": 1}, []),
        ({"error": "valueERROR: 1"}, [0, *range(9, 19)]),
        ({"error": "%"}, []),
        ({"created_from": LATER}, []),
        ({"created_until": LATER}, range(30)),
        ({"event_type_id": 1, "error": "VALUE"}, range(1, 30, 2)),
    ],
)
async def test_filters(connection: Connection, chosen: dict[str, Any], meant: list[int]) -> None:
    ids = await dead(connection, 30)
    await add(connection, 30)
    done = await through(connection, Order("redrive", Chosen(**chosen)))
    assert done.done == len(meant)
    forgiven = await rows(connection, "select id from v7.jobs where id = any(%s) and retry_count = 0 order by id", ids)
    assert forgiven == [(ids[i],) for i in meant]


async def all_sorts(connection: Connection) -> dict[str, list[int]]:
    sorts = {"running": await add(connection, 4)}
    await take(connection, await worker(connection))
    sorts |= {
        "queued": await add(connection, 4),
        "dead": await dead(connection, 4),
        "scheduled": await add(connection, 4),
    }
    await connection.execute(
        "update v7.jobs set status = 'scheduled', run_at = now() + interval '1 h' where id = any(%s)",
        [sorts["scheduled"]],
    )
    return sorts


@pytest.mark.parametrize(
    ("order", "status"),
    [
        (Order("cancel", Chosen()), "cancelled"),
        (Order("cancel", Chosen(status="running")), "cancelled"),
        (Order("retry", Chosen()), "queued"),
        (Order("retry", Chosen(status="scheduled")), "queued"),
        (Order("reschedule", Chosen(), run_at=LATER), "scheduled"),
        (Order("priority", Chosen(), priority=7), None),
        (Order("redrive", Chosen()), "queued"),
    ],
)
async def test_each_act_is_done_in_the_statuses_that_it_is_for(
    connection: Connection, order: Order, status: str | None
) -> None:
    sorts = await all_sorts(connection)
    done = await through(connection, order)
    meant = order.statuses()
    assert (done.status, done.done) == ("done", 4 * len(meant))
    for sort, ids in sorts.items():
        for job_id in ids:
            now, priority, run_at = await one(connection, "status, priority, run_at", job_id)
            assert now == (status or sort if sort in meant else sort)
            assert (priority == 7) == (order.act == "priority" and sort in meant)
            assert (run_at == LATER) == (order.act == "reschedule" and sort in meant)


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


async def test_what_others_hold_is_come_back_to(connection: Connection, other: Connection) -> None:
    ids = await dead(connection, 15)
    operation = await queue.start_operation(connection, REDRIVE, HAND)
    await other.execute("begin")
    await queue.redrive_one(other, ids[0])
    await other.execute("select from v7.jobs where id = %s for update", [ids[1]])
    for _ in range(3):
        now = await step(connection, "me", operation.id)
    assert now is not None
    assert (now.status, now.done, now.held) == ("running", 13, ids[:2])
    assert operations.rest_seconds(now, 0.0) > 0
    await other.execute("commit")
    end = await drive(connection, operation.id, "me", lambda _: None)
    assert end is not None
    assert (end.status, end.done, end.skipped, end.held) == ("done", 14, 1, [])


async def test_it_waits_where_others_hold_too_many(
    connection: Connection, other: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "HELD_MAX", 10)
    ids = await dead(connection, 30)
    operation = await queue.start_operation(connection, REDRIVE, HAND)
    await other.execute("begin")
    await other.execute("select from v7.jobs for update")
    for _ in range(3):
        now = await step(connection, "me", operation.id)
    assert now is not None
    assert (now.seen_id, len(now.held)) == (ids[9], 10)
    await other.execute("commit")
    end = await drive(connection, operation.id, "me", lambda _: None)
    assert end is not None
    assert end.done == 30


async def test_a_job_that_postgres_refuses_to_change_keeps_no_other(connection: Connection) -> None:
    ids = await dead(connection, 15)
    async with refused(connection, "v7.jobs", ids[3]):
        done = await through(connection, REDRIVE)
    assert (done.status, done.done, done.skipped) == ("done", 14, 1)
    ((error,),) = await rows(connection, "select error from v7.operations")
    assert error.startswith(f"Postgres refuses to change job {ids[3]}: not this one")


async def test_a_day_that_is_missing_is_made(connection: Connection) -> None:
    ids = await add(connection, 3)
    ((day,),) = await rows(connection, "select to_char(now() at time zone 'UTC', '\"v7.finished_jobs_\"YYYYMMDD')")
    await connection.execute(f"drop table {day}".encode())
    operation = await queue.start_operation(connection, Order("cancel", Chosen()), HAND)
    with pytest.raises(psycopg.errors.CheckViolation):
        await step(connection, "me", operation.id)
    end = await drive(connection, operation.id, "me", lambda _: None)
    assert end is not None
    assert (end.done, end.skipped) == (len(ids), 0)


async def test_what_can_never_be_done_is_failed(connection: Connection, database_url: str) -> None:
    await dead(connection, 3)
    await connection.execute("create role few_rights")
    await connection.execute("grant usage on schema v7 to few_rights")
    await connection.execute("grant select, update on v7.operations, v7.audit to few_rights")
    operation = await queue.start_operation(connection, REDRIVE, HAND)
    try:
        await connection.execute("set role few_rights")
        now = await step(connection, "me", operation.id)
    finally:
        await connection.execute("reset role")
        await connection.execute("drop owned by few_rights")
        await connection.execute("drop role few_rights")
    assert now is not None
    assert now.status == "failed"
    assert await rows(connection, "select status, error from v7.operations") == [
        ("failed", "permission denied for table jobs")
    ]


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


async def test_the_audit_says_what_was_asked_and_with_how_many_it_was_done(connection: Connection) -> None:
    await dead(connection, 12)
    order = Order("priority", Chosen(event_type_id=2, created_from=dt.datetime(2000, 1, 1, tzinfo=dt.UTC)), priority=-1)
    operation = await queue.start_operation(connection, order, HAND)
    columns = "act, filter, given, jobs, operation_id"
    asked = ("priority", {"event_type_id": 2, "created_from": "2000-01-01T00:00:00Z"}, {"priority": -1})
    assert await rows(connection, f"select {columns} from v7.audit") == [(*asked, None, operation.id)]
    await drive(connection, operation.id, "me", lambda _: None)
    assert await rows(connection, f"select {columns} from v7.audit") == [(*asked, 6, operation.id)]


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


async def test_old_acts_and_operations_are_forgotten(connection: Connection) -> None:
    await dead(connection, 3)
    await through(connection, REDRIVE)
    await through(connection, REDRIVE)
    assert (await queue.prune_audit(connection, 10), await queue.prune_operations(connection, 10)) == (0, 0)
    await connection.execute("update v7.audit set at = at - interval '401 days'")
    await connection.execute("update v7.operations set finished_at = finished_at - interval '401 days'")
    assert (await queue.prune_audit(connection, 1), await queue.prune_operations(connection, 1)) == (1, 1)
    assert (await queue.prune_audit(connection, 10), await queue.prune_operations(connection, 10)) == (1, 1)
