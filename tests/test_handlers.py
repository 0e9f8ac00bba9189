"""How handlers are registered, loaded and found."""

import functools
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from v7_task_processor import Job, handlers
from v7_task_processor.errors import ConfigurationError
from v7_task_processor.handlers import Registry, handler

LOAD = """
import sys
from v7_task_processor import handlers
from v7_task_processor.errors import ConfigurationError
try:
    found = handlers.load({0!r})
except ConfigurationError as error:
    sys.exit(str(error))
print(sorted(found.by_type), found.catch_all is not None)
"""
ONE = "from v7_task_processor import handler\n@handler(event_type_id=1)\ndef one(job): pass\n"


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """One of this test's own, in the place of the process's."""
    fresh = Registry()
    monkeypatch.setattr(handlers, "registry", fresh)
    return fresh


def load(source: str | None) -> tuple[str, str]:
    """What loading says in a process of its own: (stdout, stderr)."""
    command = [sys.executable, "-P", "-c", LOAD.format(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == (1 if done.stderr else 0)
    return done.stdout.strip(), done.stderr.strip()


def function(job: Job) -> None:
    pass


async def coroutine_function(job: Job) -> None:
    pass


def test_a_type_has_its_handler_and_the_rest_have_the_catch_all(registry: Registry) -> None:
    assert handler(event_type_id=5, max_retries=3, timeout_seconds=0.5)(function) is function
    assert registry.find(6) is None
    handler()(coroutine_function)
    mine, rest = registry.find(5), registry.find(6)
    assert mine == handlers.Handler(function, False, 3, 0.5)
    assert rest == handlers.Handler(coroutine_function, True, None, None)


@pytest.mark.parametrize(
    ("wrapped", "is_async"),
    [
        (functools.partial(coroutine_function), True),
        (functools.partial(function), False),
        (functools.wraps(coroutine_function)(lambda job: coroutine_function(job)), False),
    ],
)
def test_what_is_async_is_seen_through_partials(
    registry: Registry, wrapped: Callable[[Job], Any], is_async: bool
) -> None:
    handler()(wrapped)
    assert registry.catch_all is not None
    assert registry.catch_all.is_async is is_async


@pytest.mark.parametrize("event_type_id", [-(2**63), 0, 2**63 - 1])
def test_every_64_bit_type_may_have_a_handler(registry: Registry, event_type_id: int) -> None:
    handler(event_type_id)(function)
    assert registry.by_type.keys() == {event_type_id}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"event_type_id": "5"}, "event_type_id is '5'"),
        ({"event_type_id": True}, "event_type_id is True"),
        ({"event_type_id": 2**63}, "event_type_id is 9223372036854775808"),
        ({"max_retries": -1}, "max_retries is -1: it must be a number from 0 to 2147483647"),
        ({"max_retries": 1.0}, "max_retries is 1.0"),
        ({"max_retries": 2**31}, "max_retries is 2147483648"),
        ({"timeout_seconds": 0}, "timeout_seconds is 0: it must be a number from 0.001 to 604800"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds is nan"),
        ({"timeout_seconds": "5"}, "timeout_seconds is '5'"),
    ],
)
def test_a_decorator_that_makes_no_sense_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^@handler: {said}"):
        handler(**given)


def generator_function(job: Job) -> Iterator[None]:
    yield


async def async_generator_function(job: Job) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("wrong", [generator_function, async_generator_function, functools.partial(generator_function)])
def test_a_function_with_a_yield_is_refused_since_to_call_it_runs_nothing(
    registry: Registry, wrong: Callable[[Job], Any]
) -> None:
    with pytest.raises(ConfigurationError, match=r"^@handler: .*generator_function.* has a yield"):
        handler(event_type_id=5)(wrong)
    assert registry.find(5) is None


def with_more(function: Callable[[Job, int], None]) -> Callable[[Job], None]:
    @functools.wraps(function)
    def alone(job: Job) -> None:
        function(job, 1)

    return alone


class Later:
    async def __call__(self, job: Job) -> None: ...


class Yielding:
    def __call__(self, job: Job) -> Iterator[None]:
        yield


