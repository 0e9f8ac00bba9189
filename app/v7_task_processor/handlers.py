"""The user's code: how it is registered, found and loaded, and how its errors are described."""

import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from .errors import ConfigurationError
from .job import Job

Function = TypeVar("Function", bound=Callable[[Job], Any])
MESSAGE_CHARS_MAX = 8_000
TRACEBACK_CHARS_MAX = 16_000
IMPORT_ERROR_LINES = 12


class Handler(NamedTuple):
    """A user's function. None: the settings decide."""

    function: Callable[[Job], Any]
    is_async: bool
    max_retries: int | None = None
    timeout_seconds: float | None = None


class Registry:
    """Which function handles which event type."""

    def __init__(self) -> None:
        self.by_type: dict[int, Handler] = {}
        self.catch_all: Handler | None = None

    def add(self, event_type_id: int | None, handler: Handler) -> None:
        known = self.catch_all if event_type_id is None else self.by_type.get(event_type_id)
        if known is not None:
            what = "the catch-all" if event_type_id is None else f"event type {event_type_id}"
            raise ConfigurationError(
                f"Two handlers for {what}: {name_of(known.function)} and {name_of(handler.function)}. Keep one."
            )
        if event_type_id is None:
            self.catch_all = handler
        else:
            self.by_type[event_type_id] = handler

    def find(self, event_type_id: int) -> Handler | None:
        """The type's own handler, else the catch-all, else None."""
        return self.by_type.get(event_type_id, self.catch_all)


registry = Registry()
"""What `@handler` has registered in this process."""


def handler(
    event_type_id: int | None = None,
    *,
    max_retries: int | None = None,
    timeout_seconds: float | None = None,
) -> Callable[[Function], Function]:
    """Let a function handle the events of a type; without a type, of all that have no handler of their own.

    `async def` runs in the event loop, `def` in a thread. Returning ends the event well (`Discard` and `Snooze`
    say otherwise); raising is a failure, which is retried until `max_retries` failures (absent: V7_MAX_RETRIES).
    After `timeout_seconds` (absent: V7_TIMEOUT_SECONDS) an attempt is cancelled, and has failed. A `def` cannot be
    cancelled: it may end within five seconds more; after that its process is ended, and it is charged alone.
    """
    if callable(event_type_id):
        raise ConfigurationError("Write @handler() with parentheses, or @handler(event_type_id=5).")
    checks = [
        ("event_type_id", event_type_id, int, -(2**63), 2**63 - 1),
        ("max_retries", max_retries, int, 0, 2**31 - 1),
        ("timeout_seconds", timeout_seconds, (int, float), 0.001, 7 * 86400),
    ]
    for name, value, kind, low, high in checks:
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:  # type: ignore[arg-type]
            raise ConfigurationError(f"@handler: {name} is {value!r}: it must be a number from {low} to {high}.")

    def register(function: Function) -> Function:
        refuse_call(function)
        is_async = called(function, inspect.iscoroutinefunction)
        registry.add(event_type_id, Handler(function, is_async, max_retries, timeout_seconds))
        return function

    return register


def called(function: Any, is_so: Callable[[Any], bool]) -> bool:
    """Whether it is so of what a call runs: of the function, or of the `__call__` of an object."""
    return is_so(function) or is_so(function.__call__)


def refuse_call(function: Any) -> None:
    """Raises ConfigurationError where to call it with a job does nothing, or fails, whatever the job."""
    if not callable(function) or isinstance(function, type):
        raise ConfigurationError(f"@handler: {name_of(function)} is no function: decorate one that takes a job.")
    if called(function, inspect.isgeneratorfunction) or called(function, inspect.isasyncgenfunction):
        raise ConfigurationError(
            f"@handler: {name_of(function)} has a yield, so to call it would run nothing of it. Write it without."
        )
    with contextlib.suppress(ValueError):  # some that are written in C do not say what they take
        signature = inspect.signature(function, follow_wrapped=False)  # a wrapper may add the rest
        try:
            signature.bind(None)
        except TypeError:
            raise ConfigurationError(
                f"@handler: {name_of(function)}{signature} cannot be called with the job alone: let it take just that."
            ) from None


