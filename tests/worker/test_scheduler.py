"""What a worker asks for at its claims."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from v7_task_processor import queue
from v7_task_processor.child import Assignment
from v7_task_processor.handlers import Registry
from v7_task_processor.queue import Connection
from v7_task_processor.settings import Settings
from v7_task_processor.worker.executor import Executor
from v7_task_processor.worker.recorder import BATCH, Recorder
from v7_task_processor.worker.scheduler import Scheduler
from v7_task_processor.worker.session import Session
from v7_task_processor.worker.slots import NodeMap

from ..support import EVERYTHING, add, node


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
    settings = Settings()
    assignment = Assignment(settings=settings, role="worker", node_id=await node(connection), token="t")
    session = Session(database_url, assignment, set)
    await session.open()
    section = NodeMap.create(tmp_path / "node.map", 1, 10).section(0)
    recorder = Recorder(settings, session, section)
    executor = Executor(settings, Registry(), section, recorder.add)
    scheduler = Scheduler(session, executor, recorder, EVERYTHING, lone=False)
    monkeypatch.setattr(queue, "claim", lossy)
    try:
        for _ in range(4):
            await session.attempt(lambda: scheduler.claim(16))
        assert asked == [16, 8, 4, 2, 3, 4, 5]
        for _ in range(40):
            await scheduler.claim(16)
        assert asked[-1] == 16
        assert scheduler.batch_max == BATCH
    finally:
        await session.close()
