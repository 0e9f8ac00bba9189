"""The wheel: what is in it, and that it is enough."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import psycopg
import pytest

from v7_task_processor import __version__, database

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "README.md", "app", "migrations")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what a clone has."""
    clone = tmp_path_factory.mktemp("clone")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, clone / name)
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel"], clone)
    [built] = (clone / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a clean environment with the wheel; what it depends on comes from ours, over no network."""
    folder = tmp_path_factory.mktemp("clean")
    run([sys.executable, "-m", "venv", "--without-pip", "env"], folder)
    python = folder / "env" / "bin" / "python"
    install = ["--isolated", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    run([sys.executable, "-m", "pip", "--python", str(python), *install, str(wheel)], folder)
    [packages] = (folder / "env" / "lib").glob("python3*/site-packages")
    # A path that a .pth names is searched last, and its own .pth files are not read: our editable self stays out.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def run(command: list[str], cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_has_all_that_runs_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {
        str(path.relative_to(ROOT / "app"))
        for path in (ROOT / "app" / "v7_task_processor").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    migrations = {
        f"v7_task_processor/{path.relative_to(ROOT)}"
        for path in (ROOT / "migrations").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"v7_task_processor/py.typed", "v7_task_processor/sql/claim.sql"} < package
    assert "v7_task_processor/migrations/versions/0001_jobs_and_their_queue.py" in migrations
    assert {name for name in names if ".dist-info/" not in name} == package | migrations


def test_it_has_the_version_of_the_package(wheel: Path) -> None:
    assert wheel.name == f"v7_task_processor-{__version__}-py3-none-any.whl"


def test_its_command_runs_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    assert run([str(installed / "v7"), "--version"], tmp_path).startswith(f"v7 {__version__}\nschema ")
    where = "import v7_task_processor as v7; print(v7.__file__)"
    assert run([str(installed / "python"), "-c", where], tmp_path).startswith(str(installed.parent))


def test_it_migrates_a_database_with_the_migrations_it_brings(
    installed: Path, empty_database_url: str, tmp_path: Path
) -> None:
    run([str(installed / "v7"), "migrate"], tmp_path, DATABASE_URL=empty_database_url)
    database.check(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select v7.enqueue(1, 1, 1, '{}')").fetchone() == (1,)
