"""`v7 operations`: acts on many jobs, and how far they are. `v7 audit`: what people did."""

import asyncio
import datetime as dt
from typing import Any

import click
import msgspec

from .. import database, listing, queue
from ..errors import V7Error
from ..listing import ActRow, OperationRow
from ..settings import Settings
from ..text import clock, number, plain, short_age
from .hand import hand
from .options import DATABASE, ID, examples, json_option, limit_option, settings_options
from .output import document
from .place import checked, reading
from .table import Column, table


@click.group(epilog=examples("v7 operations list", "v7 operations show 7", "v7 operations stop 7"))
def operations() -> None:
    """Acts on all jobs that a filter names: how far they are, and an end to them."""


@operations.command("list", epilog=examples("v7 operations list", "v7 operations list --json | jq .operations[0]"))
@click.option("--after", type=ID, metavar="ID", help="Go on after this one.")
@limit_option
@json_option
@settings_options(*DATABASE)
def list_operations(settings: Settings, after: int | None, limit: int, as_json: bool) -> None:
    """Operations, the newest first."""
    with reading(settings) as connection:
        moment = listing.now(connection)
        page = listing.operations_page(connection, after=after, limit=limit)
    if as_json:
        document(page)
        return
    if not page.operations:
        click.echo("No operations.")
        return
    titles = ("ID", "STATUS", "ACT", "DONE", "SKIPPED", "AGE", "WHO", "FILTER")
    right = ("ID", "DONE", "SKIPPED", "AGE")
    columns = [Column(title, right=title in right, grows=title == "FILTER") for title in titles]
    table(columns, [cells(each, moment) for each in page.operations])
    if page.next_after is not None:
        click.echo(f"… and more: the same with --after {page.next_after}")


def cells(row: OperationRow, moment: dt.datetime) -> list[str]:
    age = short_age(max(0.0, (moment - row.created_at).total_seconds()))
    counts = [number(row.done), number(row.skipped)]
    return [str(row.id), row.status, row.act, *counts, age, row.who, words(row.filter) or "all"]


def words(fields: msgspec.Struct) -> str:
    """What of a filter, or of what came with an act, was given."""
    given: dict[str, Any] = msgspec.structs.asdict(fields)
    return ", ".join(
        f"{name} {clock(value) if isinstance(value, dt.datetime) else value}"
        for name, value in given.items()
        if value is not None
    )


@operations.command(epilog=examples("v7 operations show 7", "v7 operations show 7 --json | jq .done"))
@json_option
@click.argument("operation_id", metavar="ID", type=ID)
@settings_options(*DATABASE)
def show(settings: Settings, as_json: bool, operation_id: int) -> None:
    """One operation."""
    with reading(settings) as connection:
        row = listing.operation(connection, operation_id)
    if row is None:
        raise no_operation(operation_id)
    if as_json:
        document(row)
        return
    for label, says in facts(row):
        click.echo(f"{click.style(label.ljust(12), bold=True)} {plain(says)}")


def facts(row: OperationRow) -> list[tuple[str, str]]:
    known = [
        ("operation", str(row.id)),
        ("status", row.status),
        ("act", row.act),
        ("given", words(listing.Given(priority=row.priority, run_at=row.run_at))),
        ("jobs", words(row.filter) or "all"),
        ("who", f"{row.who}, by {row.through}"),
        ("done", number(row.done)),
        ("skipped", number(row.skipped)),
        ("held", f"{number(row.held)}, by another transaction" if row.held else ""),
        ("seen", f"up to job {row.seen_id}, of up to {row.last_id}"),
        ("carried by", row.carried_by or ""),
        ("error", row.error or ""),
    ]
    times = [("asked", row.created_at), ("started", row.started_at), ("finished", row.finished_at)]
    known += [(label, clock(time)) for label, time in times if time is not None]
    return [(label, says) for label, says in known if says]


@operations.command(epilog=examples("v7 operations stop 7", "v7 operations stop 7 --json | jq .done"))
@json_option
@click.argument("operation_id", metavar="ID", type=ID)
@settings_options(*DATABASE)
def stop(settings: Settings, as_json: bool, operation_id: int) -> None:
    """End an operation where it stands. What it did stays done."""

    async def step(url: str) -> queue.Operation | None:
        async with await database.connect(url) as connection:
            if (stopped := await queue.stop_operation(connection, operation_id, hand())) is not None:
                return stopped
            now = await queue.operation(connection, operation_id)
        if now is None:
            raise no_operation(operation_id)
        raise V7Error(f"Operation {operation_id} is {now.status} already.")

    with checked(settings) as place:
        stopped = asyncio.run(step(place.url))
    assert stopped is not None
    if as_json:
        document({"operation": stopped.id, "status": stopped.status, "done": stopped.done})
    else:
        click.echo(f"Operation {stopped.id} is stopped. It was done with {number(stopped.done)} until then.")


def no_operation(operation_id: int) -> V7Error:
    return V7Error(f"There is no operation {operation_id}: v7 operations list shows those that there are.")


@click.command(epilog=examples("v7 audit", "v7 audit --job 42", "v7 audit --json | jq '.acts[] | [.at, .who, .act]'"))
@click.option("--job", "job_id", type=ID, metavar="ID", help="Only what was done with this job alone.")
@click.option("--after", type=ID, metavar="ID", help="Go on after this act.")
@limit_option
@json_option
@settings_options(*DATABASE)
def audit(settings: Settings, job_id: int | None, after: int | None, limit: int, as_json: bool) -> None:
    """What people did, by command line or API, the last first."""
    with reading(settings) as connection:
        page = listing.acts_page(connection, job_id=job_id, after=after, limit=limit)
    if as_json:
        document(page)
        return
    if not page.acts:
        click.echo("Nothing was done.")
        return
    columns = [Column("ID", right=True), Column("AT"), Column("WHO"), Column("BY"), Column("ACT")]
    table([*columns, Column("JOBS", right=True), Column("WITH", grows=True)], [told(each) for each in page.acts])
    if page.next_after is not None:
        click.echo(f"… and more: the same with --after {page.next_after}")


def told(row: ActRow) -> list[str]:
    targets = [("job", row.job_id), ("type", row.event_type_id), ("operation", row.operation_id)]
    said = [f"{name} {number}" for name, number in targets if number is not None]
    said += [words(each) for each in (row.filter, row.given) if each is not None and words(each)]
    jobs = "" if row.jobs is None else number(row.jobs)
    return [str(row.id), clock(row.at), row.who, row.through, row.act, jobs, ", ".join(said)]
