"""What is logged during an attempt, by whomever, is kept with that attempt and with no other."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from v7_task_processor import Job, Snooze
from v7_task_processor.observability import logs, telemetry
from v7_task_processor.settings import Settings
from v7_task_processor.worker.outcome import Failed

from .bench import Bench

Handle = Callable[[Job], Any]
library = logging.getLogger("some.library")


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    """Logs as a worker process has them; what they say to stderr is of no interest here."""
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    logs.configure(Settings())
    logs.keep_with_attempts(Settings())
    yield
    root.handlers[:], root.level, logging.raiseExceptions = handlers, level, raises
    telemetry._subscribers.remove(logs.log_transition)
    structlog.reset_defaults()


def without_pytest() -> None:
    """Its own handler takes neither lone surrogates nor lines that cannot be made."""
    root = logging.getLogger()
    root.handlers[:] = [each for each in root.handlers if type(each).__module__.startswith("v7_")]


def said(bench: Bench) -> dict[int, list[str]]:
    """By job, what was kept of each line, without its time."""
    return {each.job.id: [] if each.log is None else untimed(each.log) for each in bench.ended}


def untimed(log: str) -> list[str]:
    return [line.partition(" ")[2].replace("    ", "").rstrip() for line in log.split("\n")]


async def test_async_handlers_side_by_side(bench: Bench) -> None:
    async def handle(job: Job) -> None:
        library.info("begins %s", job.id)
        await asyncio.sleep(0)
        library.warning("ends %s", job.id)

    bench.handle(handle)
    await bench.run(1, 2, 3)
    assert said(bench) == {each: [f"[info ] begins {each}", f"[warning  ] ends {each}"] for each in (1, 2, 3)}


async def test_def_handlers_side_by_side(bench: Bench) -> None:
    def handle(job: Job) -> None:
        for number in range(50):
            library.info("%s of %s", number, job.id)

    bench.handle(handle)
    await bench.run(*range(1, 21))
    assert said(bench) == {each: [f"[info ] {n} of {each}" for n in range(50)] for each in range(1, 21)}


async def test_tasks_and_threads_that_a_handler_made(bench: Bench) -> None:
    async def handle(job: Job) -> None:
        async def part() -> None:
            await asyncio.sleep(0)
            library.info("in a task of %s", job.id)

        await asyncio.create_task(part())
        await asyncio.to_thread(library.info, "in a thread of %s", job.id)
        asyncio.get_running_loop().call_soon(library.info, "called soon by %s", job.id)
        await asyncio.sleep(0)

    bench.handle(handle)
    await bench.run(1, 2)
    assert said(bench) == {
        each: [f"[info ] {what} {each}" for what in ("in a task of", "in a thread of", "called soon by")]
        for each in (1, 2)
    }


async def test_what_is_logged_after_the_end_is_of_no_attempt(bench: Bench) -> None:
    go, gone = asyncio.Event(), asyncio.Event()

    async def late(job: Job) -> None:
        await go.wait()
        library.info("too late, %s", job.id)
        gone.set()

    async def handle(job: Job) -> None:
        handle.task = asyncio.create_task(late(job))  # type: ignore[attr-defined]

    bench.handle(handle)
    await bench.run(1)
    go.set()
    await gone.wait()
    assert said(bench) == {1: []}


async def test_who_logs_nothing_keeps_nothing(bench: Bench) -> None:
    async def handle(job: Job) -> None:
        library.debug("below the level")

    library.info("before all of them")
    bench.handle(handle)
    await bench.run(1)
    assert [each.log for each in bench.ended] == [None]


async def test_structlog_and_extras_come_out_alike_and_do_not_name_the_job_again(bench: Bench) -> None:
    async def handle(job: Job) -> None:
        structlog.get_logger().info("said", amount=3)
        library.info("said", extra={"amount": 3})
        structlog.get_logger().info("said", job_id="another's")

    bench.handle(handle)
    await bench.run(1)
    assert said(bench)[1] == ["[info ] said amount=3", "[info ] said amount=3", '[info ] said job_id="another\'s"']


async def test_it_is_kept_however_the_attempt_ends(bench: Bench) -> None:
    async def fail(job: Job) -> None:
        try:
            raise LookupError("no such card")
        except LookupError:
            library.exception("it fails")
        raise ValueError

    async def snooze(job: Job) -> Snooze:
        library.info("not yet")
        return Snooze(1)

    async def hang(job: Job) -> None:
        library.info("waits")
        await asyncio.Event().wait()

    bench.handle(fail, 1)
    bench.handle(snooze, 2)
    bench.handle(hang, 3, timeout_seconds=1)
    for place in (1, 2, 3):
        bench.add(place, event_type_id=place)
    bench.live(2)
    bench.executor.watch()
    await bench.executor.quiet.wait()
    kept = {each.job.id: each for each in bench.ended}
    assert isinstance(kept[1].outcome, Failed)
    assert "] it fails\nTraceback" in (kept[1].log or "")
    assert (kept[1].log or "").endswith("LookupError: no such card")
    assert untimed(kept[2].log or "") == ["[info ] not yet"]
    assert untimed(kept[3].log or "") == ["[info ] waits"]


async def test_what_postgres_refuses_is_cleaned(bench: Bench) -> None:
    async def handle(job: Job) -> None:
        library.info("nul \0, lone \ud800")

    without_pytest()
    bench.handle(handle)
    await bench.run(1)
    assert said(bench)[1] == ["[info ] nul \\x00, lone \\ud800"]


async def test_a_line_that_cannot_be_made_fails_no_job(bench: Bench) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    async def handle(job: Job) -> None:
        library.info("odd %r", Odd())
        library.info("%s %s", "one too few")
        library.info("and on")

    without_pytest()
    bench.handle(handle)
    assert await bench.run(1) == [None]
    assert said(bench)[1] == ["[info ] and on"]
