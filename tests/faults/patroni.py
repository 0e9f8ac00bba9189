"""Two Postgres under Patroni, an etcd, and HAProxy before them: Debian's packages, on ports of this machine.

All that a Postgres and its Patroni hear and say to others passes through proxies of their own, so that either can be
cut off. It is PostgreSQL 15: Debian's Patroni knows no newer one.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg
import pytest

from v7_task_processor import _unprivileged, database

from ..nodes import wait_until
from .cluster import free_port, sql
from .proxy import Proxy

BIN = Path("/usr/lib/postgresql/15/bin")
PROGRAMS = ("patroni", "etcd", "haproxy")
PATH = "/usr/sbin:/usr/bin:/usr/local/bin"
TTL_SECONDS, LOOP_SECONDS, RETRY_SECONDS = 10, 2, 3
MISSING = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
NEEDS_PATRONI = pytest.mark.skipif(
    bool(MISSING) or not BIN.exists(),
    reason=f"not installed (Debian: patroni, etcd-server, haproxy, postgresql-15): {MISSING or BIN}",
)
HAPROXY = """
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
frontend primary
  bind 127.0.0.1:{port}
  default_backend servers
backend servers
  option httpchk GET /primary
  default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


def program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    assert found is not None
    return found


class Member:
    """One Postgres with its Patroni. `url` is the server itself; `by_others` and `etcd` can be cut."""

    def __init__(self, folder: Path, name: str, etcd_port: int) -> None:
        self.name, self.folder = name, folder / name
        self.folder.mkdir()
        self.port, self.rest_port = free_port(), free_port()
        self.log = self.folder / "patroni.log"
        self.etcd = Proxy(f"host=127.0.0.1 port={etcd_port}")
        self.by_others = Proxy(self.url)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/v7"

    def configuration(self, synchronous: bool, sockets: Path) -> dict[str, Any]:
        dcs = {
            "ttl": TTL_SECONDS,
            "loop_wait": LOOP_SECONDS,
            "retry_timeout": RETRY_SECONDS,
            "synchronous_mode": synchronous,
            "postgresql": {"use_pg_rewind": True, "parameters": {"wal_log_hints": "on", "max_connections": 100}},
        }
        hba = ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
        return {
            "scope": "v7",
            "name": self.name,
            "restapi": {"listen": f"127.0.0.1:{self.rest_port}", "connect_address": f"127.0.0.1:{self.rest_port}"},
            "etcd3": {"host": f"127.0.0.1:{self.etcd.port}"},
            "bootstrap": {"dcs": dcs, "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, {"auth": "trust"}]},
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}",
                "connect_address": f"127.0.0.1:{self.by_others.port}",
                "data_dir": str(self.folder / "data"),
                "bin_dir": str(BIN),
                "pg_hba": hba,
                "authentication": {"superuser": {"username": "postgres"}, "replication": {"username": "replicator"}},
                "parameters": {"unix_socket_directories": str(sockets), "shared_buffers": "32MB"},
            },
        }

    def start(self, synchronous: bool, sockets: Path) -> None:
        file = self.folder / "patroni.yml"
        file.write_text(json.dumps(self.configuration(synchronous, sockets)))  # which is YAML, too
        prefix = _unprivileged.prefix(BIN / "postgres", self.folder, self.folder.stat().st_uid)
        assert prefix is not None
        outside = {
            name: value for name, value in os.environ.items() if not name.startswith(("PG", "PATRONI", "PYTHON"))
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*prefix, program("patroni"), str(file)],
                env={**outside, "LC_ALL": "C", "PATH": PATH},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def is_primary(self) -> bool:
        """As HAProxy asks."""
        return self.asked("/primary") == 200

    def asked(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=2)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                return connection.getresponse().status
            except (OSError, http.client.HTTPException):
                return 0

    def tree(self) -> list[psutil.Process]:
        """Patroni and Postgres, which Patroni has as a daemon beside it."""
        found = []
        with contextlib.suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess):
            postmaster = psutil.Process(int((self.folder / "data" / "postmaster.pid").read_text().split("\n")[0]))
            found += [postmaster, *postmaster.children(recursive=True)]
        with contextlib.suppress(psutil.NoSuchProcess):
            if self.process is not None and self.process.poll() is None:
                found.insert(0, psutil.Process(self.process.pid))
        return found

    def kill(self) -> None:
        """As where its machine is lost."""
        everyone = self.tree()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for each in everyone:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.send_signal(number)
        psutil.wait_procs(everyone, timeout=30)
        if self.process is not None:
            self.process.wait(30)

    def cut_off(self) -> None:
        """Nothing passes between it and the rest, untold; who is on its side still reaches it."""
        self.etcd.stall()
        self.by_others.stall()

    def close(self) -> None:
        self.kill()
        self.etcd.close()
        self.by_others.close()


