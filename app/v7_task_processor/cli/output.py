"""How commands print: tables for people, one JSON document for programs."""

import contextlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..listing import JobRow
from ..text import plain

STYLES = {
    "queued": "cyan",
    "scheduled": "blue",
    "running": "yellow",
    "succeeded": "green",
    "dead": "red",
    "cancelled": "dim",
}


class Column(NamedTuple):
    """A column of a table. The one that grows takes the room that is left, and its text is cut to fit."""

    title: str
    right: bool = False
    grows: bool = False


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table as wide as the terminal, or of 80 columns where there is none."""
    grows = any(column.grows for column in columns)
    shown = Table(box=None, pad_edge=False, expand=grows, header_style="bold")
    for column in columns:
        shown.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if column.grows else None,
            min_width=min(12, len(column.title)) if column.grows else None,
        )
    for row in rows:
        shown.add_row(*(Text(plain(cell), style=STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(shown)


def document(value: object) -> None:
    """Print one JSON document: UTF-8, whatever the terminal's encoding."""
    text = msgspec.json.encode(value)
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        text = msgspec.json.format(text, indent=2)
    sys.stdout.flush()
    sys.stdout.buffer.write(text + b"\n")


def job_document(job: JobRow) -> dict[str, object]:
    """A job as JSON. `event_data` is what was sent, to the letter, or a text where strict readers would refuse it."""
    event: object = job.event_json
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        event = msgspec.json.decode(job.event_json, type=msgspec.Raw)
    return msgspec.structs.asdict(job) | {"event_data": event}
