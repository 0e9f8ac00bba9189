"""What is done in the database now and then: days, retention, and the rhythm of it all."""

import asyncio
import datetime as dt

import psycopg
import pytest

from v7_task_processor import database, maintenance, queue
from v7_task_processor.counting import Account
from v7_task_processor.maintenance import Chores, Pruner, run_every
from v7_task_processor.observability.counts import Counts
from v7_task_processor.queue import Connection, Failure

from .support import EVERYTHING, add, event, rows, take, worker

DAYS = "select relname from pg_inherits join pg_class on oid = inhrelid where inhparent = 'v7.finished_jobs'::regclass"


def named(ahead: int, today: dt.date) -> str:
    return f"finished_jobs_{today + dt.timedelta(days=ahead):%Y%m%d}"


async def days(connection: Connection) -> list[str]:
    return [name for (name,) in await rows(connection, f"{DAYS} order by 1")]


async def today(connection: Connection) -> dt.date:
    ((date,),) = await rows(connection, "select (now() at time zone 'UTC')::date")
    assert isinstance(date, dt.date)
    return date


async def old_day(connection: Connection, days_ago: int) -> str:
    date = await today(connection) - dt.timedelta(days=days_ago)
    name = named(0, date)
    await connection.execute(
        f"create table v7.{name} partition of v7.finished_jobs"
        f" for values from ('{date} 00:00+00') to ('{date + dt.timedelta(days=1)} 00:00+00')".encode()
    )
    return name


async def test_days_are_made_ahead_and_once(connection: Connection) -> None:
    date = await today(connection)
    assert await days(connection) == [named(ahead, date) for ahead in range(15)]
    assert await queue.add_days(connection, 14) == 0
    assert await queue.add_days(connection, 16) == 2
    assert (await days(connection))[-2:] == [named(15, date), named(16, date)]
    assert await queue.has_tomorrow(connection)
    await connection.execute(f"drop table v7.{named(1, date)}".encode())
    assert not await queue.has_tomorrow(connection)
    assert await queue.add_days(connection, 14) == 1
    assert await queue.has_tomorrow(connection)


async def test_a_days_partition_takes_exactly_its_utc_day(connection: Connection) -> None:
    await connection.execute("set timezone = 'Asia/Kolkata'")
    assert await queue.add_days(connection, 20) == 6
    name = named(20, await today(connection))
    ((bounds,),) = await rows(
        connection, "select pg_get_expr(relpartbound, oid) from pg_class where relname = %s", name
    )
    date = await today(connection) + dt.timedelta(days=20)
    following = date + dt.timedelta(days=1)
    assert bounds == f"FOR VALUES FROM ('{date} 05:30:00+05:30') TO ('{following} 05:30:00+05:30')"


async def test_adding_days_locks_out_no_completion(connection: Connection, database_url: str) -> None:
    await add(connection)
    worker_id = await worker(connection)
    (job,) = await take(connection, worker_id)
    async with await database.connect(database_url) as other:
        await other.execute("begin")
        await queue.add_days(other, 20)
        await connection.execute("set lock_timeout = '10s'")
        assert await queue.complete(connection, worker_id, [(job.id, 1)], kept=True) == 1
        await other.execute("commit")


async def test_days_that_are_over_are_dropped_one_at_a_time(connection: Connection) -> None:
    ninth, eighth = await old_day(connection, 9), await old_day(connection, 8)
    await old_day(connection, 7)
    dropped = [await queue.drop_oldest_day(connection, 7) for _ in range(3)]
    assert dropped == [ninth, eighth, None]
    assert len(await days(connection)) == 16


async def test_without_retention_today_stays(connection: Connection) -> None:
    yesterday = await old_day(connection, 1)
    assert await queue.drop_oldest_day(connection, 0) == yesterday
    assert await queue.drop_oldest_day(connection, 0) is None


