"""F2 and F15: handlers that make copies of their process, and daemons that outlive it."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from ..nodes import Node, check_books, enqueue, jobs, node, wait_for_end, wait_until
from .handlers import NEIGHBOUR, handler
from .looks import Record, states

FORK = """
import warnings
warnings.simplefilter("ignore")
pid = os.fork()
note("parent" if pid else "copy", job)
"""
MULTIPROCESSING = """
import multiprocessing
child = multiprocessing.get_context("fork").Process(target=print)
child.start()
child.join()
assert child.exitcode == 0
"""
FORKS = {
    "a fork that returns, in async def": ("async def", FORK),
    "a fork that returns, in def": ("def", FORK),
    "a fork that waits in the loop": ("async def", FORK + "await asyncio.sleep(0.3)"),
    "a fork that raises": ("async def", FORK + "if pid == 0:\n    raise SystemExit(3)"),
    "multiprocessing": ("def", MULTIPROCESSING),
}


@pytest.mark.fault(15)
@pytest.mark.parametrize("case", FORKS)
def test_a_copy_of_the_process_that_a_handler_makes_does_none_of_its_work(
    database_url: str, tmp_path: Path, case: str
) -> None:
    kind, body = FORKS[case]
    with node(tmp_path / "node", database_url, handlers=NEIGHBOUR + handler(body, kind)) as one:
        [worker] = wait_until(one.workers, "it works")
        for _ in range(10):
            enqueue(database_url, {}, count=3)
            enqueue(database_url, {}, event_type_id=2)
        wait_for_end(database_url)
        wait_until(lambda: all(map(has_ended, worker.children())), "the copies have ended")
        after = enqueue(database_url, {}, count=20)
        wait_for_end(database_url)
        assert one.stop() == 0
    assert jobs(database_url) == [(job_id, "succeeded", 0) for job_id in range(1, 61)]
    assert sorted(job_id for job_id, _, _ in one.starts()) == list(range(1, 61))
    assert {pid for _, _, pid in one.starts()} == {worker.pid}
    assert {job_id for job_id, _, _ in one.noted("end")} >= set(after)
    assert "connected again" not in one.said()
    assert "not listening" not in one.said()
    check_books(database_url, one)


def has_ended(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):  # its parent has waited for it
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return True


DAEMON = """
import warnings
warnings.simplefilter("ignore")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        note("daemon", job)
        time.sleep(1000)
    os._exit(0)
os.wait()
"""


HELD_BACK = "paused_at is not null"
"""In what a worker asks for first on the connection that records, and then on the one that listens."""


def last_statements(url: str) -> list[str]:
    """Of the connections of others; autovacuum has none."""
    query = (
        "select query from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        " and backend_type = 'client backend'"
    )
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(query)]


@contextlib.contextmanager
def daemon_of(one: Node) -> Iterator[psutil.Process]:
    pids = wait_until(lambda: [pid for _, _, pid in one.noted("daemon")], "the daemon lives")
    try:
        yield psutil.Process(pids[0])
    finally:
        os.kill(pids[0], signal.SIGKILL)


@pytest.mark.fault(2, 15)
@pytest.mark.slow
def test_a_daemon_that_a_handler_leaves_behind_does_not_keep_its_dead_nodes_jobs(
    database_url: str, tmp_path: Path, record_property: Record
) -> None:
    """It holds what was open in its worker, the notes of the node among it, but no connection."""
    handlers = handler(DAEMON) + (
        "\n@handler()\nasync def wait(job):\n    note('start', job)\n"
        "    while not os.path.exists('go'):\n        await asyncio.sleep(0.02)\n"
    )
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(node(tmp_path / "node", database_url, handlers=handlers))
        wait_until(lambda: sum(HELD_BACK in each for each in last_statements(database_url)) == 2, "it listens")
        enqueue(database_url, {}, event_type_id=2)
        daemon = stack.enter_context(daemon_of(one))
        waits = enqueue(database_url, {}, count=3)
        wait_until(lambda: len(one.starts()) == 4, "the others run")
        one.kill_tree()
        wait_until(lambda: not last_statements(database_url), "the server knows that its worker is gone")
        assert daemon.is_running()
        (one.folder / "go").touch()
        one.start()
        started_at = time.monotonic()
        wait_until(lambda: len(one.starts()) > 4, "its successor has begun")
        record_property("recovery_seconds", time.monotonic() - started_at)
        wait_for_end(database_url)
        assert one.stop() == 0
        assert daemon.is_running()
    assert "node.rescued" in one.said()  # by its notes
    assert "node.lost" not in one.said()  # and not as who knows nothing, 15 seconds later
    assert {states(database_url)[job_id] for job_id in waits} == {("succeeded", 0)}
    check_books(database_url, one)
