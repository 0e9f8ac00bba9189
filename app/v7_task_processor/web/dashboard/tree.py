"""An event as a tree. Numbers stay as they were sent, and names that come twice stay twice."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

CHARS_MAX = 64_000
NODES_MAX = 400
LEVELS_MAX = 24


class Node(NamedTuple):
    """A line of the tree. `value` is None where something is inside it, which `note` counts."""

    level: int
    name: str
    value: str | None
    kind: str
    note: str


class Members(list[tuple[str, Any]]):
    """An object's members in their order."""


class Literal(str):
    """A number, as it was sent."""


def tree(text: str) -> list[Node] | None:
    """None: it is too large, or no JSON that a strict reader takes. Cut after NODES_MAX lines."""
    if len(text) > CHARS_MAX:
        return None
    try:
        value = json.loads(
            text, object_pairs_hook=Members, parse_int=Literal, parse_float=Literal, parse_constant=Literal
        )
    except (ValueError, RecursionError):
        return None
    found = []
    for node in nodes("", value, 0):
        found.append(node)
        if len(found) == NODES_MAX:
            found.append(Node(0, "", "and more", "cut", ""))
            break
    return found


def nodes(name: str, value: Any, level: int) -> Iterator[Node]:
    if isinstance(value, Literal):
        yield Node(level, name, str(value), "number", "")
    elif isinstance(value, str):
        yield Node(level, name, f'"{value}"', "string", "")
    elif value is None or isinstance(value, bool):
        yield Node(level, name, json.dumps(value), "word", "")
    else:
        yield from inside(name, value, level)


def inside(name: str, value: list[Any], level: int) -> Iterator[Node]:
    is_object = isinstance(value, Members)
    members = list(value) if is_object else [(str(place), each) for place, each in enumerate(value)]
    count = f"{{{len(members)}}}" if is_object else f"[{len(members)}]"
    yield Node(level, name, None, "object" if is_object else "array", count)
    if level >= LEVELS_MAX:
        yield Node(level + 1, "", "deeper than is shown here", "cut", "")
        return
    for each_name, each in members:
        yield from nodes(each_name, each, level + 1)
