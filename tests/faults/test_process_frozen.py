"""F5 and F6: a node that stands still for longer than others wait, and then goes on."""

import signal
import time
from pathlib import Path

import psycopg
import pytest

from v7_task_processor.worker.executor import BEAT_AGE_SECONDS_MAX
from v7_task_processor.worker.outcome import Release

from ..nodes import Node, check_books, enqueue, jobs, node, wait_for_end, wait_until
from ..worker.bench import Bench
from .looks import Record, beat_age_seconds, node_ids, running

HOLDS = """
@handler(event_type_id=2)
async def hold_the_loop(job):
    note("start", job)
    if not os.path.exists("../held"):  # not by its attempt: it may have been claimed before, and given back
        open("../held", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
    note("end", job)

@handler(event_type_id=1)
async def quick(job):
    note("start", job)
    await asyncio.sleep(0.002)
    note("end", job)

@handler(event_type_id=4)
async def instant(job):
    note("start", job)
    note("end", job)
"""
ONLY_THREE = """
@handler(event_type_id=3)
async def three(job):
    note("start", job)
"""
SLOW = """
@handler()
async def slow(job):
    note("start", job)
    await asyncio.sleep(0.05)
    note("end", job)
"""


def claim_waits(url: str) -> bool:
    with psycopg.connect(url) as connection:
        waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'fresh as mat'"
        return connection.execute(waiting).fetchone() == (1,)


def goes_on_under_another_identity(frozen: Node, url: str, node_id: int) -> None:
    """It serves again, when it has seen what became of it."""
    wait_until(lambda: "given this one up" in frozen.said() and node_ids(url), "it has seen it")
    assert node_id not in node_ids(url)
    [job_id] = enqueue(url, {})
    wait_until(lambda: job_id in [each for each, _, _ in frozen.noted("end")], "it works again")


@pytest.mark.fault(5)
@pytest.mark.slow
def test_a_frozen_node_that_wakes_after_its_rescue_changes_nothing(
    database_url: str, tmp_path: Path, record_property: Record
) -> None:
    """It runs one job, and has claimed others with it, which wait behind that one."""
    before = enqueue(database_url, {}, count=3, event_type_id=4)
    holder = enqueue(database_url, {}, event_type_id=2)
    behind = enqueue(database_url, {}, count=300)
    with node(tmp_path / "a", database_url, handlers=HOLDS, V7_CONCURRENCY=8) as frozen:
        wait_until(lambda: frozen.starts() and frozen.starts()[-1][0] == holder[0], "the loop is held")
        # The loop that is held writes nothing: what ended just before may have to run again.
        unwritten = {job_id for job_id, _, _ in frozen.noted("end")} & set(running(database_url))
        assert set(running(database_url)) & set(behind)
        [node_id] = node_ids(database_url)
        starts = frozen.starts()
        frozen.signal_tree(signal.SIGSTOP)
        with node(tmp_path / "b", database_url, handlers=HOLDS) as other:
            wait_until(lambda: len(node_ids(database_url)) == 2, "another is there to see it")
            seen_at = time.monotonic()
            wait_for_end(database_url)
            record_property("recovery_seconds", seconds := time.monotonic() - seen_at)
            assert other.stop() == 0
        rows = jobs(database_url, "all_jobs::text")
        assert frozen.starts() == starts
        (frozen.folder / "go").touch()
        frozen.signal_tree(signal.SIGCONT)
        goes_on_under_another_identity(frozen, database_url, node_id)
        assert frozen.stop() == 0
    assert 15 < seconds < 30
    assert jobs(database_url, "all_jobs::text")[: len(rows)] == rows
    assert {job_id for job_id, _, _ in frozen.starts()[len(starts) :]}.isdisjoint(before + holder + behind)
    started = [job_id for job_id, _, _ in frozen.starts() + other.starts()]
    assert [started.count(job_id) for job_id in holder] == [2]
    assert {started.count(job_id) for job_id in unwritten} <= {1, 2}
    assert {started.count(job_id) for job_id in {*before, *behind} - unwritten} == {1}
    assert {row[1:] for row in jobs(database_url)} == {("succeeded", 0)}
    check_books(database_url, frozen, other)


PATIENT_CLAIMS = """
from v7_task_processor.worker.session import CLAIMS
CLAIMS["lock_timeout"] = "60s"  # the server goes on counting while its client is frozen
"""


