"""A durable Postgres of a test's own, that can be stopped, killed, frozen, promoted and given another clock."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import psycopg

from v7_task_processor import _unprivileged, database, embedded

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "lc_messages": "C",
    "log_checkpoints": "off",
    "client_connection_check_interval": "2s",
}
PATIENCE_SECONDS = 60.0


def free_port() -> int:
    """One that nobody has, of those below what the kernel gives to whoever asks for any: so that no connection takes it
    before its server does, or while that is started again."""
    while True:
        port = 12_000 + secrets.randbelow(18_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def sql(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


class Cluster:
    """One server on one data folder; `url` reaches its database `v7` over TCP, `socket_url` by its socket."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data, self.log = folder / "data", folder / "postgres.log"
        self.port = free_port()
        self.sockets = Path(tempfile.mkdtemp(prefix="v7-"))  # a socket's path is short
        self.settings = {**SETTINGS, **(settings or {})}
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.bin = embedded.bin_dir()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/v7"

    @property
    def socket_url(self) -> str:
        return f"postgresql://postgres@/v7?host={self.sockets}&port={self.port}"

    def program(self, name: str) -> list[str]:
        owner = self.data.stat().st_uid if self.data.exists() else os.geteuid()
        prefix = _unprivileged.prefix(self.bin / "postgres", self.data.parent, owner)
        assert prefix is not None
        return [*prefix, str(self.bin / name)]

    def make(self, *options: str) -> None:
        """A new data folder; it is stopped."""
        initdb = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        made = [*self.program("initdb"), "-D", str(self.data), "--no-sync", *initdb, *options]
        subprocess.run(made, check=True, capture_output=True)
        with (self.data / "pg_hba.conf").open("a") as hba:
            hba.write("host replication all 127.0.0.1/32 trust\n")

    def start(self, wait: bool = True) -> "Cluster":
        settings = {**self.settings, "port": str(self.port), "unix_socket_directories": str(self.sockets)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # After a kill the pid in these may be another process by now, and Postgres would give up.
        for stale in (self.data / "postmaster.pid", self.sockets / f".s.PGSQL.{self.port}.lock"):
            stale.unlink(missing_ok=True)
        outside = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.program("postgres"), "-D", str(self.data), *options],
                env={**outside, "LC_ALL": "C", **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait()
        return self

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.answers():
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.02)

    def answers(self) -> bool:
        try:
            psycopg.connect(self.socket_url.replace("/v7?", "/postgres?"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def backends(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            children: list[psutil.Process] = psutil.Process(self.pid).children(recursive=True)
            return children
        return []

    def pids(self, query: str) -> list[int]:
        """Of the product's backends whose last statement is like this."""
        rows = self.sql("select pid from pg_stat_activity where application_name = 'v7' and query like %s", query)
        return [int(str(pid)) for (pid,) in rows]

    @contextlib.contextmanager
    def standing_still(self, *pids: int) -> Iterator[None]:
        """Backends that keep their connections, and do nothing. Woken afterwards."""
        processes = [psutil.Process(pid) for pid in pids]
        for each in processes:
            each.suspend()
        try:
            yield
        finally:
            for each in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.resume()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGTERM smart, SIGINT fast, SIGQUIT immediate."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """SIGKILL for the postmaster and all that it started, and nothing is flushed."""
        everyone = [psutil.Process(self.pid), *self.backends()]
        for each in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.suspend()
        for each in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        assert self.process is not None
        self.process.wait(PATIENCE_SECONDS)
        psutil.wait_procs(everyone, timeout=PATIENCE_SECONDS)

    def signal_all(self, number: signal.Signals) -> None:
        for each in [*self.backends(), psutil.Process(self.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(number)

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return sql(self.socket_url, statement, *values)

    def standby(self, folder: Path, name: str = "standby") -> "Cluster":
        """A standby of this server, started; it calls itself `name`."""
        folder.mkdir()
        other = Cluster(folder, self.settings)
        other.settings.pop("synchronous_standby_names", None)
        source = f"host={self.sockets} port={self.port} user=postgres"
        copied = [*self.program("pg_basebackup"), "-D", str(other.data), "-d", source, "-c", "fast", "--no-sync"]
        subprocess.run(copied, check=True, capture_output=True)
        (other.data / "standby.signal").touch()
        with (other.data / "postgresql.auto.conf").open("a") as file:  # where it can be altered
            file.write(
                f"primary_conninfo = '{source} application_name={name}'\nwal_retrieve_retry_interval = '100ms'\n"
            )
        return other.start()

    def promote(self) -> None:
        assert self.sql("select pg_promote(true, 60)") == [(True,)]

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.signal_all(signal.SIGCONT)
            self.kill()
        shutil.rmtree(self.sockets, ignore_errors=True)


@contextlib.contextmanager
def migrated(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """A new cluster that runs, with our schema in it."""
    folder.mkdir(exist_ok=True)
    with contextlib.closing(Cluster(folder, settings)) as made:
        made.make()
        made.start()
        with psycopg.connect(made.socket_url.replace("/v7?", "/postgres?"), autocommit=True) as connection:
            connection.execute("create database v7")
        database.migrate(made.socket_url)
        yield made


def make_template(folder: Path) -> Path:
    """A stopped data folder with our schema in it, to be copied: initdb and migrations take longer than most tests."""
    with migrated(folder, {"fsync": "off"}) as made:
        made.stop()
    return made.data


@contextlib.contextmanager
def cluster_from(template: Path, folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """A running cluster, gone afterwards."""
    folder.mkdir()
    with contextlib.closing(Cluster(folder, settings)) as made:
        subprocess.run(["cp", "-a", str(template), str(made.data)], check=True)
        yield made.start()
