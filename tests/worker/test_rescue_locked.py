"""A row that somebody has locked keeps no other from the rescue of a dead worker's jobs."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from v7_task_processor import database, maintenance, queue
from v7_task_processor.queue import Connection
from v7_task_processor.settings import Settings
from v7_task_processor.worker import rescue
from v7_task_processor.worker.rescue import Death, carry_out
from v7_task_processor.worker.session import LOCK_SECONDS, RECORDS
from v7_task_processor.worker.slots import STARTED, SUCCEEDED, Noted

from ..support import add, rows, take, until_waiting, worker

CRASH = Death("its process was ended by SIGKILL")
STATES = "select status, retry_count, suspect from v7.all_jobs order by id"


@pytest.mark.fault(79)
async def test_one_that_somebody_has_locked_keeps_no_other_neither_in_a_rescue_nor_among_orphans(
    connection: Connection, database_url: str
) -> None:
    worker_id = await worker(connection)
    ids = await add(connection, 4)
    await take(connection, worker_id)
    notes = [Noted(job_id, 1, 0.0, state) for job_id, state in zip(ids, [2, 1, 2, 2], strict=True)]
    states = "select status, retry_count from v7.all_jobs order by id"
    async with await database.connect(database_url) as hand, hand.transaction():
        await hand.execute("select from v7.jobs where id = any(%s) for update", [ids[1:3]])
        await carry_out(connection, Settings(), [worker_id], notes, CRASH)
        assert await rows(connection, states) == [("succeeded", 0), ("running", 0), ("running", 0), ("succeeded", 0)]
        assert await maintenance.release_orphans(connection) == 0
    assert await maintenance.release_orphans(connection) == 2
    assert await rows(connection, states) == [("succeeded", 0), ("queued", 0), ("queued", 0), ("succeeded", 0)]


@pytest.mark.fault(79)
async def test_who_locks_a_row_for_a_moment_is_waited_for(
    connection: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue, "LOCKED_PAUSES", [0.02] * 500)
    worker_id = await worker(connection)
    (job_id,) = await add(connection)
    await take(connection, worker_id)
    async with await database.connect(database_url) as hand, await database.connect(database_url) as observer:
        await hand.execute("begin")
        await hand.execute("select from v7.jobs where id = %s for update", [job_id])
        notes = [Noted(job_id, 1, 0.0, STARTED)]
        rescuing = asyncio.create_task(carry_out(connection, Settings(retry_seconds=0), [worker_id], notes, CRASH))
        looked = (
            "select count(*) from pg_stat_activity where pid = %s and query like '%%not in (select id from free)%%'"
        )
        while await rows(observer, looked, connection.info.backend_pid) == [(0,)]:
            await asyncio.sleep(0.005)
        await hand.execute("commit")
        await rescuing
    assert await rows(connection, STATES) == [("queued", 1, True)], "and charged"


@pytest.mark.fault(79)
async def test_what_the_dead_ones_last_statement_has_locked_is_waited_for(
    connection: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits itself for the row that somebody has locked, and lets go of the others as it gives up."""
    assert sum(rescue.LOCKED_PAUSES) > 1.2 * LOCK_SECONDS

    def until_it_gave_up() -> Iterator[float]:  # however late it is on this machine
        while not last.done():
            yield 0.05
        yield 0.0

    monkeypatch.setattr(rescue, "LOCKED_PAUSES", until_it_gave_up())
    worker_id = await worker(connection)
    ids = await add(connection, 3)
    await take(connection, worker_id)
    held = [(job_id, 1) for job_id in ids]
    async with (
        await database.connect(database_url) as hand,
        hand.transaction(),
        await database.connect(database_url, RECORDS) as dying,
    ):
        await hand.execute("select from v7.jobs where id = %s for update", [ids[2]])
        last = asyncio.create_task(queue.complete(dying, worker_id, held, kept=True))
        await until_waiting(connection, dying)
        await carry_out(connection, Settings(), [worker_id], [Noted(each, 1, 0.0, SUCCEEDED) for each in ids], CRASH)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await last
    states = [status for status, *_ in await rows(connection, STATES)]
    assert states == ["succeeded", "succeeded", "running"]
