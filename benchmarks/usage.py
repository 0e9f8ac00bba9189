"""What processes use: time of a core, and memory."""

import contextlib
import threading
from collections.abc import Iterator

import psutil
from database import Database

MEGABYTE = 1e6
SAMPLE_SECONDS = 0.1


def of_node(pid: int) -> list[psutil.Process]:
    """A node's processes: the supervisor and all below it."""
    supervisor = psutil.Process(pid)
    return [supervisor, *supervisor.children(recursive=True)]


def of_database(database: Database) -> list[psutil.Process]:
    """The server's processes for the product in this database; those for who measures it are not among them."""
    rows = database.connection.execute(
        "select pid from pg_stat_activity where datname = current_database() and application_name = 'v7'"
    )
    return [psutil.Process(pid) for (pid,) in rows if psutil.pid_exists(pid)]


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """What they have used of a core since they began."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            total += used.user + used.system
    return total


def of_both(database: Database, pid: int) -> tuple[float, float]:
    """Seconds of a core: of the server's processes for a node, and of the node's own."""
    return cpu_seconds(of_database(database)), cpu_seconds(of_node(pid))


def largest_mb(processes: list[psutil.Process]) -> float:
    """Resident memory of the largest of them (RSS), in MB."""
    sizes = [0]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            sizes.append(process.memory_info().rss)
    return max(sizes) / MEGABYTE


def all_mb(processes: list[psutil.Process]) -> float:
    """Memory of all of them, what they share counted once (PSS), in MB."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total / MEGABYTE


class Peak:
    """The largest of a node's processes at its largest, sampled while the block runs."""

    def __init__(self, pid: int) -> None:
        self.pid, self.mb = pid, 0.0
        self.ended = threading.Event()

    def sample(self) -> None:
        while True:
            self.mb = max(self.mb, largest_mb(of_node(self.pid)))
            if self.ended.wait(SAMPLE_SECONDS):
                return

    @contextlib.contextmanager
    def sampled(self) -> Iterator["Peak"]:
        thread = threading.Thread(target=self.sample)
        thread.start()
        try:
            yield self
        finally:
            self.ended.set()
            thread.join()