def test_an_object_is_what_its_call_is(registry: Registry) -> None:
    handler(event_type_id=5)(Later())
    assert (found := registry.find(5)) is not None and found.is_async
    handler(event_type_id=6)(functools.partial(lambda more, job: None, 1))
    handler(event_type_id=7)(print)
    handler(event_type_id=9)(with_more(lambda job, more: None))
    with pytest.raises(ConfigurationError, match="has a yield"):
        handler(event_type_id=8)(Yielding())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (None, "None is no function"),
        (Later, "Later is no function"),
        (lambda: None, "<lambda>.. cannot be called with the job alone"),
        (lambda job, more: None, "<lambda>.job, more. cannot be called with the job alone"),
        (lambda *, job: None, "cannot be called with the job alone"),
    ],
)
def test_what_cannot_be_called_with_a_job_is_refused(registry: Registry, wrong: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^@handler: .*{said}"):
        handler(event_type_id=5)(wrong)
    assert registry.find(5) is None


def test_a_decorator_without_parentheses_is_told_what_to_write() -> None:
    with pytest.raises(ConfigurationError, match=r"^Write @handler\(\) with parentheses"):
        handler(function)  # type: ignore[arg-type]


@pytest.mark.parametrize(("event_type_id", "what"), [(5, "event type 5"), (None, "the catch-all")])
def test_two_handlers_for_one_type_are_both_named(event_type_id: int | None, what: str) -> None:
    handler(event_type_id)(function)
    expected = (
        rf"^Two handlers for {what}: .*test_handlers\.function and .*test_handlers\.coroutine_function\. Keep one"
    )
    with pytest.raises(ConfigurationError, match=expected):
        handler(event_type_id)(coroutine_function)


def test_without_a_source_the_demo_handler_takes_everything() -> None:
    assert load(None) == ("[] True", "")


def test_a_file_is_loaded_and_may_import_its_neighbours(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    (folder / "neighbour.py").write_text("NUMBER = 7\n")
    pickles = "assert pickle.loads(pickle.dumps(one)) is one\n"
    mine = ONE.replace("=1", "=neighbour.NUMBER")
    (folder / "mine.py").write_text(f"import neighbour, pickle\n{mine}{pickles}")
    for source in (str(folder / "mine.py"), "with a space/mine.py"):
        assert load(source) == ("[7] False", "")


def test_a_module_is_found_where_one_stands(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "mine.py").write_text(ONE)
    assert load("package.mine") == ("[1] False", "")


def test_a_users_queue_py_does_not_stand_in_for_the_standard_librarys(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text("raise ZeroDivisionError\n")
    (tmp_path / "mine.py").write_text(f"import queue, concurrent.futures.thread\nqueue.SimpleQueue()\n{ONE}")
    assert load("mine") == load("mine.py") == ("[1] False", "")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert load("none.py")[1] == f"V7_HANDLERS: there is no file {tmp_path / 'none.py'}."


def test_a_module_that_is_not_there() -> None:
    said = load("nowhere.to.be.found")[1]
    assert said.startswith("V7_HANDLERS: cannot import 'nowhere.to.be.found':\n")
    assert said.endswith("    ModuleNotFoundError: No module named 'nowhere'")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit('no')", "SystemExit: no"),
        ("exit()", "SystemExit: None"),
        ("def", "SyntaxError: invalid syntax"),
        ("raise BaseException('odd')", "BaseException: odd"),
    ],
)
def test_an_import_that_fails_shows_its_last_lines(tmp_path: Path, code: str, said: str) -> None:
    (tmp_path / "mine.py").write_text(f"# first\n{code}\n")
    for source in ("mine.py", "mine"):
        error = load(source)[1]
        assert error.startswith(f"V7_HANDLERS: cannot import {source!r}:\n")
        assert error.endswith(f"    {said}")
        assert 'mine.py", line 2' in error
        assert len(error.splitlines()) <= 1 + handlers.IMPORT_ERROR_LINES


def test_a_mistake_in_a_decorator_is_told_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ONE + ONE)
    assert load("mine.py")[1] == "Two handlers for event type 1: mine.one and mine.one. Keep one."


def test_handlers_that_register_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def one(job): pass\n")
    assert load("mine.py")[1] == (
        "V7_HANDLERS: 'mine.py' registers no handler. Decorate a function with @handler(event_type_id=...)."
    )
