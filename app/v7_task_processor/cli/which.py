"""Which jobs a command acts on: some by their ids, or all that filters name."""

import datetime as dt
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from .. import queue
from ..chosen import Chosen
from .options import ID, NUMBER

Function = TypeVar("Function", bound=Callable[..., Any])


class Time(click.ParamType[dt.datetime]):
    """A time; without a zone it is in that of the one who asks."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        try:
            time = dt.datetime.fromisoformat(str(value)).astimezone(dt.UTC)
        except (ValueError, OverflowError):
            time = None
        if time is None or time.year >= 9999:
            says = f"{value!r} is no time like 2030-01-31 or 2030-01-31T12:00:00Z, before the year 9999."
            raise click.BadParameter(says, ctx, param)
        return time


FILTERS: dict[str, Callable[[Function], Function]] = {
    "event_type_id": click.option("--type", "event_type_id", type=NUMBER, metavar="NUMBER", help="Only of this type."),
    "user_id": click.option("--user", "user_id", type=NUMBER, metavar="NUMBER", help="Only of this user."),
    "priority_min": click.option(
        "--priority-min", type=NUMBER, metavar="NUMBER", help="Only of this priority or a larger number."
    ),
    "priority_max": click.option(
        "--priority-max", type=NUMBER, metavar="NUMBER", help="Only of this priority or a smaller number."
    ),
    "correlation_id": click.option("--correlation-id", metavar="TEXT", help="Only with this X-Request-Id."),
    "attempt_min": click.option(
        "--attempt-min",
        type=click.IntRange(0, 2**31 - 1),
        metavar="NUMBER",
        help="Only at this attempt or a later one.",
    ),
    "error": click.option("--error", metavar="TEXT", help="Only where the last error has this in it."),
    "error_kind": click.option(
        "--error-kind", metavar="TEXT", help="Only where exactly this stands before the first colon of the last error."
    ),
    "created_from": click.option("--created-from", type=Time(), help="Only created then or later."),
    "created_until": click.option("--created-until", type=Time(), help="Only created before then."),
}
"""The filters of unfinished jobs, but for the status."""


def filter_options(function: Function) -> Function:
    """All of FILTERS."""
    for option in reversed(FILTERS.values()):
        function = option(function)
    return function


class Which(NamedTuple):
    """What was said of which jobs are meant, and whether to ask."""

    ids: tuple[int, ...]
    chosen: Chosen
    yes: bool
    dry_run: bool


def which_jobs(act: str, statuses: Sequence[str]) -> Callable[[Function], Callable[..., Any]]:
    """IDs, or filters, or --all; the command gets a Which. `statuses` are those among which one can choose."""

    def decorate(function: Function) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(
            *arguments: Any, ids: tuple[int, ...], everything: bool, yes: bool, dry_run: bool, **options: Any
        ) -> Any:
            chosen = Chosen(status=options.pop("status", None), **{name: options.pop(name) for name in FILTERS})
            if bool(ids) + (chosen != Chosen()) + everything != 1:
                raise click.UsageError("Say which: IDs, or filters, or --all.")
            if ids and dry_run:
                raise click.UsageError("--dry-run says how many jobs filters name, and is for nothing else.")
            return function(*arguments, which=Which(ids, chosen, yes, dry_run), **options)

        decorated: Callable[..., Any] = click.argument("ids", metavar="[ID]...", nargs=-1, type=ID)(command)
        decorated = click.option("--dry-run", is_flag=True, help="Only say how many filters name.")(decorated)
        decorated = click.option("--yes", is_flag=True, help="Do not ask.")(decorated)
        decorated = click.option("--all", "everything", is_flag=True, help="All.")(decorated)
        decorated = filter_options(decorated)
        if statuses:
            status = click.option("--status", type=click.Choice(statuses), help=f"Only these can be {queue.DONE[act]}.")
            decorated = status(decorated)
        return decorated

    return decorate
