"""`v7 dead redrive`: dead letters run again."""

import asyncio

import click

from .. import queue
from ..errors import V7Error
from ..queue import Order
from ..settings import Settings
from ..text import plural
from .acts import each
from .bulk import carry_out
from .options import DATABASE, examples, json_option, settings_options
from .output import document
from .place import checked
from .which import Which, which_jobs


@click.command(
    epilog=examples("v7 dead redrive 42 43", "v7 dead redrive --type 5 --error timeout", "v7 dead redrive --all --yes")
)
@json_option
@which_jobs("redrive", ())
@settings_options(*DATABASE)
def redrive(settings: Settings, which: Which, as_json: bool) -> int:
    """Queue dead letters again.

    Those of the IDs, all that filters name, or all. They go to the tail of their priority, and their failures are
    forgiven: they may fail as often as at first.
    """
    if not which.ids:
        return carry_out(settings, Order("redrive", which.chosen), which, as_json)
    with checked(settings) as place:
        did, refused = asyncio.run(each(place.url, "redrive", queue.redrive_one, which.ids))
    if as_json:
        others = sorted(job.id for job in refused if job.status != "dead")
        document({"redriven": len(did), "not_dead": others, "refused": [job._asdict() for job in refused]})
        return 1 if refused else 0
    if did:
        click.echo(f"{plural(len(did), 'dead letter')} queued again.")
    if refused:
        raise V7Error("\n".join(job.why for job in refused))
    return 0
