"""Other queues on Postgres, through the adapters in peers/, which run in .bench: `make bench-peers` installs them."""

import contextlib
import os
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString, NamedTuple

from database import Database
from sender import BULK, CALL_SECONDS, CALLERS, GAP_SECONDS, SENT, percentiles

ADAPTERS = Path(__file__).parent / "peers"
INSTALLED = Path(__file__).parents[1] / ".bench"
TOLD = 500
"""Workers tell of so many jobs at a time."""
STARTED_SECONDS, STOP_SECONDS_MAX, SILENCE_SECONDS_MAX = 3.0, 5.0, 60.0


class Peer(NamedTuple):
    """`unfinished` asks whether anything is left; slow peers drain one part in `part` of what others do."""

    adapter: str
    unfinished: LiteralString
    part: int = 1

    def command(self, *words: object) -> list[str]:
        program = INSTALLED / "bin" / "python" if self.adapter.endswith(".py") else node()
        return [str(program), str(ADAPTERS / self.adapter), *map(str, words)]


PEERS = {
    "graphile-worker": Peer("graphile_worker_adapter.cjs", "select exists (select from graphile_worker._private_jobs)"),
    "pg-boss": Peer("pg_boss_adapter.cjs", "select exists (select from pgboss.job where state < 'completed')"),
    "pgqueuer": Peer("pgqueuer_adapter.py", "select exists (select from pgqueuer)"),
    "procrastinate": Peer(
        "procrastinate_adapter.py", "select exists (select from procrastinate_jobs where status <> 'succeeded')", 20
    ),
}


def node() -> Path:
    """The Node.js that was installed with the peers, which is new enough for them; else the machine's own."""
    return next(INSTALLED.glob("node_modules/node-*/bin/node"), Path("node"))


def environment(database: Database) -> dict[str, str]:
    return {**os.environ, **database.environment, "NODE_PATH": str(INSTALLED / "node_modules")}


def ask(database: Database, peer: Peer, *words: object) -> str:
    """What the adapter says to a command that ends by itself."""
    answer = subprocess.run(
        peer.command(*words), env=environment(database), check=True, stdout=subprocess.PIPE, text=True
    )
    return answer.stdout


def rate(answer: str) -> float:
    return float(answer.split()[-1])


class Worker:
    """A worker process of the peer, and what it prints."""

    def __init__(self, database: Database, peer: Peer, command: str, lines: "queue.Queue[list[str]]") -> None:
        self.process = subprocess.Popen(
            peer.command(command), env=environment(database), stdout=subprocess.PIPE, text=True
        )
        self.thread = threading.Thread(target=self.read, args=[lines])
        self.thread.start()

    def read(self, lines: "queue.Queue[list[str]]") -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            lines.put(line.split())

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.thread.join()


@contextlib.contextmanager
def working(database: Database, peer: Peer, command: str, processes: int) -> Iterator["queue.Queue[list[str]]"]:
    """So many workers; the lines that they print."""
    lines: queue.Queue[list[str]] = queue.Queue()
    workers = [Worker(database, peer, command, lines) for _ in range(processes)]
    try:
        yield lines
    finally:
        for worker in workers:
            worker.stop()


def drain(database: Database, name: str, jobs: int, processes: int = 1) -> dict[str, float]:
    """Jobs a second, from the start of the first handler (its claim not included) to the end of all."""
    peer = PEERS[name]
    jobs = max(1, jobs // peer.part)
    ask(database, peer, "install")
    ask(database, peer, "bulk", jobs)
    database.settle()
    with working(database, peer, "work", processes) as lines:
        first, handled = float("inf"), 0
        # Until near the end they tell: a look at the tables would take their time.
        while first == float("inf") or handled < jobs - TOLD * processes:
            kind, number = lines.get(timeout=SILENCE_SECONDS_MAX)
            if kind == "first":
                first = min(first, float(number))
            else:
                handled += int(number)
        while database.value(peer.unfinished):
            time.sleep(0.004)
        return {"jobs/s": jobs / (time.time() - first)}


def latency(database: Database, name: str) -> dict[str, float]:
    """Milliseconds from the return of an enqueue to the start of its handler, in an idle system."""
    peer = PEERS[name]
    ask(database, peer, "install")
    with working(database, peer, "trace", 1) as lines:
        time.sleep(STARTED_SECONDS)
        sent = [line.split() for line in ask(database, peer, "send", SENT, GAP_SECONDS).splitlines()]
        started: dict[str, float] = {}
        while len(started) < SENT:
            _, number, at = lines.get(timeout=SILENCE_SECONDS_MAX)
            started[number] = float(at)
    return percentiles([started[number] - float(at) for _, number, at in sent])


def enqueues(database: Database, name: str) -> dict[str, float]:
    """Jobs a second: from 16 callers at once, and in bulk."""
    peer = PEERS[name]
    ask(database, peer, "install")
    return {
        f"{CALLERS} callers": rate(ask(database, peer, "call", CALLERS, CALL_SECONDS)),
        "bulk": rate(ask(database, peer, "bulk", BULK)),
    }
