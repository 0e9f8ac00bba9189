"""Threads for `def` handlers: cheaper for each job than the standard executor, and one wake-up for many ends."""

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar

from .forked import leave_if_copy

Result = tuple[object, BaseException | None]


class Work(Protocol):
    """What a thread runs."""

    def call(self) -> object: ...


Item = TypeVar("Item", bound=Work)


class Threads(Generic[Item]):
    """Up to `count` threads, made as they are needed. `on_end` is called in the event loop, in order of ends."""

    def __init__(self, count: int, on_end: Callable[[Item, object, BaseException | None], None]) -> None:
        self.count, self.on_end = count, on_end
        self.loop = asyncio.get_running_loop()
        self.work: SimpleQueue[Item] = SimpleQueue()
        self.ended: deque[tuple[Item, Result]] = deque()
        self.busy = 0
        self.started = 0
        self.waking = False

    def submit(self, item: Item) -> None:
        """Run it. Raises RuntimeError where the system has no thread to give: behind a busy one its time would run out
        before it began."""
        if self.busy >= self.started and self.started < self.count:
            threading.Thread(target=self.run, name=f"handler-{self.started}", daemon=True).start()
            self.started += 1
        self.busy += 1
        self.work.put(item)

    def run(self) -> None:
        while True:
            item = self.work.get()
            result = contextvars.Context().run(call, item)
            leave_if_copy()
            self.ended.append((item, result))
            if not self.waking:
                self.waking = True
                self.loop.call_soon_threadsafe(self.collect)

    def collect(self) -> None:
        self.waking = False
        while self.ended:
            item, (answer, error) = self.ended.popleft()
            self.busy -= 1
            self.on_end(item, answer, error)


def call(item: Work) -> Result:
    try:
        return item.call(), None
    except BaseException as error:
        return None, error
