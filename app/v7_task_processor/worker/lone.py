"""Has suspects run, each in a process in which nothing runs beside it: a lone worker, which ends when it finds none."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from .. import queue
from ..database import Link
from ..observability import logs
from ..queue import Served
from .children import Child

log = logs.get(__name__)
LOOK_SECONDS, IDLE_LOOK_SECONDS = 1.0, 2.0
"""The second while no lone worker lives: of this node's own dead `hint` tells, and others' were given up long ago."""


class LoneWorkers:
    """A node's lone workers, up to as many as it has others. `live` is one life of a child, with its rescue."""

    def __init__(self, children: list[Child], link: Link, live: Callable[[Child], Awaitable[int]]) -> None:
        self.children, self.link, self.live = children, link, live
        self.lives: dict[Child, asyncio.Future[int]] = {}
        self.hint = asyncio.Event()
        """Set when a dead worker's jobs went where they belong: there may be suspects now."""

    async def look(self, served: Served, idle_now: Callable[[], bool]) -> None:
        """Wait for a moment; then start one more where suspects wait, unless the node is to start nothing."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.hint.wait(), LOOK_SECONDS if self.lives else IDLE_LOOK_SECONDS)
        self.hint.clear()
        idle = next((child for child in self.children if child not in self.lives), None)
        if idle is None or idle_now():
            return
        if await queue.suspects_wait(await self.link.get(), served) and not idle_now():
            self.lives[idle] = asyncio.ensure_future(self.live(idle))
            self.lives[idle].add_done_callback(lambda life: self.ended(idle, life))

    def ended(self, child: Child, life: "asyncio.Future[int]") -> None:
        del self.lives[child]
        if not life.cancelled() and life.exception() is not None:
            log.error("what a lone worker held was not given back", error=repr(life.exception()))
