"""Keeps what a process counts in the database, so that any API process can tell the sum over all of them."""

import time
import uuid

import msgspec
import psycopg

from . import queue
from .observability import logs
from .observability.counts import Counts, Numbers
from .observability.families import TYPES_MAX
from .observability.seldom import Seldom
from .queue import Connection

log = logs.get(__name__)
WRITE_SECONDS = 3.0
"""What a process that is killed may have counted in vain."""
IDLE_SECONDS = 60.0
"""A row that was not written for so long is folded into the sum; its process has ended, or counts nothing."""


class Account:
    """One process's row in v7.metrics. It says how much in all, not how much more: to write it again is safe."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.seldom = Seldom()
        self.written_at = 0.0
        self.begin()

    def begin(self) -> None:
        self.source, self.first = str(uuid.uuid4()), True
        self.written: Numbers = {}

    async def keep_in_time(self, connection: Connection) -> None:
        """Write where it is time for it. Raises psycopg.Error only where the connection broke: nothing that becomes
        of metrics may be in the way of anything else."""
        if time.monotonic() - self.written_at >= WRITE_SECONDS:
            await self.keep(connection)

    async def keep(self, connection: Connection) -> None:
        """The same, now."""
        self.written_at = time.monotonic()
        try:
            await self.write(connection)
            if self.counts.further:  # or made-up types that came first would make `other` of one with a label
                self.counts.tell_apart(await queue.named_types(connection, TYPES_MAX))
        except psycopg.Error as error:
            if connection.closed:
                raise
            if self.seldom.allows(error):
                log.warning("metrics could not be written; it will be tried again", error=logs.said(error))

    async def write(self, connection: Connection) -> None:
        """Write what changed, if anything did. Raises psycopg.Error; then it is not known, and may be repeated."""
        while (now := self.counts.copy()) != self.written:
            text = msgspec.json.encode(now).decode()
            if await queue.write_counts(connection, self.source, text, first=self.first):
                self.first, self.written = False, now
                return
            self.counts.subtract(self.written)  # it is in the sum of those that ended; the rest goes into a new row
            self.begin()
