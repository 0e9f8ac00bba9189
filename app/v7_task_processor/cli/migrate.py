"""`v7 migrate`: the schema."""

import click

from .. import database
from ..settings import Settings
from .options import DATABASE, examples, json_option, settings_options
from .output import document
from .place import opened


@click.command(
    epilog=examples(
        "v7 migrate",
        "DATABASE_URL=postgresql://me@db.example/events v7 migrate",
        "v7 migrate --to 0010      # back, once all nodes are of a release that needs no more",
    )
)
@click.option("--to", metavar="VERSION", help="Another version, back too: what later ones added is lost then.")
@json_option
@settings_options(*DATABASE)
def migrate(settings: Settings, as_json: bool, to: str | None) -> None:
    """Make the database's schema, or bring it up to what this release needs.

    Several at once are fine: one does it, the others wait. Running nodes go on working meanwhile, and no event waits
    for more than a fifth of a second at a time.
    """
    with opened(settings, create=True) as place:
        before, after = database.migrate(place.session_url, to)
    if as_json:
        document({"before": before, "after": after})
    elif before == after:
        click.echo(f"The schema is version {after} already: nothing to do.")
    else:
        click.echo(f"The schema is version {after} now; before: {before or 'none'}.")
