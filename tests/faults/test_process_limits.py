"""F8 and F14: no memory, and no threads. Within control groups of version 1, where root may make them here."""

import contextlib
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from v7_task_processor import Job
from v7_task_processor.worker.outcome import Release

from ..nodes import V7, Node, check_books, enqueue, failures, jobs, node, wait_for_end, wait_until
from ..worker.bench import Bench, error_of
from .handlers import NEIGHBOUR
from .looks import Record


@contextlib.contextmanager
def control_group(kind: str, **limits: object) -> Iterator[Path]:
    """A group of one kind, gone afterwards."""
    folder = Path("/sys/fs/cgroup") / kind / f"v7-test-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group of kind {kind} can be made here: {error}")
    try:
        for name, value in limits.items():
            (folder / f"{kind}.{name}").write_text(str(value))
        yield folder
    finally:
        wait_until(lambda: not (folder / "cgroup.procs").read_text(), "the group is empty")
        folder.rmdir()


def within(group: Path) -> list[str]:
    """`v7` as a command that enters a group first."""
    return ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", *V7]


EATS = """
@handler(event_type_id=2)
def eat(job):
    note("start", job)
    eaten = []
    while True:
        eaten.append(bytearray(2**20))
"""


@pytest.mark.fault(8)
def test_memory_that_runs_out_costs_a_worker_before_all_others(database_url: str, tmp_path: Path) -> None:
    def score(process: psutil.Process) -> int:
        return int(Path(f"/proc/{process.pid}/oom_score_adj").read_text())

    enqueue(database_url, {})
    with node(tmp_path / "node", database_url, command="run", handlers=NEIGHBOUR) as one:
        one.address()
        wait_for_end(database_url)
        (worker,) = one.workers()
        others = [score(other) for other in one.tree() if other != worker]
        assert [score(worker) - other for other in others] == [300, 300], "supervisor and API"
        assert one.stop() == 0


@pytest.mark.fault(8)
@pytest.mark.slow
def test_a_handler_that_eats_all_memory_is_dead_after_its_retries_and_its_neighbours_are_not(
    database_url: str, tmp_path: Path, record_property: Record
) -> None:
    neighbours = enqueue(database_url, {}, count=5)
    bad = enqueue(database_url, {}, event_type_id=2)
    began = time.monotonic()
    with (
        control_group("memory", limit_in_bytes=200 * 2**20) as group,
        node(
            tmp_path / "node",
            database_url,
            handlers=NEIGHBOUR + EATS,
            program=within(group),
            V7_MAX_RETRIES=3,
            V7_RETRY_SECONDS=0,
        ) as one,
    ):

        def over() -> bool:
            # The group is full until a killed process is all taken apart, and the kernel does not see that one any
            # more: the next that wants a page may be the supervisor. Whoever keeps services starts it again then.
            if one.running.poll() == -signal.SIGKILL:
                one.start()
            return is_over(database_url)

        wait_until(over, "every job has ended")
        record_property("recovery_seconds", time.monotonic() - began)
        assert one.stop() == 0
        killed = int((group / "memory.oom_control").read_text().split()[-1])
        assert killed >= 3, "it was the kernel that ended it each time"
    state = {job_id: (status, retry_count) for job_id, status, retry_count in jobs(database_url)}
    assert state[bad[0]] == ("dead", 3)
    assert {state[job_id] for job_id in neighbours} == {("succeeded", 0)}
    assert failures(database_url) == [(bad[0], "Crash")] * 3
    check_books(database_url, one)


POISON = """
@handler(event_type_id=2)
async def poison(job):
    note("poison", job)
    await asyncio.sleep(1000)
"""


@pytest.mark.fault(8)
@pytest.mark.slow
@pytest.mark.parametrize("same_folder", [True, False], ids=["on the same disk", "elsewhere"])
def test_a_poison_that_takes_its_whole_node_each_time_is_dead_after_its_retries(
    database_url: str, tmp_path: Path, record_property: Record, same_folder: bool
) -> None:
    """As where a container is killed with all that is in it, and a new one comes: with its folder, or without."""
    limit = 2
    neighbours = enqueue(database_url, {}, count=5)
    bad = enqueue(database_url, {}, event_type_id=2)
    neighbours += enqueue(database_url, {}, count=5)
    settings = {"handlers": NEIGHBOUR + POISON, "V7_MAX_RETRIES": limit, "V7_RETRY_SECONDS": 0}
    nodes: list[Node] = []
    slowest = 0.0
    for number in range(limit + 2):
        folder = tmp_path / ("node" if same_folder else f"node-{number}")
        with node(folder, database_url, **settings) as one:  # type: ignore[arg-type]
            nodes.append(one)
            began = time.monotonic()
            wait_until(PoisonRuns(one, database_url), "the poison runs, or is dead")
            slowest = max(slowest, time.monotonic() - began)
            if is_over(database_url):
                assert one.stop() == 0
                break
    record_property("recovery_seconds", slowest)
    losses = len(nodes) - 1
    assert losses <= limit + 1
    state = {job_id: (status, retry_count) for job_id, status, retry_count in jobs(database_url)}
    assert state[bad[0]] == ("dead", limit)
    assert {state[job_id] for job_id in neighbours} == {("succeeded", 0)}
    assert failures(database_url) == [(bad[0], "Crash")] * limit
    check_books(database_url, *(nodes[:1] if same_folder else nodes))


