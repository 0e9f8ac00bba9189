"""What waits for one connection to Postgres: in the order of arrival, committed one after the other, and bounded."""

import asyncio
from abc import abstractmethod
from collections import deque
from typing import Any, Generic, TypeVar

from ..observability import logs
from .commit import Committer, Waiting
from .hints import Hints
from .outcome import NOT_ADDED

log = logs.get(__name__)
LEAVE_SECONDS_MAX = 5.0

Item = TypeVar("Item", bound=Waiting[Any, Any])


class Lane(Generic[Item]):
    """Commits what waits, whenever the last commit is done."""

    committer: Committer
    hints: Hints

    def __init__(self) -> None:
        self.waiting: deque[Item] = deque()
        self.waiting_bytes = 0
        self.arrived = asyncio.Event()
        self.closed = True

    @abstractmethod
    async def commit(self) -> int:
        """Commit what waits longest. How many events were added."""

    async def run(self) -> None:
        """Commit what waits, until closed and empty."""
        while self.waiting or not self.closed:
            await self.arrived.wait()
            self.arrived.clear()
            while self.waiting:
                if added := await self.commit():
                    self.hints.wake(added)
                elif self.committer.stuck:
                    self.fail_waiting()

    def fail_waiting(self) -> None:
        """The database hangs. Nothing was sent for these: better to know that than to wait for the same."""
        while self.waiting:
            self.waiting.popleft().tell(NOT_ADDED)
        self.waiting_bytes = 0

    def close(self) -> None:
        """Take no more."""
        self.closed = True
        self.arrived.set()

    async def end(self, run: asyncio.Task[None], seconds: float) -> None:
        """Commit what waits, and leave."""
        self.close()
        await asyncio.wait([run], timeout=seconds)
        if not run.done():
            log.warning("stopped before the database confirmed everything", waiting=len(self.waiting))
            self.fail_waiting()
            self.committer.abandon()
        _, late = await asyncio.wait([run], timeout=LEAVE_SECONDS_MAX)
        for task in late:
            task.cancel()
        await self.committer.close()
