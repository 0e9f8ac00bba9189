"""One execution of a job in this process, and what waits to become one."""

import asyncio

import msgspec

from ..handlers import Handler, clean
from ..job import Job
from ..observability.journal import Journal, running
from ..queue import Mine
from .outcome import Outcome
from .spans import AttemptSpan


class Buffered(msgspec.Struct, frozen=True):
    """A job that is claimed and has not started."""

    job: Job
    worker_id: int
    claimed_at: float


class Attempt(msgspec.Struct, eq=False):
    """One execution, from its start to the word about it."""

    job: Job
    worker_id: int
    handler: Handler
    started_at: float
    deadline: float
    slot: int
    task: "asyncio.Task[None] | None" = None
    told: Outcome | None = None
    """What it will count as, since we cancelled it."""
    ended: bool = False
    journal: Journal | None = None
    span: AttemptSpan | None = None

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
