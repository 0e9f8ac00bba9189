"""`v7 dead redrive`: dead letters run again."""

import asyncio
import datetime as dt
import sys
from collections.abc import Callable
from typing import NamedTuple

import click

from .. import database, listing, queue
from ..errors import V7Error
from ..queue import Connection
from ..settings import Settings
from .options import DATABASE, examples, json_option, settings_options
from .output import document
from .place import checked
from .text import plural

BATCH = 500


class Choice(NamedTuple):
    """Which dead letters: by ids, by type, or all that died until now."""

    until: dt.datetime
    ids: list[int] | None
    event_type_id: int | None


@click.command(
    epilog=examples("v7 dead redrive 42 43", "v7 dead redrive --type 5", "v7 dead redrive --all --yes --json")
)
@click.option("--type", "event_type_id", type=int, metavar="NUMBER", help="All of this event type.")
@click.option("--all", "everything", is_flag=True, help="All.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.argument("ids", nargs=-1, type=int)
@settings_options(*DATABASE)
def redrive(
    settings: Settings,
    event_type_id: int | None,
    everything: bool,
    yes: bool,
    as_json: bool,
    ids: tuple[int, ...],
) -> int:
    """Queue dead letters again: those of the IDS, of a type, or all.

    They go to the tail of their priority, and their failures are forgiven: they may fail as often as at first.
    """
    if (bool(ids) + (event_type_id is not None) + everything) != 1:
        raise click.UsageError("Say which: IDs, or --type NUMBER, or --all.")
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("Nobody is here to ask: say --yes.")
    with checked(settings) as place:
        with listing.reading(place.url) as connection:
            chosen = Choice(listing.now(connection), sorted(set(ids)) or None, event_type_id)
            count = listing.dead_count(connection, *chosen)
        if count and not yes:
            click.confirm(f"Queue {plural(count, 'dead letter')} again?", abort=True, err=True)
        moved = asyncio.run(move(place.url, chosen, count))
    return report(chosen, moved, as_json)


async def move(url: str, chosen: Choice, count: int) -> list[int]:
    """Redrive in batches, each a transaction; those that were moved. What is done when it is broken off, stays."""
    moved: list[int] = []
    with click.progressbar(length=count, label="Queueing", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        async with await database.connect(url) as connection:
            try:
                await batches(connection, chosen, moved, bar.update)
            finally:
                if moved:
                    await queue.wake(connection)
    return moved


async def batches(connection: Connection, chosen: Choice, moved: list[int], tell: Callable[[int], None]) -> None:
    while batch := await queue.redrive(
        connection, BATCH, until=chosen.until, ids=chosen.ids, event_type_id=chosen.event_type_id
    ):
        moved += batch
        tell(len(batch))


def report(chosen: Choice, moved: list[int], as_json: bool) -> int:
    """Say what was done; 1 where an id that was asked for is no dead letter."""
    others = sorted(set(chosen.ids or ()) - set(moved))
    if as_json:
        document({"redriven": len(moved), "not_dead": others})
        return 1 if others else 0
    if moved or not others:
        click.echo(f"{plural(len(moved), 'dead letter')} queued again." if moved else "No dead letters.")
    if others:
        raise V7Error(f"Not among the dead letters: {', '.join(map(str, others))}.")
    return 0
