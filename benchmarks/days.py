"""Ten days of steady load, shortened: the database's clock goes on by a day after each part, by libfaketime.

So the history's days turn: completions go on in another partition, and after each day the node's own hourly chore makes
days ahead and drops those behind. What is measured is what `steady` measures.
"""

import asyncio
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import usage
from contest import Contest, Sizes
from database import Database
from node import wait_for_workers, working
from product import HANDLERS, fill
from steady import A_SECOND, PARTS, SECONDS, part, send

from v7_task_processor import embedded
from v7_task_processor.maintenance import Pruner, keep_days

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
RETENTION_DAYS = 2
HISTORY = "select sum(pg_total_relation_size(relid))::bigint from pg_partition_tree('v7.finished_jobs')"


def contests(sizes: Sizes) -> dict[str, Contest]:
    seconds = max(PARTS, SECONDS * sizes.scale)
    what = f"{A_SECOND:,} events/s for {seconds:g} s, a day each tenth: its third and its last day"
    return {"days": Contest(what, "the same at the end", {"v7": lambda _: days(seconds)}, ())}


class Clock:
    """The wall clock of processes that are started within `environment`. What measures durations stays true."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "offset"
        self.set(0)

    def set(self, days: int) -> None:
        """So many days from the true time."""
        self.file.write_text(f"+{days}d\n")
        self.file.chmod(0o644)

    @contextlib.contextmanager
    def environment(self) -> Iterator[None]:
        before = dict(os.environ)
        own = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        os.environ.update(own)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def days(seconds: float) -> dict[str, float]:
    """On a server of its own. The first days fill the history, the others turn it."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        clock = Clock(folder)
        with clock.environment():
            server = stack.enter_context(embedded.start(folder / "data"))
        database = stack.enter_context(Database(server.url))
        fill(database, 0)
        settings = {"V7_WORKER_PROCESSES": 1, "V7_RETENTION_DAYS": RETENTION_DAYS}
        node = stack.enter_context(working(database, HANDLERS.format(kind="async def"), **settings))
        wait_for_workers(database)
        ended = threading.Event()
        sender = threading.Thread(target=send, args=(database.url, ended))
        sender.start()
        try:
            parts = []
            for number in range(PARTS):
                parts.append(day(database, node.pid, seconds / PARTS))
                today = database.value("select current_date")
                clock.set(number + 1)
                while database.value("select current_date") == today:  # it looks at the file once a second
                    time.sleep(0.05)
                asyncio.run(turn(database.url))
        finally:
            ended.set()
            sender.join()
    ends = {"third": parts[RETENTION_DAYS], "last": parts[-1]}
    return {f"{what}, {when}": each[what] for what in parts[0] for when, each in ends.items()}


def day(database: Database, pid: int, seconds: float) -> dict[str, float]:
    measured = part(database, pid, seconds)
    return {**measured, "history MB": database.value(HISTORY) / usage.MEGABYTE}


async def turn(url: str) -> None:
    """What a node does each hour."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await keep_days(connection, RETENTION_DAYS)
        pruner = Pruner(RETENTION_DAYS)
        while await pruner.step(connection):
            pass
