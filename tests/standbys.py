"""Real servers with real standbys, each in a folder of its own, for tests of what they promise together."""

import asyncio
import contextlib
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import TypeVar

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .faults.cluster import Cluster, migrated
from .nodes import wait_until

Answer = TypeVar("Answer")
COLUMNS = "event_type_id, user_id, priority, event_data, queued_at"
SYNCING = "select pid from pg_stat_activity where wait_event = 'SyncRep'"


@contextlib.contextmanager
def primary(folder: Path, **settings: str) -> Iterator[Cluster]:
    """A migrated server."""
    with migrated(folder, settings) as server:
        yield server


@contextlib.contextmanager
def standby(of: Cluster, folder: Path, name: str) -> Iterator[Cluster]:
    """A standby that has all that its primary has by now."""
    with contextlib.closing(of.standby(folder, name)) as server:
        wait_until(
            lambda: value(server, "select count(*) from pg_stat_wal_receiver where status = 'streaming'"), "it streams"
        )
        catch_up(server, of)
        yield server


def value(server: Cluster, query: str) -> object:
    [(found,)] = server.sql(query)
    return found


def set_up(server: Cluster, **settings: str) -> None:
    """Change settings of a running server, by a reload that its new sessions have seen."""
    for name, setting in settings.items():
        server.sql(f"alter system set {name} = '{setting}'")
    server.sql("select pg_reload_conf()")
    wait_until(
        lambda: all(value(server, f"show {name}") == setting for name, setting in settings.items()),
        f"it has {settings}",
    )


def catch_up(server: Cluster, of: Cluster) -> None:
    """Until a standby has replayed all that its primary has written."""
    written = value(of, "select pg_current_wal_insert_lsn()")
    wait_until(lambda: value(server, f"select pg_last_wal_replay_lsn() >= '{written}'"), "the standby has replayed it")


def cut_off(server: Cluster) -> None:
    """A standby hears no more of its primary. To pause its replay would not do: a promotion replays what it got."""
    set_up(server, primary_conninfo="")
    wait_until(lambda: value(server, "select count(*) from pg_stat_wal_receiver") == 0, "it receives nothing")


def either(*servers: Cluster) -> str:
    """The address of whichever of them is the primary."""
    where = [conninfo_to_dict(server.url) for server in servers]
    hosts, ports = (",".join(str(each[name]) for each in where) for name in ("host", "port"))
    return make_conninfo("", host=hosts, port=ports, user=where[0]["user"], dbname=where[0]["dbname"])


@contextlib.contextmanager
def lonely(folder: Path) -> Iterator[Cluster]:
    """A server whose standby does not exist, so that each commit waits without end, with three jobs, the last dead.

    Its role hides warnings, which sessions of ours must not."""
    with primary(folder, fsync="off", synchronous_standby_names="nobody", synchronous_commit="local") as server:
        server.sql("alter role postgres set client_min_messages = 'error'")
        server.sql(f"insert into v7.jobs ({COLUMNS}) select 5, 1, 1, '{{}}', now() from generate_series(1, 3)")
        server.sql("update v7.jobs set status = 'dead', dead_at = now(), dead_reason = 'x' where id = 3")
        server.sql("alter role postgres set synchronous_commit = 'on'")
        yield server


async def unconfirmed(server: Cluster, doing: Awaitable[Answer]) -> Answer:
    """What comes of it where somebody cancels its wait for the standby: for Postgres its commit is a success then."""
    task = asyncio.ensure_future(doing)
    while not (waiting := await asyncio.to_thread(server.sql, SYNCING)):
        assert not task.done(), f"it waits for no standby: {task}"
        await asyncio.sleep(0.01)
    await asyncio.to_thread(server.sql, "select pg_cancel_backend(%s)", *waiting[0])
    return await task
