"""What of an event is not shown: the values of the keys that V7_REDACT names, at any depth. No I/O.

It works on the text, from left to right and without recursion. So all else stays to the letter, a text that was cut is
masked up to its end, and what is hostile costs no more than its length.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

MASK = '"[redacted]"'
LEVELS_MAX = 50
# A string that does not end goes to the end: the text was cut there. Possessive, so that none is looked at twice.
STRING = r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)'
KEY = re.compile(rf"({STRING})([ \t\r\n]*+:[ \t\r\n]*+)?", re.DOTALL)
PART = re.compile(rf"{STRING}|[\[\]{{}}]", re.DOTALL)
PLAIN = re.compile(r"[^,\[\]{}\"\s]*+")

Names = frozenset[str]
"""Keys, in small letters."""


def redacted(text: str, names: Names) -> str:
    """JSON, or the beginning of it, with each value that one of these keys has replaced by "[redacted]"."""
    if not names:
        return text
    shown, at = [], 0
    for start, end in hidden(text, names):
        shown += [text[at:start], MASK]
        at = end
    return "".join([*shown, text[at:]])


def has_mask(text: str, names: Names) -> bool:
    """Whether a value that is not shown is the mask itself: somebody copied what he was shown."""
    return any(text[start:end] == MASK for start, end in hidden(text, names))


def hidden(text: str, names: Names) -> Iterator[tuple[int, int]]:
    """From where to where the values stand that are not shown."""
    at = 0
    while found := KEY.search(text, at):
        at = found.end()
        if found[2] and at < len(text) and name(found[1]).casefold() in names:
            start, at = at, end_of_value(text, at)
            yield start, at


def name(string: str) -> str:
    """What a JSON string says; of what is none, its letters."""
    if "\\" in string:
        with contextlib.suppress(ValueError):  # not every text that is logged as an event is one
            return str(json.loads(string, strict=False))
    return string[1:-1]


def end_of_value(text: str, start: int) -> int:
    """Where the value ends that begins there; the end of the text where it was cut."""
    depth = 0
    if text[start] not in '"[{':
        plain = PLAIN.match(text, start)
        return plain.end() if plain else start
    for part in PART.finditer(text, start):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(part[0], 0)
        if depth <= 0:
            return part.end()
    return len(text)


def masked(value: Any, names: Names, levels: int = LEVELS_MAX) -> Any:
    """The same for what was taken apart. What is nested deeper than that is not shown at all."""
    if isinstance(value, dict | list | tuple) and levels == 0:
        return json.loads(MASK)
    if isinstance(value, dict):
        return masked_fields(value, names, levels - 1)
    if isinstance(value, list | tuple):
        return [masked(each, names, levels - 1) for each in value]
    return value


def masked_fields(fields: Mapping[Any, Any], names: Names, levels: int = LEVELS_MAX) -> dict[Any, Any]:
    return {
        key: json.loads(MASK) if str(key).casefold() in names else masked(value, names, levels)
        for key, value in fields.items()
    }