@pytest.mark.fault(72)
async def test_old_failures_are_forgotten_but_not_those_of_jobs_that_still_stand(connection: Connection) -> None:
    ids = await add(connection, 6)
    worker_id = await worker(connection)
    await take(connection, worker_id)
    await queue.fail(connection, worker_id, "w", [Failure(job_id, 1, 0, "E", "m") for job_id in ids])
    await connection.execute(
        "update v7.failures set failed_at = now() - interval '8 days' where job_id <> %s", [ids[0]]
    )
    await connection.execute("delete from v7.jobs where id <> %s", [ids[5]])
    assert await queue.prune_failures(connection, 7, 100) is not None
    assert await rows(connection, "select job_id from v7.failures order by 1") == [(ids[0],), (ids[5],)]


@pytest.mark.fault(72)
@pytest.mark.parametrize(
    "failed_at", ["now() - interval '8 days'", "'-infinity'", "now() - interval '8 days' * job_id"]
)
async def test_failures_are_forgotten_behind_however_many_of_dead_letters(
    connection: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch, failed_at: str
) -> None:
    monkeypatch.setattr(maintenance, "LOOKED_MAX", 3)
    ids = await add(connection, 20)
    worker_id = await worker(connection)
    await take(connection, worker_id)
    await queue.fail(connection, worker_id, "w", [Failure(job_id, 1, 0, "E", "m") for job_id in ids])
    await connection.execute(f"update v7.failures set failed_at = {failed_at}".encode())
    gone = [*ids[8:12], ids[19]]
    await connection.execute("delete from v7.jobs where id = any(%s)", [gone])
    pruner = Pruner(7)
    async with await database.connect(database_url) as reader:
        await reader.execute("begin")
        await reader.execute("select from v7.failures where job_id = %s for update", [ids[10]])
        assert [await pruner.step(connection) for _ in range(8)] == [True] * 7 + [False]
        kept = "select job_id from v7.failures order by job_id"
        assert await rows(connection, kept) == [(each,) for each in ids if each not in gone or each == ids[10]]
        await reader.execute("rollback")
    while await pruner.step(connection):
        pass
    assert await rows(connection, kept) == [(each,) for each in ids if each not in gone]


async def test_keys_are_forgotten_after_seven_days(connection: Connection) -> None:
    await queue.enqueue_once(connection, [event(key=f"key {number}") for number in range(6)])
    old = "update v7.idempotency_keys set created_at = now() - interval '7 days 1 second' where key <> 'key 0'"
    await connection.execute(old)
    assert [await queue.prune_idempotency_keys(connection, 3) for _ in range(3)] == [3, 2, 0]
    assert await rows(connection, "select key from v7.idempotency_keys") == [("key 0",)]


