"""What an operation does: with which jobs, to what end, and what the audit says of it."""

import datetime as dt
from typing import Any

import pytest

from v7_task_processor import listing, queue
from v7_task_processor.chosen import Chosen
from v7_task_processor.operations import drive, step
from v7_task_processor.queue import Connection, Order

from ..support import add, one, rows, take, worker
from .support import HAND, REDRIVE, dead, in_order, through

LATER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


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


async def test_the_very_first_job_is_not_meant_by_what_was_asked_before_it(connection: Connection) -> None:
    await connection.execute("alter sequence v7.jobs_id_seq restart")  # as in a database that never had a job
    operation = await queue.start_operation(connection, Order("cancel", Chosen()), HAND)
    assert await add(connection) == [1]
    end = await drive(connection, operation.id, "me", lambda _: None)
    assert end is not None
    assert (end.status, end.done) == ("done", 0)
    assert await rows(connection, "select id from v7.jobs") == [(1,)]


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
        ({"error_kind": "ValueError"}, range(30)),
        ({"error_kind": "Error"}, []),
        ({"error_kind": "valueerror"}, []),
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


async def test_a_kind_of_error_is_what_dead_letters_are_grouped_by(database_url: str, connection: Connection) -> None:
    """A long one is cut; where there is no error the reason is one."""
    await dead(connection, 3)
    for error in ("E" * 201 + ": x", None):
        await connection.execute("update v7.jobs set last_error = %s where id = (select max(id) from v7.jobs)", [error])
        with listing.reading(database_url) as reading:
            (kind,) = {each.kind for each in listing.dead_groups(reading).groups} - {"ValueError"}
            assert listing.matching(reading, Chosen(error_kind=kind), ["dead"]).jobs == 1
        assert (await through(connection, Order("redrive", Chosen(error_kind=kind)))).done == 1
        await connection.execute("delete from v7.jobs where status <> 'dead'")


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


async def test_the_audit_says_what_was_asked_and_with_how_many_it_was_done(connection: Connection) -> None:
    await dead(connection, 12)
    order = Order("priority", Chosen(event_type_id=2, created_from=dt.datetime(2000, 1, 1, tzinfo=dt.UTC)), priority=-1)
    operation = await queue.start_operation(connection, order, HAND)
    columns = "act, filter, given, jobs, operation_id"
    asked = ("priority", {"event_type_id": 2, "created_from": "2000-01-01T00:00:00Z"}, {"priority": -1})
    assert await rows(connection, f"select {columns} from v7.audit") == [(*asked, None, operation.id)]
    await drive(connection, operation.id, "me", lambda _: None)
    assert await rows(connection, f"select {columns} from v7.audit") == [(*asked, 6, operation.id)]


async def test_old_acts_and_operations_are_forgotten(connection: Connection) -> None:
    await dead(connection, 3)
    await through(connection, REDRIVE)
    await through(connection, REDRIVE)
    assert (await queue.prune_audit(connection, 10), await queue.prune_operations(connection, 10)) == (0, 0)
    await connection.execute("update v7.audit set at = at - interval '401 days'")
    await connection.execute("update v7.operations set finished_at = finished_at - interval '401 days'")
    assert (await queue.prune_audit(connection, 1), await queue.prune_operations(connection, 1)) == (1, 1)
    assert (await queue.prune_audit(connection, 10), await queue.prune_operations(connection, 10)) == (1, 1)
