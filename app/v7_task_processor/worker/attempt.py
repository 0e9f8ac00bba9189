"""One execution of a job in this process, and what waits to become one."""

import asyncio
from typing import NamedTuple

from ..handlers import Handler, clean
from ..job import Job
from ..observability.journal import Journal, running
from ..queue import Mine
from .outcome import Outcome
from .spans import AttemptSpan


class Buffered(NamedTuple):
    """A job that is claimed and has not started."""

    job: Job
    worker_id: int
    claimed_at: float


class Attempt:
    """One execution, from its start to the word about it."""

    __slots__ = (
        "deadline", "ended", "handler", "job", "journal", "slot", "span", "started_at", "task", "told",
        "worker_id",
    )  # fmt: skip

    def __init__(self, item: Buffered, handler: Handler, started_at: float, deadline: float, slot: int) -> None:
        self.job, self.worker_id, self.handler = item.job, item.worker_id, handler
        self.started_at, self.deadline, self.slot = started_at, deadline, slot
        self.task: asyncio.Task[None] | None = None
        self.told: Outcome | None = None
        """What it will count as, since we cancelled it."""
        self.ended = False
        self.journal: Journal | None = None
        self.span: AttemptSpan | None = None

    def call(self) -> object:
        running.set(self)
        if self.span is not None:
            self.span.enter()
        return self.handler.function(self.job)

    @property
    def mine(self) -> Mine:
        """What names it in the database."""
        return self.job.id, self.job.attempt, self.worker_id

    def logged(self) -> str | None:
        """What it has logged, as text that Postgres takes; None: nothing."""
        if self.journal is None:
            return None
        text = self.journal.text()
        return clean(text, len(text))

    def cancel(self, told: Outcome) -> None:
        """Soon, not now: a task that is cancelled before its first step never says that it ended."""
        self.told = told
        if self.task is not None:
            self.task.get_loop().call_soon(self.task.cancel)
