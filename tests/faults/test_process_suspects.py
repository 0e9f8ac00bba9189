"""F1: many that came back as suspects at once, and one that kills after it seems to be through."""

import time
from pathlib import Path

import psycopg
import pytest

from ..nodes import EVERYTHING, Node, check_books, enqueue, failures, jobs, node, wait_for_end, wait_until
from .looks import Record


def most_at_once(one: Node, job_ids: set[int]) -> int:
    """How many of these ran at the same time."""
    running, most = set[int](), 0
    for what, job_id, *_ in map(str.split, one.log.read_text().splitlines()):
        if int(job_id) in job_ids:
            (running.add if what == "start" else running.discard)(int(job_id))
            most = max(most, len(running))
    return most


@pytest.mark.fault(1)
@pytest.mark.slow
def test_a_hundred_suspects_have_a_lane_for_each_worker_and_hold_up_nobody(
    database_url: str, tmp_path: Path, record_property: Record
) -> None:
    """However much better their priority is."""
    suspects = enqueue(database_url, {"do": "sleep", "seconds": 0.5}, count=100)
    with psycopg.connect(database_url) as connection:
        connection.execute("update v7.jobs set suspect = true")
    others = enqueue(database_url, {"do": "sleep", "seconds": 0.5}, count=100, priority=9)
    began = time.monotonic()
    with node(tmp_path / "node", database_url, V7_WORKER_PROCESSES=2) as one:
        wait_for_end(database_url, 120)
        record_property("recovery_seconds", time.monotonic() - began)
        assert one.stop() == 0
    ended = [job_id for job_id, _, _ in one.noted("end")]
    fiftieth = [job_id for job_id in ended if job_id in suspects][49]
    assert set(others) <= set(ended[: ended.index(fiftieth)])
    assert most_at_once(one, set(suspects)) == 2
    pids = {job_id: pid for job_id, _, pid in one.starts()}
    assert {pids[job_id] for job_id in suspects}.isdisjoint(pids[job_id] for job_id in others)
    assert {row[1:] for row in jobs(database_url)} == {("succeeded", 0)}
    check_books(database_url, one)


LEAVES_A_BOMB = """
@handler(event_type_id=2)
async def leave_a_bomb(job):
    note("start", job)
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGKILL)
    {ends}
"""


@pytest.mark.parametrize("ends", ["raise ValueError", "return Snooze(0.1)"])
@pytest.mark.fault(1)
def test_who_kills_its_process_after_it_failed_is_charged_and_not_who_ran_beside(
    database_url: str, tmp_path: Path, ends: str
) -> None:
    """Before the database had heard of the failure."""
    (beside,) = enqueue(database_url, {"do": "wait"})
    handlers = EVERYTHING + LEAVES_A_BOMB.format(ends=ends)
    with node(tmp_path / "node", database_url, handlers=handlers, V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0) as one:
        wait_until(lambda: one.starts(), "one runs")
        (bomb,) = enqueue(database_url, {}, event_type_id=2)
        wait_until(lambda: len(one.starts()) > 2, "one of them runs again, alone")
        (one.folder / "go").touch()
        wait_for_end(database_url)
        assert one.stop() == 0
    assert jobs(database_url) == [(beside, "succeeded", 0), (bomb, "dead", 2)]
    assert failures(database_url) == [(bomb, "Crash"), (bomb, "Crash")]
    assert len([job_id for job_id, _, _ in one.starts() if job_id == bomb]) == 3, "first as one of two"
