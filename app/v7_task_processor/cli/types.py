"""`v7 types`: event types, whether they may run, and how many at once."""

import asyncio

import click

from .. import database, listing, overview, queue
from ..errors import V7Error
from ..job import LIVE
from ..listing import TypeRate, TypeRow
from ..settings import Settings
from ..text import clock, number, plain, short_age, short_seconds
from .hand import hand
from .options import DATABASE, NUMBER, examples, json_option, settings_options
from .output import document
from .place import checked, reading
from .table import Column, table

NEGATIVE_TOO = {"ignore_unknown_options": True}  # -5 is a type, not an option


@click.group(epilog=examples("v7 types list", "v7 types pause 5", "v7 types limit 5 3"))
def types() -> None:
    """Event types: who serves them, what waits; pause, resume and limit them."""


@types.command(
    "list", epilog=examples("v7 types list", "v7 types list --json | jq '.event_types[] | select(.served | not)'")
)
@click.option("--after", type=NUMBER, metavar="ID", help="Go on after this type.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, metavar="NUMBER", help="How many."
)
@json_option
@settings_options(*DATABASE)
def list_types(settings: Settings, after: int | None, limit: int, as_json: bool) -> None:
    """All types that were met, and how they went.

    What stands where, and of the last hour rate and durations. SHARE is that of the attempts that failed; P50 and P95
    say how long half, and 95 %, of the handlers ran at most.
    """
    with reading(settings) as connection:
        page = listing.types_page(connection, after=after, limit=limit)
        alive = any(node.alive and node.workers for node in overview.nodes(connection.exec_driver_sql))
    if as_json:
        document(page)
        return
    if not page.event_types:
        click.echo("No event types yet: the first event of a type makes it.")
        return
    columns = [Column("TYPE", right=True), Column("STATE")]
    columns += [Column(name.upper(), right=True) for name in LIVE]
    columns += [Column("LIMIT", right=True), Column("OLDEST", right=True)]
    table(columns, [cells(row, alive) for row in page.event_types])
    if rates := [row.last_hour for row in page.event_types if row.last_hour is not None]:
        click.echo("\nIn the last hour")
        names = ("TYPE", "PER SECOND", "SUCCEEDED", "FAILED", "SHARE", "P50", "P95")
        table([Column(name, right=True) for name in names], [hour(rate) for rate in rates])
    for says in remarks(page.event_types, alive):
        click.echo(says)
    if page.next_after is not None:
        click.echo(f"… and more: the same with --after {page.next_after}")


def cells(row: TypeRow, alive: bool) -> list[str]:
    counts = [number(getattr(row.jobs, name), at_least=name in row.jobs.capped) for name in LIVE]
    oldest = ""
    if row.oldest is not None:
        oldest = f"{'≥ ' if row.oldest.at_least else ''}{short_age(row.oldest.age_seconds)}"
    limit = "" if row.concurrency_limit is None else str(row.concurrency_limit)
    return [str(row.event_type_id), state(row, alive), *counts, limit, oldest]


def hour(rate: TypeRate) -> list[str]:
    """How a type went in the last hour."""
    share = "" if rate.failure_share is None else f"{rate.failure_share:.1%}"
    durations = ["" if each is None else short_seconds(each) for each in (rate.p50_seconds, rate.p95_seconds)]
    return [
        str(rate.event_type_id),
        f"{rate.per_second:.3g}",
        number(rate.succeeded),
        number(rate.failed),
        share,
        *durations,
    ]


def state(row: TypeRow, alive: bool) -> str:
    words = ["paused"] if row.paused_at else []
    if not row.served:
        words.append("unserved" if alive else "no node")
    return ", ".join(words) or "open"


def remarks(rows: list[TypeRow], alive: bool) -> list[str]:
    says = [
        f"Type {row.event_type_id} is paused since {clock(row.paused_at)} by {plain(row.paused_by or '?')}."
        for row in rows
        if row.paused_at
    ]
    if not alive:
        says.append("No node with workers is running, so nothing is handled now.")
    elif any(not row.served for row in rows):
        says.append("unserved: no running node has a handler for it; its jobs wait, none is lost.")
    return says


@types.command(context_settings=NEGATIVE_TOO, epilog=examples("v7 types pause 5", "v7 types pause 5 --json"))
@json_option
@click.argument("event_type_id", type=NUMBER, metavar="ID")
@settings_options(*DATABASE)
def pause(settings: Settings, as_json: bool, event_type_id: int) -> None:
    """Let a type's jobs wait, on all nodes, from now on. What runs is finished; new events still come in."""
    by = hand()
    paused_by = f"v7 types pause by {by.who}"

    async def step(url: str) -> None:
        async with await database.connect(url) as connection, database.transaction(connection):
            since = await queue.pause_event_type(connection, event_type_id, paused_by)
            given = {"paused_by": paused_by}
            await queue.note_act(connection, by, "pause", event_type_id=event_type_id, given=given)
        if as_json:
            document({"event_type_id": event_type_id, "paused_at": since})
        else:
            click.echo(f"Type {event_type_id} is paused since {clock(since)}. v7 types resume {event_type_id} ends it.")

    with checked(settings) as place:
        asyncio.run(step(place.url))


@types.command(context_settings=NEGATIVE_TOO, epilog=examples("v7 types resume 5", "v7 types resume 5 --json"))
@json_option
@click.argument("event_type_id", type=NUMBER, metavar="ID")
@settings_options(*DATABASE)
def resume(settings: Settings, as_json: bool, event_type_id: int) -> None:
    """Let a type's jobs run again, on all nodes."""

    async def step(url: str) -> bool:
        async with await database.connect(url) as connection, database.transaction(connection):
            known = await queue.resume_event_type(connection, event_type_id)
            if known:
                await queue.note_act(connection, hand(), "resume", event_type_id=event_type_id)
        return known

    with checked(settings) as place:
        known = asyncio.run(step(place.url))
    if not known:
        raise V7Error(f"There is no event type {event_type_id}: v7 types list shows those that there are.")
    if as_json:
        document({"event_type_id": event_type_id, "paused_at": None})
    else:
        click.echo(f"Type {event_type_id} runs.")


@types.command(context_settings=NEGATIVE_TOO, epilog=examples("v7 types limit 5 3", "v7 types limit 5 --none"))
@json_option
@click.argument("event_type_id", type=NUMBER, metavar="ID")
@click.argument("at_once", type=click.IntRange(1, 2**31 - 1), metavar="NUMBER", required=False)
@click.option("--none", "unlimited", is_flag=True, help="Any number, as before.")
@settings_options(*DATABASE)
def limit(settings: Settings, as_json: bool, event_type_id: int, at_once: int | None, unlimited: bool) -> None:
    """Let no more than NUMBER of a type's jobs run at once.

    On all nodes together. What runs is finished.
    """
    if unlimited == (at_once is not None):
        raise click.UsageError("Say how many, or --none.")

    async def step(url: str) -> None:
        async with await database.connect(url) as connection, database.transaction(connection):
            await queue.limit_event_type(connection, event_type_id, at_once)
            given = {"concurrency_limit": at_once}
            await queue.note_act(connection, hand(), "limit", event_type_id=event_type_id, given=given)

    with checked(settings) as place:
        asyncio.run(step(place.url))
    if as_json:
        document({"event_type_id": event_type_id, "concurrency_limit": at_once})
    elif at_once is None:
        click.echo(f"Type {event_type_id} has no limit.")
    else:
        click.echo(f"Of type {event_type_id} no more than {at_once} run at once. --none ends it.")
