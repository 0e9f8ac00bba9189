"""The product's commands, as its users run them."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from database import Database

STOP_SECONDS_MAX = 40.0


def environment(database: Database, folder: Path, **settings: object) -> dict[str, str]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("V7_")}
    given = {"DATABASE_URL": database.url, "V7_DATA_DIR": folder, "LOG_LEVEL": "warning", **settings}
    return outside | {name: str(value) for name, value in given.items()}


def command(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "v7_task_processor.cli", *words]


@contextlib.contextmanager
def running(node: str, database: Database, folder: Path, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """`v7 NODE` on the database, ended by SIGTERM."""
    process = subprocess.Popen(
        command(node), env=environment(database, folder, **settings), cwd=folder, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@contextlib.contextmanager
def working(database: Database, handlers: str, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """`v7 worker` with this handlers file, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "handlers.py").write_text(handlers)
        with running("worker", database, folder, V7_HANDLERS="handlers.py", **settings) as process:
            yield process


def tell(database: Database, *words: str) -> None:
    """`v7 WORDS`, to its end."""
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(
            command(*words), env=environment(database, Path(name)), cwd=name, check=True, stdout=subprocess.DEVNULL
        )


def wait_for_workers(database: Database, count: int = 1) -> None:
    """Until so many worker processes say that they are there."""
    while database.value("select count(*) from v7.workers where node_id is not null") < count:
        time.sleep(0.01)
