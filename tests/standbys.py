"""Real servers with real standbys, each in a folder of its own, for tests of what they promise together."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from v7_task_processor import database, embedded
from v7_task_processor.embedded import Server

from .nodes import wait_until


@contextlib.contextmanager
def primary(folder: Path, **settings: str) -> Iterator[Server]:
    """A migrated server."""
    with embedded.start(folder, settings=settings) as server:
        database.migrate(server.url)
        yield server


@contextlib.contextmanager
def standby(of: Server, folder: Path, name: str) -> Iterator[Server]:
    """A standby that has all that its primary has by now."""
    folder.mkdir()
    where = conninfo_to_dict(of.url)
    data = folder / "postgres"
    backup = ["pg_basebackup", "-D", str(data), "-h", where["host"], "-U", where["user"], "-c", "fast", "--no-sync"]
    subprocess.run([str(embedded.bin_dir() / backup[0]), *backup[1:]], check=True)
    (data / "standby.signal").touch()
    source = make_conninfo("", host=where["host"], port=where["port"], user=where["user"], application_name=name)
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write(f"primary_conninfo = '{source}'\nwal_retrieve_retry_interval = '100ms'\n")
    with embedded.start(folder) as server:
        wait_until(
            lambda: value(server, "select count(*) from pg_stat_wal_receiver where status = 'streaming'"), "it streams"
        )
        catch_up(server, of)
        yield server


def value(server: Server, query: str) -> object:
    with psycopg.connect(server.url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def set_up(server: Server, **settings: str) -> None:
    """Change settings of a running server, by a reload that its new sessions have seen."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        for name, setting in settings.items():
            connection.execute(f"alter system set {name} = '{setting}'")
        connection.execute("select pg_reload_conf()")
    for name, setting in settings.items():
        wait_until(lambda name=name, setting=setting: value(server, f"show {name}") == setting, f"{name} is {setting}")


def catch_up(server: Server, of: Server) -> None:
    """Until a standby has replayed all that its primary has written."""
    written = value(of, "select pg_current_wal_insert_lsn()")
    wait_until(lambda: value(server, f"select pg_last_wal_replay_lsn() >= '{written}'"), "the standby has replayed it")


def cut_off(server: Server) -> None:
    """A standby hears no more of its primary. To pause its replay would not do: a promotion replays what it got."""
    set_up(server, primary_conninfo="")
    wait_until(lambda: value(server, "select count(*) from pg_stat_wal_receiver") == 0, "it receives nothing")


def kill(folder: Path) -> None:
    """All processes of the server in a folder, at once."""
    pid = int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    postmaster = psutil.Process(pid)
    everyone = [postmaster, *postmaster.children(recursive=True)]
    for each in everyone:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(everyone[1:], timeout=10)


def promote(server: Server) -> None:
    assert value(server, "select pg_promote(true, 60)")


def either(*servers: Server) -> str:
    """The address of whichever of them is the primary."""
    where = [conninfo_to_dict(server.url) for server in servers]
    hosts, ports = (",".join(str(each[name]) for each in where) for name in ("host", "port"))
    return make_conninfo("", host=hosts, port=ports, user=where[0]["user"], dbname=where[0]["dbname"])
