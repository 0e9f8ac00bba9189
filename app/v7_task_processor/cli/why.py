"""`v7 why`: why a job does not run, in one sentence."""

import click

from .. import listing
from ..errors import V7Error
from ..settings import Settings
from ..text import plain
from .options import DATABASE, ID, examples, json_option, settings_options
from .output import document
from .place import reading


@click.command(epilog=examples("v7 why 42", "v7 why 42 --json | jq .estimate_seconds"))
@json_option
@click.argument("job_id", type=ID, metavar="ID")
@settings_options(*DATABASE)
def why(settings: Settings, as_json: bool, job_id: int) -> None:
    """Why a job does not run: what it waits for, and for how long; or where it runs, or how it ended."""
    with reading(settings) as connection:
        found = listing.why(connection, job_id)
    if found is None:
        raise V7Error(f"There is no job {job_id}: it never was, or its day was pruned.")
    if as_json:
        document(found)
    else:
        click.echo(plain(found.why))
