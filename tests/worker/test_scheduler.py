"""What a worker asks for at its claims."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from v7_task_processor import database, queue
from v7_task_processor.child import Assignment
from v7_task_processor.handlers import Handler, Registry
from v7_task_processor.job import Job
from v7_task_processor.queue import Connection
from v7_task_processor.settings import Settings
from v7_task_processor.worker import scheduler as scheduler_module
from v7_task_processor.worker.executor import Executor
from v7_task_processor.worker.lane import BATCH
from v7_task_processor.worker.recorder import Recorder
from v7_task_processor.worker.scheduler import Scheduler
from v7_task_processor.worker.session import Session
from v7_task_processor.worker.slots import NodeMap, now

from ..support import EVERYTHING, add, node, rows


@contextlib.asynccontextmanager
async def scheduling(
    database_url: str, connection: Connection, folder: Path, registry: Registry, *, lone: bool = False
) -> AsyncIterator[Scheduler]:
    settings = Settings()
    assignment = Assignment(settings=settings, role="worker", node_id=await node(connection), token="t")
    session = Session(database_url, assignment, set)
    await session.open()
    notes = NodeMap.create(folder / "node.map", 1, 2 * BATCH)
    notes.beat(now() + 3600)  # nobody beats here
    section = notes.section(0)
    recorder = Recorder(settings, session, section)
    executor = Executor(settings, registry, section, recorder.add)
    recorder.on_written, recorder.on_returned = executor.dispatch, executor.returned
    scheduler = Scheduler(session, executor, recorder, EVERYTHING, lone=lone)
    recording = asyncio.create_task(recorder.run())
    try:
        yield scheduler
    finally:
        recording.cancel()
        await session.close()


async def test_the_next_claim_is_on_its_way_before_what_the_last_one_took_starts(
    database_url: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = "v7_task_processor.worker.executor.STALE_SECONDS"
    monkeypatch.setattr(stale, 60.0)  # nothing goes back since this machine is slow
    claiming: list[bool] = []

    async def looks(_job: Job) -> None:
        claiming.append(scheduler.session.claims.lock.locked())
        if len(claiming) == BATCH:
            scheduler.executor.drain()

    registry = Registry()
    registry.add(None, Handler(looks, True, None, None))
    await add(connection, BATCH + 1)
    async with scheduling(database_url, connection, tmp_path, registry) as scheduler:
        scheduler.heeded_at = math.inf  # nobody tells it anything
        scheduler.executor.pace.rate = 1_000_000.0  # as after a while of handlers that never wait
        async with asyncio.timeout(60):
            await scheduler.run()
    assert len(claiming) == BATCH
    assert claiming[0]


@pytest.mark.fault(51)
async def test_after_an_answer_that_never_came_it_asks_for_less_and_slowly_for_more_again(
    database_url: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    claim = queue.claim

    async def lossy(through: Connection, worker_id: int, batch: int, *others: Any) -> queue.Claim:
        asked.append(batch)
        if len(asked) <= 3:
            await through.close()
            raise psycopg.OperationalError("abandoned")
        return await claim(through, worker_id, batch, *others)

    await add(connection, 40)
    monkeypatch.setattr(queue, "claim", lossy)
    async with scheduling(database_url, connection, tmp_path, Registry()) as scheduler:
        for _ in range(4):
            await scheduler.session.attempt(lambda: scheduler.claim(16))
        assert asked == [16, 8, 4, 2, 3, 4, 5]
        for _ in range(40):
            await scheduler.claim(16)
        assert asked[-1] == 16
        assert scheduler.batch_max == BATCH


async def test_what_a_node_gives_back_as_it_is_drained_others_are_told_of(
    database_url: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what a claim took that was on its way then: nothing of it starts."""
    registry, started = Registry(), []
    registry.add(None, Handler(lambda job: started.append(job.id), False, None, None))
    await add(connection, 3)
    claim = queue.claim

    async def drained_meanwhile(*arguments: Any) -> queue.Claim:
        found = await claim(*arguments)
        scheduler.set_drained(True)
        return found

    monkeypatch.setattr(queue, "claim", drained_meanwhile)
    async with (
        scheduling(database_url, connection, tmp_path, registry) as scheduler,
        await database.connect(database_url) as listener,
    ):
        scheduler.heeded_at = math.inf  # else it hears after a while that it is not drained
        await listener.execute("listen v7")
        claiming = asyncio.create_task(scheduler.run())
        async with asyncio.timeout(60):
            async for notice in listener.notifies():
                if notice.payload == "back":
                    break
        claiming.cancel()
    assert started == []
    assert await rows(connection, "select status, worker_id from v7.jobs") == 3 * [("queued", None)]


async def test_without_a_listener_it_heeds_pauses_and_drains_all_the_same(
    database_url: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener's connection may be the only one that is refused."""
    monkeypatch.setattr(scheduler_module, "HEED_SECONDS", 0.02)
    monkeypatch.setattr(scheduler_module, "POLL_SECONDS", 0.02)
    registry, started = Registry(), []
    registry.add(None, Handler(lambda job: started.append(job.event_type_id), False, None, None))
    async with scheduling(database_url, connection, tmp_path, registry) as scheduler, asyncio.timeout(60):
        claiming = asyncio.create_task(scheduler.run())
        await connection.execute(
            "insert into v7.event_types (event_type_id, paused_at, paused_by) values (1, now(), 'ann')"
        )
        while scheduler.served.closed_types != [1]:
            await asyncio.sleep(0.01)
        await add(connection, 1, event_type_id=1)
        await add(connection, 1, event_type_id=2)
        while started != [2]:
            await asyncio.sleep(0.01)
        await queue.drain_node(connection, scheduler.session.assignment.node_id, "ann")
        while not scheduler.drained:
            await asyncio.sleep(0.01)
        scheduler.executor.drain()
        await claiming
    assert started == [2]
