"""Group commit: requests that come together share one statement and one commit, and each hears of its own."""

import asyncio
import contextlib
import hashlib
from collections import deque

from ..observability import logs
from ..queue import Enqueued
from .commit import COMMIT_SECONDS_MAX, Committer, Waiting
from .hints import Hints
from .outcome import BUSY, NOT_ADDED, SHUTTING_DOWN, Outcome

log = logs.get(__name__)

BATCH_EVENTS_MAX = 500
BATCH_CHARS_MAX = 8 * 2**20
WAITING_EVENTS_MAX = 10_000
WAITING_CHARS_MAX = 64 * 2**20
TYPE_SECONDS_MAX = 1.0
LEAVE_SECONDS_MAX = 5.0


class Ingest:
    """Takes events from any number of requests; commits a batch whenever the last one is done."""

    def __init__(self, commit_seconds_max: float = COMMIT_SECONDS_MAX) -> None:
        self.commit_seconds_max = commit_seconds_max
        self.waiting: deque[Waiting] = deque()
        self.waiting_chars = 0
        self.arrived = asyncio.Event()
        self.closed = True
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, url: str) -> None:
        """Begin to take events. Where the database is away they fail until it is back."""
        self.committer = Committer(url, self.commit_seconds_max)
        self.hints = Hints(url)
        self.closed = False
        with contextlib.suppress(Exception):  # it is tried again, and logged, with the first event
            await self.committer.connected()
        await self.hints.once()
        self.tasks = [asyncio.create_task(self.run()), asyncio.create_task(self.hints.run())]

    async def add(self, event: Enqueued) -> Outcome:
        """Add an event, durably. To cancel this has no effect on what becomes of it."""
        if self.closed:
            return SHUTTING_DOWN
        chars = len(event.event_data)
        if self.waiting and (len(self.waiting) >= WAITING_EVENTS_MAX or self.waiting_chars + chars > WAITING_CHARS_MAX):
            return BUSY
        waiting = Waiting(event if event.key is None else event._replace(digest=digest(event)))
        self.waiting.append(waiting)
        self.waiting_chars += chars
        self.arrived.set()
        type_exists = self.hints.meet(event.event_type_id)
        outcome = await waiting.outcome
        if type_exists is not None:
            await asyncio.wait([type_exists], timeout=TYPE_SECONDS_MAX)
        return outcome

    async def run(self) -> None:
        """Commit what waits, until closed and empty."""
        while self.waiting or not self.closed:
            await self.arrived.wait()
            self.arrived.clear()
            while self.waiting:
                if added := await self.committer.commit(self.take()):
                    self.hints.wake(added)
                elif self.committer.stuck:
                    self.fail_waiting()

    def take(self) -> list[Waiting]:
        """The next batch, in the order of arrival; no key twice."""
        batch: list[Waiting] = []
        later: list[Waiting] = []
        keys: set[str] = set()
        chars = 0
        while self.waiting and len(batch) + len(later) < BATCH_EVENTS_MAX:
            event = self.waiting[0].event
            chars += len(event.event_data)
            if batch and chars > BATCH_CHARS_MAX:
                break
            waiting = self.waiting.popleft()
            if event.key in keys:
                later.append(waiting)
                continue
            batch.append(waiting)
            self.waiting_chars -= len(event.event_data)
            if event.key is not None:
                keys.add(event.key)
        self.waiting.extendleft(reversed(later))
        return batch

    def fail_waiting(self) -> None:
        """The database hangs. Nothing was sent for these: better to know that than to wait for the same."""
        while self.waiting:
            self.waiting.popleft().tell(NOT_ADDED)
        self.waiting_chars = 0

    async def stop(self, seconds: float) -> None:
        """Take no more, commit what waits, and close. May be called twice."""
        self.closed = True
        self.arrived.set()
        if not self.tasks:
            return
        run, hints = self.tasks
        self.tasks = []
        await asyncio.wait([run], timeout=seconds)
        if not run.done():
            log.warning("stopped before the database confirmed everything", waiting=len(self.waiting))
            self.fail_waiting()
            self.committer.abandon()
        hints.cancel()
        _, late = await asyncio.wait([run, hints], timeout=LEAVE_SECONDS_MAX)
        for task in late:
            task.cancel()
        await self.committer.close()
        await self.hints.link.close()


def digest(event: Enqueued) -> bytes:
    """Tells an event from another under the same key; v7.enqueue computes the same."""
    text = f"{event.event_type_id},{event.user_id},{event.priority},{event.event_data}"
    return hashlib.sha256(text.encode()).digest()
