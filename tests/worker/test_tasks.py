"""Handlers that never wait run one after the other in one task, and none can tell."""

import asyncio
import sys
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from types import CoroutineType
from typing import Any

import pytest
from opentelemetry import trace

from v7_task_processor import Job
from v7_task_processor.observability.journal import running
from v7_task_processor.worker import eager
from v7_task_processor.worker.executor import Executor
from v7_task_processor.worker.spans import Spans

from .bench import Bench, error_of

left: ContextVar[str] = ContextVar("left", default="nothing")
kept: list[object] = []


def task() -> "asyncio.Task[None]":
    current = asyncio.current_task()
    assert current is not None
    return current


class Counter:
    """How many tasks were made."""

    made = 0


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter, start = Counter(), eager.start

    def counting(coroutine: "CoroutineType[Any, Any, None]") -> "asyncio.Task[None]":
        counter.made += coroutine.__name__ == "run"
        return start(coroutine)

    monkeypatch.setattr(eager, "start", counting)
    return counter


async def waits(_: Job) -> None:
    await asyncio.sleep(0)


async def fails(_: Job) -> None:
    raise LookupError


async def has_a_timeout(_: Job) -> None:
    async with asyncio.timeout(60):
        pass


async def nothing(_: Job) -> None:
    pass


@pytest.mark.parametrize(("handler", "tasks"), [(nothing, 1), (fails, 1), (has_a_timeout, 1), (waits, 4)])
async def test_a_task_is_made_for_each_that_waits(
    bench: Bench, counted: Counter, handler: Callable[[Job], object], tasks: int
) -> None:
    bench.handle(handler)
    assert len(await bench.run(1, 2, 3, 4)) == 4
    assert counted.made == tasks


async def test_what_waits_keeps_its_task_and_the_next_has_another(bench: Bench) -> None:
    tasks: dict[int, list[asyncio.Task[None]]] = {}

    async def handler(job: Job) -> None:
        if job.id == 2:
            seen = tasks.setdefault(job.id, [task()])
            await asyncio.sleep(0)
            seen.append(task())
        if job.id == 3:
            tasks[job.id] = [task()]

    bench.handle(handler)
    assert await bench.run(1, 2, 3, 4) == [None] * 4
    assert [each.job.id for each in bench.ended] == [1, 3, 4, 2]
    assert tasks[2][0] is tasks[2][1] is not tasks[3][0]


def set_variable() -> None:
    left.set("something")


def set_name() -> None:
    task().set_name("mine")


def add_callback() -> None:
    task().add_done_callback(kept.append)


def cancel() -> None:
    task().cancel()


def cancel_and_take_back() -> None:
    task().cancel()
    task().uncancel()


def set_attribute() -> None:
    task().tenant = 1  # type: ignore[attr-defined]


def keep() -> None:
    kept.append(task())


def keep_weakly() -> None:
    kept.append(weakref.ref(task()))


@pytest.mark.parametrize(
    "leave", [set_variable, set_name, set_attribute, add_callback, cancel, cancel_and_take_back, keep, keep_weakly]
)
async def test_what_a_handler_leaves_in_its_task_no_other_finds(
    bench: Bench, counted: Counter, leave: Callable[[], None]
) -> None:
    found = []

    async def handler(job: Job) -> None:
        if job.id == 1:
            leave()
            return
        found.append((left.get(), task().get_name(), getattr(task(), "tenant", None)))
        await asyncio.sleep(0)
        if job.id == 2:
            assert task() not in kept
            assert not [each for each in kept if isinstance(each, weakref.ref) and each() is task()]

    bench.handle(handler)
    kept.clear()
    assert await bench.run(1, 2) == [None, None]
    assert found == [("nothing", eager.NAME, None)]
    if leave is not cancel_and_take_back:  # which may leave nothing, from Python 3.13 on
        assert counted.made == 2
    if leave is add_callback:
        assert len(kept) == 1, "called when the handler that wanted it was through"
    kept.clear()


async def test_a_variable_that_was_reset_left_nothing(bench: Bench, counted: Counter) -> None:
    async def handler(_: Job) -> None:
        left.reset(left.set("something"))

    bench.handle(handler)
    await bench.run(1, 2, 3)
    assert counted.made == 1


class Answer:
    """What a handler returns, and nobody needs."""

    def __init__(self, ends: list[int | None]) -> None:
        self.ends = ends

    def __del__(self) -> None:
        attempt = running.get()
        self.ends.append(attempt.job.id if attempt else None)


async def test_what_a_handler_returned_is_gone_before_the_next_begins(bench: Bench) -> None:
    ends: list[int | None] = []

    async def handler(job: Job) -> Answer | None:
        if job.id == 1:
            return Answer(ends)
        assert ends == [1], "it ended where it was made"
        return None

    bench.handle(handler)
    assert await bench.run(1, 2) == [None, None]


@pytest.mark.parametrize("wait", [False, True])
async def test_what_one_raised_is_not_the_context_of_what_the_next_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: bool
) -> None:
    bench = Bench(tmp_path, concurrency=1).on_its_clock(monkeypatch)

    async def handler(job: Job) -> None:
        if job.id == 1:
            if wait:
                await asyncio.sleep(0)
            raise LookupError("a secret")
        assert sys.exc_info() == (None, None, None)
        raise ValueError("another")

    bench.handle(handler)
    first, second = await bench.run(1, 2)
    assert error_of(first) == ("LookupError", "a secret")
    assert error_of(second) == ("ValueError", "another")
    assert "secret" not in second.error.traceback


async def test_what_fails_between_two_is_raised_to_who_dispatches_and_a_drain_does_not_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bench.section.start

    def start(job_id: int, attempt: int, deadline: float) -> int:
        if job_id == 2:
            raise OSError("no room")
        return real(job_id, attempt, deadline)

    monkeypatch.setattr(bench.section, "start", start)
    bench.handle(nothing)
    with pytest.raises(OSError, match="no room"):
        bench.add(1, 2, 3)
    assert bench.executor.quiet.is_set()
    bench.executor.dispatch()
    assert [each.job.id for each in bench.ended] == [1, 3]


class Broken(trace.NoOpTracer):
    """One that cannot make a span: then nothing of it is in the context of the attempt."""

    def start_span(self, *_: object, **__: object) -> trace.Span:
        raise LookupError


@pytest.mark.parametrize("tracer", [trace.NoOpTracer(), Broken()])
async def test_with_spans_each_has_a_task_of_its_own(bench: Bench, counted: Counter, tracer: trace.Tracer) -> None:
    spans = Spans(tracer)
    executor = Executor(bench.executor.settings, bench.registry, bench.section, bench.ended.append, spans)
    bench.handle(nothing)
    executor.add([bench.job(each) for each in (1, 2, 3)], worker_id=9)
    executor.dispatch()
    assert len(bench.ended) == counted.made == 3
