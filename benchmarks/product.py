"""The product's events: queued, drained by `v7 worker`, timed one by one, sent through `v7.enqueue`."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import LiteralString

import sender
from contest import Measure
from database import Database
from node import wait_for_workers, working
from sender import GAP_SECONDS, SENT, percentiles

from v7_task_processor import database as schema

ENQUEUE: LiteralString = "select v7.enqueue(1, 1, 5, '{}')"
UNTOLD: LiteralString = (
    "insert into v7.jobs (event_type_id, user_id, priority, event_data, queued_at) "
    "values (1, 1, 5, '{}', now()) returning id"
)
"""An event of which no NOTIFY tells, as behind a pooler that does not pass them on: polling finds it."""
IDLE_SECONDS = 1.0
HANDLERS = """
from v7_task_processor import handler

@handler()
{kind} noop(job):
    job.event_data["i"]
"""
TRACED = """
import os, time
from v7_task_processor import handler

LOG = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@handler()
async def traced(job):
    os.write(LOG, f"{{job.id}} {{time.time()}}\\n".encode())
"""


def fill(database: Database, jobs: int, priorities: int = 1, types: int = 1) -> None:
    """So many queued jobs, as enqueued one after the other, their priorities and types in turn."""
    schema.migrate(database.url)
    queue(database, jobs, priorities, types)


def queue(database: Database, jobs: int, priorities: int = 1, types: int = 1) -> None:
    database.connection.execute(
        "insert into v7.jobs (event_type_id, user_id, priority, event_data, queued_at) "
        "select 1 + i %% %s, 1, 5 + i %% %s, json_build_object('i', i), now() from generate_series(1, %s) i",
        [types, priorities, jobs],
    )


def drain(
    database: Database, jobs: int, processes: int, retention_days: int = 7, kind: str = "async def"
) -> dict[str, float]:
    """Jobs a second, from the first claim to the last completion, by the database's own record of them."""
    fill(database, jobs)
    database.settle()
    settings = {"V7_WORKER_PROCESSES": processes, "V7_RETENTION_DAYS": retention_days}
    marks = ids_at(database, [jobs])
    with working(database, HANDLERS.format(kind=kind), **settings):
        return {"jobs/s": jobs / passed(database, marks)[-1]}


def drained(database: Database, places: Sequence[int], *, whole: bool = True) -> list[float]:
    """Seconds in which one worker process with default settings comes so far (see `passed`) in what is queued."""
    marks = ids_at(database, places)
    with working(database, HANDLERS.format(kind="async def"), V7_WORKER_PROCESSES=1):
        return passed(database, marks, whole=whole)


def ids_at(database: Database, places: Sequence[int]) -> list[int]:
    """The jobs that are claimed first, and at these places (from 1) in order. Paused types do not count."""
    return [
        database.value(
            "select id from v7.jobs where status = 'queued' and event_type_id not in "
            "(select event_type_id from v7.event_types where paused_at is not null) "
            "order by priority, position offset %s limit 1",
            place - 1,
        )
        for place in (1, *places)
    ]


def passed(database: Database, marks: Sequence[int], *, whole: bool = True) -> list[float]:
    """Seconds from the claim of the first mark to the end of each further one; `whole`: the last one, and all else.

    Looked at from outside, by primary key: a look at the whole table would take time from those that are measured.
    """
    first, *later = marks
    while database.value("select exists (select from v7.jobs where id = %s and attempt = 0)", first):
        time.sleep(0.002)
    began = time.perf_counter()
    seconds = []
    for mark in later:
        while database.value("select exists (select from v7.jobs where id = %s)", mark):
            time.sleep(0.005)
        seconds.append(time.perf_counter() - began)
    while whole and database.value("select exists (select from v7.jobs where status = 'running')"):
        time.sleep(0.002)
        seconds[-1] = time.perf_counter() - began
    return seconds


def latency(database: Database, insert: LiteralString = ENQUEUE) -> dict[str, float]:
    """Milliseconds from the commit of an event to the start of its handler, in an idle system."""
    schema.migrate(database.url)
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "starts.log"
        with working(database, TRACED.format(log=str(log)), V7_WORKER_PROCESSES=1):
            wait_for_workers(database)
            time.sleep(IDLE_SECONDS)  # an idle system is what is measured
            sent = {}
            for _ in range(SENT):
                job_id = database.value(insert)
                sent[job_id] = time.time()
                time.sleep(GAP_SECONDS)
            while database.value("select exists (select from v7.jobs)"):
                time.sleep(0.01)
        started = dict(line.split() for line in log.read_text().splitlines())
    return percentiles([float(started[str(job_id)]) - at for job_id, at in sent.items()])


def enqueues(database: Database, scale: float = 1.0) -> dict[str, float]:
    """Events a second: by `v7.enqueue` from 16 callers at once, each in a transaction of its own, and in bulk by
    `v7.enqueue_many`."""
    return sender.rates(
        database,
        "select v7.enqueue(1, 1, 5, $1::json)",
        "select count(*) from v7.enqueue_many((select json_agg(json_build_object('event_type_id', 1, 'user_id', 1, "
        "'priority', 5, 'event_data', data::json)) from unnest($1::text[]) data))",
        scale,
    )


def migrated(measure: Measure) -> Measure:
    """The measure, on a database that has the product's schema."""

    def measured(database: Database) -> dict[str, float]:
        schema.migrate(database.url)
        return measure(database)

    return measured
