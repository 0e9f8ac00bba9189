"""An executor with handlers of the test's own, on real memory and a clock that the test may set."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from v7_task_processor import Job
from v7_task_processor.handlers import Handler, Registry
from v7_task_processor.settings import Settings
from v7_task_processor.worker import executor, slots
from v7_task_processor.worker.executor import Executor
from v7_task_processor.worker.outcome import Ended, Failed
from v7_task_processor.worker.slots import NodeMap, now


class Bench:
    """An executor with handlers of the test's own, and what it said."""

    def __init__(self, folder: Path, concurrency: int = 4, slots: int = 200) -> None:
        self.time = now()
        self.notes = NodeMap.create(folder / "node.map", 1, slots)
        self.notes.beat(self.time)
        self.section = self.notes.section(0)
        self.ended: list[Ended] = []
        self.registry = Registry()
        settings = Settings(concurrency=concurrency, timeout_seconds=60)
        self.executor = Executor(settings, self.registry, self.section, self.ended.append)

    def on_its_clock(self, monkeypatch: pytest.MonkeyPatch) -> "Bench":
        """Time passes where the test says so: on the machine's own a slow start puts off what waits in the buffer."""
        monkeypatch.setattr(executor, "now", lambda: self.time)
        monkeypatch.setattr(slots, "now", lambda: self.time)
        return self

    def live(self, seconds: float) -> None:
        """Let time pass on a node whose supervisor lives."""
        end = self.time + seconds
        while self.time < end:
            self.time = min(end, self.time + 1)
            self.notes.look()
        self.notes.beat(self.time)

    def handle(
        self, function: Callable[[Job], Any], event_type_id: int = 1, timeout_seconds: float | None = None
    ) -> None:
        is_async = asyncio.iscoroutinefunction(function)
        self.registry.add(event_type_id, Handler(function, is_async, None, timeout_seconds))

    def add(self, *ids: int, event_type_id: int = 1, event_json: str = "{}") -> None:
        self.take([self.job(each, event_type_id, event_json) for each in ids])

    def job(self, job_id: int, event_type_id: int = 1, event_json: str = "{}") -> Job:
        return Job(job_id, 1, event_type_id, 1, 0, event_json, 0, 5, "c", 0.0, 0, 0.5)

    def take(self, jobs: list[Job]) -> None:
        """As a claim does: these start, as far as there is room."""
        self.executor.add(jobs, worker_id=9)
        self.executor.dispatch()

    async def run(self, *ids: int) -> list[Any]:
        """Outcomes of jobs that are run to their ends, in the order of these."""
        self.add(*ids)
        await self.executor.quiet.wait()
        return self.outcomes()

    def outcomes(self) -> list[Any]:
        return [each.outcome for each in self.ended]

    def states(self) -> list[int]:
        return sorted(note.state for note in self.section.noted())


def error_of(outcome: Any) -> tuple[str, str]:
    """Type and message of a failure."""
    assert isinstance(outcome, Failed), outcome
    return outcome.error.error_type, outcome.error.message
