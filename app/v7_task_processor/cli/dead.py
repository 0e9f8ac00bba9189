"""`v7 dead`: the dead letters."""

import click

from .. import listing
from ..errors import V7Error
from ..listing import Filter
from ..settings import Settings
from ..text import short_age
from .options import DATABASE, ID, NUMBER, examples, json_option, limit_option, settings_options
from .output import detail_document, document, job_document
from .place import reading
from .redrive import redrive
from .story import tell
from .table import Column, table

EVENT_CHARS_SHOWN = 200


@click.group(epilog=examples("v7 dead list", "v7 dead show 42", "v7 dead redrive --type 5"))
def dead() -> None:
    """Dead letters: jobs that failed for good, with the reason. They stay until you run them again."""


@dead.command(
    "list", epilog=examples("v7 dead list", "v7 dead list --type 5 --limit 100", "v7 dead list --json | jq .jobs[].id")
)
@click.option("--type", "event_type_id", type=NUMBER, metavar="NUMBER", help="Only of this event type.")
@click.option("--after", type=ID, metavar="ID", help="Go on after this one.")
@limit_option
@json_option
@settings_options(*DATABASE)
def list_dead(settings: Settings, event_type_id: int | None, after: int | None, limit: int, as_json: bool) -> None:
    """Dead letters, the last that died first."""
    with reading(settings) as connection:
        moment = listing.now(connection)
        chars = None if as_json else EVENT_CHARS_SHOWN
        which = Filter(event_type_id=event_type_id)
        page = listing.dead_page(connection, which, after=after, limit=limit, event_chars_max=chars)
        last = listing.last_failures(connection, [job.id for job in page.jobs]) if as_json else {}
    if as_json:
        documents = [{**job_document(job), "failure": last.get(job.id)} for job in page.jobs]
        document({"jobs": documents, "next_after": page.next_after})
        return
    if not page.jobs and page.next_after is None:
        click.echo("No dead letters." if event_type_id is None and after is None else "No such dead letters.")
        return
    columns = [
        Column("ID", right=True),
        Column("TYPE", right=True),
        Column("USER", right=True),
        Column("DIED", right=True),
        Column("FAILED", right=True),
        Column("WHY", grows=True),
    ]
    rows = [
        [
            str(job.id),
            str(job.event_type_id),
            str(job.user_id),
            short_age(max(0.0, (moment - job.dead_at).total_seconds())) if job.dead_at else "",
            str(job.retry_count),
            job.last_error or job.dead_reason or "",
        ]
        for job in page.jobs
    ]
    if rows:
        table(columns, rows)
    else:
        click.echo(f"None among the {listing.LOOKED_MAX:,} that were looked at.")
    if page.next_after is not None:
        click.echo(f"… and more: the same with --after {page.next_after}")


@dead.command(epilog=examples("v7 dead show 42", "v7 dead show 42 --json | jq .failures"))
@json_option
@click.argument("job_id", type=ID, metavar="ID")
@settings_options(*DATABASE)
def show(settings: Settings, as_json: bool, job_id: int) -> None:
    """One dead letter, with its event and its last failures."""
    with reading(settings) as connection:
        found = listing.detail(connection, job_id)
    if found is None or found.job.status != "dead":
        now = f"it is {found.job.status}; see v7 jobs show {job_id}" if found else "there is no such job"
        raise V7Error(f"Job {job_id} is not among the dead letters: {now}.")
    if as_json:
        document(detail_document(found))
    else:
        tell(found)


dead.add_command(redrive)
