"""F18, F19 and F22: processes that do not start, and code that not every node has."""

import asyncio
import itertools
import os
import re
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from v7_task_processor.worker import children

from ..nodes import enqueue, jobs, node, wait_until
from .looks import Record

READY_SECONDS = 6
PAUSES_SECONDS = [0, 0.4, 0.8, 1.6, 3.2]
"""At least so long between the starts of what dies at each of them: soon less than a line a second."""
IMPATIENTLY = f"""
from v7_task_processor.worker import children
children.READY_SECONDS_MAX = {READY_SECONDS}
from v7_task_processor.cli import main
main()
"""
IMPATIENT = [sys.executable, "-P", "-c", IMPATIENTLY]
FIXED = """
@handler()
async def handle(job):
    note("start", job)
"""


@pytest.mark.fault(7, 22)
@pytest.mark.parametrize(("worked", "longest"), [(True, 1.0), (False, 30.0)])
async def test_what_worked_before_it_died_does_not_rest_for_long(worked: bool, longest: float) -> None:
    """One event a second that ends its process must not hold up all others for half a minute each time."""
    child = children.Child("worker", 0)
    child.ready, child.started_at = worked, asyncio.get_running_loop().time()
    pauses = [child.restart_seconds() for _ in range(15)]
    assert pauses[0] == 0.0
    assert pauses == sorted(pauses)
    assert pauses[-1] == longest


@pytest.mark.fault(18)
@pytest.mark.slow
def test_handlers_that_hang_at_import_are_ended_and_tried_ever_more_slowly_until_they_are_mended(
    database_url: str, tmp_path: Path, record_property: Record
) -> None:
    hangs = "\nif not os.path.exists('mended'):\n    time.sleep(1e9)\n"
    [job] = enqueue(database_url, {})
    with node(tmp_path / "node", database_url, handlers=hangs + FIXED, program=IMPATIENT) as one:
        wait_until(lambda: one.said().count(f"not ready after {READY_SECONDS} seconds") >= 2, "it was ended twice")
        assert one.running.poll() is None
        assert jobs(database_url) == [(job, "queued", 0)]
        assert "V7_HANDLERS" in one.said()
        (one.folder / "mended").touch()
        mended_at = time.monotonic()
        wait_until(lambda: jobs(database_url) == [(job, "succeeded", 0)], "it works")
        record_property("recovery_seconds", time.monotonic() - mended_at)
        assert one.stop() == 0


@pytest.mark.fault(18)
def test_handlers_that_hang_at_import_do_not_hold_up_a_drain(database_url: str, tmp_path: Path) -> None:
    hangs = "\nnote('start', type('J', (), {'id': 0, 'attempt': 0}))\ntime.sleep(1e9)\n"
    with node(tmp_path / "node", database_url, handlers=hangs) as one:
        wait_until(one.starts, "it hangs")
        began = time.monotonic()
        assert one.stop() == 0
        assert time.monotonic() - began < 20, "and not V7_SHUTDOWN_SECONDS"


@pytest.mark.fault(19)
def test_each_of_two_versions_claims_only_what_it_knows(database_url: str, tmp_path: Path) -> None:
    def only(event_type_id: int) -> str:
        return f"\n@handler(event_type_id={event_type_id})\nasync def handle(job):\n    note('start', job)\n"

    with (
        node(tmp_path / "old", database_url, handlers=only(3)) as old,
        node(tmp_path / "new", database_url, handlers=only(4)) as new,
    ):
        wait_until(lambda: old.said() and new.said(), "both work")
        unknown = enqueue(database_url, {}, count=50, priority=-1, event_type_id=9)
        threes = enqueue(database_url, {}, count=50, event_type_id=3)
        fours = enqueue(database_url, {}, count=50, event_type_id=4)
        wait_until(lambda: len(old.starts() + new.starts()) == 100, "what is known has run")
        assert old.stop() == 0
        assert new.stop() == 0
    assert sorted(job_id for job_id, _, _ in old.starts()) == threes
    assert sorted(job_id for job_id, _, _ in new.starts()) == fours
    state = {row[0]: row[1:] for row in jobs(database_url, "id, status, retry_count, attempt")}
    assert {state[job_id] for job_id in unknown} == {("queued", 0, 0)}
    assert {state[job_id][:2] for job_id in threes + fours} == {("succeeded", 0)}


