"""An event as a client sends it: the body of one request, taken apart. No I/O."""

import difflib
import json
import re
from collections.abc import Iterator
from itertools import accumulate
from json import JSONDecodeError
from typing import Annotated, NamedTuple, NoReturn

import msgspec

NESTING_LEVELS_MAX = 512
ECHO_CHARS_MAX = 80
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
FIELDS = ("user_id", "priority", "event_data", "event_type_id")
QUOTES = 2 * len(FIELDS)
"""In a body with each field once, so many stand outside of event_data."""
LIST_OF_FIELDS = "user_id, priority, event_data and event_type_id"

Integer = Annotated[int, msgspec.Meta(ge=INTEGER_MIN, le=INTEGER_MAX)]


class Event(NamedTuple):
    """What was sent. `event_data` is JSON text, to the letter."""

    user_id: int
    priority: int
    event_data: str
    event_type_id: int


class Refused(Exception):
    """The body is no event. Its text is one sentence for the client that names the field and what is wrong."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"Failed to parse event: {what}" + ("" if what.endswith("?") else "."))


class Wire(msgspec.Struct, forbid_unknown_fields=True):
    user_id: Integer
    priority: Integer
    event_data: msgspec.Raw
    event_type_id: Integer


decode = msgspec.json.Decoder(Wire).decode


def parse(body: bytes, called: str = "the body") -> Event:
    """The event in a request's body, or in a part of it that sentences call so. Raises Refused."""
    try:
        wire = decode(body)
        data = bytes(wire.event_data)
        if body.count(b'"') - data.count(b'"') == QUOTES and nesting_fits(data, NESTING_LEVELS_MAX):
            return Event(wire.user_id, wire.priority, data.decode(), wire.event_type_id)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # most likely not an event; msgspec takes no lone surrogates, which are JSON
    return examine(body, called)


def examine(body: bytes, called: str = "the body") -> Event:
    """The same as `parse`, ten times slower, but it knows what is wrong and where. Raises Refused."""
    text = decoded(body, called)
    if not nesting_fits(body, NESTING_LEVELS_MAX + 1):
        raise Refused(f"event_data must not be nested deeper than {NESTING_LEVELS_MAX} levels")
    values: dict[str, str] = {}
    try:
        for name, value in members(text, called):
            refuse_field(name, values)
            values[name] = value
    except JSONDecodeError as error:
        what = error.msg.removesuffix(" at").removesuffix(" starting").removesuffix(": ")
        raise Refused(f"not JSON: {what[:1].lower()}{what[1:]} (byte {byte_at(text, error.pos)})") from None
    except RecursionError:
        raise Refused("event_data is nested too deeply") from None
    for name in FIELDS:
        if name not in values:
            raise Refused(f"the field {name} is missing")
    return Event(
        integer("user_id", values["user_id"]),
        integer("priority", values["priority"]),
        values["event_data"],
        integer("event_type_id", values["event_type_id"]),
    )


def decoded(body: bytes, called: str) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Refused(f"not UTF-8: {error.reason} (byte {error.start})") from None
    if text.startswith("\ufeff"):
        raise Refused("not JSON: it begins with a byte order mark (byte 0)")
    if not text.strip(" \t\n\r"):
        raise Refused(f"{called} is empty; it must be a JSON object with the fields {LIST_OF_FIELDS}")
    return text


# A string that does not end counts as one: to look for its end again from each of its quotes would take for ever.
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def nesting_fits(text: bytes, levels_max: int) -> bool:
    """Whether no value stands in more than so many arrays and objects."""
    if text.count(b"[") + text.count(b"{") <= levels_max:
        return True
    steps = STRING.sub(b"", text).translate(STEPS, NO_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0) <= levels_max


def refuse_constant(name: str) -> NoReturn:
    raise Refused(f"not JSON: {name} is not a number in JSON")


def unread(_number: str) -> None:
    """Numbers are not converted: to make an integer of a million digits takes minutes."""


JSON = json.JSONDecoder(parse_int=unread, parse_float=unread, parse_constant=refuse_constant)
SPACE = re.compile(r"[ \t\n\r]*")


def members(text: str, called: str) -> Iterator[tuple[str, str]]:
    """Name and text of each value of the object. Raises Refused, and JSONDecodeError where it comes to an error."""
    at = skip(text, 0)
    if not text.startswith("{", at):
        refuse_body(text, at, called)
    at = skip(text, at + 1)
    while not text.startswith("}", at):
        if not text.startswith('"', at):
            raise JSONDecodeError("Expecting the name of a field in double quotes", text, at)
        name, at = JSON.raw_decode(text, at)
        start = expect(":", text, at)
        _, end = JSON.raw_decode(text, start)
        yield name, text[start:end]
        at = skip(text, end)
        if not text.startswith("}", at):
            at = expect(",", text, at)
            if text.startswith("}", at):
                raise JSONDecodeError("Expecting another field after the comma", text, at)
    refuse_more(text, at + 1)


def skip(text: str, at: int) -> int:
    """Where the space ends that begins there."""
    space = SPACE.match(text, at)
    return space.end() if space else at


def expect(mark: str, text: str, at: int) -> int:
    """Where what follows the mark begins."""
    at = skip(text, at)
    if not text.startswith(mark, at):
        raise JSONDecodeError(f"Expecting '{mark}'", text, at)
    return skip(text, at + 1)


def refuse_body(text: str, at: int, called: str) -> NoReturn:
    """It is not an object. If it is JSON, say what it is."""
    _, end = JSON.raw_decode(text, at)
    refuse_more(text, end)
    found = described(text[at:end])
    raise Refused(f"{called} must be a JSON object with the fields {LIST_OF_FIELDS}, not {found}")


def refuse_more(text: str, at: int) -> None:
    at = skip(text, at)
    if at != len(text):
        raise JSONDecodeError("Something follows the end", text, at)


def refuse_field(name: str, known: dict[str, str]) -> None:
    if name in known:
        raise Refused(f"the field {name} is given more than once")
    if name not in FIELDS:
        missing = [field for field in FIELDS if field not in known]
        near = difflib.get_close_matches(name[:ECHO_CHARS_MAX].lower(), missing, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"the fields are {LIST_OF_FIELDS}"
        raise Refused(f'unknown field "{shown(name)}"; {hint}')


def integer(name: str, text: str) -> int:
    digits = text.removeprefix("-")
    if digits.isdecimal() and len(digits) <= len(str(INTEGER_MAX)):
        value = int(text)
        if INTEGER_MIN <= value <= INTEGER_MAX:
            return value
    raise Refused(f"{name} must be an integer from {INTEGER_MIN} to {INTEGER_MAX}, not {described(text)}")


def described(text: str) -> str:
    """A JSON value for people."""
    if text.startswith("["):
        return "an array"
    if text.startswith("{"):
        return "an object"
    return ("the text " if text.startswith('"') else "") + shown(text)


def shown(text: str) -> str:
    """Cut, and on one line: what it says goes to terminals and logs."""
    dots = "…" if len(text) > ECHO_CHARS_MAX else ""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:ECHO_CHARS_MAX]) + dots


def byte_at(text: str, position: int) -> int:
    return len(text[:position].encode())
