"""F1: many that came back as suspects at once."""

import time
from pathlib import Path

import psycopg
import pytest

from ..nodes import Node, check_books, enqueue, jobs, node, wait_for_end
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
