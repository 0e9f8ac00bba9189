"""The first screen: what runs, where, what an acknowledgement is worth, what to do next."""

import os
import shutil
import sys
from pathlib import Path

import click

from .. import __version__
from ..keys import is_loopback
from ..promise import promise
from ..server import Server
from ..settings import Settings, data_path
from ..text import plain, plural
from .pooling import Pooling

EVENT = '{"event_type_id": 1, "user_id": 1, "priority": 1, "event_data": {"hello": "world"}}'


def lines(
    settings: Settings, server: Server, between: Pooling | None = None, *, embedded: bool, address: str, workers: bool
) -> list[str]:
    """At most nine, and one more where anyone may send."""
    role = f"serves on {click.style(address, bold=True)}" if address else "works"
    shown = [
        f"{click.style('v7', bold=True)} {__version__} {role}",
        line("database", where(settings, server, embedded)),
    ]
    if between is not None:
        shown.append(line("pooler", between.says))
    if workers:
        shown.append(line("handlers", handlers(settings)))
        shown.append(line("workers", pace(settings)))
    if address:
        shown.append(line("promise", worth(server)))
        if says := warning(settings):
            shown.append(line("keys", click.style(says, fg="yellow")))
        shown.append(line("send", f"curl {reachable(address)}/api/event/v1{headers(settings)} -d '{EVENT}'"))
    shown.append(line("look", look(settings, address)))
    shown.append(line("stop", "Ctrl-C: what runs is finished, what waits is kept"))
    return shown


def look(settings: Settings, address: str) -> str:
    commands = f"{program()} status (or jobs list, dead list, psql, doctor)"
    if not address:
        return commands
    if not (is_loopback(settings.host) or settings.keys.any_may("read")):
        return f"{commands}; with V7_ADMIN_TOKEN set also at /dashboard"
    return f"{click.style(f'{reachable(address)}/dashboard', bold=True)} or {commands}"


def line(label: str, says: str) -> str:
    return f"  {click.style(label.ljust(9), dim=True)} {says}"


def where(settings: Settings, server: Server, embedded: bool) -> str:
    if embedded:
        return f"embedded PostgreSQL {server.version} in {plain(str(data_path(settings)))}"
    return f"PostgreSQL {server.version}, {plain(server.database)} on {plain(server.host)}"


def handlers(settings: Settings) -> str:
    if settings.handlers is None:
        return "the built-in demo: it logs each event; V7_HANDLERS names yours"
    return plain(settings.handlers)


def pace(settings: Settings) -> str:
    return f"{plural(settings.worker_processes, 'process', 'processes')}, {settings.concurrency} at once in each"


def worth(server: Server) -> str:
    """What an answer of 200 is worth here."""
    found = promise(server)
    says = plain(found.introduced())
    return click.style(says, fg="yellow") if found.state == "fails" else says


def warning(settings: Settings) -> str | None:
    """What others than programs on this machine may do without a key; None: nothing."""
    if settings.api_keys is not None or is_loopback(settings.host):
        return None
    metrics = "" if settings.keys.any_may("read") else " and read /metrics"
    return f"anyone who reaches this address can send events{metrics}, since V7_API_KEYS is not set"


def headers(settings: Settings) -> str:
    key = " -H 'Authorization: Bearer …'" if settings.api_keys else ""
    return f"{key} -H 'Content-Type: application/json'"


def reachable(address: str) -> str:
    """An address that listens everywhere, as one that a client can ask."""
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def program() -> str:
    """How this program is called from here, to be copied."""
    called = Path(sys.argv[0])
    found = shutil.which("v7")
    if called.name != "v7" or (found and os.path.realpath(found) == os.path.realpath(called)):
        return "v7"
    return os.path.relpath(called) if called.is_relative_to(Path.cwd()) else str(called)
