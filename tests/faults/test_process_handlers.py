"""F9 to F13, F15, F17, F20 and F21: handlers that raise, hang, fork, close and change what is not theirs."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from ..nodes import Node, check_books, enqueue, failures, jobs, node, wait_for_end, wait_until

Record = Callable[[str, object], None]
GRACE_SECONDS = 5.0
NEIGHBOUR = """
@handler()
async def neighbour(job):
    note("start", job)
    await asyncio.sleep(0.3)
    note("end", job)
"""


def handler(body: str, kind: str = "async def", event_type_id: int = 2, options: str = "") -> str:
    """A misbehaving handler's source."""
    lines = "".join(f"    {line}\n" for line in ['note("start", job)', *body.splitlines()])
    return f"\n@handler(event_type_id={event_type_id}{options})\n{kind} misbehave_{event_type_id}(job):\n{lines}"


def states(url: str) -> dict[int, tuple[str, int]]:
    return {job_id: (status, retry_count) for job_id, status, retry_count in jobs(url)}


RECURSION = "def again():\n    again()\nagain()"
HOSTILE_CLASS = """
class Hostile(Exception):
    def __str__(self):
        raise LookupError("no words")
    def __reduce__(self):
        raise TypeError("not to be pickled")
raise Hostile
"""
RAISES = {
    "sys.exit in async def": (9, "async def", "raise SystemExit(0)", "SystemExit"),
    "sys.exit in def": (9, "def", "raise SystemExit(0)", "SystemExit"),
    "BaseException in async def": (9, "async def", "raise BaseException('base')", "BaseException"),
    "BaseException in def": (9, "def", "raise BaseException('base')", "BaseException"),
    "KeyboardInterrupt in async def": (9, "async def", "raise KeyboardInterrupt", "KeyboardInterrupt"),
    "StopIteration in def": (10, "def", "next(iter(()))", "StopIteration"),
    "StopIteration in async def": (10, "async def", "next(iter(()))", "RuntimeError"),
    "CancelledError in async def": (10, "async def", "raise asyncio.CancelledError", "CancelledError"),
    "CancelledError in def": (10, "def", "raise asyncio.CancelledError", "CancelledError"),
    "GeneratorExit in async def": (10, "async def", "raise GeneratorExit", "GeneratorExit"),
    "its own task cancelled": (
        10,
        "async def",
        "asyncio.current_task().cancel()\nawait asyncio.sleep(9)",
        "CancelledError",
    ),
    "recursion in async def": (11, "async def", RECURSION, "RecursionError"),
    "recursion in def": (11, "def", RECURSION, "RecursionError"),
    "a message with NUL and half a character": (21, "def", "raise ValueError('a\\0b\\ud800c')", "ValueError"),
    "a message of 100 MB": (21, "def", "raise ValueError('x' * 10**8)", "ValueError"),
    "an error whose str raises": (21, "async def", HOSTILE_CLASS, "misbehave"),
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.fault(number)) for case, (number, *_) in RAISES.items()]
)
def test_whatever_a_handler_raises_fails_it_alone_and_its_process_goes_on(
    database_url: str, tmp_path: Path, case: str
) -> None:
    _, kind, body, error_type = RAISES[case]
    neighbours = enqueue(database_url, {}, count=5)
    bad = enqueue(database_url, {}, event_type_id=2)
    neighbours += enqueue(database_url, {}, count=5)
    handlers = NEIGHBOUR + handler(body, kind)
    with node(tmp_path / "node", database_url, handlers=handlers, V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0) as one:
        wait_for_end(database_url)
        assert one.stop() == 0
    state = states(database_url)
    assert state[bad[0]] == ("dead", 2)
    assert {state[job_id] for job_id in neighbours} == {("succeeded", 0)}
    with psycopg.connect(database_url) as connection:
        charged = connection.execute("select error_type, length(message), length(traceback) from v7.failures")
        for kind_of_error, message_chars, traceback_chars in charged.fetchall():
            assert kind_of_error.startswith(error_type)
            assert message_chars < 8_200
            assert traceback_chars < 16_200
    assert len({pid for _, _, pid in one.starts()}) == 1
    check_books(database_url, one)


@pytest.mark.fault(11)
@pytest.mark.slow
def test_a_recursion_past_the_stack_fails_or_ends_its_process_and_is_charged_alone(
    database_url: str, tmp_path: Path
) -> None:
    """Python up to 3.11 dies of it, later ones raise RecursionError."""
    body = "import json, sys\nsys.setrecursionlimit(10**9)\njson.loads('[' * 10**6)"
    neighbours = enqueue(database_url, {}, count=3)
    bad = enqueue(database_url, {}, event_type_id=2)
    handlers = NEIGHBOUR + handler(body)
    with node(tmp_path / "node", database_url, handlers=handlers, V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0) as one:
        wait_for_end(database_url)
        assert one.stop() == 0
    state = states(database_url)
    assert state[bad[0]] == ("dead", 2)
    assert {state[job_id] for job_id in neighbours} == {("succeeded", 0)}
    check_books(database_url, one)


