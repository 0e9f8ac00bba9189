"""Whether this process can take events now, for load balancers: `/readyz`."""

import asyncio
import time

import psycopg

from .. import database, queue
from ..errors import ConfigurationError, DatabaseUnavailable
from .ingest import Ingest

FRESH_SECONDS = 1.0
CHECK_SECONDS_MAX = 5.0
UNREACHABLE = "the database cannot be reached"


class Readiness:
    """Asks the database, but not more often than once a second, however many ask here."""

    def __init__(self, url: str, ingest: Ingest) -> None:
        self.url, self.ingest = url, ingest
        self.draining = False
        self.lock = asyncio.Lock()
        self.found: list[str] = []
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
                await asyncio.to_thread(database.check, self.url)
                async with await database.connect(self.url) as connection:
                    if not await queue.has_tomorrow(connection):
                        return ["the history has no partition for tomorrow"]
        except ConfigurationError as error:
            return [str(error)]
        except (DatabaseUnavailable, psycopg.Error, TimeoutError, OSError):
            return [UNREACHABLE]
        return []
