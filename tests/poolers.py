"""A real PgBouncer before a test's database, in transaction mode."""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from v7_task_processor import _unprivileged

from .faults.cluster import free_port

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
NEEDS_PGBOUNCER = pytest.mark.skipif(PROGRAM is None, reason="no pgbouncer (Debian: package pgbouncer)")
PATIENCE_SECONDS = 20.0
SETTINGS = """
[databases]
{database} = {there}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 8
server_round_robin = 1
server_login_retry = 1
logfile = {log}
"""
# Each transaction gets another session than the one before: what leaks from one shows in the next.


class Pooler:
    """One PgBouncer; `url` reaches the database through it. Postgres' backends are eight at most."""

    def __init__(self, folder: Path, url: str, mode: str = "transaction") -> None:
        folder.mkdir()
        self.folder, self.port, self.server_url = folder, free_port(), url
        to = conninfo_to_dict(url)
        there = {name: to[name] for name in ("host", "port", "user", "dbname") if to.get(name)}
        self.url = make_conninfo("", host="127.0.0.1", port=self.port, user=to.get("user") or "v7", dbname=to["dbname"])
        self.file = folder / "pgbouncer.ini"
        shown = " ".join(f"{name}={value}" for name, value in there.items())
        log = folder / "pgbouncer.log"
        log.touch()
        self.file.write_text(SETTINGS.format(database=to["dbname"], there=shown, port=self.port, mode=mode, log=log))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Pooler":
        """It refuses to be root."""
        assert PROGRAM is not None
        prefix = _unprivileged.prefix(Path(PROGRAM), self.folder, self.folder.stat().st_uid)
        assert prefix is not None
        self.process = subprocess.Popen(
            [*prefix, PROGRAM, str(self.file)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.answers():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)
        return self

    def said(self) -> str:
        return (self.folder / "pgbouncer.log").read_text()

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """It keeps its connections, and passes nothing on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def pooled(folder: Path, url: str, mode: str = "transaction") -> Iterator[Pooler]:
    """A PgBouncer before this database, gone afterwards."""
    made = Pooler(folder, url, mode)
    try:
        yield made.start()
    finally:
        made.kill()
