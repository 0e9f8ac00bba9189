"""Data folders that tests share, since making one takes long."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from v7_task_processor import embedded

from .support import FAST, stopped


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "v7"
    embedded.start(folder, settings=FAST).close()
    return folder


@pytest.fixture
def folder(made: Path) -> Iterator[Path]:
    """A data folder whose server was stopped in order; all tests share it, since copies take long."""
    assert stopped(made)
    yield made
    if not stopped(made):
        embedded.start(made).close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others than root can reach, as pytest's are not."""
    folder = Path(tempfile.mkdtemp(prefix="v7-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root outside of a container can mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