class Pair:
    """The whole of it. To a Lab it is a cluster: `url` is HAProxy's address, `sql` asks whoever is the primary."""

    def __init__(self, folder: Path, synchronous: bool) -> None:
        folder.mkdir()
        self.folder, self.synchronous = folder, synchronous
        self.sockets = Path(tempfile.mkdtemp(prefix="v7-"))
        self.sockets.chmod(0o777)
        self.etcd_port, self.port = free_port(), free_port()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.members: list[Member] = []

    def __enter__(self) -> Self:
        self.start_etcd()
        self.members = [Member(self.folder, name, self.etcd_port) for name in ("a", "b")]
        first, second = self.members
        first.start(self.synchronous, self.sockets)
        wait_until(first.is_primary, "the first is the primary", 90)
        second.start(self.synchronous, self.sockets)
        self.start_haproxy()
        self.wait_for_standby()
        with psycopg.connect(self.url.replace("/v7", "/postgres"), autocommit=True) as admin:
            admin.execute("create database v7")
        database.migrate(self.url)
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            member.close()
        for process in self.processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.sockets, ignore_errors=True)

    def start_etcd(self) -> None:
        here, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{free_port()}"
        flags = {
            "data-dir": self.folder / "etcd",
            "listen-client-urls": here,
            "advertise-client-urls": here,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "unsafe-no-fsync": "true",
        }
        self.run([program("etcd"), *(f"--{name}={value}" for name, value in flags.items())], "etcd.log")

    def start_haproxy(self) -> None:
        servers = "\n".join(
            f"  server {each.name} 127.0.0.1:{each.port} check port {each.rest_port}" for each in self.members
        )
        file = self.folder / "haproxy.cfg"
        file.write_text(HAPROXY.format(port=self.port, servers=servers))
        self.run([program("haproxy"), "-f", str(file), "-db"], "haproxy.log")

    def run(self, command: list[str], log: str) -> None:
        with (self.folder / log).open("wb") as output:
            self.processes.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder)
            )

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/v7"

    @property
    def socket_url(self) -> str:
        """For the tests' own looks: whichever is the primary, without HAProxy."""
        ports = ",".join(str(each.port) for each in self.members)
        hosts = ",".join(["127.0.0.1"] * len(self.members))
        return f"host={hosts} port={ports} user=postgres dbname=v7 target_session_attrs=read-write connect_timeout=3"

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return sql(self.socket_url, statement, *values)

    def primary(self) -> Member:
        (found,) = wait_until(lambda: [each for each in self.members if each.is_primary()], "there is a primary")
        assert isinstance(found, Member)
        return found

    def standby_took_over(self, old: Member) -> bool:
        """Whether another is the primary, whatever the old one believes of itself."""
        return any(each.is_primary() for each in self.members if each is not old)

    def wait_for_standby(self) -> None:
        """Until it has made its copy and follows, and would take over without a loss if it must."""
        wanted = ("sync", "quorum") if self.synchronous else ("async",)
        asked = "select sync_state from pg_stat_replication where state = 'streaming' and application_name = 'b'"
        here = self.members[0].url.replace("/v7", "/postgres")

        def connected() -> bool:
            if self.members[1].asked("/replica") != 200:
                return False
            with psycopg.connect(here) as connection:
                return any(state in wanted for (state,) in connection.execute(asked))

        wait_until(connected, "the standby is connected", 90)


@contextlib.contextmanager
def pair(folder: Path, *, synchronous: bool) -> Iterator[Pair]:
    """Two that run, migrated, gone afterwards."""
    with Pair(folder, synchronous) as made:
        yield made
