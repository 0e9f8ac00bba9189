"""The example, whole: start an API, send the week, start a worker, wait, print. See README.md."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import handlers
import psycopg
import send

from v7_task_processor import embedded

HERE = Path(__file__).parent
STARTS_SHOWN = 10


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="earthquakes-") as folder, embedded.start(Path(folder)) as server:
        settings = {"V7_DATA_DIR": folder, "V7_HANDLERS": str(HERE / "handlers.py"), "LOG_LEVEL": "error"}
        settings |= {
            "V7_WORKER_PROCESSES": "1",
            "V7_CONCURRENCY": "1",
            "V7_MAX_RETRIES": "3",
            "V7_RETRY_SECONDS": "0.1",
        }
        settings |= {"PORT": str(free_port()), "DATABASE_URL": server.url}
        v7("migrate", settings).wait()
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(handlers.TABLES)
            with running("api", settings):
                wait_until_ready(int(settings["PORT"]))
                ids = send.send_all("127.0.0.1", int(settings["PORT"]))
            print(f"Sent {len(ids)} events.")
            with running("worker", settings):
                while rows(connection, "select 1 from v7.jobs where status <> 'dead' limit 1"):
                    time.sleep(0.1)
            show(connection)


def v7(command: str, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("V7_")}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "v7_task_processor.cli", command],
        env=outside | settings,
        stdout=subprocess.DEVNULL,
    )


@contextlib.contextmanager
def running(command: str, settings: dict[str, str]) -> Iterator[None]:
    process = v7(command, settings)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(port: int) -> None:
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return
        time.sleep(0.05)


def rows(connection: psycopg.Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def show(connection: psycopg.Connection) -> None:
    """Print what became of the week."""
    print("\nBy status:")
    for status, count in rows(connection, "select status, count(*) from v7.all_jobs group by 1 order by 1"):
        print(f"  {status:10} {count:5}")
    print(f"\nThe first {STARTS_SHOWN} that were started:")
    first = f"select event, magnitude from earthquakes.starts order by place limit {STARTS_SHOWN}"
    for event, magnitude in rows(connection, first):
        print(f"  M {magnitude:<4} {event}")
    print("\nThe regions with the most events:")
    most = "select region, events, strongest, residuals / events from earthquakes.regions order by 2 desc, 1 limit 8"
    for region, events, strongest, residual in rows(connection, most):
        print(f"  {region:20} {events:4}  strongest {strongest:3.1f}  mean residual {residual:4.2f}")
    print("\nThe dead letters, which have no residual:")
    dead = "select correlation_id, retry_count, last_error from v7.dead_letters order by 1"
    for event, failures, error in rows(connection, dead):
        print(f"  {event:14} failed {failures} times  {error}")
    everyone = rows(connection, "select event, magnitude from earthquakes.starts where attempt = 1 order by place")
    in_order = [magnitude for _, magnitude in everyone] == sorted((each[1] for each in everyone), reverse=True)
    print(f"\nStarted from the strongest to the weakest: {'yes' if in_order else 'NO'}")


if __name__ == "__main__":
    main()
