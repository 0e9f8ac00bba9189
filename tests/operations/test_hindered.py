"""Operations: whatever stands in the way of a job keeps no other."""

import psycopg
import pytest

from v7_task_processor import operations, queue
from v7_task_processor.chosen import Chosen
from v7_task_processor.operations import drive, step
from v7_task_processor.queue import Connection, Order

from ..support import add, refused, rows
from .support import HAND, REDRIVE, dead, through


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
    assert operations.rest_seconds(now._replace(held=[]), 0.1) == pytest.approx(0.3), "three times as long as it took"
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
