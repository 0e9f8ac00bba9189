"""Text for people."""

import datetime as dt
import time

import pytest

from v7_task_processor import text


@pytest.mark.parametrize(
    ("seconds", "long", "short", "within"),
    [
        (0, "0 s", "0 s", "0.0 s"),
        (75, "1 min", "75 s", "75 s"),
        (4680, "1 h 18 min", "78 min", "1 h 18 min"),
        (7200, "2 h", "2 h", "2 h"),
        (4e5, "4 d", "4 d", "4 days"),
    ],
)
def test_ages(seconds: float, long: str, short: str, within: str) -> None:
    assert (text.age(seconds), text.short_age(seconds), text.span(seconds)) == (long, short, within)


def test_types_are_named_until_there_are_too_many() -> None:
    assert text.types([5], 2) == "type 5"
    assert text.types([5, -6], 2) == "types 5, -6"
    assert text.types([5, -6, 7], 2) == "types 5, -6, …"


def test_plain_text_moves_nothing() -> None:
    assert text.plain("a\x1b[2J\x9b\u202eb\nc\td🎈é") == r"a\x1b[2J\x9b\u202eb\nc\td🎈é"
    assert text.plain_lines("a\n\tb\x07") == "a\n    b\\x07"


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "UTC"])
@pytest.mark.parametrize("hours", [-14, 0, 14])
@pytest.mark.parametrize("when", ["0001-01-01T00:00:00", "9999-12-31T23:59:59"])
def test_the_ends_of_the_calendar_can_be_told_anywhere(
    monkeypatch: pytest.MonkeyPatch, zone: str, hours: int, when: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        there = dt.datetime.fromisoformat(when).replace(tzinfo=dt.timezone(dt.timedelta(hours=hours)))
        assert (text.clock(there) + text.utc(there)).count(":") >= 4
    finally:
        monkeypatch.undo()
        time.tzset()
