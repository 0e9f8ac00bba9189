"""Does in the database what must be done there, over whatever breaks."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg

from .. import maintenance, queue
from ..database import Link
from ..observability import logs
from ..observability.seldom import Seldom
from ..queue import Connection

Answer = TypeVar("Answer")
log = logs.get(__name__)
AGAIN_SECONDS = 0.2


class Stubborn:
    """One step after the other on one connection, each until it is done."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.lock, self.seldom = asyncio.Lock(), Seldom()
        self.gives_up = False

    async def do(self, step: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        """Do something repeatable. Raises psycopg.Error only after `let_go`."""
        async with self.lock:
            while True:
                try:
                    return await step(await self.link.get())
                except psycopg.Error as error:
                    if self.gives_up:
                        raise
                    if self.seldom.allows(error):
                        log.warning("the database did not do it; trying again", error=logs.said(error))
                    if queue.lacks_partition(error):
                        with contextlib.suppress(psycopg.Error):
                            await queue.add_days(await self.link.get(), maintenance.DAYS_AHEAD)
                    await asyncio.sleep(AGAIN_SECONDS)

    def let_go(self) -> None:
        """What fails from now on is not tried again."""
        self.gives_up = True
