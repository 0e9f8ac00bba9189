"""Tasks for `async def` handlers, in as few as will do: a task is a third of what a handler costs us that never waits.

A handler cannot tell whether others ran before it in its task: that is so only while none of them waited, and nothing
of them is left in it.
"""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from sys import getrefcount
from weakref import getweakrefcount

from ..observability.journal import running
from . import eager
from .attempt import Attempt

OnEnd = Callable[[Attempt, object, BaseException | None], None]


class Tasks:
    """What runs attempts in the event loop. `next_one` gives what to run after one that did not wait, or None; `on_end`
    is called with each answer, or with what was raised."""

    def __init__(self, next_one: Callable[[], Attempt | None], on_end: OnEnd) -> None:
        self.next_one, self.on_end = next_one, on_end
        self.in_first_step: Attempt | None = None
        """The attempt that runs now and has not waited yet."""
        self.fresh: tuple[object, ...]
        eager.start(self.see_fresh())

    def start(self, attempt: Attempt) -> None:
        """Run it here and now to its first await; if it has none, then what comes next. An attempt that waits knows its
        task, to be cancelled by it."""
        task = eager.start(self.run(attempt))
        assert self.in_first_step is not None
        if not self.in_first_step.ended:
            self.in_first_step.task = task
        self.in_first_step = None

    async def run(self, attempt: Attempt) -> None:
        task = current()
        following: Attempt | None = attempt
        while following is not None:
            attempt = self.in_first_step = following
            try:
                answer = await attempt.call()  # type: ignore[misc]
            except BaseException as error:  # SystemExit and a handler's own CancelledError are failures as well
                self.on_end(attempt, None, error)
            else:
                self.on_end(attempt, answer, None)
            if self.in_first_step is not attempt or marks(task) != self.fresh:
                return
            following = self.next_one()

    async def see_fresh(self) -> None:
        """What a task looks like of which only the context has been written to, as each attempt does."""
        task = current()
        running.set(None)
        self.fresh = marks(task)


def current() -> "asyncio.Task[None]":
    task = asyncio.current_task()
    assert task is not None
    return task


def marks(task: "asyncio.Task[None]") -> tuple[object, ...]:
    """All that code may leave in the current task, or keep of it."""
    return (
        getrefcount(task),
        getweakrefcount(task),
        len(copy_context()),
        task._callbacks,
        task._must_cancel,  # type: ignore[attr-defined]  # it has cancelled itself, and not waited since
        task.get_name(),
    )
