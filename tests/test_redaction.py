"""What of an event is masked, and that all else of it stays to the letter."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v7_task_processor.redaction import MASK, has_mask, masked, redacted

NAMES = frozenset({"password", "card number"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"password": "x"}', '{"password": MASK}'),
        ('{"a":1E5,"password" : 12 ,"b":-0.0}', '{"a":1E5,"password" : MASK ,"b":-0.0}'),
        ('{"PassWord":null}', '{"PassWord":MASK}'),
        ('{"password":1,"password":2, "x": "password"}', '{"password":MASK,"password":MASK, "x": "password"}'),
        ('[{"a":[{"password":{"password":[1,"]}"]}}]},{"b":1}]', '[{"a":[{"password":MASK}]},{"b":1}]'),
        (r'{"pass\u0077ord":"x","a\u0000":"\ud800"}', r'{"pass\u0077ord":MASK,"a\u0000":"\ud800"}'),
        (r'{"a":"\"password\": \\","password":"\\\" \"","b":1}', r'{"a":"\"password\": \\","password":MASK,"b":1}'),
        ('{"card number":true}', '{"card number":MASK}'),
        ('{"passwords":1,"my password":2,"":3}', '{"passwords":1,"my password":2,"":3}'),
        ('{"password":[],"a":{}}', '{"password":MASK,"a":{}}'),
        ('{\n  "password"\n:\n"x"\n}', '{\n  "password"\n:\nMASK\n}'),
        ('"password"', '"password"'),
        ('["password", "x"]', '["password", "x"]'),
        ("17", "17"),
        ("", ""),
        (r'{"C:\dir": 1, "password": "x", "\z": 2}', r'{"C:\dir": 1, "password": MASK, "\z": 2}'),
    ],
)
def test_values_are_masked_and_all_else_stays(text: str, shown: str) -> None:
    assert redacted(text, NAMES) == shown.replace("MASK", MASK)
    assert redacted(text, frozenset()) == text


WHOLE = r'{"a":[1,{"password":{"k":["s3cret", 5, "\"s3cret\\"]},"b":"é"}],"pass\u0077ord":"s3cret","n":1}'


@pytest.mark.parametrize("length", range(len(WHOLE) + 1))
def test_a_text_that_was_cut_shows_no_more_than_the_whole_one(length: int) -> None:
    shown = redacted(WHOLE[:length], NAMES)
    assert "s3" not in shown
    assert redacted(WHOLE, NAMES).startswith(shown.split(MASK)[0])


def test_what_is_deep_or_hostile_costs_no_more_than_its_length() -> None:
    deep = '{"password":' * 200_000 + "1" + "}" * 200_000
    assert redacted(deep, NAMES) == f'{{"password":{MASK}}}'
    assert redacted('{"a":' * 200_000 + '{"password":1', NAMES).endswith(f'{{"password":{MASK}')
    for hostile in (
        '"' * 1_000_000,
        '"\\' * 500_000,
        '"password":' * 100_000,
        '{"password":["' * 100_000,
        "\\" * 10**6,
    ):
        assert len(redacted(hostile, NAMES)) <= 2 * len(hostile)


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["password", "Password", "a", ""]) | st.text(), inner)
    ),
)


def by_hand(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "[redacted]" if key.casefold() in NAMES else by_hand(each) for key, each in value.items()}
    return [by_hand(each) for each in value] if isinstance(value, list) else value


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_it_is_as_if_the_event_were_taken_apart(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert redacted(text, NAMES) == json.dumps(by_hand(value), ensure_ascii=ascii_only, indent=indent)
    assert masked(value, NAMES) == by_hand(value)


def test_what_is_nested_too_deeply_to_look_at_is_not_shown() -> None:
    value: Any = "s3cret"
    for _ in range(500):
        value = [{"a": value}]
    assert "s3cret" not in str(masked(value, NAMES))


def test_a_mask_that_comes_back_is_known() -> None:
    assert has_mask('{"a": {"Password": "[redacted]"}}', NAMES)
    assert not has_mask('{"a": "[redacted]", "password": "x"}', NAMES)
    assert not has_mask('{"password": "[redacted]"}', frozenset())


LOGGING = """
import logging
from v7_task_processor.observability import logs
from v7_task_processor.settings import Settings

logs.configure(Settings(redact="password, card number", log_format={0!r}))
event = {{"a": [{{"Password": "s3cret"}}], "b": "shown"}}
logs.get("test").info("ours", password="s3cret", order=event, event_data='{{"password": "s3cret", "c": "sh')
logging.getLogger("theirs").warning("theirs", extra={{"Password": "s3cret", "order": event}})
try:
    raise ValueError("the truth")
except ValueError:
    logs.get("test").exception("failed", password="s3cret")
logs.flush()
"""


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_logs_show_none_of_it(log_format: str) -> None:
    command = [sys.executable, "-c", LOGGING.format(log_format)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "s3cret" not in said
    assert said.count("[redacted]") == 6
    assert said.count("shown") == 2
    assert "ValueError: the truth" in said
