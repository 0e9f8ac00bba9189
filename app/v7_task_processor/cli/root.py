"""The root of the command line: which commands there are, and what becomes of errors.

A command's module is imported when the command is run: SQLAlchemy alone takes half a second.
"""

import difflib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import click

from ..errors import V7Error
from ..text import plain_lines

INTERRUPTED = 130
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Entry(NamedTuple):
    """Where a command is (`module:attribute`), and its line of help."""

    where: str
    help: str


SECTIONS = {
    "Serve": {
        "run": Entry("serve:run", "Take events in and handle them, all in one; migrates first."),
        "api": Entry("serve:api", "Only take events in."),
        "worker": Entry("serve:worker", "Only handle events."),
        "migrate": Entry("migrate:migrate", "Make the database's schema, or bring it up to date."),
    },
    "Send and look": {
        "send": Entry("send:send", "Send an event, or a file of them, to a running server."),
        "status": Entry("status:status", "Everything at a glance."),
        "jobs": Entry("jobs:jobs", "Show jobs with their whole history, and act on them."),
        "why": Entry("why:why", "Why a job does not run, in one sentence."),
        "dead": Entry("dead:dead", "List dead letters, show one, run them again."),
        "types": Entry("types:types", "List event types, pause, resume and limit them."),
        "workers": Entry("workers:workers", "Nodes and their workers, drain and resume them."),
    },
    "Operate": {
        "operations": Entry("operations:operations", "Acts on many jobs: list, show, stop them."),
        "audit": Entry("operations:audit", "What people did, when, and by what."),
        "psql": Entry("psql:psql", "Open psql on the right database."),
        "doctor": Entry("doctor:doctor", "Say whether all that must hold does, and what to do."),
        "bench": Entry("bench:bench", "Measure against the limit of plain SQL."),
    },
}
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Root(click.Group):
    """A group that knows its commands' names without importing them."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].where.partition(":")
        found = getattr(importlib.import_module(f".{module}", __package__), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(context, arguments)
        except click.UsageError as error:
            near = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]}?", context) from None

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(10), entry.help) for name, entry in section.items()])


def show_version(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        from .version import lines

        for line in lines():
            click.echo(line)
        context.exit()


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n"
    "  v7 run\n"
    '  v7 send --type 5 --user 1 \'{"hello": "world"}\'\n'
    "  v7 status\n\n"
    "Settings are flags, environment variables or lines in .env: see docs/settings.md.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Show the versions of v7, its schema and its Postgres.",
)
def v7() -> None:
    """An event processor on Postgres: durable, in priority order, nothing hidden."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0, 1 failure, 2 usage, 69 no database, 78 bad configuration."""
    open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a character is no failure
    sys.exit(run(arguments))


def open_standard_streams() -> None:
    """Point those that we were started without (`2>&-`) to nowhere: the next file or connection would get the number,
    and our log lines."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, this one
            os.set_inheritable(fd, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "r" if fd == 0 else "w", closefd=False))


def run(arguments: Sequence[str] | None) -> int:
    try:
        code = v7.main(arguments, prog_name="v7", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader left; the interpreter would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("LOG_LEVEL", "").lower() == "debug":
            traceback.print_exc()
        message, code = explained(error)
        click.echo(f"v7: {plain_lines(message)}", err=True)
        return code
    return code if isinstance(code, int) else 0


def explained(error: Exception) -> tuple[str, int]:
    """What to say of an error, and the exit code."""
    if isinstance(error, V7Error):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return f"{error.strerror}. What was being written is not whole: make room, and run it again.", 1
    if "psycopg" in sys.modules:  # else it is none of its errors
        cause = getattr(error, "orig", None) or error
        if said := said_by_database(cause):
            return said
    return f"Unexpected {type(error).__name__}: {error} (LOG_LEVEL=debug shows where)", 1


def said_by_database(cause: Exception) -> tuple[str, int] | None:
    import psycopg

    from ..observability import logs
    from ..unavailable import explained

    if isinstance(cause, psycopg.errors.QueryCanceled):
        return "The database took too long over this. Ask for less, or by --status or --type, or use v7 psql.", 1
    if isinstance(cause, psycopg.OperationalError):
        explanation = explained(cause)
        return str(explanation), explanation.exit_code
    if isinstance(cause, psycopg.Error):
        return f"The database refused: {logs.said(cause)}", 1
    return None
