"""What `v7 doctor` looks at: each check says whether something holds, and what to do where it does not."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import sqlalchemy as sa

from .. import database, listing, promise
from ..errors import ConfigurationError, V7Error
from ..overview import Overview, glance
from ..server import Server, describe
from ..settings import Settings, data_path
from ..text import age, number, plural, types
from . import pooling
from .place import opened

VERSIONS = range(15, 19)
SETTINGS = [*promise.SETTINGS, "autovacuum", "track_counts"]
DAYS_AHEAD = 2
TRANSACTION_SECONDS_MAX = 600
DISK_FREE_BYTES_MIN = 1 << 30
IMPORT_SECONDS_MAX = 60
NAMED_MAX = 8
LOAD = """
import os, sys
from v7_task_processor import handlers
registry = handlers.load(sys.argv[1] or None)
print("all" if registry.catch_all else ", ".join(map(str, sorted(registry.by_type))), flush=True)
os._exit(0)  # a thread that they began is no reason to wait
"""

State = Literal["holds", "note", "fails"]


class Check(msgspec.Struct, frozen=True):
    """`note`: nothing is broken, but somebody should know."""

    name: str
    state: State
    says: str
    todo: str = ""


def examine(settings: Settings) -> Iterator[Check]:
    """All checks, one by one, as far as one gets."""
    yield handlers(settings)
    if settings.database_url is None:
        yield disk(data_path(settings))
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(opened(settings))
            server = describe(place.url, SETTINGS)
        except V7Error as error:
            yield Check("database", "fails", str(error), "Nothing else can be looked at before.")
            return
        yield Check("database", "holds", f"{server.database} on {server.host or 'localhost'} answers")
        if (between := pooling.look(settings, server)) is not None:
            yield Check("pooler", between.state, between.says, between.todo)
        yield from durability(server)
        yield worth(server)
        try:
            found = database.check(place.url)
        except ConfigurationError as error:
            yield Check("schema", "fails", str(error))
            return
        yield Check("schema", "holds", schema(found))
        connection = stack.enter_context(listing.reading(place.url))
        yield days(connection)
        yield transactions(connection)
        yield from queue(glance(connection.exec_driver_sql))


def schema(found: str | None) -> str:
    if found == database.SCHEMA_VERSION:
        return f"version {found}, as this release needs it"
    return f"version {found}, newer than the {database.SCHEMA_VERSION} of this release, which works on it"


def handlers(settings: Settings) -> Check:
    """In a process of its own: it is the user's code, and it may do anything."""
    if settings.handlers is None:
        return Check("handlers", "note", "the built-in demo, which only logs", "Name yours with V7_HANDLERS.")
    command = [sys.executable, "-P", "-c", LOAD, settings.handlers]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=IMPORT_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return Check("handlers", "fails", f"importing {settings.handlers} does not end", "See what it waits for.")
    said = done.stdout.strip().splitlines()
    if done.returncode != 0 or not said:  # it may end well, in their midst
        ended = f"importing it ends the process, with {done.returncode}"
        last = (done.stderr.strip().splitlines() or [ended])[-1]
        return Check("handlers", "fails", f"{settings.handlers}: {last.strip()}", "v7 worker shows the traceback.")
    types = said[-1]
    return Check("handlers", "holds", f"{settings.handlers} serves {'all types' if types == 'all' else types}")


def disk(folder: Path) -> Check:
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(existing).free
    says = f"{free / (1 << 30):.1f} GiB are free for {folder}"
    if free < DISK_FREE_BYTES_MIN:
        return Check("disk", "fails", says, "Make room: a Postgres whose disk is full refuses events.")
    return Check("disk", "holds", says)


def durability(server: Server) -> Iterator[Check]:
    major = server.number // 10000
    if major in VERSIONS:
        yield Check("version", "holds", f"PostgreSQL {server.version}")
    else:
        state: State = "note" if major >= VERSIONS.stop else "fails"
        yield Check("version", state, f"PostgreSQL {server.version}", "15 to 18 are supported: use one of them.")
    for name, risk in {
        "fsync": "a crash of the machine loses what was acknowledged",
        "full_page_writes": "a crash of the machine can corrupt pages",
    }.items():
        if server.settings.get(name) == "off":
            yield Check(name, "fails", f"off: {risk}", f"Set {name} = on in postgresql.conf and reload.")
        else:
            yield Check(name, "holds", "on")
    commit = server.settings.get("synchronous_commit")
    ours = "keep it" if commit in ("on", "remote_apply") else "set it on"
    says = f"{commit} by default; acknowledgements and completions {ours}"
    yield Check("synchronous_commit", "holds", says)
    if "off" in (server.settings.get("autovacuum"), server.settings.get("track_counts")):
        todo = "Set autovacuum = on and track_counts = on: the queue's table churns."
        yield Check("autovacuum", "fails", "off: the queue will bloat and get slow", todo)
    else:
        yield Check("autovacuum", "holds", "on")


def worth(server: Server) -> Check:
    """What a 200 is worth: the same sentence as at the start and in /readyz."""
    found = promise.promise(server)
    return Check("promise", found.state, found.sentence, found.todo)


def days(connection: sa.Connection) -> Check:
    missing = listing.missing_days(connection, DAYS_AHEAD)
    if missing:
        says = f"finished_jobs has no partition for {', '.join(map(str, missing))}: completions will fail"
        return Check("days", "fails", says, "A running worker makes them; by hand: select v7.add_days(14)")
    return Check("days", "holds", f"finished_jobs has partitions for today and {DAYS_AHEAD} days more")


def transactions(connection: sa.Connection) -> Check:
    oldest = listing.oldest_transaction(connection)
    if oldest is None or oldest.age_seconds < TRANSACTION_SECONDS_MAX:
        says = f"none is open for over {age(TRANSACTION_SECONDS_MAX)}"
        if listing.sees_transactions(connection):
            return Check("transactions", "holds", says)
        return Check("transactions", "note", f"{says}, as far as this user may see", "Grant pg_monitor to see all.")
    who = f"{oldest.application or 'a client'} of {oldest.user} (pid {oldest.pid}, {oldest.state})"
    says = f"{who} has one open for {age(oldest.age_seconds)}: dead rows pile up behind it"
    return Check("transactions", "note", says, f"End it if nobody needs it: select pg_terminate_backend({oldest.pid})")


def queue(found: Overview) -> Iterator[Check]:
    if found.workers:
        nodes = f"{plural(found.nodes, 'node')} with {plural(found.workers, 'worker')}"
        yield Check("workers", "holds", nodes)
    else:
        yield Check("workers", "fails", "none is running, so nothing is handled", "Start one: v7 run or v7 worker.")
    if found.nodes_lost:
        says = f"{plural(found.nodes_lost, 'node')} without a heartbeat"
        yield Check("lost nodes", "note", says, "Another node takes over their jobs: v7 workers.")
    if found.unserved and found.workers:
        says = f"jobs of {types(found.unserved, NAMED_MAX, ' and more')} wait, and no running node has a handler"
        yield Check("unserved types", "fails", says, "Start a worker whose handlers serve them.")
    elif found.workers:
        yield Check("unserved types", "holds", "none has jobs waiting")
    if found.paused:
        says = types(found.paused, NAMED_MAX, " and more")
        yield Check("paused types", "note", says, "v7 types resume ID lets them run.")
    if dead := found.jobs.dead:
        says = number(dead, at_least="dead" in found.jobs.capped)
        yield Check("dead letters", "note", says, "See them: v7 dead list. Again: v7 dead redrive.")
    else:
        yield Check("dead letters", "holds", "none")
