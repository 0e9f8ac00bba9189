"""A route of the management, and one call of it."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from ...settings import Settings
from ..callers import Caller
from ..problem import Problem
from .store import Store


class Call(NamedTuple):
    """What a handler gets. `id` is that of the path; `query` and `body` are of the route's types."""

    store: Store
    settings: Settings
    caller: Caller
    id: int
    query: Any
    body: Any


class Nothing(msgspec.Struct, frozen=True):
    """A query or a body without fields."""


class Route(NamedTuple):
    """An endpoint. `answer` is the type of its 200; `problems` are the kinds that it may answer beside those of all.

    `asks` and `answers` are examples, of the body (or the query, where there is no body) and of the answer.
    """

    method: str
    path: str
    name: str
    summary: str
    handle: Callable[[Call], Awaitable[msgspec.Struct]]
    answer: type[msgspec.Struct]
    answers: dict[str, Any]
    query: type[msgspec.Struct] = Nothing
    body: type[msgspec.Struct] | None = None
    asks: dict[str, Any] | None = None
    problems: tuple[str, ...] = ()


def path_id(text: str) -> int:
    """The id in a path. Raises Problem: what is no number is the id of nothing."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= 19 and -(2**63) <= int(text) < 2**63:
        return int(text)
    raise Problem("not-found", "The id in the path must be a whole number of 64 bits.")
