"""The folder of an embedded Postgres: what lies where in it, who may use it, its locks, and its log."""

import contextlib
import errno
import fcntl
import hashlib
import os
import pwd
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from v7_task_processor.errors import ConfigurationError, DatabaseUnavailable

_SOCKET_PATH_BYTES_MAX = 103  # sockaddr_un on macOS; Linux has 107
_LOG_BYTES_MAX, _LOG_BYTES_KEPT, _LOG_LINES_SHOWN = 16 << 20, 1 << 20, 10
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class DataFolder:
    """Paths are absolute: Postgres runs elsewhere."""

    root: Path

    @classmethod
    def at(cls, path: Path) -> Self:
        return cls(Path(path).resolve())

    @property
    def data(self) -> Path:
        return self.root / "postgres"

    @property
    def log(self) -> Path:
        return self.root / "postgres.log"

    @property
    def owner(self) -> int:
        return (self.data if self.data.exists() else self.root).stat().st_uid

    def sockets(self, port: int) -> Path:
        """The folder itself, unless its path is too long, or needs quoting by one of the many that read URLs."""
        path = str(self.root / f".s.PGSQL.{port}")
        if len(path) <= _SOCKET_PATH_BYTES_MAX and re.fullmatch(r"[\w/.+-]+", path, re.ASCII):
            return self.root
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(f"/tmp/v7-{self.owner}-{name}")  # noqa: S108

    def make_sockets(self, port: int) -> Path:
        folder = self.sockets(port)
        if folder == self.root:
            return folder
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            os.chown(folder, self.owner, -1)
        found = folder.lstat()  # anybody can make a folder of this name
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != self.owner or found.st_mode & 0o077:
            raise ConfigurationError(
                f"Postgres is to have its socket in {folder}, but that is somebody else's, or open to others."
                " Remove it, or set V7_DATA_DIR to a short path of plain letters."
            )
        return folder

    def remove_sockets(self, port: int) -> None:
        if (folder := self.sockets(port)) != self.root:
            folder.rmdir()

    def make(self) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def check_owner(self) -> None:
        me = os.geteuid()
        for folder in (self.root, self.data) if me != 0 else ():
            owner = folder.stat().st_uid if folder.exists() else me
            if owner == me or (folder == self.root and os.access(folder, os.R_OK | os.W_OK | os.X_OK)):
                continue
            raise ConfigurationError(
                f"The data folder {folder} belongs to {user_name(owner)}, and you are {user_name(me)}."
                f" Run v7 as {user_name(owner)}, or give it a folder of its own with V7_DATA_DIR."
            )

    def check_version(self, ours: str) -> None:
        """Touches nothing. `ours` is the major version of our programs."""
        if not self.data.exists() or not any(self.data.iterdir()):
            return
        if not (self.data / "PG_VERSION").exists():
            raise ConfigurationError(
                f"The folder {self.data} holds something else than Postgres data."
                " Move it away, or set V7_DATA_DIR to another folder."
            )
        if (theirs := (self.data / "PG_VERSION").read_text().strip()) != ours:
            raise ConfigurationError(
                f"The data in {self.data} is of Postgres {theirs}, but the embedded one is Postgres {ours}."
                f" Nothing was touched. Run the v7 that came with Postgres {theirs}, or start a Postgres {theirs}"
                " on that folder and set DATABASE_URL to it. To move to the new one: pg_dump from there, move the"
                " folder away, start v7, and restore the dump."
            )

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """What the file system refuses, in words for the person who has to do something about it."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DatabaseUnavailable(f"No room is left for {self.root}: {error}. Make some.") from error
            raise ConfigurationError(
                f"The data folder {self.root} cannot be used: {error}. Change that, or set V7_DATA_DIR to another."
            ) from error

    @contextlib.contextmanager
    def opened(self, name: str, flags: int = 0) -> Iterator[int]:
        file = self.open(name, flags)
        try:
            yield file
        finally:
            os.close(file)

    def open(self, name: str, flags: int = 0) -> int:
        """Whoever opens it first, the file belongs to the folder's owner."""
        file = os.open(self.root / name, os.O_RDWR | os.O_CREAT | flags, 0o600)
        if os.geteuid() == 0:
            os.fchown(file, self.root.stat().st_uid, -1)
        return file

    def sync(self) -> None:
        folder = os.open(self.root, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def postmaster(self) -> int | None:
        """The process that postmaster.pid names, if that lives and is this folder's Postgres."""
        pid = self._pid_file()[0]
        return int(pid) if pid.isdecimal() and _serves(int(pid), self.data) else None

    def is_ready(self) -> bool:
        """What the postmaster wrote last about itself, alive or not."""
        return self._pid_file()[-1].strip() == "ready"

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text(errors="surrogateescape").splitlines() or [""]
        except FileNotFoundError:
            return [""]

    def log_bytes(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def log_end(self) -> str:
        """Its last lines, for an error message."""
        lines = self._log_tail().decode(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
        return "\n".join([f"The last lines of {self.log}:", *lines])

    def trim_log(self) -> None:
        """Postgres appends, and so goes on at the new end; a line that it writes just now may be lost."""
        if self.log_bytes() > _LOG_BYTES_MAX:
            tail = self._log_tail()
            os.truncate(self.log, 0)
            with self.log.open("ab") as file:
                file.write(tail)

    def _log_tail(self) -> bytes:
        if not self.log.exists():
            return b""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log_bytes() - _LOG_BYTES_KEPT))
            return file.read(_LOG_BYTES_KEPT)


def try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_within(file: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (locked := try_lock(file)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return locked


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _serves(pid: int, data: Path) -> bool:
    try:
        if Path("/proc/self").exists():
            return Path(f"/proc/{pid}/cwd").samefile(data)  # a zombie has none
        os.kill(pid, 0)
    except PermissionError:  # another user's, and we are a container's root that may not look into it
        return os.fsencode(data) in _arguments(pid)
    except OSError:
        return False
    return True


def _arguments(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
