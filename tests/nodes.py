"""Real nodes for the tests: `v7` processes with handlers of the test's own, and what they leave behind."""

import contextlib
import datetime as dt
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import psutil
import psycopg

HANDLERS = """
import asyncio, os, signal, time
from v7_task_processor import Discard, Snooze, handler

LOG = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(what, job):
    os.write(LOG, f"{{what}} {{job.id}} {{job.attempt}} {{os.getpid()}}\\n".encode())
"""
EVERYTHING = """
@handler()
async def handle(job):
    note("start", job)
    do = job.event_data.get("do") if isinstance(job.event_data, dict) else None
    if do == "fail":
        raise ValueError("as asked")
    if do == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "sleep":
        await asyncio.sleep(job.event_data["seconds"])
    if do == "wait":  # for the word
        while not os.path.exists("go"):
            await asyncio.sleep(0.02)
    if do == "block":
        while True:
            pass
    note("end", job)
"""
EVENT = {"user_id": 1, "priority": 1, "event_data": {}, "event_type_id": 1}
V7 = [sys.executable, "-P", "-m", "v7_task_processor.cli"]
PATIENCE_SECONDS = 60.0


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """Poll until the condition holds; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain until {what}"
        time.sleep(0.02)
    return value


class Node:
    """One `v7` process with what it started, on a database, in a folder of its own."""

    program = V7

    def __init__(self, folder: Path, url: str | None, handlers: str = EVERYTHING, **environment: object) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.url = folder, url
        self.log, self.output = folder / "handled.log", folder / "output.log"
        self.log.touch()
        (folder / "handlers.py").write_text(HANDLERS.format(log=str(self.log)) + handlers)
        given = {"V7_HANDLERS": "handlers.py", "V7_DATA_DIR": ".v7", "PORT": 0, "V7_WORKER_PROCESSES": 1, **environment}
        if url is not None:
            given["DATABASE_URL"] = url
        outside = {name: value for name, value in os.environ.items() if not name.startswith("V7_")}
        self.environment = outside | {name: str(value) for name, value in given.items()}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, command: str = "worker", stderr: IO[bytes] | None = None) -> "Node":
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*self.program, command],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=stderr or output,
            )
        return self

    @property
    def running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None
        return self.process

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def address(self) -> tuple[str, int]:
        """Where its API listens, when it does."""

        def found() -> tuple[str, int] | None:
            assert self.running.poll() is None, self.said()
            for listening in psutil.Process(self.running.pid).net_connections("tcp"):
                if listening.status == psutil.CONN_LISTEN:
                    return listening.laddr.ip, listening.laddr.port
            return None

        address: tuple[str, int] = wait_until(found, "the API listens")
        wait_until(lambda: get(address, "/readyz") == 200, "the API is ready")
        return address

    def tree(self) -> list[psutil.Process]:
        """The process and all that came of it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(self.running.pid)
            return [top, *top.children(recursive=True)]
        return []

    def workers(self) -> list[psutil.Process]:
        found = []
        for each in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "v7_task_processor.worker" in each.cmdline():
                    found.append(each)
        return found

    def signal_tree(self, number: signal.Signals) -> None:
        for each in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(number)

    def kill_tree(self, also: list[psutil.Process] | None = None) -> None:
        """SIGKILL for all of it, the top last so that no one is adopted out of sight."""
        everyone = [*self.tree(), *(also or [])]
        for each in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGSTOP)
        for each in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(everyone, timeout=10)
        self.running.wait(10)

    def stop(self, seconds: float = 40) -> int:
        """SIGTERM; its exit code."""
        if self.running.poll() is None:
            self.running.terminate()
        return self.running.wait(seconds)

    def starts(self) -> list[tuple[int, int, int]]:
        """(job id, attempt, pid) of every start that its handlers noted, in order."""
        return self.noted("start")

    def noted(self, what: str) -> list[tuple[int, int, int]]:
        whole = self.log.read_text().rpartition("\n")[0]  # a reader may see the half of a line that is being written
        lines = [line.split() for line in whole.splitlines()]
        return [(int(job), int(attempt), int(pid)) for kind, job, attempt, pid in lines if kind == what]


@contextlib.contextmanager
def node(
    folder: Path,
    url: str | None,
    command: str = "worker",
    handlers: str = EVERYTHING,
    program: list[str] = V7,
    **environment: object,
) -> Iterator[Node]:
    """A node that is gone afterwards, whatever happened."""
    made = Node(folder, url, handlers, **environment)
    made.program = program
    made.start(command)
    try:
        yield made
    finally:
        made.kill_tree()


def enqueue(
    url: str,
    event_data: object,
    *,
    count: int = 1,
    priority: int = 0,
    event_type_id: int = 1,
    run_at: dt.datetime | None = None,
) -> list[int]:
    """Add events by SQL, in one transaction; their ids."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select v7.enqueue(%s, 1, %s, %s::json, run_at => %s) from generate_series(1, %s)",
            [event_type_id, priority, json.dumps(event_data), run_at, count],
        )
        return [row[0] for row in rows]


def jobs(url: str, columns: str = "id, status, retry_count") -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(f"select {columns} from v7.all_jobs order by id").fetchall()


def failures(url: str) -> list[tuple[int, str]]:
    """(job id, error type) of every charge, in the order of jobs and attempts."""
    with psycopg.connect(url) as connection:
        return connection.execute("select job_id, error_type from v7.failures order by job_id, attempt").fetchall()


def check_books(url: str, *nodes: Node) -> None:
    """What holds after every fault: all have ended, no attempt began twice, and each charge stands in its row."""
    starts = [(job_id, attempt) for each in nodes for job_id, attempt, _ in each.starts()]
    assert len(starts) == len(set(starts))
    charges = Counter(job_id for job_id, _ in failures(url))
    rows = {row[0]: row[1:] for row in jobs(url, "id, status, retry_count, attempt")}
    assert {status for status, _, _ in rows.values()} <= {"succeeded", "dead"}
    assert {job_id: retry_count for job_id, (_, retry_count, _) in rows.items() if retry_count} == charges
    assert [start for start in starts if start[1] > rows[start[0]][2]] == []


def log_lines(one: Node) -> list[dict[str, str]]:
    """Warnings and errors, but for those about single jobs."""
    lines = [json.loads(line) for line in one.said().splitlines() if line.startswith("{")]
    assert lines, "it logs as JSON"
    told = [line for line in lines if line["level"] in ("warning", "error", "critical")]
    return [line for line in told if not line["event"].startswith("job.")]


def check_log(one: Node, processes: int) -> None:
    """At most a line a second for each cause, from each process; two seconds meet in a boundary."""
    second = len("2026-01-01T00:00:00")
    often = Counter((line["timestamp"][:second], line["event"]) for line in log_lines(one))
    flood = {cause: count for cause, count in often.items() if count > 2 * processes}
    assert not flood, flood
    seconds = len({line["timestamp"][:second] for line in log_lines(one)})
    causes = len({line["event"] for line in log_lines(one)})
    assert len(log_lines(one)) <= seconds * causes * processes


def wait_for_end(url: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Until no job is scheduled, queued or running."""

    def none_left() -> bool:
        with psycopg.connect(url) as connection:
            row = connection.execute("select count(*) from v7.jobs where status <> 'dead'").fetchone()
            return row == (0,)

    wait_until(none_left, "every job has ended", seconds)


def post(address: tuple[str, int], body: object, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*address, timeout=20)
    try:
        connection.request("POST", "/api/event/v1", json.dumps(body), {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def get(address: tuple[str, int], path: str) -> int:
    connection = http.client.HTTPConnection(*address, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
