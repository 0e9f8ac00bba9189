"""`v7 jobs`: list them, show one; what people do with one is in `acts.py`."""

import datetime as dt
from typing import Any

import click

from .. import listing
from ..errors import V7Error
from ..job import FINISHED, LIVE
from ..listing import Filter, JobRow, Page
from ..settings import Settings
from ..text import short_age
from .acts import ACTS
from .export import export
from .options import DATABASE, ID, examples, json_option, limit_option, settings_options
from .output import detail_document, document, job_document
from .place import reading
from .story import tell
from .table import Column, table
from .which import Time, filter_options

EVENT_CHARS_SHOWN = 200


@click.group(epilog=examples("v7 jobs list --status running", "v7 jobs show 42", "v7 jobs cancel 42"))
def jobs() -> None:
    """Jobs: each is an event and its life in the queue."""


@jobs.command(
    "list",
    epilog=examples(
        "v7 jobs list",
        "v7 jobs list --order queue --type 5",
        "v7 jobs list --status dead --error timeout --created-from 2030-01-31",
        "v7 jobs list --status dead --user 7 --limit 100 --json",
    ),
)
@click.option("--status", type=click.Choice([*LIVE, *FINISHED]), help="Only these.")
@filter_options
@click.option("--finished-from", type=Time(), help="Only finished then or later.")
@click.option("--finished-until", type=Time(), help="Only finished before then.")
@click.option(
    "--order",
    type=click.Choice(["newest", "queue"]),
    default="newest",
    show_default=True,
    help="queue: what is queued, the next first.",
)
@click.option("--after", type=ID, metavar="ID", help="Go on after this job.")
@limit_option
@json_option
@settings_options(*DATABASE)
def list_jobs(
    settings: Settings, order: str, after: int | None, limit: int, as_json: bool, status: str | None, **filters: Any
) -> None:
    """Jobs of any status, finished ones too, the newest first."""
    if order == "queue" and status not in (None, "queued"):
        raise click.UsageError(f"--order queue lists what is queued, so --status {status} finds nothing.")
    which = Filter(status=status, **filters)
    with reading(settings) as connection:
        moment = listing.now(connection)
        chars = None if as_json else EVENT_CHARS_SHOWN
        page = listing.listed_page(connection, which, order, after=after, limit=limit, event_chars_max=chars)
    if as_json:
        document({"jobs": [job_document(job) for job in page.jobs], "next_after": page.next_after})
    elif not page.jobs and page.next_after is None:
        click.echo("No such jobs." if which != Filter() or after is not None else "No jobs yet.")
    else:
        print_page(page, moment)


def print_page(page: Page, moment: dt.datetime) -> None:
    columns = [
        Column("ID", right=True),
        Column("STATUS"),
        Column("TYPE", right=True),
        Column("USER", right=True),
        Column("PRIORITY", right=True),
        Column("FAILED", right=True),
        Column("AGE", right=True),
        Column("EVENT", grows=True),
    ]
    if page.jobs:
        table(columns, [cells(job, moment) for job in page.jobs])
    else:
        click.echo(f"None among the {listing.LOOKED_MAX:,} that were looked at.")
    if page.next_after is not None:
        click.echo(f"… and more: the same with --after {page.next_after}")


def cells(job: JobRow, moment: dt.datetime) -> list[str]:
    return [
        str(job.id),
        job.status,
        str(job.event_type_id),
        str(job.user_id),
        str(job.priority),
        failed(job),
        short_age(max(0.0, (moment - job.created_at).total_seconds())),
        job.event_json,
    ]


def failed(job: JobRow) -> str:
    """How many failures were charged, of how many that make it dead."""
    return f"{job.retry_count}" if job.max_retries is None else f"{job.retry_count}/{job.max_retries}"


@jobs.command(epilog=examples("v7 jobs show 42", "v7 jobs show 42 --json | jq .event_data"))
@json_option
@click.argument("job_id", type=ID, metavar="ID")
@settings_options(*DATABASE)
def show(settings: Settings, as_json: bool, job_id: int) -> None:
    """One job, finished or not, with its event and failures."""
    with reading(settings) as connection:
        found = listing.detail(connection, job_id)
    if found is None:
        raise V7Error(f"There is no job {job_id}: it never was, or its day was pruned.")
    if as_json:
        document(detail_document(found))
    else:
        tell(found)


for act in (*ACTS, export):
    jobs.add_command(act)
