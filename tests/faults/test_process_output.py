"""F16: what is written goes nowhere, or there is far too much of it."""

import contextlib
import logging
import os
import select
import shlex
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from v7_task_processor.observability.lines import CHARS_MAX, Lines

from ..nodes import V7, Node, check_books, enqueue, jobs, node, wait_for_end, wait_until
from .looks import Record

TALKS = """
import logging
log = logging.getLogger("mine")

@handler()
async def talk(job):
    note("start", job)
    print("printed", flush=True)
    log.warning("logged %s", job.id)
    log.warning("odd \\ud800")
    note("end", job)

@handler(event_type_id=2)
async def fail(job):
    note("start", job)
    log.error("going to fail")
    raise ValueError("as asked")
"""
FLOOD = """
import logging, sys
log = logging.getLogger("mine")

@handler(event_type_id=2)
def print_it(job):
    note("start", job)
    line = "x" * 99_999
    for _ in range(2_000):
        print(line)
    note("end", job)

@handler(event_type_id=3)
async def log_it(job):
    note("start", job)
    line = "x" * 100_000
    for _ in range(2_000):
        log.warning(line)
    note("end", job)
"""
REDIRECTIONS = {
    "stderr closed": "2>&-",
    "stdout and stderr closed": ">&- 2>&-",
    "all three closed": "<&- >&- 2>&-",
    "stderr on a full disk": "2>/dev/full",
    "both on a full disk": ">/dev/full 2>/dev/full",
}


def redirected(how: str) -> list[str]:
    return ["sh", "-c", f'exec "$@" {how}', "sh", *V7]


@pytest.mark.fault(16)
@pytest.mark.parametrize("command", ["worker", pytest.param("run", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", REDIRECTIONS)
def test_output_that_goes_nowhere_fails_no_job_and_no_node(
    database_url: str, tmp_path: Path, case: str, command: str
) -> None:
    talks = enqueue(database_url, {}, count=20)
    fails = enqueue(database_url, {}, count=5, event_type_id=2)
    with node(
        tmp_path / "node",
        database_url,
        command,
        handlers=TALKS,
        program=redirected(REDIRECTIONS[case]),
        V7_MAX_RETRIES=2,
        V7_RETRY_SECONDS=0,
    ) as one:
        wait_for_end(database_url)
        assert one.stop() == 0
    state = {job_id: (status, retry_count) for job_id, status, retry_count in jobs(database_url)}
    assert {state[job_id] for job_id in talks} == {("succeeded", 0)}
    assert {state[job_id] for job_id in fails} == {("dead", 2)}
    check_books(database_url, one)


@contextlib.contextmanager
def unread_pipe() -> Iterator[int]:
    """The writing end of a pipe that is full, and stays so."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    os.set_blocking(write, True)
    try:
        yield write
    finally:
        os.close(read)
        os.close(write)


def bytes_in_use(one: Node) -> int:
    return sum(each.memory_info().rss for each in one.tree())


@pytest.mark.fault(16)
@pytest.mark.slow
@pytest.mark.parametrize("what", ["printed into nothing", "logged into nothing", "logged into a full pipe"])
def test_200_megabytes_of_output_neither_stop_a_job_nor_fill_the_memory(
    database_url: str, tmp_path: Path, what: str, record_property: Record
) -> None:
    type_id = 2 if what.startswith("printed") else 3
    enqueue(database_url, {}, event_type_id=type_id)
    one = Node(tmp_path / "node", database_url, handlers=FLOOD)
    with unread_pipe() as pipe, contextlib.ExitStack() as stack:
        if what.endswith("full pipe"):
            stderr = stack.enter_context(os.fdopen(os.dup(pipe), "wb"))
            one.program = redirected(">/dev/null")
        else:
            stderr = None
            one.program = redirected(">/dev/null 2>/dev/null")
        stack.callback(one.kill_tree)
        one.start(stderr=stderr)
        wait_until(one.starts, "it has begun")
        most = 0

        def has_ended() -> bool:
            nonlocal most
            with contextlib.suppress(psutil.NoSuchProcess):
                most = max(most, bytes_in_use(one))
            return bool(one.noted("end"))

        wait_until(has_ended, "it has ended")
        most = max(most, bytes_in_use(one))
        wait_for_end(database_url)
        assert one.stop() == 0
    record_property("megabytes", most / 2**20)
    assert most < 300 * 2**20
    assert {row[1:] for row in jobs(database_url)} == {("succeeded", 0)}
    check_books(database_url, one)


@pytest.mark.fault(16)
def test_a_reader_that_leaves_stops_no_job(database_url: str, tmp_path: Path) -> None:
    """`v7 worker 2>&1 | head -1`: every write after that is an error."""
    enqueue(database_url, {}, count=20)
    script = f'{shlex.join(V7)} "$@" 2>&1 | head -c 1 > /dev/null; echo "${{PIPESTATUS[0]}}" > ended'
    one = Node(tmp_path / "node", database_url, handlers=TALKS, V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0)
    one.program = ["bash", "-c", script, "bash"]
    one.start()
    try:
        wait_for_end(database_url)
        [top] = [each for each in one.tree() if is_supervisor(each)]
        top.terminate()
        assert one.running.wait(40) == 0
    finally:
        one.kill_tree()
    assert (one.folder / "ended").read_text().strip() == "0"
    assert {row[1:] for row in jobs(database_url)} == {("succeeded", 0)}
    check_books(database_url, one)


def is_supervisor(process: psutil.Process) -> bool:
    try:
        command = process.cmdline()
    except psutil.NoSuchProcess:  # it has just ended, as head does
        return False
    return command[-1:] == ["worker"] and "-m" in command


@pytest.mark.fault(16)
def test_lines_that_nobody_reads_are_bounded_by_their_size_and_the_lost_ones_are_counted() -> None:
    read, write = os.pipe()
    lines = Lines(write)
    record = logging.LogRecord("mine", logging.INFO, __file__, 1, "x" * 1_000_000, None, None)
    lines.emit(record)
    select.select([read], [], [])  # its thread has begun to write, and forgotten what was dropped before
    for _ in range(100):
        lines.emit(record)
    assert lines.chars_in - lines.chars_out <= CHARS_MAX + 1_000_001
    assert lines.dropped >= 90
    written: list[bytes] = []
    while sum(map(len, written)) < lines.chars_in:
        written.append(os.read(read, 2**20))
    lines.say("the last")
    while not written[-1].endswith(b"the last\n"):
        written.append(os.read(read, 2**20))
    assert b"log lines were dropped: nobody read them" in b"".join(written)
    os.close(read)
    os.close(write)
