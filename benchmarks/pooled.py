"""The product behind PgBouncer in transaction mode, which must be installed."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
from contest import Contest
from database import Database
from node import working
from product import HANDLERS, fill, ids_at, passed
from psycopg.conninfo import make_conninfo

from v7_task_processor import _unprivileged

PORT = 16432
SETTINGS = """
[databases]
{name} = {there}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
logfile = {folder}/pgbouncer.log
"""


def contests(jobs: int) -> dict[str, Contest]:
    """Drains by one process and by two, with a pooler between and without."""
    drains = {f"v7, {n} process{'es' * (n > 1)}{how}": partial(drain, jobs=jobs, processes=n, between=between)
              for n in (1, 2) for how, between in (("", False), (", PgBouncer", True))}  # fmt: skip
    return {"pooler": Contest("jobs/s", "more", drains)}


def drain(database: Database, jobs: int, processes: int, between: bool) -> dict[str, float]:
    fill(database, jobs)
    database.settle()
    marks = ids_at(database, [jobs])
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(pgbouncer(database)) if between else database.url
        stack.enter_context(
            working(database, HANDLERS.format(kind="async def"), V7_WORKER_PROCESSES=processes, DATABASE_URL=url)
        )
        return {"jobs/s": jobs / passed(database, marks)[-1]}


@contextlib.contextmanager
def pgbouncer(database: Database) -> Iterator[str]:
    """The database's address through one; it refuses to be root."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        raise SystemExit("There is no pgbouncer here (Debian: package pgbouncer).")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        there = " ".join(f"{key}={value}" for key, value in database.parts.items())
        file = folder / "pgbouncer.ini"
        file.write_text(SETTINGS.format(name=database.name, there=there, port=PORT, folder=folder))
        prefix = _unprivileged.prefix(Path(program), folder, folder.stat().st_uid)
        process = subprocess.Popen([*(prefix or []), program, "--quiet", str(file)], stderr=subprocess.DEVNULL)
        try:
            url = make_conninfo("", host="127.0.0.1", port=PORT, dbname=database.name, user=database.parts["user"])
            yield answering(url)
        finally:
            process.terminate()
            process.wait()


def answering(url: str) -> str:
    """The address, when it answers."""
    deadline = time.monotonic() + 10
    while True:
        try:
            psycopg.connect(url).close()
            return url
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
