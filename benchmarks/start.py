"""How long a start takes: of the command line, and of a node until its first claim. In seconds."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contest import Contest
from database import Database
from node import working
from product import HANDLERS, fill

TIMES = 10


def contests() -> dict[str, Contest]:
    return {
        "start": Contest(
            f"s, of {TIMES} starts",
            "less",
            {
                "python -c pass": lambda _: timed(lambda: command(sys.executable, "-c", "pass")),
                "v7 --help": lambda _: timed(lambda: command(str(Path(sys.executable).with_name("v7")), "--help")),
                "v7 worker, to its first claim": first_claim,
            },
            bases=(),
        )
    }


def timed(start: Callable[[], float]) -> dict[str, float]:
    seconds = [start() for _ in range(TIMES)]
    return {"median": statistics.median(seconds), "longest": max(seconds)}


def command(*words: str, **where: Any) -> float:
    """`where`: env and cwd."""
    began = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, **where)
    return time.perf_counter() - began


def first_claim(database: Database) -> dict[str, float]:
    """From the command to the moment at which another connection sees that it has a job."""
    fill(database, 0)

    def claimed() -> float:
        job_id = database.value("select v7.enqueue(1, 1, 5, '{\"i\": 1}')")
        began = time.perf_counter()
        with working(database, HANDLERS.format(kind="async def"), V7_WORKER_PROCESSES=1):
            while database.value("select exists (select from v7.jobs where id = %s and attempt = 0)", job_id):
                time.sleep(0.002)
            return time.perf_counter() - began

    return timed(claimed)
