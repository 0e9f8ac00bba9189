"""How the errors of handlers become text."""

from typing import Any

import pytest

from v7_task_processor.handlers import MESSAGE_CHARS_MAX, TRACEBACK_CHARS_MAX, describe


class Hostile(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text for you")

    __repr__ = __str__


class Nested(Exception):
    class Inner(Exception):
        pass


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_an_error_is_described_by_type_message_and_where_it_came_from() -> None:
    described = describe(raised(Nested.Inner("of mine")))
    assert described.error_type == "Nested.Inner"
    assert described.message == "of mine"
    assert described.traceback.splitlines()[-1] == "tests.test_handlers_errors.Nested.Inner: of mine"
    assert "in raised" in described.traceback


def test_causes_are_told() -> None:
    try:
        try:
            int("x")
        except ValueError as error:
            raise KeyError("outer") from error
    except KeyError as error:
        described = describe(error)
    assert described.message == "'outer'"
    assert "ValueError: invalid literal" in described.traceback
    assert "direct cause of the following" in described.traceback


def test_our_own_frames_are_left_out() -> None:
    namespace: dict[str, Any] = {"__name__": "v7_task_processor.worker.executor"}
    exec("def ours(theirs):\n    theirs()\n", namespace)

    def theirs() -> None:
        raise ValueError("x")

    try:
        namespace["ours"](theirs)
    except ValueError as error:
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
        described = describe(error)
    assert "in theirs" in described.traceback
    assert "in ours" not in described.traceback


def test_an_error_whose_str_raises_is_described_all_the_same() -> None:
    described = describe(raised(Hostile()))
    assert described.error_type == "Hostile"
    assert described.message == "(its str() raised SystemExit)"
    assert described.traceback


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\udfff\udc00", "😀" * 5, "a" * 7, ""])
def test_any_text_becomes_text_that_postgres_takes(text: str) -> None:
    described = describe(raised(ValueError(text)))
    for each in described:
        assert "\0" not in each
        each.encode()
    if text.isalnum() or not text:
        assert described.message == text


def test_a_message_of_100_megabytes_is_cut_in_its_middle() -> None:
    described = describe(raised(ValueError("begin" + "x" * 100_000_000 + "end")))
    assert described.message.startswith("beginxxx")
    assert described.message.endswith("xxxend")
    assert "characters" in described.message
    assert len(described.message) < MESSAGE_CHARS_MAX + 100
    assert len(described.traceback) < TRACEBACK_CHARS_MAX + 100


def test_a_cut_text_of_escapes_is_still_bounded() -> None:
    described = describe(raised(ValueError("\ud800" * 50_000)))
    assert len(described.message) < 6 * MESSAGE_CHARS_MAX + 100


def test_groups_endless_chains_and_deep_recursion_are_described() -> None:
    def deep() -> None:
        deep()

    chained = ValueError("first")
    chained.__cause__ = chained
    group: Exception = ValueError("leaf")
    for _ in range(2000):
        group = ExceptionGroup("group", [group])
    errors: list[BaseException] = [chained, group]
    try:
        deep()
    except RecursionError as error:
        errors.append(error)
    for each in errors:
        described = describe(each)
        assert described.error_type
        assert len(described.traceback) < TRACEBACK_CHARS_MAX + 100
