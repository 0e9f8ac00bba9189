"""Memory of a worker and of an API process: after the start, at the most, and after very many events. In MB."""

import multiprocessing
import tempfile
import time
from pathlib import Path

import client
import ingest
import usage
from contest import Contest, Sizes
from database import Database
from node import running, wait_for_workers, working
from product import HANDLERS, fill, queue

EVENTS = 1_000_000
LARGE_EVENTS, LARGE_BYTES = 200, 1_000_000
POST_SECONDS, CONNECTIONS = 2.0, 64
STARTED_SECONDS = 2.0
READING = """
import asyncio
from v7_task_processor import handler

@handler()
async def read(job):
    len(job.event_data["text"])
    await asyncio.sleep(0.02)
"""


def contests(sizes: Sizes) -> dict[str, Contest]:
    events = sizes.scaled(EVENTS)
    return {
        "memory": Contest(
            "MB; RSS of the largest process, PSS of all of a node of one process",
            "less",
            {
                f"v7 worker, {events:,} jobs": lambda database: worker(database, events),
                f"v7 worker, {LARGE_EVENTS} jobs of {LARGE_BYTES:,} bytes": large,
                f"v7 api, {events:,} events": lambda database: api(database, events),
            },
            bases=(),
        )
    }


def worker(database: Database, jobs: int) -> dict[str, float]:
    """A worker that starts with nothing to do, and then gets it all at once."""
    fill(database, 0)
    with working(database, HANDLERS.format(kind="async def"), V7_WORKER_PROCESSES=1) as node:
        figures = started(database, node.pid)
        with usage.Peak(node.pid).sampled() as peak:
            queue(database, jobs)
            database.connection.execute("notify v7, 'jobs'")
            wait_for_the_end(database)
        return figures | ended(node.pid, peak)


def large(database: Database) -> dict[str, float]:
    """Large events: more of them than anyone wants in memory at once."""
    fill(database, 0)
    with working(database, READING, V7_WORKER_PROCESSES=1) as node:
        figures = started(database, node.pid)
        with usage.Peak(node.pid).sampled() as peak:
            database.connection.execute(
                "insert into v7.jobs (event_type_id, user_id, priority, event_data, queued_at) "
                "select 1, 1, 5, json_build_object('text', repeat('x', %s)), now() from generate_series(1, %s)",
                [LARGE_BYTES, LARGE_EVENTS],
            )
            database.connection.execute("notify v7, 'jobs'")
            wait_for_the_end(database)
        return figures | ended(node.pid, peak)


def api(database: Database, events: int) -> dict[str, float]:
    """An API process that takes events in from 64 connections."""
    fill(database, 0)
    port = ingest.free_port()
    with tempfile.TemporaryDirectory() as name, running("api", database, Path(name), PORT=port) as node:
        ingest.wait_for(port)
        time.sleep(STARTED_SECONDS)
        figures = at_start(node.pid)
        with usage.Peak(node.pid).sampled() as peak, multiprocessing.get_context("spawn").Pool(1) as pool:
            while database.value("select last_value from v7.jobs_id_seq") < events:
                pool.apply(client.post, (port, ingest.BODY, CONNECTIONS, POST_SECONDS))
        return figures | ended(node.pid, peak)


def started(database: Database, pid: int) -> dict[str, float]:
    wait_for_workers(database)
    time.sleep(STARTED_SECONDS)
    return at_start(pid)


def at_start(pid: int) -> dict[str, float]:
    processes = usage.of_node(pid)
    return {"RSS at start": usage.largest_mb(processes), "PSS at start": usage.all_mb(processes)}


def ended(pid: int, peak: usage.Peak) -> dict[str, float]:
    processes = usage.of_node(pid)
    return {
        "RSS at most": peak.mb,
        "RSS after": usage.largest_mb(processes),
        "PSS after": usage.all_mb(processes),
    }


def wait_for_the_end(database: Database) -> None:
    while database.value("select exists (select from v7.jobs)"):
        time.sleep(0.1)
