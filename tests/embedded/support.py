"""Users of an embedded server as processes, and what is looked at."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

FAST = {"fsync": "off"}
NOBODY = 65534
NAMELESS = 54321

USER = """
import sys
from pathlib import Path
from v7_task_processor import embedded
with embedded.start(Path(sys.argv[1]), settings={"fsync": "off"}) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""
AS = """
import os, psycopg, psycopg_binary, v7_task_processor.embedded
os.setgroups([]); os.setgid({0}); os.setuid({0})
"""  # late, since others may not be able to reach this Python
HOLDER = """
import sys
from pathlib import Path
from v7_task_processor import embedded
with embedded.lock_run(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
BUSY = """
import sys, psycopg
with psycopg.connect(sys.argv[1]) as connection:
    print(connection.info.backend_pid, flush=True)
    connection.execute("select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b")
"""


@contextlib.contextmanager
def process(code: str, argument: object, start_new_session: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Runs until it is killed or the block ends."""
    command = [sys.executable, "-W", "error", "-c", code, str(argument)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, text=True, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=start_new_session
    ) as child:
        assert child.stdin is not None
        try:
            yield child
        finally:
            child.stdin.close()
            child.wait()


@contextlib.contextmanager
def stranger(command: list[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A process that has nothing to do with the server; killed when the block ends."""
    with subprocess.Popen(command, **options) as child:
        try:
            yield child
        finally:
            child.kill()


def first_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout and child.stderr
    line = child.stdout.readline().strip()
    assert line, child.stderr.read()
    return line


def until(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.01)


def postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


def stopped(folder: Path) -> bool:
    return not (folder / "postgres" / "postmaster.pid").exists()


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def show(url: str, setting: str) -> object:
    return execute(url, f"show {setting}")[0][0]


def is_busy(url: str, backend: int) -> bool:
    question = f"select 1 from pg_stat_activity where pid = {backend} and state = 'active' and wait_event is null"
    return bool(execute(url, question))


def kill_all(server_url: str, folder: Path) -> None:
    pids = [int(str(pid)) for (pid,) in execute(server_url, "select pid from pg_stat_activity")]
    for pid in [postmaster(folder), *pids]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def processes_naming(path: Path) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(path) in (entry / "cmdline").read_bytes():
                yield int(entry.name)


@contextlib.contextmanager
def moved(folder: Path, there: Path) -> Iterator[Path]:
    folder.rename(there)
    try:
        yield there
    finally:
        there.rename(folder)