async def test_a_long_walk_over_what_is_kept_drops_no_days_again(
    connection: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day that is being read keeps for a second whatever ends a job from ending."""
    monkeypatch.setattr(maintenance, "LOOKED_MAX", 1)
    ids = await add(connection, 5)
    worker_id = await worker(connection)
    await take(connection, worker_id)
    await queue.fail(connection, worker_id, "w", [Failure(job_id, 1, 0, "E", "m") for job_id in ids])
    await connection.execute("update v7.failures set failed_at = now() - interval '8 days'")
    await old_day(connection, 9)
    chores = Chores(database.Link(database_url), 7, Account(Counts()))
    await chores.round()
    again = await old_day(connection, 10)
    for _ in range(3):
        await chores.round()
    assert chores.is_due("prune")
    assert again in await days(connection)
    await chores.link.close()


@pytest.mark.fault(42)
async def test_pruning_does_all_of_it_and_waits_for_no_reader(connection: Connection, database_url: str) -> None:

    async def keep(connection: Connection) -> None:
        await maintenance.keep_days(connection, 7)
        assert not await Pruner(7).step(connection)

    await old_day(connection, 9)
    await connection.execute(f"drop table v7.{named(14, await today(connection))}".encode())
    await queue.enqueue_once(connection, [event(key="old")])
    await connection.execute("update v7.idempotency_keys set created_at = now() - interval '8 days'")
    async with await database.connect(database_url) as reader:
        await reader.execute("begin")
        await reader.execute("select count(*) from v7.finished_jobs")
        await keep(connection)
        assert len(await days(connection)) == 16  # with the old one, which is being read
        assert await rows(connection, "show lock_timeout") == [("0",)]
        assert await rows(connection, "select count(*) from v7.idempotency_keys") == [(0,)]
        await reader.execute("rollback")
    await keep(connection)
    assert len(await days(connection)) == 15


async def test_what_is_promoted_wakes_workers_and_what_is_not_tells_when_to_look(
    connection: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await database.connect(database_url) as listener:
        await listener.execute("listen v7")
        assert await maintenance.promote(connection) == maintenance.PROMOTE_SECONDS
        await connection.execute("select v7.enqueue(1, 1, 1, '1', run_at => now() + interval '1 hour')")
        assert await maintenance.promote(connection) == maintenance.PROMOTE_SECONDS
        monkeypatch.setattr(maintenance, "PROMOTE_SECONDS", 7200.0)
        assert 3000 < await maintenance.promote(connection) <= 3600
        await connection.execute("update v7.jobs set run_at = now()")
        assert await maintenance.promote(connection) == maintenance.PROMOTE_SECONDS
        assert [notice.payload async for notice in listener.notifies(timeout=30, stop_after=1)] == ["jobs"]
    assert len((await queue.claim(connection, await worker(connection), 5, queue.BEGINNING, EVERYTHING)).jobs) == 1


async def test_a_full_batch_is_followed_by_the_next_at_once(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "BATCH", 2)
    for _ in range(3):
        await connection.execute("select v7.enqueue(1, 1, 1, '1', run_at => now() + interval '1 hour')")
    await connection.execute("update v7.jobs set run_at = now()")
    assert await maintenance.promote(connection) == 0
    assert await maintenance.promote(connection) == maintenance.PROMOTE_SECONDS


async def test_a_round_does_what_is_due_and_nothing_twice(connection: Connection, database_url: str) -> None:
    chores = Chores(database.Link(database_url), 7, Account(Counts()))
    old, orphan = await old_day(connection, 9), (await add(connection, event_type_id=3))[0]
    worker_id = await worker(connection)
    await take(connection, worker_id)
    await queue.unregister(connection, [worker_id])
    await add(connection, event_type_id=4)
    assert await chores.round() == maintenance.PROMOTE_SECONDS
    assert old not in await days(connection)
    assert await rows(connection, "select status from v7.jobs where id = %s", orphan) == [("queued",)]
    types = "select event_type_id from v7.event_types order by 1"
    assert await rows(connection, types) == [(3,), (4,)]
    await add(connection, event_type_id=5)
    await chores.round()
    assert await rows(connection, types) == [(3,), (4,)]  # not due yet
    chores.due.clear()
    await chores.round()
    assert await rows(connection, types) == [(3,), (4,), (5,)]
    await chores.link.close()


async def test_a_chore_that_took_long_and_failed_lets_the_others_go_first(database_url: str) -> None:
    chores = Chores(database.Link(database_url), 7, Account(Counts()))

    async def chore() -> None:
        chores.due = {name: due - 100 for name, due in chores.due.items()}  # so long it took
        raise psycopg.errors.QueryCanceled

    with pytest.raises(psycopg.errors.QueryCanceled):
        await chores.if_due("it", maintenance.PRUNE_SECONDS, chore)
    assert not chores.is_due("it")
    chores.due.clear()


async def test_a_step_is_run_over_and_over_and_over_what_breaks(database_url: str) -> None:
    link = database.Link(database_url)
    pids: list[int] = []
    enough = asyncio.Event()

    async def step() -> float:
        connection = await link.get()
        pids.append(connection.info.backend_pid)
        if len(pids) == 2:
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")
        if len(pids) == 4:
            enough.set()
        return 0.0

    task = asyncio.create_task(run_every(0, "do it", step))
    await enough.wait()
    task.cancel()
    assert pids[0] == pids[1] != pids[2] == pids[3]
    await link.close()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_step_that_fails_for_another_reason_is_tried_again_too() -> None:
    tries: list[int] = []
    worked = asyncio.Event()

    async def step() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ZeroDivisionError
        worked.set()

    task = asyncio.create_task(run_every(0, "do it", step))
    await worked.wait()
    task.cancel()
