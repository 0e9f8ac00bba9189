"""Tables for people."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

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
