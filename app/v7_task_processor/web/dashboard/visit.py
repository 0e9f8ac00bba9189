"""One request for a page, and the page that answers it."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request

from ...queue import Hand
from ...settings import Settings
from ..event import shown
from ..management.parameters import Asked, query
from ..management.store import Store
from ..problem import Problem
from ..scheme import scheme
from .access import Guard, Visitor

WITHOUT_ZONE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?")
SAID = ("did", "with")
"""In the query: what was done just now, for people."""


class Visit(NamedTuple):
    """Who asks for what, and where its answer is found."""

    request: Request
    store: Store
    settings: Settings
    visitor: Visitor
    guard: Guard

    @property
    def hand(self) -> Hand:
        """Who acts, for the audit."""
        return Hand(self.visitor.who, "dashboard")

    @property
    def base(self) -> str:
        """The address of this server, for commands."""
        return f"{scheme(self.request)}://{shown(self.request.headers.get('host', 'localhost'))}"

    @property
    def needs_key(self) -> bool:
        """Whether the management API asks for a key."""
        return self.guard.access.guarded

    @property
    def event_key(self) -> str:
        """What a command that sends an event has for a key, where one is needed."""
        return " -H 'Authorization: Bearer …'" if self.settings.api_keys else ""

    def asked(self, kind: type[Asked]) -> Asked:
        """The query as such a Struct; fields that a form left empty were not given. Raises Problem."""
        pairs = self.request.query_params.multi_items()
        given = [(name, zoned(value.strip())) for name, value in pairs if value.strip() and name not in SAID]
        scope = {**self.request.scope, "query_string": str(QueryParams(given)).encode()}
        return query(Request(scope), kind)


def zoned(text: str) -> str:
    """A time as fields of browsers give it, which know no zone: the page says that it is UTC."""
    found = WITHOUT_ZONE.fullmatch(text)
    return f"{text}{'' if found[1] else ':00'}Z" if found else text


class Page(NamedTuple):
    """A template of `templates/` and what it shows. `live`: it may be asked for again, every few seconds."""

    template: str
    shown: dict[str, Any]
    status: int = 200


Screen = Callable[[Visit], Awaitable[Page]]


def link(path: str, asked: msgspec.Struct | None = None, **more: object) -> str:
    """An address with those fields of a query that are not as by default."""
    given = {} if asked is None else {field.name: getattr(asked, field.name) for field in msgspec.structs.fields(asked)}
    defaults = {} if asked is None else {field.name: field.default for field in msgspec.structs.fields(asked)}
    fields = {name: value for name, value in given.items() if value != defaults[name]} | more
    text = str(QueryParams({name: str(value) for name, value in fields.items() if value is not None}))
    return f"{path}?{text}" if text else path


def missing(what: str) -> Problem:
    return Problem("not-found", what)
