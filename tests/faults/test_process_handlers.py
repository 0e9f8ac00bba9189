"""F7, F9 to F13, F17, F20 and F21: handlers that raise, hang, close and change what is not theirs."""

import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ..nodes import check_books, enqueue, failures, jobs, node, wait_for_end, wait_until
from .handlers import NEIGHBOUR, handler
from .looks import Record, check_one_dead, states

GRACE_SECONDS = 5.0
STILL_SECONDS = 4.0
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
    "sys.exit in async def": ("async def", "raise SystemExit(0)", "SystemExit"),
    "sys.exit in def": ("def", "raise SystemExit(0)", "SystemExit"),
    "BaseException in async def": ("async def", "raise BaseException('base')", "BaseException"),
    "BaseException in def": ("def", "raise BaseException('base')", "BaseException"),
    "KeyboardInterrupt in async def": ("async def", "raise KeyboardInterrupt", "KeyboardInterrupt"),
    "StopIteration in def": ("def", "next(iter(()))", "StopIteration"),
    "StopIteration in async def": ("async def", "next(iter(()))", "RuntimeError"),
    "CancelledError in async def": ("async def", "raise asyncio.CancelledError", "CancelledError"),
    "CancelledError in def": ("def", "raise asyncio.CancelledError", "CancelledError"),
    "GeneratorExit in async def": ("async def", "raise GeneratorExit", "GeneratorExit"),
    "its own task cancelled": (
        "async def",
        "asyncio.current_task().cancel()\nawait asyncio.sleep(9)",
        "CancelledError",
    ),
    "recursion in async def": ("async def", RECURSION, "RecursionError"),
    "recursion in def": ("def", RECURSION, "RecursionError"),
    "a message with NUL and half a character": ("def", "raise ValueError('a\\0b\\ud800c')", "ValueError"),
    "a message of 100 MB": ("def", "raise ValueError('x' * 10**8)", "ValueError"),
    "an error whose str raises": ("async def", HOSTILE_CLASS, "misbehave"),
}


@pytest.mark.slow
@pytest.mark.fault(9, 10, 11, 21)
def test_whatever_a_handler_raises_fails_it_alone_and_its_process_goes_on(database_url: str, tmp_path: Path) -> None:
    """All of them in one process, one after the other, with neighbours before and behind each."""
    handlers, bad = NEIGHBOUR, {}
    neighbours = enqueue(database_url, {}, count=5)
    for event_type_id, (case, (kind, body, _)) in enumerate(RAISES.items(), start=2):
        handlers += handler(body, kind, event_type_id)
        (bad[case],) = enqueue(database_url, {}, event_type_id=event_type_id)
        neighbours += enqueue(database_url, {}, count=5)
    with node(tmp_path / "node", database_url, handlers=handlers, V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0) as one:
        wait_for_end(database_url)
        assert one.stop() == 0
    with psycopg.connect(database_url) as connection:
        charges = "select job_id, error_type, length(message), length(traceback) from v7.failures order by id"
        charged = connection.execute(charges).fetchall()
    for case, job_id in bad.items():
        mine = [row[1:] for row in charged if row[0] == job_id]
        assert [error_type.startswith(RAISES[case][2]) for error_type, *_ in mine] == [True, True], (case, mine)
    for _, _, message_chars, traceback_chars in charged:
        assert message_chars < 8_200
        assert traceback_chars < 16_200
    assert len({pid for _, _, pid in one.starts()}) == 1
    ended = dict.fromkeys(bad.values(), ("dead", 2)) | dict.fromkeys(neighbours, ("succeeded", 0))
    assert states(database_url) == ended
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
    check_one_dead(database_url, one, bad[0], neighbours)


@pytest.mark.fault(7)
@pytest.mark.slow
def test_a_handler_that_tells_its_own_process_to_end_and_does_not_is_charged_alone(
    database_url: str, tmp_path: Path
) -> None:
    """As after a crash: with others it is a suspect first."""
    body = "import signal\nos.kill(os.getpid(), signal.SIGTERM)\nawait asyncio.sleep(1000)"
    handlers = NEIGHBOUR + "    await asyncio.sleep(4 if job.attempt == 1 else 0)\n" + handler(body)
    neighbours = enqueue(database_url, {}, count=3)
    bad = enqueue(database_url, {}, event_type_id=2)
    settings: dict[str, Any] = {"V7_MAX_RETRIES": 2, "V7_RETRY_SECONDS": 0, "V7_SHUTDOWN_SECONDS": 3}
    with node(tmp_path / "node", database_url, handlers=handlers, **settings) as one:
        wait_for_end(database_url)
        assert one.stop() == 0
    assert failures(database_url) == [(bad[0], "Crash")] * 2
    check_one_dead(database_url, one, bad[0], neighbours)


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
    assert failures(database_url) == [(bad[0], "Timeout")] * 2
    check_one_dead(database_url, one, bad[0], neighbours)


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


