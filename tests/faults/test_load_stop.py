"""A node is told to end, and its handlers are not of that opinion."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from ..nodes import V7, Node, check_books, enqueue, failures, jobs, node, wait_for_end, wait_until
from .proxy import proxied

SHUTDOWN_SECONDS = 3
LATE_SECONDS = 12.0
"""For what follows the time to shut down: the kill, the rescue, the leaving; on cores that others use too."""
HANDLERS = """
@handler(event_type_id=1)
async def swallows(job):
    note("start", job)
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass

@handler(event_type_id=2)
def sleeps(job):
    note("start", job)
    time.sleep(1000)

@handler(event_type_id=3)
async def blocks(job):
    note("start", job)
    while True:
        pass

@handler(event_type_id=4)
async def works(job):
    note("start", job)
    await asyncio.sleep(0.2)
    note("end", job)
"""


def terminate(one: Node) -> None:
    one.running.terminate()


def interrupt_group(one: Node) -> None:
    """As Ctrl-C does."""
    assert os.getpgid(one.running.pid) == one.running.pid
    os.killpg(one.running.pid, signal.SIGINT)


def interrupt_everyone(one: Node) -> None:
    """As some init systems do: each process of it, at once."""
    for each in one.workers():
        each.send_signal(signal.SIGINT)
    one.running.send_signal(signal.SIGINT)


def first_process(one: Node) -> psutil.Process:
    """The first of its own world, whose parent is ours."""
    [first] = psutil.Process(one.running.pid).children()
    return first


GROUP = ["setsid", *V7]
WORLD = ["unshare", "--pid", "--fork", "--mount-proc", *V7]


def run_stubborn(one: Node) -> list[int]:
    """One of each kind, in a process of its own; all run."""
    ids = [enqueue(one.url or "", {}, event_type_id=number)[0] for number in (1, 2, 3)]
    wait_until(lambda: {start[0] for start in one.starts()} >= set(ids), "all of them run")
    return ids


def check_released(one: Node, ids: list[int]) -> None:
    url = one.url or ""
    assert failures(url) == []
    rows = {row[0]: row[1:] for row in jobs(url, "id, status, retry_count, worker_id, suspect")}
    assert {job_id: rows[job_id] for job_id in ids} == dict.fromkeys(ids, ("queued", 0, None, False))


@pytest.mark.slow
@pytest.mark.fault(73)
@pytest.mark.parametrize("tell", [terminate, interrupt_group, interrupt_everyone])
def test_handlers_that_do_not_end(
    tell: Callable[[Node], None], database_url: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """It ends within its time all the same; what they ran goes back uncharged, no suspect, and runs on the next."""
    settings: dict[str, Any] = {"V7_SHUTDOWN_SECONDS": SHUTDOWN_SECONDS, "V7_WORKER_PROCESSES": 3, "V7_CONCURRENCY": 1}
    with node(tmp_path / "node", database_url, handlers=HANDLERS, program=GROUP, **settings) as one:
        ids = run_stubborn(one)
        told_at = time.monotonic()
        tell(one)
        assert one.running.wait(SHUTDOWN_SECONDS + LATE_SECONDS) == 0, one.said()
        record_property("recovery_seconds", time.monotonic() - told_at)
        check_released(one, ids)
    quick = "\n@handler()\nasync def f(job): note('start', job)\n"
    with node(tmp_path / "next", database_url, handlers=quick) as following:
        wait_for_end(database_url)
    check_books(database_url, one, following)
    assert sorted(start[0] for start in following.starts()) == ids


@pytest.mark.slow
@pytest.mark.fault(73)
def test_told_twice(database_url: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    settings: dict[str, Any] = {"V7_SHUTDOWN_SECONDS": 1000, "V7_WORKER_PROCESSES": 3, "V7_CONCURRENCY": 1}
    with node(tmp_path / "node", database_url, handlers=HANDLERS, program=GROUP, **settings) as one:
        ids = run_stubborn(one)
        interrupt_group(one)
        wait_until(lambda: "drain" in one.said(), "it drains")
        told_at = time.monotonic()
        interrupt_group(one)
        assert one.running.wait(LATE_SECONDS) == 0, one.said()
        record_property("recovery_seconds", time.monotonic() - told_at)
        check_released(one, ids)


@pytest.mark.slow
@pytest.mark.fault(73)
def test_as_the_first_process_of_a_container(
    database_url: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The kernel gives the first process no default for signals: what it does not handle does nothing."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a process namespace needs root and unshare")
    settings: dict[str, Any] = {"V7_SHUTDOWN_SECONDS": SHUTDOWN_SECONDS, "V7_WORKER_PROCESSES": 3, "V7_CONCURRENCY": 1}
    with node(tmp_path / "node", database_url, handlers=HANDLERS, program=WORLD, **settings) as one:
        ids = run_stubborn(one)
        told_at = time.monotonic()
        first_process(one).terminate()
        assert one.running.wait(SHUTDOWN_SECONDS + LATE_SECONDS) == 0, one.said()
        record_property("recovery_seconds", time.monotonic() - told_at)
        check_released(one, ids)


@pytest.mark.slow
@pytest.mark.fault(47, 53, 73)
def test_while_the_database_answers_nothing(
    database_url: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """It waits for its own time and a few seconds, and not for what will never come."""
    settings: dict[str, Any] = {"V7_SHUTDOWN_SECONDS": SHUTDOWN_SECONDS, "V7_WORKER_PROCESSES": 2}
    with (
        proxied(database_url) as proxy,
        node(tmp_path / "node", proxy.through(), handlers=HANDLERS, **settings) as one,
    ):
        enqueue(database_url, {}, event_type_id=1, count=3)
        wait_until(lambda: len(one.starts()) == 3, "they run")
        proxy.stall()
        told_at = time.monotonic()
        assert one.stop(SHUTDOWN_SECONDS + LATE_SECONDS) == 0, one.said()
        record_property("recovery_seconds", time.monotonic() - told_at)


@pytest.mark.fault(41, 73)
def test_while_it_starts_and_waits_for_a_lock(database_url: str, tmp_path: Path) -> None:
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    with psycopg.connect(database_url) as other, psycopg.connect(database_url, autocommit=True) as observer:
        other.execute("lock table v7.workers")
        with node(tmp_path / "node", database_url) as one:
            wait_until(lambda: observer.execute(waiting).fetchone() == (1,), "it waits for its place in the register")
            told_at = time.monotonic()
            assert one.stop() == 0
            assert time.monotonic() - told_at < 20, "and not as long as the lock is held"
