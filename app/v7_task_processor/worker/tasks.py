"""Tasks for `async def` handlers, in as few as will do: a task is a third of what a handler costs us that never waits.

A handler finds its task as if it were its own: others ran in it before only if none of them waited, and nothing of them
is left in it. What leaves a variable in its context (the first use of `decimal`, a logger's `bind_contextvars`) has a
task of its own.
"""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from gc import get_referents
from sys import getrefcount
from weakref import getweakrefcount

from ..observability.journal import running
from . import eager
from .attempt import Attempt

OnEnd = Callable[[Attempt, object, BaseException | None], None]


class Tasks:
    """What runs attempts in the event loop. `next_one` gives what to run after one that did not wait, or None; without
    it each has a task of its own. `on_end` is called with each answer, or with what was raised."""

    def __init__(self, next_one: Callable[[], Attempt | None] | None, on_end: OnEnd) -> None:
        self.next_one, self.on_end = next_one, on_end
        self.in_first_step: Attempt | None = None
        """The attempt that runs now and has not waited yet."""
        self.fresh: tuple[object, ...] | None = None
        """The marks of a task in which nothing has run; seen before the first is needed."""

    def start(self, attempt: Attempt) -> None:
        """Run it here and now to its first await; if it has none, then what comes next. An attempt that waits knows its
        task, to be cancelled by it."""
        if self.fresh is None:
            eager.start(self.see_fresh())
        task = eager.start(self.run(attempt))
        assert self.in_first_step is not None
        if not self.in_first_step.ended:
            self.in_first_step.task = task
        self.in_first_step = None
        if task.done() and not task.cancelled() and (failure := task.exception()):
            raise failure  # of our own: handlers' are told to `on_end`

    async def run(self, attempt: Attempt) -> None:
        task = current()
        following: Attempt | None = attempt
        answer = failure = None
        while following is not None:
            attempt = self.in_first_step = following
            try:
                answer = await attempt.call()  # type: ignore[misc]
            except BaseException as error:  # SystemExit and a handler's own CancelledError are failures as well
                failure = error
            # Not in the `except`, nor with the answer kept: it may start another handler, which must find neither.
            self.on_end(attempt, answer, failure)
            answer = failure = None
            if self.next_one is None or self.in_first_step is not attempt or marks(task) != self.fresh:
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
        len(get_referents(task)),  # one more if an attribute was set
        task._callbacks,
        task._must_cancel,  # type: ignore[attr-defined]  # it has cancelled itself, and not waited since
        task.get_name(),
    )
