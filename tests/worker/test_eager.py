"""Tasks that run to their first await at once."""

import asyncio
from contextvars import ContextVar

import pytest

from v7_task_processor.worker import eager

said: ContextVar[str] = ContextVar("said", default="nothing")


async def test_it_runs_to_its_first_await_at_once_and_then_like_any_other() -> None:
    steps = []

    async def work() -> None:
        steps.append("first")
        await asyncio.sleep(0)
        steps.append("second")

    task = eager.start(work())
    assert steps == ["first"]
    await task
    assert steps == ["first", "second"]


async def test_it_is_the_current_task_from_its_first_step_on() -> None:
    seen = []
    outer = asyncio.current_task()

    async def work() -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    task = eager.start(work())
    assert asyncio.current_task() is outer
    await task
    assert seen == [task, task]


async def test_a_timeout_that_begins_in_its_first_step_ends_it_and_nobody_else() -> None:
    async def work() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()

    await eager.start(work())


async def test_one_starts_another_and_each_has_a_context_of_its_own() -> None:
    seen = []

    async def inner() -> None:
        seen.append(said.get())
        said.set("inner")

    async def outer() -> None:
        said.set("outer")
        task = eager.start(inner())
        seen.append(said.get())
        assert task.done()
        await task

    said.set("test")
    await eager.start(outer())
    assert seen == ["nothing", "outer"]
    assert said.get() == "test"


async def test_what_others_schedule_while_a_task_is_made_is_scheduled() -> None:
    loop, ran = asyncio.get_running_loop(), asyncio.Event()

    class Scheduling:
        """What the garbage collector ends just then."""

        def __del__(self) -> None:
            loop.call_soon(ran.set)

    class Making(asyncio.Task[None]):
        def __init__(self, *arguments: object, **named: object) -> None:
            Scheduling()
            super().__init__(*arguments, **named)  # type: ignore[arg-type]

    async def work() -> None:
        done.append(1)

    done: list[int] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(asyncio, "Task", Making)
        task = eager.start(work())
    assert done == [1]
    await task
    await ran.wait()


async def test_it_can_be_cancelled_and_may_raise() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    async def fail() -> None:
        raise LookupError

    waiting = eager.start(wait())
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    failed = eager.start(fail())
    with pytest.raises(LookupError):
        await failed
    assert asyncio.current_task() is not failed
