"""Handlers that never wait run one after the other in one task, and none can tell."""

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from v7_task_processor import Job
from v7_task_processor.worker import eager

from .bench import Bench

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

    def counting(coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        counter.made += 1
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


def keep() -> None:
    kept.append(task())


def keep_weakly() -> None:
    kept.append(weakref.ref(task()))


@pytest.mark.parametrize(
    "leave", [set_variable, set_name, add_callback, cancel, cancel_and_take_back, keep, keep_weakly]
)
async def test_what_a_handler_leaves_in_its_task_no_other_finds(
    bench: Bench, counted: Counter, leave: Callable[[], None]
) -> None:
    found = []

    async def handler(job: Job) -> None:
        if job.id == 1:
            leave()
            return
        found.append((left.get(), task().get_name()))
        await asyncio.sleep(0)
        if job.id == 2:
            assert task() not in kept
            assert not [each for each in kept if isinstance(each, weakref.ref) and each() is task()]

    bench.handle(handler)
    kept.clear()
    assert await bench.run(1, 2) == [None, None]
    assert found == [("nothing", eager.NAME)]
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
