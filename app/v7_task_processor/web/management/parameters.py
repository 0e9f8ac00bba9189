"""What a request asks for: its query and its body, each a Struct, and what is wrong with them named."""

import datetime as dt
import difflib
from collections.abc import Iterable
from json import JSONDecodeError
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta
from starlette.requests import ClientDisconnect, Request

from ..event import NESTING_LEVELS_MAX, Refused, byte_at, members, nesting_fits, shown
from ..problem import Problem
from ..receive import media_refusal

Asked = TypeVar("Asked", bound=msgspec.Struct)
Time = Annotated[dt.datetime, Meta(tz=True)]
UNIONS = (Union, type(int | None))
Event = Annotated[msgspec.Raw, Meta(description="Any JSON; it is kept to the letter.")]


def query(request: Request, kind: type[Asked]) -> Asked:
    """The query as such a Struct. Raises Problem."""
    given: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        refuse_unknown("query parameter", name, given, kind)
        given[name] = convert("query parameter", name, value, kind, strict=False)
    return complete("query parameter", given, kind)


async def body(request: Request, kind: type[Asked], bytes_max: int) -> Asked:
    """The body as such a Struct; none at all is {}. Raises Problem."""
    text = await whole(request, bytes_max, " (V7_BODY_BYTES_MAX)")
    if text and (why := media_refusal(dict(request.scope["headers"]), (b"application/json",))):
        raise Problem("unsupported-media-type", why)
    given: dict[str, Any] = {}
    for name, value in fields(text or b"{}", kind):
        refuse_unknown("field", name, given, kind)
        given[name] = convert("field", name, value, kind, strict=True)
    return complete("field", given, kind)


async def whole(request: Request, bytes_max: int, named: str = "") -> bytes:
    """A body. `named`: by which setting one allows more. Raises Problem."""
    parts = bytearray()
    try:
        async for part in request.stream():
            parts += part
            if len(parts) > bytes_max:
                detail = f"The body is larger than {bytes_max} bytes, which is the limit{named}."
                raise Problem("too-large", detail, {"Connection": "close"})
    except ClientDisconnect:
        raise Problem("bad-request", "The body ended before its end.") from None  # nobody hears it
    return bytes(parts)


def fields(body: bytes, kind: type[msgspec.Struct]) -> list[tuple[str, str]]:
    """Name and JSON text of each. The text to the letter: `event_data` is kept so."""
    wanted = f"it must be a JSON object with {listed(kind)}"
    try:
        text = body.decode()
        if not text.lstrip(" \t\n\r").startswith("{"):
            raise Problem("bad-request", f"The body is no JSON object: {wanted}.")
        if not nesting_fits(body, NESTING_LEVELS_MAX + 1):
            raise Problem("bad-request", f"The body is nested deeper than {NESTING_LEVELS_MAX} levels.")
        return list(members(text, "the body"))
    except UnicodeDecodeError as error:
        raise Problem("bad-request", f"The body is not UTF-8: {error.reason} (byte {error.start}).") from None
    except JSONDecodeError as error:
        at = byte_at(body.decode(), error.pos)
        raise Problem("bad-request", f"The body is not JSON ({error.msg}, byte {at}): {wanted}.") from None
    except (Refused, RecursionError) as error:
        raise Problem("bad-request", f"The body is not JSON ({error}): {wanted}.") from None


def refuse_unknown(what: str, name: str, given: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    if name in given:
        raise Problem("bad-request", f"The {what} {name} is given more than once.")
    if name not in kind.__struct_fields__:
        near = difflib.get_close_matches(name[:80].lower(), kind.__struct_fields__, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Here it may be {listed(kind)}."
        raise Problem("bad-request", f"There is no {what} '{shown(name)}'. {hint}")


def convert(what: str, name: str, value: str, kind: type[msgspec.Struct], *, strict: bool) -> Any:
    """One value. `strict`: it is JSON text; else the text itself."""
    hint = hint_of(kind, name)
    try:
        if hint == Event:
            return msgspec.Raw(value.encode("utf-8", "surrogatepass"))
        # Not strictly, a number would be seconds since 1970.
        found = msgspec.json.decode(value, type=hint) if strict else msgspec.convert(value, hint, strict=hint == Time)
        # In UTC, or Postgres has what is before the year 1 there, and Python cannot read it back.
        return found.astimezone(dt.UTC) if isinstance(found, dt.datetime) else found
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError):
        raise Problem("bad-request", f"The {what} {name} is {shown(value)}: it must be {wanted(hint)}.") from None


def complete(what: str, given: dict[str, Any], kind: type[Asked]) -> Asked:
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in given:
            detail = f"The {what} {field.name} is missing: it must be {wanted(hint_of(kind, field.name))}."
            raise Problem("bad-request", detail)
    return kind(**given)


def hint_of(kind: type[msgspec.Struct], name: str) -> Any:
    """A field's type without None and UNSET where these are defaults of ours, and no values that one could give."""
    hint = get_type_hints(kind, include_extras=True)[name]
    (required,) = (field.required for field in msgspec.structs.fields(kind) if field.name == name)
    if get_origin(hint) in UNIONS and not required:
        (hint,) = [each for each in get_args(hint) if each not in (type(None), msgspec.UnsetType)]
    return hint


def wanted(hint: Any) -> str:
    """What a field takes, in words, from its type."""
    if get_origin(hint) in UNIONS:
        (value,) = (each for each in get_args(hint) if each is not type(None))
        return f"{wanted(value)}, or null"
    kind, meta = get_args(hint)[:2] if get_origin(hint) is Annotated else (hint, Meta())
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if kind is msgspec.Raw:
        return "JSON"
    if kind is dt.datetime:
        return "a time with its zone, like 2030-01-31T12:00:00Z, between the years 1 and 9999"
    if kind is bool:
        return "true or false"
    if kind is int:
        return f"a whole number from {meta.ge} to {meta.le}"
    return f"a text of {meta.min_length} to {meta.max_length} characters, none of them NUL"


def listed(kind: type[msgspec.Struct]) -> str:
    names: Iterable[str] = kind.__struct_fields__
    return ", ".join(names) or "nothing"
