"""F32: the disk of Postgres is full for a while."""

import contextlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from v7_task_processor.web.outcome import DISK_FULL

from ..nodes import check_books, enqueue, jobs, node, post, wait_for_end, wait_until
from .books import busy, check_ledger, seconds_until_it_works, work_on
from .cluster import Cluster
from .disk import filled, small_disk
from .lab import Lab
from .looks import Record

EVENT = {"user_id": 1, "priority": 1, "event_data": {"do": "sleep", "seconds": 0.01}, "event_type_id": 1}
BULKY = {**EVENT, "event_data": "x" * 7000}
"""Never larger than what Postgres keeps compressed beside the row, and never in what was free on a page already."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    try:
        with small_disk(tmp_path / "disk") as folder:
            yield folder
    except PermissionError as error:
        pytest.skip(f"no disk of its own: {error}")


def copied(template: Path, folder: Path, wal: Path) -> Cluster:
    """A stopped server, its log of changes in another folder, which may be on another disk."""
    folder.mkdir()
    made = Cluster(folder, {"max_wal_size": "32MB", "min_wal_size": "32MB"})
    subprocess.run(["cp", "-a", str(template), str(made.data)], check=True)
    if wal != made.data / "pg_wal":
        subprocess.run(["cp", "-a", str(made.data / "pg_wal"), str(wal)], check=True)
        shutil.rmtree(made.data / "pg_wal")
        (made.data / "pg_wal").symlink_to(wal)
    return made


@pytest.fixture
def tables_on_it(cluster_template: Path, tmp_path: Path, disk: Path) -> Iterator[Cluster]:
    with contextlib.closing(copied(cluster_template, disk / "cluster", tmp_path / "wal")) as made:
        yield made.start()


@pytest.fixture
def wal_on_it(cluster_template: Path, tmp_path: Path, disk: Path) -> Iterator[Cluster]:
    with contextlib.closing(copied(cluster_template, tmp_path / "cluster", disk / "wal")) as made:
        yield made.start()


@pytest.mark.fault(32)
@pytest.mark.slow
def test_there_is_no_room_for_tables(
    tables_on_it: Cluster, disk: Path, tmp_path: Path, record_property: Record
) -> None:
    """Clients hear of it; what had ended is written when there is room again, and not run again."""
    cluster = tables_on_it
    with node(tmp_path / "node", cluster.url, "run", V7_CONCURRENCY=100) as one:
        address = one.address()
        told = [post(address, EVENT)]

        def tell() -> tuple[int, str]:
            told.append(post(address, BULKY))
            return told[-1]

        slow = enqueue(cluster.url, {"do": "sleep", "seconds": 8, "filling": "x" * 500}, count=60)
        wait_until(lambda: len(one.starts()) == 61, "all run")
        with filled(disk):
            refused = wait_until(lambda: (answer := tell())[0] != 200 and answer, "full")
            wait_until(lambda: len([1 for job, _, _ in one.noted("end") if job in slow]) == 60, "they have ended")
            wait_until(lambda: "No space left on device" in one.said(), "the worker meets it")
            still = wait_until(lambda: (answer := tell())[0] != 200 and answer, "full again, if a file was truncated")
            assert still == refused
            assert "running" in {status for _, status, _ in jobs(cluster.socket_url)}
        began = time.monotonic()
        wait_until(lambda: tell()[0] == 200, "events are taken again")
        wait_for_end(cluster.socket_url)
        seconds = time.monotonic() - began
        record_property("recovery_seconds", round(seconds, 2))
        assert one.stop() == 0
    assert refused == (500, DISK_FULL.sentence)
    assert seconds < 10
    check_books(cluster.url, one)
    acknowledged = {json.loads(text)["id"] for status, text in told if status == 200} | set(slow)
    assert {job_id for job_id, _, _ in one.starts()} == acknowledged
    assert set(jobs(cluster.url)) == {(job_id, "succeeded", 0) for job_id in acknowledged}
    assert len(one.starts()) == len(acknowledged)


@pytest.mark.fault(32)
@pytest.mark.slow
def test_there_is_no_room_for_the_log_of_changes(
    wal_on_it: Cluster, disk: Path, tmp_path: Path, record_property: Record
) -> None:
    """Postgres panics, and may not come up again by itself; nothing that was acknowledged is lost."""
    cluster = wal_on_it
    with Lab(tmp_path / "lab", cluster, 32) as lab:
        busy(lab)
        with filled(disk):
            full_at = time.monotonic()

            def panicked() -> bool:
                with contextlib.suppress(psycopg.Error):
                    cluster.sql("select pg_switch_wal()")
                return "PANIC" in cluster.log.read_text()

            wait_until(panicked, "Postgres gives up")
        assert cluster.process is not None
        if not cluster.answers():
            cluster.stop(signal.SIGQUIT)
            cluster.start()
        began = time.monotonic()
        seconds = seconds_until_it_works(lab, began)
        record_property("recovery_seconds", round(seconds, 2))
        work_on(lab)
        lab.settle()
        crashes = cluster.log.read_text().count("PANIC") + 1

        def extra(runs: list[dict[str, Any]]) -> int:
            """A claim is lost with each crash, if it was made while the disk was full."""
            return crashes * any(full_at - 1 < run["end"].get("mono", began) and run["mono"] < began for run in runs)

        check_ledger(lab, extra)
    assert seconds < 10


@pytest.mark.slow
@pytest.mark.fault(32)
def test_there_is_no_room_in_a_nodes_own_folder_when_its_worker_dies(
    database_url: str, tmp_path: Path, disk: Path
) -> None:
    """What it notes there has its room since the start."""
    with node(tmp_path / "node", database_url, V7_DATA_DIR=disk / "v7", V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0) as one:
        wait_until(one.workers, "it works")
        with filled(disk):
            ids = enqueue(database_url, {"do": "sleep", "seconds": 0.1}, count=100)
            wait_until(one.starts, "they run")
            one.workers()[0].kill()
            wait_for_end(database_url)
            assert one.running.poll() is None
        assert one.stop() == 0
    assert {(job_id, status) for job_id, status, _ in jobs(database_url)} == {(job_id, "succeeded") for job_id in ids}
    check_books(database_url, one)
