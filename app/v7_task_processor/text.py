"""Text for people: nothing in it can move their cursor or turn what stands beside it, and numbers and times read at a
glance."""

import datetime as dt
import re
from collections.abc import Sequence

# Controls (C0, DEL, C1) drive terminals; the rest turns the direction of what follows, or breaks lines.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def plain(text: str) -> str:
    """One line, with whatever is not plain text in it escaped."""
    return UNSAFE.sub(lambda match: escaped(match[0]), text)


def plain_lines(text: str) -> str:
    """The same, of several lines."""
    return "\n".join(plain(line.expandtabs(4)) for line in text.split("\n"))


def escaped(character: str) -> str:
    code = ord(character)
    return NAMED.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def cut(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else f"{text[: chars_max - 1]}…"


def age(seconds: float) -> str:
    """3 s, 5 min, 2 h 10 min, 4 d."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d"


def span(seconds: float) -> str:
    """The same within a sentence: 0.3 s, 90 s, 5 min, 2 h 10 min, 4 days."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return age(seconds) if seconds < 48 * 3600 else f"{int(seconds // 86400)} days"


def short_age(seconds: float) -> str:
    """The same for tables: 78 min, 30 h."""
    for unit, size in (("s", 1), ("min", 60), ("h", 3600)):
        if seconds < 100 * size:
            return f"{int(seconds / size)} {unit}"
    return f"{int(seconds / 86400)} d"


def short_seconds(seconds: float) -> str:
    """How long something quick took: 0.4 ms, 25 ms, 3.2 s, 5 min."""
    if seconds < 1:
        return f"{seconds * 1000:.2g} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else short_age(seconds)


def clock(time: dt.datetime) -> str:
    """In the time zone of the one who reads."""
    return in_zone(time, None).strftime("%Y-%m-%d %H:%M:%S %Z").strip()


def utc(time: dt.datetime) -> str:
    """For those who may read it anywhere."""
    return f"{in_zone(time, dt.UTC):%Y-%m-%d %H:%M:%S %Z}"


def in_zone(time: dt.datetime, zone: dt.tzinfo | None) -> dt.datetime:
    """The same time; in its own zone where it would be before the year 1 in that one, or after the year 9999."""
    try:
        return time.astimezone(zone)
    except OverflowError:
        return time


def number(count: int, *, at_least: bool = False) -> str:
    return f"{count:,}+" if at_least else f"{count:,}"


def types(numbers: Sequence[int], shown_max: int, more: str = ", …") -> str:
    """type 5; types 5, 6, …"""
    shown = ", ".join(map(str, numbers[:shown_max]))
    return f"{'type' if len(numbers) == 1 else 'types'} {shown}{more if len(numbers) > shown_max else ''}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """1 job, 2 jobs."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