def name_of(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', function)}"


def load(source: str | None) -> Registry:
    """Import the user's handlers: a module's name or a file's path; None: the demo handler.

    Raises ConfigurationError, with the last lines of the traceback where the import failed.
    """
    try:
        if source is None:
            importlib.import_module("v7_task_processor.demo")
        elif source.endswith(".py") or os.sep in source:
            import_file(Path(source).expanduser().absolute())
        else:
            # Last, not first: a queue.py in the user's folder must not stand in for the standard library's.
            sys.path.append(str(Path.cwd()))
            importlib.import_module(source)
    except ConfigurationError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frames = users_frames(error.__traceback__)
        lines = "".join(traceback.format_exception(type(error), error, frames)).strip().splitlines()
        tail = "\n".join(f"    {line}" for line in lines[-IMPORT_ERROR_LINES:])
        raise ConfigurationError(f"V7_HANDLERS: cannot import {source!r}:\n{tail}") from error
    if not registry.by_type and registry.catch_all is None:
        raise ConfigurationError(
            f"V7_HANDLERS: {source!r} registers no handler. Decorate a function with @handler(event_type_id=...)."
        )
    return registry


def check_types(registry: Registry, only: frozenset[int] | None) -> None:
    """Raises ConfigurationError where a type is asked for that no handler serves: its jobs would fail for it."""
    unserved = sorted(each for each in only or () if registry.find(each) is None)
    if unserved:
        raise ConfigurationError(
            f"V7_TYPES: no handler serves {', '.join(map(str, unserved))}. "
            f"The handlers serve {', '.join(map(str, sorted(registry.by_type)))}."
        )


def import_file(path: Path) -> None:
    if not path.is_file():
        raise ConfigurationError(f"V7_HANDLERS: there is no file {path}.")
    sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if path.stem not in sys.modules:  # so that the handlers can be pickled, and import each other
        sys.modules[path.stem] = module
    spec.loader.exec_module(module)


class Described(NamedTuple):
    """An exception as text that Postgres takes."""

    error_type: str
    message: str
    traceback: str


def describe(error: BaseException) -> Described:
    """An exception as text. Exceptions are the user's code too: their `str` may raise, and say anything."""
    try:
        message = str(error)
    except BaseException as worse:
        message = f"(its str() raised {type(worse).__name__})"
    try:
        where = "".join(traceback.format_exception(type(error), error, own_frames(error.__traceback__)))
    except BaseException as worse:
        where = f"(formatting it raised {type(worse).__name__})"
    return Described(
        clean(type(error).__qualname__, 200), clean(message, MESSAGE_CHARS_MAX), clean(where, TRACEBACK_CHARS_MAX)
    )


def users_frames(frames: TracebackType | None) -> TracebackType | None:
    """The traceback of an import from where the user's module begins; None where it never began (a SyntaxError)."""
    while frames and frames.tb_frame.f_globals.get("__name__", "").partition(".")[0] in ("importlib", __package__):
        frames = frames.tb_next
    return frames


def own_frames(frames: TracebackType | None) -> TracebackType | None:
    """The traceback from where the user's code begins: our own frames say nothing to its reader."""
    while frames and frames.tb_frame.f_globals.get("__name__", "").startswith("v7_task_processor.worker"):
        frames = frames.tb_next
    return frames


def clean(text: str, chars_max: int) -> str:
    """Text that a Postgres text column holds: no NUL, no lone surrogates, cut in the middle."""
    if len(text) > chars_max:
        half = chars_max // 2
        text = f"{text[:half]}\n… {len(text) - 2 * half} characters …\n{text[-half:]}"
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
