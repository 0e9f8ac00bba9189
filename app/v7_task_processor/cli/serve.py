"""`v7 run`, `v7 api` and `v7 worker`: a node, in the foreground, until a signal ends it."""

import contextlib
import functools
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

import click

from .. import promise
from ..errors import ConfigurationError, DatabaseUnavailable
from ..server import describe
from ..settings import Settings, data_path
from ..unavailable import STANDBY_ONLY
from . import banner, pooling
from .options import DATABASE, LISTEN, LOGS, WORK, examples, settings_options
from .place import Place, checked, ensure_schema, opened

Command = Callable[[Settings], int]


def ends_quietly(command: Command) -> Command:
    """Until the supervisor listens to signals, one of them ends the start, in order: as process 1 of a container
    we would not even hear SIGTERM otherwise."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    @functools.wraps(command)
    def ended(settings: Settings) -> int:
        told = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) != signal.SIG_IGN]
        before = {number: signal.signal(number, end) for number in told}
        try:
            return command(settings)
        except KeyboardInterrupt:
            return 0
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    return ended


@click.command(
    epilog=examples(
        "v7 run",
        "v7 run --handlers handlers.py --port 8000",
        "DATABASE_URL=postgresql://me@db.example/events v7 run --worker-processes 4",
    )
)
@settings_options(*DATABASE, *LISTEN, *WORK, *LOGS)
@ends_quietly
def run(settings: Settings) -> int:
    """Take events in and handle them.

    Without DATABASE_URL it starts a Postgres of its own and keeps the data in .v7. It brings the schema up to date
    first. Ctrl-C or SIGTERM: it finishes what runs, gives back the rest, and loses nothing.
    """
    with contextlib.ExitStack() as stack:
        if settings.database_url is None:
            from .. import embedded

            folder = data_path(settings)
            stack.enter_context(embedded.lock_run(folder))
            if not (folder / "postgres").exists():
                say(f"Making a Postgres in {folder}, once …")
        place = stack.enter_context(opened(settings, create=True))
        ensure_schema(place.session_url)
        return serve(settings, place, api=True, workers=True)


@click.command(
    epilog=examples(
        "v7 api --host 0.0.0.0",
        "DATABASE_URL=postgresql://me@db.example/events v7 api --api-processes 2",
    )
)
@settings_options(*DATABASE, *LISTEN, *LOGS)
@ends_quietly
def api(settings: Settings) -> int:
    """Only take events in, and leave them to workers elsewhere. Needs the schema: v7 migrate."""
    with checked(settings) as place:
        return serve(settings, place, api=True, workers=False)


@click.command(
    epilog=examples(
        "v7 worker --handlers handlers.py",
        "v7 worker --handlers handlers.py --types 1,2,5",
        "DATABASE_URL=postgresql://me@db.example/events v7 worker --handlers shop.handlers --concurrency 50",
    )
)
@settings_options(*DATABASE, *WORK, *LOGS)
@ends_quietly
def worker(settings: Settings) -> int:
    """Only handle events. Needs the schema: v7 migrate."""
    with checked(settings) as place:
        return serve(settings, place, api=False, workers=True)


def serve(settings: Settings, place: Place, *, api: bool, workers: bool) -> int:
    from ..observability import logs
    from ..worker.supervisor import supervise

    server = describe(place.url, promise.SETTINGS)
    if server.is_standby:
        raise DatabaseUnavailable(STANDBY_ONLY)
    between = pooling.look(settings, server)
    if between is not None and between.state == "fails":
        raise ConfigurationError(f"{between.says} {between.todo}")
    lines = functools.partial(banner.lines, settings, server, between, embedded=place.server is not None)
    return supervise(
        settings,
        url=place.url,
        api=api,
        workers=workers,
        server=place.server,
        on_ready=lambda address: logs.say(screen(lines(address=address, workers=workers))),
    )


def screen(lines: list[str]) -> str:
    """As text; in a file, or under a service manager, without what makes a terminal write bold."""
    text = "\n".join(lines)
    return text if sys.stderr.isatty() else click.unstyle(text)


def say(line: str) -> None:
    """Tell people. Where nobody can hear it (a full disk, a reader that left) nothing is wrong with the node."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), f"{line}\n".encode("utf-8", "backslashreplace"))
