"""Who may run it: root by another, and others themselves."""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from v7_task_processor import _unprivileged, embedded

from .support import AS, FAST, NAMELESS, NOBODY, USER, execute, first_line, process

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
needs_open_code = pytest.mark.skipif(
    not all(folder.stat().st_mode & 0o001 for folder in embedded.bin_dir().parents),
    reason="another user cannot reach the programs of this Postgres",
)


@needs_root
@needs_open_code
@pytest.mark.parametrize("uid", [NOBODY, NAMELESS])
def test_an_ordinary_user_runs_it(open_folder: Path, uid: int) -> None:
    if uid == NAMELESS and not namespaces_allowed():
        pytest.skip("a user without a name needs a namespace and this Python, and is refused one of them")
    os.chown(open_folder, uid, uid)
    folder = open_folder / "v7"
    with process(AS.format(uid) + USER, folder) as user:
        url = first_line(user)
        assert (folder / "postgres").stat().st_uid == uid
        with embedded.start(folder) as root:  # root may look, and takes nothing away
            assert root.url == url
        assert {path.stat().st_uid for path in folder.iterdir()} == {uid}


def namespaces_allowed() -> bool:
    launcher = [sys.executable, "-I", "-S", _unprivileged.__file__, "namespace", "/", "/bin/true"]
    with contextlib.suppress(PermissionError):
        child = subprocess.run(launcher, check=False, capture_output=True, user=NAMELESS, group=NAMELESS)
        return child.returncode == 0
    return False


@needs_root
@needs_open_code
def test_another_users_folder_is_refused_with_what_to_do(open_folder: Path) -> None:
    folder = open_folder / "v7"
    embedded.start(folder, settings=FAST).close()
    with process(AS.format(NOBODY) + USER, folder) as user:
        _, errors = user.communicate()
    assert f"The data folder {folder} belongs to root, and you are nobody. Run v7 as root, or give it" in errors


@needs_root
@needs_open_code
@pytest.mark.parametrize("made_before", [False, True])
def test_root_without_user_namespaces_runs_it_as_nobody(open_folder: Path, made: Path, made_before: bool) -> None:
    folder = open_folder / "v7"
    if made_before:
        shutil.copytree(made, folder)
    with process(WITHOUT_NAMESPACES + USER, folder) as container:
        url = first_line(container)
        assert (folder / "postgres").stat().st_uid == NOBODY
        assert execute(url, "select current_database()") == [("v7",)]
    with embedded.start(folder, settings=FAST) as server:
        assert execute(server.url, "select current_database()") == [("v7",)]


@needs_root
def test_root_that_nobody_can_stand_in_for_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    with process(WITHOUT_NAMESPACES + USER, tmp_path / "closed" / "v7") as container:
        _, errors = container.communicate()
    assert "Postgres does not run as root" in errors
    assert "Run v7 as an ordinary user, or set DATABASE_URL" in errors


# What container engines do: a filter on system calls that refuses unshare(2).
WITHOUT_NAMESPACES = f"""
import ctypes, struct
unshare = {{"x86_64": 272, "aarch64": 97}}[{platform.machine()!r}]
load, jump_equal, answer = 0x20, 0x15, 0x06
steps = [(load, 0, 0, 0), (jump_equal, 0, 1, unshare), (answer, 0, 0, 0x00050001), (answer, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
assert ctypes.CDLL(None).prctl(22, 2, program, 0, 0) == 0
"""
