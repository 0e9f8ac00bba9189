"""Acts on all jobs that filters name: how many, may I, and then an operation, carried out here or by a node."""

import asyncio
import sys

import click

from .. import database, listing, operations, queue
from ..chosen import Chosen
from ..listing import Matching
from ..queue import Operation, Order
from ..settings import Settings
from ..text import clock, number, plural
from .hand import hand
from .output import document
from .place import checked
from .which import Which


def carry_out(settings: Settings, order: Order, which: Which, as_json: bool) -> int:
    """Do it with all that are meant, or only say how many they are; 1 where it ended before it was through."""
    if not (which.yes or which.dry_run or sys.stdin.isatty()):
        raise click.UsageError("Nobody is here to ask: say --yes.")
    with checked(settings) as place:
        if which.dry_run or not which.yes:
            count = matching(place.url, order)
            if which.dry_run:
                return say_how_many(order, count, as_json)
            if count.jobs or count.at_least:
                click.confirm(question(order, count), abort=True, err=True)
        ended = asyncio.run(perform(place.url, order))
    return report(ended, as_json)


def matching(url: str, order: Order) -> Matching:
    with listing.reading(url) as connection:
        return listing.matching(connection, order.chosen, order.statuses())


def say_how_many(order: Order, count: Matching, as_json: bool) -> int:
    if as_json:
        document(count)
    else:
        click.echo(f"{many(order, count)} would be {queue.DONE[order.act]}.")
    return 0


def many(order: Order, count: Matching) -> str:
    return f"{'At least ' if count.at_least else ''}{nouns(order, count.jobs)}"


def nouns(order: Order, count: int) -> str:
    return plural(count, "dead letter" if order.act == "redrive" else "job")


def question(order: Order, count: Matching) -> str:
    jobs = f"{'at least ' if count.at_least else ''}{nouns(order, count.jobs)}"
    return {
        "cancel": f"Cancel {jobs}?",
        "retry": f"Queue {jobs} now?",
        "reschedule": f"Let {jobs} wait until {clock(order.run_at) if order.run_at else ''}?",
        "priority": f"Give {jobs} the priority {order.priority}?",
        "redrive": f"Queue {jobs} again?",
    }[order.act]


async def perform(url: str, order: Order) -> Operation:
    """Ask for the operation, and see it to its end."""
    shown = sys.stderr.isatty()

    def tell(now: Operation) -> None:
        if shown:
            click.echo(f"\r{nouns(order, now.done)} {queue.DONE[order.act]}", err=True, nl=False)

    async with await database.connect(url, operations.SESSION) as connection:
        carrier = operations.carrier()
        operation = await queue.start_operation(connection, order, hand(), carrier)
        try:
            return await operations.await_end(connection, operation, carrier, tell)
        except (asyncio.CancelledError, Exception):
            click.echo(f"Operation {operation.id} goes on where a node runs. {advice(operation)}", err=True)
            raise
        finally:
            if shown:
                click.echo(err=True)


def advice(operation: Operation) -> str:
    return f"v7 operations show {operation.id} tells of it, v7 operations stop {operation.id} ends it."


def report(ended: Operation, as_json: bool) -> int:
    """Say what was done."""
    through = ended.status == "done"
    if as_json:
        names = ("status", "done", "skipped")
        document({"operation": ended.id, **{name: getattr(ended, name) for name in names}})
        return 0 if through else 1
    none = "No such" if ended.order.chosen != Chosen() else "No"
    noun = "dead letters" if ended.order.act == "redrive" else "jobs"
    done = "queued again" if ended.order.act == "redrive" else queue.DONE[ended.order.act]
    click.echo(f"{nouns(ended.order, ended.done)} {done}." if ended.done else f"{none} {noun}.")
    if ended.skipped:
        click.echo(f"{number(ended.skipped)} changed before their turn, or were refused. {advice(ended)}")
    if not through:
        click.echo(f"Operation {ended.id} has {ended.status}. {advice(ended)}", err=True)
    return 0 if through else 1
