"""Threads for `def` handlers."""

import asyncio
import contextvars
import threading
from collections.abc import Callable

import pytest

from v7_task_processor.worker.threads import Threads


class Work:
    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function

    def call(self) -> object:
        return self.function()


class Ends:
    """What ended, in the order of its ends, and the thread that told."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[Work, object, BaseException | None]] = asyncio.Queue()

    def __call__(self, work: Work, answer: object, error: BaseException | None) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.queue.put_nowait((work, answer, error))

    async def next(self) -> tuple[Work, object, BaseException | None]:
        return await self.queue.get()


@pytest.fixture
def ends() -> Ends:
    return Ends()


async def test_answers_and_errors_come_back_into_the_loop(ends: Ends) -> None:
    threads = Threads[Work](2, ends)
    good, bad = Work(lambda: 7), Work(lambda: 1 // 0)
    threads.submit(good)
    assert await ends.next() == (good, 7, None)
    threads.submit(bad)
    work, answer, error = await ends.next()
    assert (work, answer, type(error)) == (bad, None, ZeroDivisionError)


@pytest.mark.fault(9, 10)
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration(), GeneratorExit()])
async def test_no_error_ends_a_thread(ends: Ends, error: BaseException) -> None:
    def fail() -> None:
        raise error

    threads = Threads[Work](1, ends)
    threads.submit(Work(fail))
    threads.submit(Work(lambda: "alive"))
    assert (await ends.next())[2] is error
    assert (await ends.next())[1] == "alive"


async def test_threads_are_made_as_they_are_needed_and_used_again(ends: Ends) -> None:
    threads = Threads[Work](3, ends)
    for _ in range(5):
        threads.submit(Work(threading.get_ident))
        await ends.next()
    assert threads.started == 1
    barrier = threading.Barrier(3)
    for _ in range(3):
        threads.submit(Work(barrier.wait))
    for _ in range(3):
        assert (await ends.next())[2] is None
    assert (threads.started, threads.busy) == (3, 0)


async def test_never_more_threads_than_allowed(ends: Ends) -> None:
    seen: set[int] = set()
    threads = Threads[Work](4, ends)
    for _ in range(200):
        threads.submit(Work(lambda: seen.add(threading.get_ident())))
    for _ in range(200):
        await ends.next()
    assert len(seen) <= 4
    assert threads.busy == 0


async def test_each_call_has_a_context_of_its_own(ends: Ends) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    variable.set(9)

    def grow() -> int:
        variable.set(variable.get() + 1)
        return variable.get()

    threads = Threads[Work](1, ends)
    for _ in range(3):
        threads.submit(Work(grow))
        assert (await ends.next())[1] == 1


@pytest.mark.fault(14)
async def test_where_the_system_gives_no_thread_the_caller_is_told(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is one that is busy: behind it the time of the next would run out before it began."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    none, one = Threads[Work](2, ends), Threads[Work](2, ends)
    release = threading.Event()
    one.submit(Work(release.wait))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        none.submit(Work(lambda: 1))
    with pytest.raises(RuntimeError, match="can't start new thread"):
        one.submit(Work(lambda: 2))
    release.set()
    assert (await ends.next())[1] is True
    one.submit(Work(lambda: 3))
    assert (await ends.next())[1] == 3
    assert (none.busy, one.busy) == (0, 0)
