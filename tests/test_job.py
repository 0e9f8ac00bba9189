"""A job as its handler sees it, and the back-off."""

import datetime as dt
import math
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from v7_task_processor import Discard, Job, Snooze
from v7_task_processor.job import retry_delay_seconds


def job(event_json: str, created: float = 0.0) -> Job:
    return Job(1, 1, 1, 1, 0, event_json, 0, 5, "c", created)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        (' {"a" : [1, true]} ', {"a": [1, True]}),
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775809", -(2**63) - 1),
        ("1" + "0" * 4000, 10**4000),
        ("1E5", 1e5),
        ("1E400", math.inf),
        ("-1e400", -math.inf),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('"\\u0000"', "\0"),
        ('"\\ud800"', "\ud800"),
        ('{"\\udfff": 1E999}', {"\udfff": math.inf}),
        ('"\\ud83d\\ude00 语"', "😀 语"),
    ],
)
def test_event_data_is_what_python_makes_of_the_text(text: str, value: Any) -> None:
    decoded = job(text)
    assert decoded.event_data == value
    assert type(decoded.event_data) is type(value)
    assert decoded.event_json == text


def test_minus_zero_keeps_its_sign() -> None:
    assert math.copysign(1, job("-0.0").event_data) == -1


def test_an_integer_that_python_refuses_is_a_value_error_and_its_text_is_there() -> None:
    huge = job("1" * 5000)
    with pytest.raises(ValueError, match="4300 digits"):
        _ = huge.event_data
    assert huge.event_json == "1" * 5000


def test_event_data_is_decoded_once() -> None:
    once = job("[]")
    once.event_data.append(1)
    assert once.event_data == [1]
    nothing = job("null")
    assert nothing.event_data is nothing.event_data is None


@pytest.mark.parametrize("field", Job.__struct_fields__)
def test_a_handler_cannot_make_a_job_say_another_thing(field: str) -> None:
    one = job("[]")
    with pytest.raises(AttributeError, match="immutable"):
        setattr(one, field, 7)
    assert one == job("[]")


def test_a_job_is_found_in_a_set_also_after_its_event_was_read() -> None:
    one = job('{"a": [1]}')
    seen = {one}
    assert one.event_data
    assert one in seen
    assert pickle.loads(pickle.dumps(one)) in seen
    assert msgspec.structs.replace(one, attempt=2) not in seen


@given(st.integers(0, 230 * 366 * 86400 * 10**6))
def test_the_time_of_its_sending_is_right_to_the_microsecond(microseconds: int) -> None:
    time = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=microseconds)
    assert job("[]", microseconds / 1e6).created_at == time


def test_answers_are_values() -> None:
    assert Discard("x") == Discard("x") != Discard("y")
    assert Snooze(1) == Snooze(seconds=1.0)


@given(st.integers(1, 12) | st.integers(1, 2**31), st.floats(0.001, 5) | st.floats(0.001, 3600))
def test_a_delay_doubles_up_to_an_hour_give_or_take_a_tenth(retry_count: int, first_seconds: float) -> None:
    expected = min(3600.0, first_seconds * 2.0 ** min(retry_count - 1, 100))
    assert 0.9 * expected * (1 - 1e-9) <= retry_delay_seconds(retry_count, first_seconds) <= 1.1 * expected * (1 + 1e-9)


def test_jobs_that_failed_together_do_not_come_back_together() -> None:
    delays = {retry_delay_seconds(1, 10) for _ in range(100)}
    assert len(delays) > 90
    assert max(delays) - min(delays) > 0.5


@given(st.integers(1, 2**31))
def test_no_delay_stays_no_delay(retry_count: int) -> None:
    assert retry_delay_seconds(retry_count, 0) == 0
