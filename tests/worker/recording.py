"""A recorder on a session of its own, and what was heard of it, for the tests of what it writes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from v7_task_processor import Job
from v7_task_processor.child import Assignment
from v7_task_processor.handlers import Described
from v7_task_processor.observability import telemetry
from v7_task_processor.queue import Connection
from v7_task_processor.settings import Settings
from v7_task_processor.worker.outcome import Ended, Failed, Outcome
from v7_task_processor.worker.recorder import Recorder
from v7_task_processor.worker.session import Session
from v7_task_processor.worker.slots import NodeMap

from ..support import node, take

FAILED = Failed(Described("E", "m", "t"))
SLOTS = 1300
STATES = "select status, retry_count, dead_reason, last_error from v7.all_jobs order by id"


class Recording:
    """A recorder on a session of its own, and what was heard of it."""

    def __init__(self, url: str, folder: Path, node_id: int, **given: Any) -> None:
        settings = Settings(**{"retry_seconds": 0, **given})
        assignment = Assignment(settings=settings, role="worker", node_id=node_id, token="t")
        self.session = Session(url, assignment, lambda: self.recorder.holds())
        self.section = NodeMap.create(folder / "node.map", 1, SLOTS).section(0)
        self.recorder = Recorder(settings, self.session, self.section)
        self.called: list[str] = []
        self.recorder.on_requeued = lambda jobs: self.called.append("requeued")
        self.recorder.on_written = lambda: self.called.append("written")

    async def take(self, batch: int) -> list[Job]:
        return await take(self.session.claims, self.session.worker_id, batch)

    def say(self, job: Job, outcome: Outcome | None, worker_id: int | None = None, log: str | None = None) -> None:
        slot = self.section.start(job.id, job.attempt, 0.0)
        self.section.end(slot, succeeded=outcome is None)
        self.recorder.add(Ended(job, worker_id or self.session.worker_id, slot, outcome, log=log))

    async def written(self) -> None:
        while self.recorder.unwritten():
            await self.recorder.idle.wait()
            await asyncio.sleep(0.005)
        assert len(self.section.free) == SLOTS
        assert self.recorder.holds() == set()


Opens = Callable[..., Any]


@pytest.fixture
async def opened(database_url: str, connection: Connection, tmp_path: Path) -> AsyncIterator[Opens]:
    async with contextlib.AsyncExitStack() as stack:

        async def open_bench(**given: Any) -> Recording:
            made = Recording(database_url, tmp_path, await node(connection), **given)
            await made.session.open()
            stack.push_async_callback(made.session.close)
            writing = asyncio.create_task(made.recorder.run())
            stack.callback(writing.cancel)
            return made

        yield open_bench


@pytest.fixture
async def bench(opened: Opens) -> Recording:
    return await opened()  # type: ignore[no-any-return]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    heard: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(telemetry, "_subscribers", [lambda event, fields: heard.append((event, dict(fields)))])
    return heard


async def cut(connection: Connection, *sessions: Connection) -> None:
    for each in sessions:
        await connection.execute("select pg_terminate_backend(%s, 10000)", [each.info.backend_pid])