STUCK = {
    "a loop that never waits": (12, "async def", "while True:\n    pass"),
    "a task that swallows its end": (
        13,
        "async def",
        "while True:\n    try:\n        await asyncio.sleep(1000)\n    except asyncio.CancelledError:\n        pass",
    ),
    "a thread that sleeps": (13, "def", "time.sleep(1e6)"),
}
stuck_cases = pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.fault(number)) for case, (number, *_) in STUCK.items()]
)


@pytest.mark.slow
@stuck_cases
def test_a_handler_that_does_not_end_loses_its_process_and_is_charged_alone(
    database_url: str, tmp_path: Path, case: str, record_property: Record
) -> None:
    _, kind, body = STUCK[case]
    handlers = NEIGHBOUR + handler(body, kind, options=", timeout_seconds=1, max_retries=2")
    neighbours = enqueue(database_url, {}, count=5)
    bad = enqueue(database_url, {}, event_type_id=2)
    neighbours += enqueue(database_url, {}, count=5)
    beats: list[float] = []
    with (
        node(tmp_path / "node", database_url, handlers=handlers, V7_RETRY_SECONDS=0) as one,
        psycopg.connect(database_url, autocommit=True) as observer,
    ):
        wait_until(one.starts, "it runs")
        beat = "select id, extract(epoch from now() - heartbeat_at)::float8 from v7.workers where node_id is null"
        [(node_id, _)] = observer.execute(beat).fetchall()

        def ended() -> bool:
            [(same, age)] = observer.execute(beat).fetchall()
            assert same == node_id
            beats.append(age)
            return bool(observer.execute("select bool_and(status = 'dead') from v7.jobs").fetchone() == (True,))

        wait_until(ended, "it is dead and the others have ended")
        durations = observer.execute("select extract(epoch from failed_at - claimed_at)::float8 from v7.failures")
        seconds = [row[0] for row in durations]
        assert one.stop() == 0
    record_property("recovery_seconds", max(seconds))
    assert len(seconds) == 2
    assert 1 + GRACE_SECONDS <= min(seconds) <= max(seconds) < 1 + GRACE_SECONDS + 6
    assert max(beats) < 10
    state = states(database_url)
    assert state[bad[0]] == ("dead", 2)
    assert {state[job_id] for job_id in neighbours} == {("succeeded", 0)}
    assert failures(database_url) == [(bad[0], "Timeout")] * 2
    check_books(database_url, one)


@pytest.mark.slow
@stuck_cases
def test_a_handler_that_does_not_end_does_not_hold_up_a_drain(database_url: str, tmp_path: Path, case: str) -> None:
    _, kind, body = STUCK[case]
    [bad] = enqueue(database_url, {}, event_type_id=2)
    with node(tmp_path / "node", database_url, handlers=NEIGHBOUR + handler(body, kind), V7_SHUTDOWN_SECONDS=3) as one:
        wait_until(one.starts, "it runs")
        began = time.monotonic()
        assert one.stop() == 0
        assert time.monotonic() - began < 3 + 10
    assert jobs(database_url) == [(bad, "queued", 0)]


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
        for _ in range(10):
            enqueue(database_url, {}, count=3)
            enqueue(database_url, {}, event_type_id=2)
        wait_for_end(database_url)
        [worker] = one.workers()
        wait_until(lambda: all(each.status() == "zombie" for each in worker.children()), "the copies have ended")
        after = enqueue(database_url, {}, count=20)
        wait_for_end(database_url)
        assert one.stop() == 0
    assert jobs(database_url) == [(job_id, "succeeded", 0) for job_id in range(1, 61)]
    assert sorted(job_id for job_id, _, _ in one.starts()) == list(range(1, 61))
    assert {pid for _, _, pid in one.starts()} == {worker.pid}
    assert {job_id for job_id, _, _ in one.noted("end")} >= set(after)
    assert "again" not in one.said()  # no connection broke
    check_books(database_url, one)


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


