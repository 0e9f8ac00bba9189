"""Postgres refuses to run as root; here root finds somebody else for it to run as, loosening no permission.

Imported, it chooses. Run as a script, it becomes the one that was chosen and then the command it was given,
in one process: the caller's child is the command.
"""

import ctypes
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_NAMESPACE = "namespace"
_CLONE_NEWUSER = 0x10000000


def prefix(command: Path, root: Path, owner: int) -> list[str] | None:
    """What to put before `command` so that it runs as somebody who may use the folder `root`.

    Empty where we may run it ourselves, None where nobody can. `owner` is the user id that the data has now;
    where the choice falls on another than root, the folder is given to them.
    """
    if os.geteuid() != 0 and _has_name(os.geteuid()):
        return []
    for who in _candidates(root, owner):
        launcher = [sys.executable, "-I", "-S", __file__, who, str(root.parent)]
        if subprocess.run([*launcher, str(command), "--version"], check=False, capture_output=True).returncode == 0:
            if who != _NAMESPACE:
                _give(root, int(who))
            return launcher
    return None


def _candidates(root: Path, owner: int) -> Iterator[str]:
    is_root = os.geteuid() == 0
    if is_root and owner != 0:
        yield str(owner)
        return
    # In a namespace of its own a process is nobody to itself, and still root to the file system.
    yield _NAMESPACE
    if is_root:
        yield from (str(uid) for folder in root.parents if (uid := folder.stat().st_uid) != 0)
        yield str(pwd.getpwnam("nobody").pw_uid)


def _give(root: Path, uid: int) -> None:
    """Bottom up, so that a folder which was not finished still belongs to root and is given again."""
    for folder, _, files in os.walk(root, topdown=False):
        for path in [*(Path(folder, name) for name in files), Path(folder)]:
            if path.lstat().st_uid != uid:
                os.chown(path, uid, -1, follow_symlinks=False)


def _has_name(uid: int) -> bool:
    """initdb refuses users without one, which in containers are common."""
    try:
        return bool(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return False


def _enter_namespace() -> None:
    uid, gid, nobody = os.geteuid(), os.getegid(), pwd.getpwnam("nobody").pw_uid
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{nobody} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{nobody} {gid} 1")


def _become(uid: int) -> None:
    os.setgroups([])
    os.setgid(pwd.getpwuid(uid).pw_gid)
    os.setuid(uid)


def _main(who: str, folder: str, *command: str) -> None:
    if who == _NAMESPACE:
        _enter_namespace()
    else:
        _become(int(who))
    os.chdir(folder)  # fails where this user cannot reach the data
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    _main(*sys.argv[1:])
