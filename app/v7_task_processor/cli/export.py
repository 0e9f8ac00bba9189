"""`v7 jobs export`: jobs as lines of JSON, for an archive or another program."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from .. import listing
from ..job import FINISHED, LIVE
from ..listing import Filter, JobRow, Page
from ..settings import Settings
from ..text import plural
from .options import DATABASE, examples, settings_options
from .place import checked
from .which import Time, filter_options

PAGE, PAGE_MAX = 50, 500
PAGE_BYTES_MAX = 4 * 2**20
"""Of the events of a page; then the next one is smaller."""
EPOCH = "1970-01-01T00:00:00+00:00"


@click.command(
    epilog=examples(
        "v7 jobs export --finished --finished-until 2030-02-01 --output january.ndjson",
        "v7 jobs export --status dead --type 5 | jq -c '[.id, .last_error]'",
    )
)
@click.option("--status", type=click.Choice([*LIVE, *FINISHED]), help="Only these.")
@filter_options
@click.option("--finished", is_flag=True, help="Only what succeeded or was cancelled.")
@click.option("--finished-from", type=Time(), help="Only finished then or later.")
@click.option("--finished-until", type=Time(), help="Only finished before then.")
@click.option("--output", "name", metavar="FILE", help="Write to a file, which has its name only when it is whole.")
@settings_options(*DATABASE)
def export(settings: Settings, finished: bool, status: str | None, name: str | None, **filters: Any) -> None:
    """Write jobs as NDJSON, the newest first.

    A line for each, with its event as it was sent. It reads page by page, so it takes little memory, holds nothing up,
    and shows each job as it is when its turn comes.
    """
    if finished and status in LIVE:
        raise click.UsageError(f"--finished exports what has ended, so --status {status} finds nothing.")
    if finished and filters["finished_from"] is None:
        filters["finished_from"] = Time().convert(EPOCH, None, None)
    which = Filter(status=status, **filters)
    count = 0
    with checked(settings) as place, opened(name) as file:
        for jobs in pages(place.url, settings, which):
            file.write(b"".join(map(line, jobs)))
            count += len(jobs)
            if sys.stderr.isatty():
                click.echo(f"\r{plural(count, 'job')}", err=True, nl=False)
    if sys.stderr.isatty():
        click.echo(err=True)
    if name is not None:
        click.echo(f"{plural(count, 'job')} exported to {name}.")


def pages(url: str, settings: Settings, which: Filter) -> Iterator[list[JobRow]]:
    """All such jobs, each page in a transaction of its own: one for all would keep vacuum from all tables."""
    limit, after = PAGE, None
    while True:
        with listing.reading(url, redact=settings.redacted) as connection:
            page: Page = listing.jobs_page(connection, which, after=after, limit=limit)
        yield page.jobs
        if page.next_after is None:
            return
        after = page.next_after
        large = sum(len(job.event_json) for job in page.jobs) > PAGE_BYTES_MAX
        limit = max(1, limit // 4) if large else min(PAGE_MAX, 2 * limit)


def line(job: JobRow) -> bytes:
    """A job as JSON on one line. A line break in an event can only stand between its parts."""
    fields = msgspec.structs.asdict(job)
    event = fields.pop("event_json").replace("\n", " ").replace("\r", " ")
    return msgspec.json.encode({**fields, "event_data": msgspec.Raw(event.encode())}) + b"\n"


@contextlib.contextmanager
def opened(name: str | None) -> Iterator[IO[bytes]]:
    """Standard output; or a file that gets its name at the end, so that one which was cut is not taken for whole. What
    is there and is no file (/dev/null, a pipe) is written to: to give its name to a file would take it away. A link
    stays too, /dev/stdout for one: the file gets the name that it leads to."""
    if name is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(name)
    is_file = target.is_file() or not target.exists()
    if is_file:
        target = Path(os.path.realpath(name))
    part = Path(f"{target}.part") if is_file else target
    try:
        file = part.open("wb")
    except OSError as error:
        raise click.BadParameter(f"{part} cannot be written: {error.strerror}.", param_hint="--output") from None
    with file:
        yield file
        file.flush()
        if is_file:
            os.fsync(file.fileno())
    if is_file:
        part.replace(target)
