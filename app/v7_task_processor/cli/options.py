"""Flags that several commands take, and the examples below their help."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from .. import settings as configuration
from ..errors import ConfigurationError

Function = TypeVar("Function", bound=Callable[..., Any])

FLAGS = {
    "database_url": ("URL", "The Postgres to use; without one the embedded one."),
    "data_dir": ("FOLDER", "Where the embedded Postgres keeps its data."),
    "host": ("ADDRESS", "Where to listen."),
    "port": ("NUMBER", "The port to listen on; 0 takes a free one."),
    "handlers": ("MODULE|FILE", "Your handlers: a module's name or a file's path."),
    "types": ("TYPES", "Only these event types, by commas, of those that the handlers serve."),
    "api_processes": ("NUMBER", "Processes that take events in."),
    "worker_processes": ("NUMBER", "Processes that run handlers."),
    "concurrency": ("NUMBER", "Attempts at once in each of them."),
    "log_level": ("LEVEL", "debug, info, warning or error."),
    "log_format": ("FORMAT", "console or json."),
}
DATABASE = ("database_url", "data_dir")
LISTEN = ("host", "port", "api_processes")
WORK = ("handlers", "types", "worker_processes", "concurrency")
LOGS = ("log_level", "log_format")


def settings_options(*fields: str, **helps: str) -> Callable[[Function], Callable[..., Any]]:
    """Flags for these fields of Settings. The command gets the Settings they make as its first argument."""

    def decorate(function: Function) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(*arguments: Any, **options: Any) -> Any:
            flags = {field: options.pop(field) for field in fields}
            return function(configuration.load(flags), *arguments, **options)

        for field in reversed(fields):
            metavar, says = FLAGS[field]
            says = helps.get(field, says)
            variable = next(name for name, each in configuration.ENVIRONMENT.items() if each == field)
            option = click.option(
                f"--{field.replace('_', '-')}",
                field,
                metavar=metavar,
                help=f"{says} [{variable}]",
                callback=functools.partial(checked, field),
            )
            command = option(command)
        return command

    return decorate


def checked(field: str, _context: click.Context, _parameter: click.Parameter, value: str | None) -> object:
    """A flag that does not fit is a mistake in the command, not in the configuration."""
    if value is None:
        return None
    try:
        return configuration.checked(field, value)
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from None


class Bigint(click.types.IntParamType):
    """A whole number as Postgres has it. Unlike click.IntRange it says its range only to who missed it: the help would
    have a line of digits for each."""

    def __init__(self, least: int) -> None:
        self.range = click.IntRange(least, 2**63 - 1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return self.range.convert(value, param, ctx)


NUMBER = Bigint(-(2**63))
"""An event type, a user or a priority."""
ID = Bigint(1)
"""Of a job, an operation or an act."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
limit_option = click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, metavar="NUMBER", help="How many."
)


def examples(*lines: str) -> str:
    """An epilog that click does not wrap."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