DIES_EARLY = """
import os, sys, time
if "v7_task_processor.worker" in sys.orig_argv:
    with open({log!r}, "a") as log:
        log.write(f"{{time.monotonic()}}\\n")
    if not os.path.exists({mended!r}):
        os._exit(9)
"""


@pytest.mark.fault(22)
@pytest.mark.slow
def test_a_worker_that_dies_before_its_first_line_is_started_ever_more_slowly_and_claims_nothing(
    database_url: str, tmp_path: Path, record_property: Record
) -> None:
    site, log, mended = tmp_path / "site", tmp_path / "starts", tmp_path / "mended"
    site.mkdir()
    (site / "sitecustomize.py").write_text(DIES_EARLY.format(log=str(log), mended=str(mended)))
    [job] = enqueue(database_url, {})
    with node(tmp_path / "node", database_url, handlers=FIXED, PYTHONPATH=with_ours(site)) as one:
        times = wait_until(lambda: len(starts := starts_in(log)) >= 6 and starts, "it was started six times")
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert [pause >= least for pause, least in zip(pauses, PAUSES_SECONDS, strict=True)] == [True] * 5
        assert one.said().count("a process cannot start") >= 5
        assert "exit_code" in one.said()
        assert one.running.poll() is None
        assert jobs(database_url, "id, status, attempt") == [(job, "queued", 0)]
        mended.touch()
        mended_at = time.monotonic()
        wait_until(lambda: jobs(database_url) == [(job, "succeeded", 0)], "it works")
        record_property("recovery_seconds", time.monotonic() - mended_at)
        assert one.stop() == 0


def with_ours(folder: Path) -> str:
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def starts_in(log: Path) -> list[float]:
    return [float(line) for line in log.read_text().splitlines()] if log.exists() else []


BREAKS = """
if os.path.exists("broken"):
    os._exit(9)

@handler()
async def hold(job):
    note("start", job)
    if not os.path.exists(f"held-{job.id}"):  # not by its attempt: it may have been claimed before, and given back
        open(f"held-{job.id}", "w").close()
        await asyncio.sleep(1000)
"""
LONE_DEATH = re.compile(r"(\S+) .*a process cannot start .*role=.lone worker")


@pytest.mark.fault(22)
@pytest.mark.slow
def test_a_worker_for_suspects_that_dies_at_every_start_is_started_ever_more_slowly_too(
    database_url: str, tmp_path: Path
) -> None:
    """As when handlers are broken while a node runs, and then one of its workers dies with jobs that have started."""
    ids = enqueue(database_url, {}, count=3)
    with node(tmp_path / "node", database_url, handlers=BREAKS) as one:
        wait_until(lambda: len(one.starts()) == 3, "all run")
        (one.folder / "broken").touch()
        one.workers()[0].kill()

        def deaths() -> list[datetime]:
            return [datetime.fromisoformat(each) for each in LONE_DEATH.findall(one.said())]

        wait_until(lambda: len(deaths()) >= 5, "it was started five times")
        pauses = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(deaths()[:5])]
        assert [pause >= least for pause, least in zip(pauses, PAUSES_SECONDS, strict=False)] == [True] * 4
        (one.folder / "broken").unlink()
        wait_until(lambda: {row[1:] for row in jobs(database_url)} == {("succeeded", 0)}, "all have ended")
        assert one.stop() == 0
    assert Counter(job_id for job_id, _, _ in one.starts()) == dict.fromkeys(ids, 2)


@pytest.mark.fault(22)
@pytest.mark.slow
def test_a_node_that_stops_while_its_worker_for_suspects_rests_stops_at_once(database_url: str, tmp_path: Path) -> None:
    enqueue(database_url, {}, count=3)
    with node(tmp_path / "node", database_url, handlers=BREAKS) as one:
        wait_until(lambda: len(one.starts()) == 3, "all run")
        (one.folder / "broken").touch()
        one.workers()[0].kill()
        wait_until(lambda: len(LONE_DEATH.findall(one.said())) >= 4, "it rests")
        began = time.monotonic()
        assert one.stop() == 0
        assert time.monotonic() - began < 5
    assert {row[1:] for row in jobs(database_url)} == {("queued", 0)}
