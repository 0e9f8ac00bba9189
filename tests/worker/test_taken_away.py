"""What was taken away while it ran: its handler is told, and nothing is written about it."""

import asyncio
import threading
from pathlib import Path

import pytest

from v7_task_processor import Job, queue
from v7_task_processor.queue import Connection
from v7_task_processor.worker.outcome import Void
from v7_task_processor.worker.slots import ENDED

from ..support import everything
from .bench import Bench
from .recording import Recording
from .recording import bench as bench
from .recording import opened as opened
from .test_executor_ends import forever, turn


@pytest.fixture
async def executing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path).on_its_clock(monkeypatch)


async def test_a_handler_is_told_and_its_neighbour_is_not(executing: Bench) -> None:
    executing.handle(forever)
    executing.add(1, 2)
    assert executing.executor.mine() == {(1, 1, 9), (2, 1, 9)}
    executing.executor.take_away({(1, 1, 9), (2, 2, 9), (3, 1, 9)})
    assert executing.executor.mine() == {(2, 1, 9)}, "it is asked about no more"
    await turn()
    assert [(each.job.id, each.outcome) for each in executing.ended] == [(1, Void())]
    executing.executor.abandon()
    await executing.executor.quiet.wait()


async def test_whatever_a_handler_does_then_is_void(executing: Bench) -> None:
    async def refuses(job: Job) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if job.id == 2:
                raise ValueError("I will not be told") from None

    executing.handle(refuses)
    executing.add(1, 2)
    executing.executor.take_away({(1, 1, 9), (2, 1, 9)})
    await executing.executor.quiet.wait()
    assert executing.outcomes() == [Void(), Void()]
    assert executing.states() == [ENDED, ENDED]


async def test_a_thread_runs_on_for_nothing(executing: Bench) -> None:
    go = threading.Event()

    def wait(_: Job) -> None:
        go.wait(60)

    executing.handle(wait)
    executing.add(1)
    executing.executor.take_away({(1, 1, 9)})
    await turn()
    assert executing.ended == []
    go.set()
    await executing.executor.quiet.wait()
    assert executing.outcomes() == [Void()]


async def test_nothing_is_written_and_the_slot_comes_free(bench: Recording, connection: Connection) -> None:
    await queue.enqueue(connection, [queue.Enqueued(1, 1, 1, "{}", "c")])
    (job,) = await bench.take(1)
    before = await everything(connection)
    bench.say(job, Void())
    await bench.written()
    assert await everything(connection) == before
