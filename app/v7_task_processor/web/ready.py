"""Whether this process can take events now, for load balancers: `/readyz`."""

import asyncio
import time

import psycopg

from .. import database, promise, queue, unavailable
from ..errors import V7Error
from ..server import describe
from .ingest import Ingest

FRESH_SECONDS = 1.0
CHECK_SECONDS_MAX = 5.0
UNREACHABLE = "the database cannot be reached"
READ_ONLY = "the database is read-only: a standby, or set to be so"


class Readiness:
    """Asks the database, but not more often than once a second, however many ask here."""

    def __init__(self, url: str, ingest: Ingest) -> None:
        self.url, self.ingest = url, ingest
        self.draining = False
        self.lock = asyncio.Lock()
        self.found: list[str] = []
        self.promise = ""
        """What a 200 is worth now, as the last look found it."""
        self.looked_at = -FRESH_SECONDS

    async def reasons(self) -> list[str]:
        """Why not; empty where it is ready."""
        if self.draining or self.ingest.closed:
            return ["draining"]
        async with self.lock:
            if time.monotonic() - self.looked_at >= FRESH_SECONDS:
                self.found = await self.look()
                self.looked_at = time.monotonic()
        return self.found

    async def look(self) -> list[str]:
        try:
            async with asyncio.timeout(CHECK_SECONDS_MAX):
                server = await asyncio.to_thread(describe, self.url, promise.SETTINGS)
                if server.misfit:
                    return [server.misfit]
                found = promise.promise(server)
                if not found.acknowledges:
                    return [found.sentence]
                async with await database.connect(self.url) as connection:
                    if not await queue.has_tomorrow(connection):
                        return ["the history has no partition for tomorrow"]
        except (V7Error, psycopg.Error, TimeoutError, OSError) as error:
            return [READ_ONLY if unavailable.READ_ONLY in str(error) else UNREACHABLE]
        self.promise = found.introduced()
        return []
