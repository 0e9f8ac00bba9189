"""`v7 migrate`: the schema."""

import click

from .. import __version__, database, migration, overview
from ..errors import V7Error
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
@click.option("--yes", is_flag=True, help="Go back under nodes of this release, too.")
@json_option
@settings_options(*DATABASE)
def migrate(settings: Settings, as_json: bool, to: str | None, yes: bool) -> None:
    """Make the database's schema, or bring it up to what this release needs.

    Several at once are fine: one does it, the others wait. Running nodes go on working meanwhile, and no event waits
    for more than a fifth of a second at a time.
    """
    with opened(settings, create=True) as place:
        if to is not None and not yes:
            refuse_under_nodes(place.session_url, to)
        before, after = database.migrate(place.session_url, to)
    if as_json:
        document({"before": before, "after": after})
    elif before == after:
        click.echo(f"The schema is version {after} already: nothing to do.")
    else:
        click.echo(f"The schema is version {after} now; before: {before or 'none'}.")


def refuse_under_nodes(url: str, to: str) -> None:
    """Raises V7Error where the schema would go back while nodes of this release live: it may be what they need."""
    with database.connect_to_wait(url) as connection:
        if database.schema_version(connection) != database.SCHEMA_VERSION:
            return
    if to >= database.SCHEMA_VERSION or to not in migration.versions():
        return
    with overview.seeing(url) as ask:
        names = [node.name for node in overview.nodes(ask) if node.alive and node.version == __version__]
    if names:
        raise V7Error(
            f"Nodes of this release are at work ({', '.join(names)}), and might not be with version {to} of the "
            "schema; what later ones added is lost, rows too. Stop them first, or say --yes."
        )