LEFT_BEHIND = """
def block():
    while not os.path.exists("blocked"):
        open("blocked", "w").close()
        time.sleep(1e6)
asyncio.get_running_loop().call_later(0.1, block)
"""
UNSTILL = f"""
from v7_task_processor.worker import rescue
rescue.STILL_SECONDS_MAX = {STILL_SECONDS}
from v7_task_processor.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.fault(12)
def test_what_a_handler_leaves_behind_holds_the_loop_while_nothing_runs(database_url: str, tmp_path: Path) -> None:
    """Its process is ended, and nobody is charged: nobody knows who left it."""
    first = enqueue(database_url, {}, event_type_id=2)
    program = [sys.executable, "-P", "-c", UNSTILL]
    with node(tmp_path / "node", database_url, handlers=NEIGHBOUR + handler(LEFT_BEHIND), program=program) as one:
        wait_until(lambda: (one.folder / "blocked").exists(), "the loop is held")
        later = enqueue(database_url, {}, count=5)
        wait_for_end(database_url)
        assert one.stop() == 0
    assert jobs(database_url) == [(job_id, "succeeded", 0) for job_id in first + later]
    assert failures(database_url) == []


CLOSES = """
os.closerange(3, 256)
for number in range(200):
    os.open(f"grabbed-{number}", os.O_RDWR | os.O_CREAT)
"""


@pytest.mark.fault(17)
@pytest.mark.parametrize("kind", ["async def", "def"])
@pytest.mark.slow
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
    grabbed = list(one.folder.glob("grabbed-*"))
    assert grabbed  # in a thread it may not come to take all of them: its process has died of the first ones
    assert {path.read_bytes() for path in grabbed} == {b""}
    check_one_dead(database_url, one, bad[0], neighbours)


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
@pytest.mark.slow
def test_a_handler_that_stops_the_loop_and_waits_is_dead_after_its_retries(database_url: str, tmp_path: Path) -> None:
    """Its task is alive when its process ends: that is a crash, whatever the loop's own cleaning up tells the task."""
    neighbours = enqueue(database_url, {}, count=3)
    bad = enqueue(database_url, {}, event_type_id=2)
    handlers = NEIGHBOUR + handler("asyncio.get_running_loop().stop()\nawait asyncio.sleep(1000)")
    with node(tmp_path / "node", database_url, handlers=handlers, V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0) as one:
        wait_for_end(database_url)
        assert one.stop() == 0
    check_one_dead(database_url, one, bad[0], neighbours)


ALL_TASKS = {
    "and waits": "await asyncio.sleep(1000)",
    "and raises": "raise ValueError('enough')",
    "and puts it off": "from v7_task_processor import Snooze\nreturn Snooze(0)",
    "and makes an error of it": "try:\n    await asyncio.sleep(1000)\nfinally:\n    raise ValueError('enough')",
}


@pytest.mark.fault(7)
@pytest.mark.slow
@pytest.mark.parametrize("then", ALL_TASKS)
def test_a_handler_that_cancels_all_tasks_of_its_process_is_dead_after_its_retries(
    database_url: str, tmp_path: Path, then: str
) -> None:
    """The worker's own among them, and its neighbours', which fail by it and are not to blame."""
    neighbours = enqueue(database_url, {}, count=3)
    bad = enqueue(database_url, {}, event_type_id=2)
    body = "for task in asyncio.all_tasks():\n    task.cancel()\n" + ALL_TASKS[then]
    with node(
        tmp_path / "node", database_url, handlers=NEIGHBOUR + handler(body), V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0
    ) as one:
        wait_for_end(database_url)
        assert one.stop() == 0
    check_one_dead(database_url, one, bad[0], neighbours)


@pytest.mark.fault(7)
@pytest.mark.slow
def test_who_cancels_all_tasks_of_its_process_and_succeeds_has_no_other_charged(
    database_url: str, tmp_path: Path
) -> None:
    """Of those that failed by it the only one is none the guiltier: nobody saw who did it."""
    enqueue(database_url, {})
    enqueue(database_url, {}, event_type_id=2)
    body = "for task in asyncio.all_tasks():\n    task.cancel()"
    with node(tmp_path / "node", database_url, handlers=NEIGHBOUR + handler(body)) as one:
        wait_for_end(database_url)
        assert one.stop() == 0
    assert set(states(database_url).values()) == {("succeeded", 0)}
