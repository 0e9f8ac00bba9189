"""Operations: whatever stands in the way of a job keeps no other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import psycopg
import pytest
import structlog

from v7_task_processor import operations, queue
from v7_task_processor.chosen import Chosen
from v7_task_processor.operations import Operator, drive, step
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
    assert operations.rest_seconds(now._replace(held=[]), 0.1) == pytest.approx(0.6), "six times as long as it took"
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


SECRET = "4111 1111 1111 1111"


@contextlib.asynccontextmanager
async def objected(connection: Connection, sqlstate: str) -> AsyncIterator[None]:
    """A trigger of somebody's raises this whenever a job is given another priority, and tells of the job."""
    await connection.execute(
        f"""create function object() returns trigger language plpgsql as $$ begin
        raise exception 'not now' using errcode = '{sqlstate}', detail = 'Failing row contains (' || new || ').';
    end $$""".encode()
    )
    await connection.execute("""create trigger object before update on v7.jobs for each row
        when (old.priority <> new.priority) execute function object()""")
    try:
        yield
    finally:
        await connection.execute("drop function object() cascade")


@pytest.mark.parametrize("sqlstate", ["45000", "23514"], ids=["unknown", "as if a day were missing"])
async def test_what_cannot_be_done_now_keeps_no_other_operation(
    connection: Connection, database_url: str, sqlstate: str
) -> None:
    """It was asked for first, so it was taken again and again, and the others never: they had waited less long."""
    await dead(connection, 25)
    hindered = await queue.start_operation(connection, Order("priority", Chosen(), priority=9), HAND)
    other = await queue.start_operation(connection, REDRIVE, HAND)
    operator = Operator(database_url, asyncio.Event())
    operator.wanted.set()
    state = f"select status, done, error from v7.operations where id = {hindered.id}"
    async with objected(connection, sqlstate):
        refused = 0
        for _ in range(8):  # two batches for each that the other needs
            try:
                await operator.step()
            except psycopg.Error:
                refused += 1
        assert refused > 1, "it is tried again"
        assert await rows(connection, "select status, done from v7.operations where id = %s", other.id) == [
            ("done", 25)
        ]
        assert await rows(connection, state) == [("waiting", 0, "Put off, to be tried again: not now")]
    while operator.wanted.is_set():
        await operator.step()
    assert await rows(connection, state) == [("done", 25, None)], "and says nothing of it when that is over"


@pytest.mark.parametrize(
    ("sqlstate", "error"),
    [
        ("45000", "Put off, to be tried again: not now"),
        ("42501", "not now"),
        ("23505", "Postgres refuses to change job %s: not now"),
    ],
    ids=["put off", "failed", "refused"],
)
async def test_no_event_stands_in_what_hinders_it(connection: Connection, sqlstate: str, error: str) -> None:
    """Postgres adds whole rows to what it says."""
    (job_id,) = await add(connection)
    await connection.execute("update v7.jobs set event_data = %s", [f'"{SECRET}"'])
    operation = await queue.start_operation(connection, Order("priority", Chosen(), priority=9), HAND)
    with structlog.testing.capture_logs() as logged:
        async with objected(connection, sqlstate):
            with contextlib.suppress(psycopg.Error):
                await step(connection, "me", operation.id)
    ((stored,),) = await rows(connection, "select error from v7.operations")
    assert stored == error.replace("%s", str(job_id))
    assert SECRET not in str(logged)
