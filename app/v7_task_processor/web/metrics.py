"""`/metrics`: what all processes have counted, and how the tables stand, for Prometheus."""

import asyncio
import platform
import time

from .. import __version__
from ..counting import WRITE_SECONDS, Account
from ..database import LOCAL, SCHEMA_VERSION, Link
from ..maintenance import all_of, note_minute, run_every
from ..observability import families, logs
from ..observability.exposition import Sample, render

log = logs.get(__name__)
SCRAPE_SECONDS_MAX = 8.0
"""Prometheus itself gives up after ten."""
KEEP_SECONDS_MAX = 1.0
BUILD = Sample(families.BUILD_INFO, (__version__, SCHEMA_VERSION, platform.python_version()), [1])


class Metrics:
    """Answers scrapes, and keeps what this process counts. One scrape at a time looks into the database."""

    def __init__(self, url: str, account: Account) -> None:
        self.url, self.account = url, account
        self.link = Link(url, {**LOCAL, "statement_timeout": "5s"})
        self.keeping, self.lock = asyncio.Lock(), asyncio.Lock()
        self.running: asyncio.Task[None] | None = None
        self.looking: asyncio.Future[list[Sample]] | None = None
        self.answer, self.begun_at = "", 0.0

    def start(self) -> None:
        """Keep what is counted, until stopped."""
        self.running = asyncio.create_task(run_every(WRITE_SECONDS, "write metrics", self.round))

    async def round(self) -> None:
        """Note a minute that has begun, since nobody else does where no worker lives; then keep what came in it.
        Raises psycopg.Error."""
        if self.account.counts.numbers:
            connection = await self.link.get()
            await all_of(connection, lambda: note_minute(connection), self.keep)

    async def keep(self) -> None:
        """Raises psycopg.Error where there is no connection."""
        async with self.keeping:
            if self.account.counts.numbers:
                await self.account.keep(await self.link.get())

    async def keep_soon(self) -> None:
        """The same, but waits for a moment only, and never raises."""
        if not self.keeping.locked():  # whoever is at it hangs, or does it for us
            kept = asyncio.ensure_future(self.keep())
            kept.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.wait([kept], timeout=KEEP_SECONDS_MAX)

    async def stop(self) -> None:
        """Keep the last of it, and close."""
        if self.running is not None:
            self.running.cancel()
            await asyncio.wait([self.running], timeout=KEEP_SECONDS_MAX)
        await self.keep_soon()
        await self.link.close()

    async def scrape(self) -> str:
        """The text. Never raises for the database's sake.

        Those who wait at the same time share one look; but it begins after they asked: an answer from before could be
        older than what another API process has said meanwhile, and its counters less.
        """
        asked_at = time.monotonic()
        async with self.lock:
            if self.begun_at < asked_at:
                self.begun_at = time.monotonic()
                self.answer = render(await self.samples())
        return self.answer

    async def samples(self) -> list[Sample]:
        began = time.monotonic()
        # So that an event that was acknowledged before the scrape is in it. All else is read from the table, by every
        # process alike: one that added what it alone knows would have a counter fall in the answer of the next.
        await self.keep_soon()
        found = await self.look()
        return [BUILD, *found, Sample(families.SCRAPE_DURATION, (), [time.monotonic() - began])]

    async def look(self) -> list[Sample]:
        """What the database says. Where an earlier look still hangs in its thread, there is no second one."""
        if self.looking is None or self.looking.done():
            self.looking = asyncio.ensure_future(asyncio.to_thread(look, self.url))
        done, _ = await asyncio.wait([self.looking], timeout=SCRAPE_SECONDS_MAX)
        if done:
            return self.looking.result()
        log.warning("the database does not answer a scrape of the metrics", seconds=SCRAPE_SECONDS_MAX)
        return [Sample(families.SCRAPE_ERRORS, (part,), [1]) for part in families.PARTS]


def look(url: str) -> list[Sample]:
    from . import scrape  # and SQLAlchemy with it: half a second, which those need not spend who are never scraped

    return scrape.look(url)