@contextmanager
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
    """It holds all that was open in its worker, the notes of the node among it."""
    handlers = handler(DAEMON) + (
        "\n@handler()\nasync def wait(job):\n    note('start', job)\n"
        "    while not os.path.exists('go'):\n        await asyncio.sleep(0.02)\n"
    )
    enqueue(database_url, {}, event_type_id=2)
    with node(tmp_path / "node", database_url, handlers=handlers) as one, daemon_of(one) as daemon:
        waits = enqueue(database_url, {}, count=3)
        wait_until(lambda: len(one.starts()) == 4, "the others run")
        one.kill_tree()
        assert daemon.is_running()
        (one.folder / "go").touch()
        one.start()
        started_at = time.monotonic()
        wait_until(lambda: len(one.starts()) > 4, "its successor has begun")
        record_property("recovery_seconds", seconds := time.monotonic() - started_at)
        wait_for_end(database_url)
        assert one.stop() == 0
        assert daemon.is_running()
    assert seconds < 10  # not the 15 seconds of who knows nothing
    assert {states(database_url)[job_id] for job_id in waits} == {("succeeded", 0)}
    check_books(database_url, one)


CLOSES = """
os.closerange(3, 256)
for number in range(200):
    os.open(f"grabbed-{number}", os.O_RDWR | os.O_CREAT)
"""


@pytest.mark.fault(17)
@pytest.mark.parametrize("kind", ["async def", "def"])
def test_a_handler_that_closes_what_is_open_and_takes_the_numbers_is_charged_alone(
    database_url: str, tmp_path: Path, kind: str
) -> None:
    quiet = "\n@handler()\nasync def neighbour(job):\n    await asyncio.sleep(0.3)\n"
    wait = "await asyncio.sleep(2)" if kind == "async def" else "time.sleep(2)"
    handlers = quiet + handler(CLOSES + wait, kind)
    neighbours = enqueue(database_url, {}, count=3)
    bad = enqueue(database_url, {}, event_type_id=2)
    with node(tmp_path / "node", database_url, handlers=handlers, V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0) as one:
        wait_until(lambda: len(one.starts()) >= 2, "it ran again")
        neighbours += enqueue(database_url, {}, count=3)
        wait_for_end(database_url)
        assert one.stop() == 0
    state = states(database_url)
    assert state[bad[0]] == ("dead", 2)
    assert {state[job_id] for job_id in neighbours} == {("succeeded", 0)}
    grabbed = list(one.folder.glob("grabbed-*"))
    assert grabbed  # in a thread it may not come to take all of them: its process has died of the first ones
    assert {path.read_bytes() for path in grabbed} == {b""}
    check_books(database_url, one)


CHANGES = {
    "SIGTERM ignored": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "another folder": "os.chdir('/')",
    "ten files": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))",
    "the loop stopped": "asyncio.get_running_loop().stop()",
    "logging off": "import logging\nlogging.disable(logging.CRITICAL)",
    "signals blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})",
}


@pytest.mark.fault(20)
@pytest.mark.slow
@pytest.mark.parametrize("case", CHANGES)
def test_a_handler_that_changes_its_process_does_not_hold_up_a_drain(
    database_url: str, tmp_path: Path, case: str, record_property: Record
) -> None:
    stubborn = "\n@handler()\nasync def stubborn(job):\n    note('start', job)\n    await asyncio.sleep(1000)\n"
    handlers = stubborn + handler(CHANGES[case])
    [changed] = enqueue(database_url, {}, event_type_id=2)
    with node(tmp_path / "node", database_url, handlers=handlers, V7_SHUTDOWN_SECONDS=3) as one:
        wait_until(lambda: states(database_url)[changed] == ("succeeded", 0), "the process is changed")
        [held] = enqueue(database_url, {})
        wait_until(lambda: held in [job_id for job_id, _, _ in one.starts()], "the next one runs")
        began = time.monotonic()
        assert one.stop() == 0
        record_property("drain_seconds", seconds := time.monotonic() - began)
    assert seconds < 3 + 10
    assert states(database_url) == {changed: ("succeeded", 0), held: ("queued", 0)}


@pytest.mark.fault(20)
def test_a_handler_that_stops_the_loop_and_waits_is_dead_after_its_retries(database_url: str, tmp_path: Path) -> None:
    """Its task is alive when its process ends: that is a crash, whatever the loop's own cleaning up tells the task."""
    neighbours = enqueue(database_url, {}, count=3)
    bad = enqueue(database_url, {}, event_type_id=2)
    handlers = NEIGHBOUR + handler("asyncio.get_running_loop().stop()\nawait asyncio.sleep(1000)")
    with node(tmp_path / "node", database_url, handlers=handlers, V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0) as one:
        wait_for_end(database_url)
        assert one.stop() == 0
    state = states(database_url)
    assert state[bad[0]] == ("dead", 2)
    assert {state[job_id] for job_id in neighbours} == {("succeeded", 0)}
    check_books(database_url, one)
