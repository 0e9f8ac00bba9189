"""F1 to F4 and F7: processes that are killed, from outside and by their own handlers."""

import json
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import psycopg
import pytest

from v7_task_processor import embedded

from ..nodes import EVENT, Node, check_books, enqueue, failures, jobs, node, post, wait_for_end, wait_until
from .crowd import Crowd
from .looks import Record, running

HOLDS_ONCE = """
@handler()
async def handle(job):
    note("start", job)
    if not os.path.exists(f"held-{job.id}"):  # not by its attempt: it may have been claimed before, and given back
        open(f"held-{job.id}", "w").close()
        await asyncio.sleep(1000)
    note("end", job)

@handler(event_type_id=2)
async def keep_the_interpreter(job):
    note("start", job)
    if not os.path.exists("held"):
        open("held", "w").close()
        while True:
            pass
    note("end", job)

@handler(event_type_id=3)
async def quick(job):
    note("start", job)
    await asyncio.sleep(0.002)
    note("end", job)

@handler(event_type_id=4)
async def instant(job):
    note("start", job)
    note("end", job)
"""
CLIENTS = 64
WAITS = """
@handler()
async def wait_for_the_word(job):
    note("start", job)
    while not os.path.exists("go"):
        await asyncio.sleep(0.02)
    note("end", job)
"""


def kill_only_worker(one: Node) -> float:
    """SIGKILL; the time of it."""
    [worker] = one.workers()
    worker.kill()
    return time.monotonic()


def seconds_until_taken_back(one: Node, ids: list[int]) -> float:
    """Kill its only worker, which holds these; in how many seconds it holds none of them any more."""
    holds = "select id, attempt from v7.jobs where status = 'running' and id = any(%s)"
    assert one.url is not None
    with psycopg.connect(one.url, autocommit=True) as connection:
        held = set(connection.execute(holds, [ids]).fetchall())
        killed_at = kill_only_worker(one)
        wait_until(lambda: held.isdisjoint(connection.execute(holds, [ids]).fetchall()), "what it held was taken back")
        return time.monotonic() - killed_at


@pytest.mark.fault(1)
def test_a_worker_killed_with_one_started_job_charges_that_one_once(
    database_url: str, tmp_path: Path, record_property: Record
) -> None:
    ids = enqueue(database_url, {})
    with node(tmp_path / "node", database_url, handlers=HOLDS_ONCE, V7_RETRY_SECONDS=0) as one:
        wait_until(one.starts, "it runs")
        seconds = seconds_until_taken_back(one, ids)
        wait_for_end(database_url)
        record_property("recovery_seconds", seconds)
    assert seconds < 12, "others would have found it out after 15"
    assert jobs(database_url) == [(ids[0], "succeeded", 1)]
    assert failures(database_url) == [(ids[0], "Crash")]
    check_books(database_url, one)


@pytest.mark.fault(1)
def test_a_worker_killed_with_several_started_jobs_charges_none(
    database_url: str, tmp_path: Path, record_property: Record
) -> None:
    ids = enqueue(database_url, {}, count=4)
    with node(tmp_path / "node", database_url, handlers=HOLDS_ONCE) as one:
        wait_until(lambda: len(one.starts()) == 4, "all run")
        seconds = seconds_until_taken_back(one, ids)
        wait_for_end(database_url)
        record_property("recovery_seconds", seconds)
    assert seconds < 12, "others would have found it out after 15"
    assert {row[1:] for row in jobs(database_url)} == {("succeeded", 0)}
    check_books(database_url, one)


@pytest.mark.fault(1)
@pytest.mark.slow
def test_a_worker_killed_with_claimed_jobs_that_had_not_started_gives_them_back(
    database_url: str, tmp_path: Path, record_property: Record
) -> None:
    """One of a claim holds the loop: what came with it waits behind it, and what ended before it is not written."""
    before = enqueue(database_url, {}, count=3, event_type_id=4)
    holder = enqueue(database_url, {}, event_type_id=2)
    behind = enqueue(database_url, {}, count=300, event_type_id=3)
    with node(tmp_path / "node", database_url, handlers=HOLDS_ONCE, V7_CONCURRENCY=8, V7_RETRY_SECONDS=0) as one:
        wait_until(lambda: one.starts() and one.starts()[-1][0] == holder[0], "the loop is held")
        assert set(running(database_url)) & set(behind)
        seconds = seconds_until_taken_back(one, holder + behind)
        wait_for_end(database_url)
        record_property("recovery_seconds", seconds)
    assert seconds < 12, "others would have found it out after 15"
    charged = {job_id: retry_count for job_id, _, retry_count in jobs(database_url) if retry_count}
    assert charged == {holder[0]: 1}
    started = [job_id for job_id, _, _ in one.starts()]
    assert sorted(started) == sorted([*before, *holder, *holder, *behind])
    check_books(database_url, one)


