"""Tasks that run to their first await here and now: most of the cost of a task is in being scheduled.

Python does that by itself from 3.12 on (`eager_start`). Before, a task asks its loop to run its first step soon; our
loop gives us that step instead, and we run it as Python's own does: in the task's context, as the current task.
"""

import asyncio
import sys
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVarTuple

import uvloop

Arguments = TypeVarTuple("Arguments")
NAME = "attempt"
"""Of every task: to number them, as asyncio does, is a tenth of what they cost."""


class Loop(uvloop.Loop):
    """uvloop's, which hands out the first step of a task that is to be started at once."""

    catching: Context | None = None
    """The context of that task, which nobody else has: other things may be scheduled while it is made (by what the
    garbage collector ends)."""
    caught: Callable[..., object] | None = None

    def call_soon(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        if context is not None and context is self.catching:
            self.caught = callback
            return None  # type: ignore[return-value]  # a task does not keep it
        return super().call_soon(callback, *args, context=context)


def start(coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """A task in a context of its own, which has run to its first await. The loop must be a `Loop`."""
    loop, context = asyncio.get_running_loop(), Context()
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, name=NAME, eager_start=True, context=context)
    assert isinstance(loop, Loop)
    loop.catching = context
    task = asyncio.Task(coroutine, loop=loop, name=NAME, context=context)
    step, loop.caught, loop.catching = loop.caught, None, None
    assert step is not None
    current = asyncio.current_task(loop)
    if current is not None:
        _leave_task(loop, current)
    try:
        context.run(step)
    finally:
        if current is not None:
            _enter_task(loop, current)
    return task
