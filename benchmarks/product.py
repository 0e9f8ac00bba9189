"""The product as its users run it: `v7 migrate`, `v7.enqueue`, `v7 worker` with a handlers file, `v7 api`."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from database import Database
from raw import percentiles

from v7_task_processor import database as schema

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


@contextlib.contextmanager
def running(command: str, database: Database, folder: Path, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """`v7 COMMAND` on the database, ended by SIGTERM."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("V7_")}
    given = {"DATABASE_URL": database.url, "V7_DATA_DIR": folder, "LOG_LEVEL": "warning", **settings}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "v7_task_processor.cli", command],
        env=outside | {name: str(value) for name, value in given.items()},
        cwd=folder,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)


def drain(
    database: Database, jobs: int, processes: int, retention_days: int = 7, kind: str = "async def"
) -> dict[str, float]:
    """Jobs a second, from the first claim to the last completion, by the database's own record of them."""
    schema.migrate(database.url)
    database.connection.execute(
        "insert into v7.jobs (event_type_id, user_id, priority, event_data, queued_at) "
        "select 1, 1, 5, json_build_object('i', i), now() from generate_series(1, %s) i",
        [jobs],
    )
    database.settle()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "handlers.py").write_text(HANDLERS.format(kind=kind))
        settings = {
            "V7_HANDLERS": "handlers.py",
            "V7_WORKER_PROCESSES": processes,
            "V7_RETENTION_DAYS": retention_days,
        }
        with running("worker", database, folder, **settings):
            return {"jobs/s": jobs / drained(database.connection)}


def drained(connection: psycopg.Connection) -> float:
    """Seconds from the first claim to the end of all, looked at from outside, seldom enough not to disturb."""
    while not value(connection, "select exists (select from v7.workers where node_id is not null)"):
        time.sleep(0.002)
    while value(connection, "select not exists (select from v7.jobs where attempt > 0) and count(*) > 0 from v7.jobs"):
        time.sleep(0.002)
    began = time.perf_counter()
    while value(connection, "select exists (select from v7.jobs)"):
        time.sleep(0.01)
    return time.perf_counter() - began


def value(connection: psycopg.Connection, query: str) -> object:
    row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    return row and row[0]


def latency(database: Database) -> dict[str, float]:
    """Milliseconds from the commit of a `v7.enqueue` to the start of its handler, in an idle system."""
    schema.migrate(database.url)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "starts.log"
        (folder / "handlers.py").write_text(TRACED.format(log=str(log)))
        with running("worker", database, folder, V7_HANDLERS="handlers.py", V7_WORKER_PROCESSES=1):
            while not value(database.connection, "select exists (select from v7.workers where node_id is not null)"):
                time.sleep(0.01)
            time.sleep(1)  # an idle system is what is measured
            sent = {}
            for _ in range(200):
                job_id = value(database.connection, "select v7.enqueue(1, 1, 5, '{}')")
                sent[job_id] = time.time()
                time.sleep(0.02)
            while value(database.connection, "select exists (select from v7.jobs)"):
                time.sleep(0.01)
        started = dict(line.split() for line in log.read_text().splitlines())
    return percentiles([float(started[str(job_id)]) - at for job_id, at in sent.items()])
