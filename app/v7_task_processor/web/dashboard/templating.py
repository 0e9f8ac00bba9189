"""Templates and the filters in them. All that comes from outside is escaped, and its controls made visible."""

import datetime as dt
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ... import __version__
from ...text import age, cut, number, plain, plain_lines, plural, short_age, short_seconds, utc
from .access import PATH, Visitor

HERE = Path(__file__).parent
STATIC = HERE / "static"
TEXT_CHARS_MAX = 300


def isolated(text: str | None, chars_max: int = TEXT_CHARS_MAX) -> Markup:
    """One line of somebody's text: it turns nothing but itself, and ends somewhere."""
    return Markup("<bdi>{}</bdi>").format(plain(cut(text or "", chars_max)))


def block(text: str, chars_max: int) -> str:
    """Several lines of somebody's text."""
    return plain_lines(text if len(text) <= chars_max else text[:chars_max] + "…")


def time_of(time: dt.datetime | None, now: dt.datetime) -> Markup:
    """How long ago, or in how long; the time itself where one points at it."""
    if time is None:
        return Markup("")
    seconds = (now - time).total_seconds()
    says = f"{short_age(seconds)} ago" if seconds >= 0 else f"in {short_age(-seconds)}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(time.isoformat(), utc(time), says)


def count(depth: Any, status: str) -> str:
    """A number of a Depth, with a plus where it is a floor."""
    return number(getattr(depth, status), at_least=status in depth.capped)


def asset(name: str) -> str:
    """The address of a file of `static/`, another one when it changes."""
    return f"{PATH}/static/{name}?{digest(name)}"


def digest(name: str) -> str:
    return DIGESTS[name][:12]


DIGESTS = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in STATIC.iterdir() if file.is_file()}
environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
environment.filters |= {
    "age": age,
    "block": block,
    "clock": utc,
    "isolated": isolated,
    "number": number,
    "plain": plain,
    "plural": plural,
    "short_age": short_age,
    "short_seconds": short_seconds,
}
environment.globals |= {"asset": asset, "count": count, "time_of": time_of, "version": __version__, "root": PATH}
environment.globals["parts"] = environment.get_template("parts.html").module


def render(name: str, shown: dict[str, Any], visitor: Visitor | None, *, here: str, live: bool = False) -> str:
    """A page; `live`: only the part of it that changes."""
    template = environment.get_template(f"{name}.html")
    context = {"visitor": visitor, "here": here, **shown}
    if not live:
        return template.render(context)
    return "".join(template.blocks["live"](template.new_context(context)))