class PoisonRuns:
    """Whether the poison has begun on this node, or all is over."""

    def __init__(self, one: Node, url: str) -> None:
        self.one, self.url, self.already = one, url, len(one.noted("poison"))

    def __call__(self) -> bool:
        return len(self.one.noted("poison")) > self.already or is_over(self.url)


def is_over(url: str) -> bool:
    return {status for _, status, _ in jobs(url)} <= {"succeeded", "dead"}


LEAKS = """
import threading

@handler(event_type_id=2)
async def leak(job):
    note("start", job)
    for _ in range(500):
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

@handler(event_type_id=3)
def in_a_thread(job):
    note("start", job)
    note("end", job)
"""


@pytest.mark.fault(14)
@pytest.mark.slow
def test_a_handler_that_leaks_threads_until_there_are_none_fails_alone_and_its_worker_is_made_anew(
    database_url: str, tmp_path: Path, record_property: Record
) -> None:
    with (
        control_group("pids", max=40) as group,
        node(
            tmp_path / "node",
            database_url,
            handlers=NEIGHBOUR + LEAKS,
            program=within(group),
            V7_MAX_RETRIES=2,
            V7_RETRY_SECONDS=0,
        ) as one,
    ):
        [bad] = enqueue(database_url, {}, event_type_id=2)
        wait_until(lambda: (bad, "RuntimeError") in failures(database_url), "there are no threads left")
        leaked = one.starts()[0][2]
        began = time.monotonic()
        others = enqueue(database_url, {}, count=5, event_type_id=3) + enqueue(database_url, {}, count=5)
        wait_for_end(database_url)
        record_property("recovery_seconds", time.monotonic() - began)
        wait_until(lambda: not psutil.pid_exists(leaked), "the worker with the threads is gone")
        assert one.stop() == 0
    state = {job_id: (status, retry_count) for job_id, status, retry_count in jobs(database_url)}
    assert state[bad] == ("dead", 2)
    assert {state[job_id] for job_id in others} == {("succeeded", 0)}
    assert failures(database_url) == [(bad, "RuntimeError")] * 2
    check_books(database_url, one)


@pytest.mark.fault(14)
@pytest.mark.slow
@pytest.mark.parametrize("free", [0, 1])
def test_a_node_that_can_start_nothing_waits_until_it_can(
    database_url: str, tmp_path: Path, record_property: Record, free: int
) -> None:
    """No process id is free for its next worker; or one, so that it starts and finds no thread."""
    with (
        control_group("pids", max=100) as group,
        node(tmp_path / "node", database_url, handlers=NEIGHBOUR, program=within(group)) as one,
    ):
        enqueue(database_url, {})
        wait_until(lambda: one.noted("end"), "it works")
        [worker] = one.workers()
        others = int((group / "pids.current").read_text()) - worker.num_threads()
        (group / "pids.max").write_text(str(others + free))
        worker.kill()
        wait_until(lambda: one.said().count("cannot start") >= 3, "it was tried three times")
        assert one.running.poll() is None
        (group / "pids.max").write_text("100")
        began = time.monotonic()
        enqueue(database_url, {}, count=5)
        wait_for_end(database_url)
        record_property("recovery_seconds", time.monotonic() - began)
        assert one.stop() == 0
    assert {row[1:] for row in jobs(database_url)} == {("succeeded", 0)}
    check_books(database_url, one)


@pytest.mark.fault(14)
async def test_a_job_that_finds_no_thread_goes_back_uncharged_and_its_process_starts_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    bench = Bench(tmp_path).on_its_clock(monkeypatch)
    bench.handle(lambda job: None)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    bench.add(1, 2)
    assert bench.outcomes() == [Release(), Release()]
    assert (bench.executor.worn_out, bench.executor.draining) == (True, True)


@pytest.mark.fault(14)
async def test_who_asks_for_a_thread_in_vain_fails_and_its_process_starts_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(_: Job) -> None:
        raise RuntimeError("can't start new thread")

    bench = Bench(tmp_path).on_its_clock(monkeypatch)
    bench.handle(ask)
    (outcome,) = await bench.run(1)
    assert error_of(outcome) == ("RuntimeError", "can't start new thread")
    assert (bench.executor.worn_out, bench.executor.draining) == (True, True)