@pytest.mark.fault(2)
def test_a_killed_supervisor_leaves_no_worker_and_its_successor_takes_back_at_once(
    database_url: str, tmp_path: Path, record_property: Record
) -> None:
    """One of its workers' handlers never lets go of the interpreter: only the kernel can end that."""
    ids = enqueue(database_url, {}, count=4)
    with node(tmp_path / "node", database_url, handlers=HOLDS_ONCE) as one:
        wait_until(lambda: len(one.starts()) == 4, "they run")
        ids += enqueue(database_url, {}, event_type_id=2)
        wait_until(lambda: len(one.starts()) == 5, "the loop is held")
        workers = one.workers()
        one.running.kill()
        killed_at = time.monotonic()
        one.running.wait(10)
        wait_until(lambda: not any(is_alive(each) for each in workers), "its workers are gone")
        record_property("workers_gone_seconds", gone_seconds := time.monotonic() - killed_at)
        assert running(database_url) == ids
        one.start()
        started_at = time.monotonic()
        wait_until(lambda: len(one.noted("start")) > 5, "its successor has begun")
        record_property("recovery_seconds", time.monotonic() - started_at)
        wait_for_end(database_url)
        assert one.stop() == 0
    assert gone_seconds < 5
    assert "node.rescued" in one.said()  # by its notes
    assert "node.lost" not in one.said()  # and not as others would have, who watch for 15 seconds
    assert {row[1:] for row in jobs(database_url)} == {("succeeded", 0)}
    assert Counter(job_id for job_id, _, _ in one.starts()) == dict.fromkeys(ids, 2)
    check_books(database_url, one)


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.fault(3)
@pytest.mark.slow
def test_an_api_process_killed_under_64_clients_loses_nothing_that_it_acknowledged(
    database_url: str, tmp_path: Path, record_property: Record
) -> None:
    slowest, began = 0.0, time.monotonic()
    with node(tmp_path / "node", database_url, "api", LOG_LEVEL="warning") as one:
        address = one.address()
        start_seconds = time.monotonic() - began  # of this machine, with what else it does
        with Crowd(address, CLIENTS) as clients:
            for _ in range(3):
                enough = len(clients.acknowledged) + 200
                wait_until(lambda enough=enough: len(clients.acknowledged) > enough, "clients are answered")  # type: ignore[misc]
                [api] = [each for each in one.tree() if "v7_task_processor.web" in each.cmdline()]
                api.kill()
                killed_at = time.monotonic()
                psutil.wait_procs([api], timeout=10)
                told = len(clients.acknowledged) + CLIENTS  # more than could have been on their way
                wait_until(lambda told=told: len(clients.acknowledged) > told, "clients are answered again")  # type: ignore[misc]
                slowest = max(slowest, time.monotonic() - killed_at)
        record_property("recovery_seconds", slowest)
        assert one.stop() == 0
    assert slowest < 5 + 2 * start_seconds
    assert clients.refused == []
    assert clients.unknown
    stored = {row[0] for row in jobs(database_url)}
    told_ids = set(clients.acknowledged.values())
    assert len(told_ids) == len(clients.acknowledged)
    assert told_ids <= stored
    assert len(stored) <= len(clients.acknowledged) + len(clients.unknown)


@pytest.mark.fault(4)
@pytest.mark.slow
def test_everything_killed_by_one_kill_comes_back_with_all_that_was_acknowledged(
    tmp_path: Path, record_property: Record
) -> None:
    """Handlers, supervisor and all of Postgres at once, as when a machine loses its power."""
    with node(tmp_path / "node", None, "run", handlers=WAITS, V7_WORKER_PROCESSES=2) as one:
        address = one.address()
        acknowledged = [json.loads(post(address, EVENT)[1])["id"] for _ in range(8)]
        wait_until(lambda: len(one.starts()) == 8, "all run")
        everything = one.tree()
        assert sum("postgres" in each.name() for each in everything) > 3
        # By one command. It fails if one of them, a worker of autovacuum perhaps, has just ended: that one is dead too.
        subprocess.run(["kill", "-9", *(str(each.pid) for each in everything)], check=False)
        wait_until(lambda: not any(map(is_alive, everything)), "all are dead")
        killed_at = time.monotonic()
        one.running.wait(10)
        (one.folder / "go").touch()
        one.start("run")
        one.address()
        record_property("recovery_seconds", seconds := time.monotonic() - killed_at)
        with embedded.start(one.folder / ".v7") as server:
            wait_for_end(server.url)
            rows = jobs(server.url)
        assert one.stop() == 0
    assert seconds < 30
    assert rows == [(job_id, "succeeded", 0) for job_id in acknowledged]
    assert sorted(job_id for job_id, _, _ in one.noted("end")) == acknowledged
    assert sorted(job_id for job_id, _, _ in one.starts()) == sorted(2 * acknowledged)


DEATHS = {
    "an exit code": "os._exit(3)",
    "exit code 0": "os._exit(0)",
    "a segmentation fault": "__import__('ctypes').string_at(0)",
    "an abort": "os.abort()",
}
DIES = """
@handler(event_type_id=2)
async def die(job):
    note("start", job)
    {death}

@handler()
async def live(job):
    note("start", job)
    await asyncio.sleep(0.2)
    note("end", job)
"""


@pytest.mark.fault(7)
@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.slow
def test_a_handler_that_ends_its_process_is_dead_after_its_retries_and_its_neighbours_are_not(
    database_url: str, tmp_path: Path, death: str, record_property: Record
) -> None:
    neighbours = enqueue(database_url, {}, count=5)
    killer = enqueue(database_url, {}, event_type_id=2)
    handlers = DIES.format(death=DEATHS[death])
    began = time.monotonic()
    with node(tmp_path / "node", database_url, handlers=handlers, V7_MAX_RETRIES=3, V7_RETRY_SECONDS=0.05) as one:
        wait_for_end(database_url)
        record_property("recovery_seconds", time.monotonic() - began)
        assert one.stop() == 0
    state = {job_id: (status, retry_count) for job_id, status, retry_count in jobs(database_url)}
    assert state[killer[0]] == ("dead", 3)
    assert {state[job_id] for job_id in neighbours} == {("succeeded", 0)}
    assert failures(database_url) == [(killer[0], "Crash")] * 3
    assert len([start for start in one.starts() if start[0] == killer[0]]) <= 4  # the first among others: a suspect
    check_books(database_url, one)