@pytest.mark.fault(5)
@pytest.mark.slow
def test_a_frozen_node_that_reads_the_answer_of_its_claim_after_its_rescue_starts_nothing_of_it(
    database_url: str, tmp_path: Path, record_property: Record
) -> None:
    """The claim waits for a lock, the node is frozen, the claim commits: its answer lies in the socket."""
    with (
        node(tmp_path / "a", database_url, handlers=PATIENT_CLAIMS + HOLDS) as frozen,
        psycopg.connect(database_url) as admin,
    ):
        wait_until(lambda: node_ids(database_url) and frozen.said(), "it works")
        [node_id] = node_ids(database_url)
        enqueue(database_url, {})
        wait_until(lambda: frozen.noted("end"), "it has done the first")
        wait_for_end(database_url)
        admin.execute("lock table v7.jobs in share mode")
        wait_until(lambda: claim_waits(database_url), "its next claim waits for the lock")
        frozen.signal_tree(signal.SIGSTOP)
        rows = admin.execute("select v7.enqueue(1, 1, 0, '{}') from generate_series(1, 5)").fetchall()
        admin.commit()
        ids = [row[0] for row in rows]
        wait_until(lambda: running(database_url) == ids, "its claim has committed")
        with node(tmp_path / "b", database_url, handlers=HOLDS) as other:
            wait_until(lambda: len(node_ids(database_url)) == 2, "another is there to see it")
            seen_at = time.monotonic()
            wait_for_end(database_url)
            record_property("recovery_seconds", seconds := time.monotonic() - seen_at)
            assert other.stop() == 0
        rows = jobs(database_url, "all_jobs::text")
        frozen.signal_tree(signal.SIGCONT)
        goes_on_under_another_identity(frozen, database_url, node_id)
        assert frozen.stop() == 0
    assert 15 < seconds < 30
    assert jobs(database_url, "all_jobs::text")[: len(rows)] == rows
    assert {job_id for job_id, _, _ in frozen.starts()}.isdisjoint(ids)
    check_books(database_url, frozen, other)


@pytest.mark.fault(6)
@pytest.mark.slow
def test_workers_whose_supervisor_is_frozen_start_nothing_before_others_take_their_jobs(
    database_url: str, tmp_path: Path, record_property: Record
) -> None:
    """The other node watches, and serves a type that nobody sends: all of the work is the first one's."""
    enqueue(database_url, {}, count=1000)
    with (
        node(tmp_path / "a", database_url, handlers=SLOW, V7_CONCURRENCY=2) as frozen,
        node(tmp_path / "b", database_url, handlers=ONLY_THREE) as other,
    ):
        wait_until(lambda: frozen.starts() and other.said() and len(node_ids(database_url)) == 2, "both work")
        [node_id] = [each for each in node_ids(database_url) if pid_of(database_url, each) == frozen.running.pid]
        wait_until(lambda: 0.5 < beat_age_seconds(database_url, node_id) < 2, "no beat of it is under way")
        frozen.running.send_signal(signal.SIGSTOP)
        frozen_at, frozen_time = time.monotonic(), time.time()
        age_seconds = beat_age_seconds(database_url, node_id)
        wait_until(lambda: node_id not in node_ids(database_url), "the other has given it up")
        record_property("rescue_seconds", rescued_seconds := time.monotonic() - frozen_at)
        last_word_seconds = frozen.log.stat().st_mtime - frozen_time
        assert running(database_url) == []
        starts = frozen.starts()
        frozen.running.send_signal(signal.SIGCONT)
        woken_at = time.monotonic()
        wait_until(lambda: len(frozen.starts()) > len(starts), "it works again")
        record_property("recovery_seconds", seconds := time.monotonic() - woken_at)
        assert "given this one up" in frozen.said()
        assert node_id not in node_ids(database_url)
        wait_for_end(database_url, 120)
    assert 10 - age_seconds - 5 < last_word_seconds < 12
    assert 15 - age_seconds - 0.5 < rescued_seconds < 30
    assert seconds < 15
    started = [job_id for job_id, _, _ in frozen.starts()]
    assert len(started) == len(set(started))
    assert {row[1:] for row in jobs(database_url)} == {("succeeded", 0)}
    check_books(database_url, frozen)


def pid_of(url: str, node_id: int) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select pid from v7.workers where id = %s", [node_id]).fetchone()
        return row[0] if row else 0


@pytest.mark.fault(5, 6)
async def test_a_claim_that_is_answered_when_others_may_have_taken_its_jobs_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path).on_its_clock(monkeypatch)
    started: list[int] = []
    bench.handle(lambda job: started.append(job.id))
    bench.notes.beat(bench.time - BEAT_AGE_SECONDS_MAX - 1)
    bench.add(1, 2)
    assert bench.outcomes() == [Release(), Release()]
    bench.executor.returned(2)
    bench.notes.beat(bench.time)
    assert await bench.run(3) == [Release(), Release(), None]
    assert started == [3]


PATIENT = """
@handler(timeout_seconds=12)
async def patient(job):
    note("start", job)
    for _ in range(20):
        await asyncio.sleep(0.1)
    note("end", job)
"""


@pytest.mark.fault(5)
@pytest.mark.slow
def test_the_time_in_which_all_of_a_node_stood_still_is_not_its_handlers(database_url: str, tmp_path: Path) -> None:
    """A container is paused, a laptop sleeps: for longer than their limit, and nobody is there who would rescue."""
    job_ids = enqueue(database_url, {}, count=5)
    with node(tmp_path / "node", database_url, handlers=PATIENT) as one:
        wait_until(lambda: len(one.starts()) == 5, "they run")
        one.signal_tree(signal.SIGSTOP)
        time.sleep(16)  # what is tested is time that passes
        one.signal_tree(signal.SIGCONT)
        wait_for_end(database_url)
        assert one.stop() == 0
    assert jobs(database_url) == [(job_id, "succeeded", 0) for job_id in job_ids]
    assert len(one.starts()) == 5
