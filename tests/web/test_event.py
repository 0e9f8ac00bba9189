"""What is an event and what is not, and what a sender is told."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from v7_task_processor.web.event import NESTING_LEVELS_MAX, Event, Refused, examine, nesting_fits, parse

FIELDS = "user_id, priority, event_data and event_type_id"
RANGE = "from -9223372036854775808 to 9223372036854775807"
EVENT = b'{"user_id": 1, "priority": 2, "event_data": %s, "event_type_id": 3}'
DEEPEST = b"[" * NESTING_LEVELS_MAX + b"]" * NESTING_LEVELS_MAX


def refusal(body: bytes) -> str:
    with pytest.raises(Refused) as caught:
        parse(body)
    sentence = str(caught.value)
    assert sentence.isprintable()
    return sentence.removeprefix("Failed to parse event: ")


@pytest.mark.parametrize(
    "event_data",
    [
        *["null", "true", "0", "-0", "-0.0", "1E5", "1e400", "0.10", "9" * 5000, '""', "[]", "{}", '{"a":1,"a":2}'],
        *[r'"\u0000"', r'"\ud800"', r'"\udc00\ud800"', r'"\/"', '"\x7f"', '"日本 \u2028 😀"', '[1, {"b" : [ ] } ]'],
        DEEPEST.decode(),
    ],
)
def test_event_data_stays_to_the_letter(event_data: str) -> None:
    assert parse(EVENT % event_data.encode()) == Event(1, 2, event_data, 3)
    assert parse(EVENT % f" \t\r\n{event_data}\n".encode()).event_data == event_data


@pytest.mark.parametrize("number", [0, -1, 2**63 - 1, -(2**63)])
def test_integers_of_64_bits(number: int) -> None:
    body = f'{{"event_type_id": {number}, "event_data": 1, "priority": {number}, "user_id": {number}}}'
    assert parse(body.encode()) == Event(number, number, "1", number)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("true", "true"),
        ("null", "null"),
        ('"1"', 'the text "1"'),
        ("1.5", "1.5"),
        ("1.0", "1.0"),
        ("1e2", "1e2"),
        ("[1]", "an array"),
        ('{"a": 1}', "an object"),
        ("9223372036854775808", "9223372036854775808"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("9" * 5000, "9" * 80 + "…"),
        ('"' + "x" * 200 + '"', 'the text "' + "x" * 79 + "…"),
        ('"\u0085\u202e\u2028"', r'the text "\u0085\u202e\u2028"'),
    ],
)
@pytest.mark.parametrize("field", ["user_id", "priority", "event_type_id"])
def test_what_is_no_integer(field: str, value: str, found: str) -> None:
    values = {"user_id": "1", "priority": "2", "event_data": "{}", "event_type_id": "3", field: value}
    body = "{" + ", ".join(f'"{name}": {each}' for name, each in values.items()) + "}"
    assert refusal(body.encode()) == f"{field} must be an integer {RANGE}, not {found}."


@pytest.mark.parametrize("field", ["user_id", "priority", "event_data", "event_type_id"])
def test_a_missing_field(field: str) -> None:
    event = {"user_id": 1, "priority": 2, "event_data": None, "event_type_id": 3}
    del event[field]
    assert refusal(json.dumps(event).encode()) == f"the field {field} is missing."


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("prio", "did you mean priority?"),
        ("userId", "did you mean user_id?"),
        ("data", "did you mean event_data?"),
        ("delay", f"the fields are {FIELDS}."),
    ],
)
def test_an_unknown_field(name: str, advice: str) -> None:
    assert refusal(json.dumps({name: 1}).encode()) == f'unknown field "{name}"; {advice}'
    whole = EVENT % b"{}"
    beside = whole[:-1] + f', "{name}": 1}}'.encode()
    assert refusal(beside) == f'unknown field "{name}"; the fields are {FIELDS}.'


def test_an_unknown_field_with_a_name_that_harms_terminals() -> None:
    assert refusal(rb'{"\u001b[2J\ud800": 1}') == rf'unknown field "\u001b[2J\ud800"; the fields are {FIELDS}.'


@pytest.mark.parametrize("again", [b'"user_id": 1', b'"event_data": {}', rb'"us\u0065r_id": 1'])
def test_a_field_given_twice(again: bytes) -> None:
    name = json.loads(b"{" + again + b"}").popitem()[0]
    assert refusal((EVENT % b'{"user_id": 5}')[:-1] + b", " + again + b"}") == (
        f"the field {name} is given more than once."
    )


@pytest.mark.fault(59)
@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", f"the body is empty; it must be a JSON object with the fields {FIELDS}."),
        (b" \n", f"the body is empty; it must be a JSON object with the fields {FIELDS}."),
        (b"[]", f"the body must be a JSON object with the fields {FIELDS}, not an array."),
        (b'"x"', f'the body must be a JSON object with the fields {FIELDS}, not the text "x".'),
        (b"null", f"the body must be a JSON object with the fields {FIELDS}, not null."),
        (b"{", "not JSON: expecting the name of a field in double quotes (byte 1)."),
        (b"{'user_id': 1}", "not JSON: expecting the name of a field in double quotes (byte 1)."),
        (b'{"user_id"', "not JSON: expecting ':' (byte 10)."),
        (b'{"user_id": 1', "not JSON: expecting ',' (byte 13)."),
        (b'{"user_id": 1,}', "not JSON: expecting another field after the comma (byte 14)."),
        (b'{"user_id": }', "not JSON: expecting value (byte 12)."),
        (b'{"user_id": 01}', "not JSON: expecting ',' (byte 13)."),
        ('{"event_data": "é", "user_id": +1}'.encode(), "not JSON: expecting value (byte 32)."),
        (b'{"event_data": "a', "not JSON: unterminated string (byte 15)."),
        (b'{"event_data": "\x01"}', "not JSON: invalid control character (byte 16)."),
        (b'{"event_data": NaN}', "not JSON: NaN is not a number in JSON."),
        (b'{"event_data": [-Infinity]}', "not JSON: -Infinity is not a number in JSON."),
        (EVENT % b"1" + b"{}", "not JSON: something follows the end (byte 66)."),
        (b"\xef\xbb\xbf" + EVENT % b"1", "not JSON: it begins with a byte order mark (byte 0)."),
        (b'{"event_data": "\xff"}', "not UTF-8: invalid start byte (byte 16)."),
        (EVENT % b'"\xed\xa0\x80"', "not UTF-8: invalid continuation byte (byte 45)."),
        ("{}".encode("utf-16"), "not UTF-8: invalid start byte (byte 0)."),
        ("{}".encode("utf-16-be"), "not JSON: expecting value (byte 0)."),
    ],
)
def test_what_is_no_json_object(body: bytes, sentence: str) -> None:
    assert refusal(body) == sentence


TOO_DEEP = f"event_data must not be nested deeper than {NESTING_LEVELS_MAX} levels."


@pytest.mark.fault(61)
@pytest.mark.parametrize(
    "event_data",
    [b"[%s]" % DEEPEST, b'{"a":' * 513 + b"1" + b"}" * 513, b"[" * 10**6, b'[{"a":' * 10**5],
    ids=["arrays", "objects", "a million", "both"],
)
def test_nesting_past_the_limit(event_data: bytes) -> None:
    assert refusal(EVENT % event_data) == TOO_DEEP


def test_brackets_in_texts_are_no_nesting() -> None:
    text = b'["' + b"[{" * 5000 + rb"\"[\\" + b'", ' + b"[]," * 5000 + b"1]"
    assert parse(EVENT % text).event_data == text.decode()


@pytest.mark.fault(61)
def test_a_text_without_end_is_looked_through_once() -> None:
    """From each of its escaped quotes anew, it would take hours."""
    assert not nesting_fits(b"[" * 600 + b'"' + b'\\"' * 500_000, NESTING_LEVELS_MAX)
    assert refusal(b'{"event_data": "' + b'\\"' * 500_000).startswith("not JSON: unterminated string")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NUMBERS = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.fault(59)
@given(st.binary() | st.text().map(str.encode))
@example(b'{"user_id":1,"priority":1,"event_data":1,"event_type_id":3}')
def test_arbitrary_bytes_are_an_event_or_refused(body: bytes) -> None:
    try:
        event = parse(body)
    except Refused as refused:
        sentence = str(refused)
        assert sentence.startswith("Failed to parse event")
        assert sentence.isprintable()
    else:
        assert event == examine(body)


@given(NUMBERS, NUMBERS, JSON_VALUES, NUMBERS, st.booleans(), st.permutations(range(4)))
def test_arbitrary_events(
    user_id: int, priority: int, event_data: Any, event_type_id: int, ascii_only: bool, order: list[int]
) -> None:
    text = json.dumps(event_data, ensure_ascii=ascii_only)
    if not ascii_only and any("\ud800" <= c <= "\udfff" for c in text):
        text = json.dumps(event_data)
    members = [
        f'"user_id": {user_id}',
        f'"priority":{priority}',
        f'"event_data"\n:{text}',
        f'"event_type_id": {event_type_id}',
    ]
    body = ("{" + ",".join(members[place] for place in order) + "}").encode()
    assert parse(body) == examine(body) == Event(user_id, priority, text, event_type_id)


@pytest.mark.fault(59)
@given(st.text(alphabet='[]{}",:\\ue0123d8.-+ntrfals\n', max_size=30))
def test_both_ways_to_parse_agree(event_data: str) -> None:
    """The fast one takes nothing that the exact one refuses, and never another event."""
    body = EVENT % event_data.encode()
    try:
        expected: Event | str = examine(body)
    except Refused as refused:
        expected = str(refused)
    try:
        assert parse(body) == expected
    except Refused as refused:
        assert str(refused) == expected
