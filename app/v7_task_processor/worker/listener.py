"""Hears the database's hints, and does a worker's small chores each second, on a connection of its own."""

import asyncio

import psycopg

from .. import queue
from ..counting import Account
from ..database import LOCAL
from ..deadline import PROMPT_SECONDS_MAX, deadline
from ..observability import logs
from ..queue import Connection
from .forked import connect
from .scheduler import POLL_SECONDS, Scheduler
from .session import HOT, RECONNECT_SECONDS_MAX, Session
from .slots import now

log = logs.get(__name__)
CHANNEL = "v7"
KNOWN_TYPES_MAX = 100_000


class Listener:
    """Wakes the scheduler. All that it brings is a hint, or is asked again each second."""

    def __init__(self, session: Session, scheduler: Scheduler, account: Account) -> None:
        self.session, self.scheduler, self.account = session, scheduler, account
        self.url = session.assignment.settings.session_url or session.url
        self.known: set[int] = set()

    async def run(self) -> None:
        """Listen, for ever."""
        pause = 0.05
        while True:
            try:
                async with await connect(self.url, {**HOT, **LOCAL}) as connection:
                    if connection.opening is None:  # a pooler's session would hear it, whoever has it then
                        with deadline(connection, PROMPT_SECONDS_MAX):
                            await connection.execute(f"listen {CHANNEL}")
                    await self.chores(connection)
                    self.scheduler.wake.set()
                    pause = 0.05
                    while True:
                        await self.hear(connection)
                        await self.chores(connection)
            except psycopg.Error as error:
                if self.session.seldom.allows(error):
                    log.warning("not listening", error=logs.said(error), again_in=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, RECONNECT_SECONDS_MAX)

    async def hear(self, connection: Connection) -> None:
        """Pass on hints, until it is time for the chores, or they are needed now."""
        until, needed = now() + POLL_SECONDS, False
        while not needed and (seconds := until - now()) > 0:
            async for notice in connection.notifies(timeout=seconds, stop_after=1):  # and what came with it
                needed = needed or notice.payload in ("types", "nodes", "cancelled")
                if notice.payload == "back":
                    self.scheduler.look_everywhere()
                self.scheduler.wake.set()
            await asyncio.sleep(0)  # the claim goes out first: to listen on takes a third as long as it does

    async def chores(self, connection: Connection) -> None:
        self.scheduler.heed(await queue.restrictions(connection, self.session.assignment.node_id))
        new, self.scheduler.met = self.scheduler.met - self.known, set()
        if new:
            await queue.ensure_event_types(connection, sorted(new))
            self.known = new if len(self.known) > KNOWN_TYPES_MAX else self.known | new
        await self.session.forget_earlier(connection)
        if running := self.scheduler.executor.mine():
            self.scheduler.executor.take_away(await queue.taken_away(connection, running))
        await self.account.keep_in_time(connection)
