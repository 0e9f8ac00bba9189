"""A base backup and the archived log, restored to a moment; and another major version under the queue."""

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from v7_task_processor import database

from ..nodes import EVENT, check_books, enqueue, failures, jobs, node, post, wait_for_end, wait_until
from ..standbys import value
from .cluster import Cluster, cluster_from
from .looks import Record
from .patroni import BIN as OLD_BIN

TEXT = (Path(__file__).parents[2] / "docs" / "postgres.md").read_text()


def documented(name: str) -> bytes:
    """The query under this name in docs/postgres.md."""
    found = re.search(rf"^```sql {name}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    assert found, name
    return found[1].encode()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Where the log is kept: it outlives the server, and whoever the server runs as may write there."""
    folder = tmp_path / "archive"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture
def archived(cluster_template: Path, archive: Path, tmp_path: Path) -> Iterator[Cluster]:
    settings = {"archive_mode": "on", "archive_command": f"cp %p {archive}/%f"}
    with cluster_from(cluster_template, tmp_path / "cluster", settings) as made:
        yield made


def base_backup(cluster: Cluster, folder: Path) -> Path:
    folder.mkdir()
    folder.chmod(0o777)
    source = f"host={cluster.sockets} port={cluster.port} user=postgres"
    command = [*cluster.program("pg_basebackup"), "-D", str(folder / "data"), "-d", source, "-c", "fast", "--no-sync"]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def restored(folder: Path, archive: Path, moment: str) -> Cluster:
    """A server that starts from the backup and stops at the moment."""
    made = Cluster(folder)
    with (made.data / "postgresql.auto.conf").open("a") as file:
        file.write(f"archive_mode = off\nrestore_command = 'cp {archive}/%f %p'\n")
        file.write(f"recovery_target_time = '{moment}'\nrecovery_target_action = 'promote'\n")
    (made.data / "recovery.signal").touch()
    made.start()
    wait_until(lambda: value(made, "select not pg_is_in_recovery()"), "it has come to the moment")
    return made


@pytest.mark.slow
@pytest.mark.fault(76)
def test_a_restore_to_a_moment_in_the_past_works_off_the_queue(
    archived: Cluster, archive: Path, tmp_path: Path, record_property: Record
) -> None:
    """What was acknowledged before the moment is there; what ended after it runs again, and can be told."""
    with node(tmp_path / "before", archived.url, "run", V7_CONCURRENCY=4) as before:
        address = before.address()
        early = enqueue(archived.url, {}, count=20)
        wait_until(lambda: len(before.noted("end")) == 20, "the first are done")
        backup = base_backup(archived, tmp_path / "backup")
        long = enqueue(archived.url, {"do": "wait"}, count=4)
        waiting = enqueue(archived.url, {}, count=30)
        wait_until(lambda: len(before.starts()) == 24, "some run, the others wait")
        moment = str(value(archived, "select clock_timestamp()::text"))
        late = [post(address, EVENT)[0] for _ in range(5)]
        (before.folder / "go").touch()
        wait_for_end(archived.url)
        done = {job_id for job_id, _, _ in before.noted("end")}
        newest = value(archived, "select max(id) from v7.all_jobs")
        written = value(archived, "select pg_walfile_name(pg_switch_wal())")
        whole = "select 1 from pg_stat_archiver where last_archived_wal >= %s"  # the file is there before it is whole
        wait_until(lambda: archived.sql(whole, written), "the log is in the archive")
        before.kill_tree()
    archived.kill()
    began = time.monotonic()
    with contextlib.closing(restored(backup, archive, moment)) as copy:
        assert value(copy, "select count(*) from v7.jobs") == len(long) + len(waiting)
        (tmp_path / "after").mkdir()
        (tmp_path / "after" / "go").touch()
        with node(tmp_path / "after", copy.url, "run", V7_CONCURRENCY=4) as after:
            (new,) = enqueue(copy.url, {})
            assert post(after.address(), EVENT)[0] == 200
            wait_for_end(copy.url, 120)  # what ran is rescued after 15 s, and runs alone
            record_property("recovery_seconds", round(time.monotonic() - began, 1))
            assert after.stop() == 0
        again = {job_id for job_id, _, _ in after.starts()} & done
        assert again == {*long, *waiting}
        with psycopg.connect(copy.socket_url) as connection:
            told = {row[0] for row in connection.execute(documented("again"))}
        assert {*again} <= told
        assert not told & set(early)
        ended = {job_id: row for job_id, *row in jobs(copy.url)}
        assert {ended.pop(job_id)[0] for job_id in [*early, *long, *waiting]} == {"succeeded"}
        assert late == [200] * 5
        assert isinstance(newest, int)
        assert all(job_id > newest + 900_000 for job_id in ended if job_id != new)
        assert failures(copy.url) == []


@pytest.mark.slow
@pytest.mark.fault(77)
@pytest.mark.skipif(not OLD_BIN.exists(), reason="no PostgreSQL 15 (Debian: package postgresql-15)")
@pytest.mark.parametrize("way", ["pg_upgrade", "dump"])
def test_a_major_upgrade_from_15_with_a_queue_in_it(way: str, tmp_path: Path, record_property: Record) -> None:
    """Of a queue that was drained in order, and of one whose node was lost with it."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    with contextlib.closing(Cluster(tmp_path / "old")) as old, contextlib.closing(Cluster(tmp_path / "new")) as new:
        old.bin = OLD_BIN
        old.make()
        new.make(*(["--no-data-checksums"] if way == "pg_upgrade" else []))  # 18 has them by default, and 15 had not
        old.start()
        create_database(old)
        database.migrate(old.url)
        with node(tmp_path / "before", old.url, V7_RETRY_SECONDS=0.05) as before:
            first = enqueue(old.url, {}, count=20)
            wait_until(lambda: len(before.noted("end")) == 20, "some are done")
            running = enqueue(old.url, {"do": "sleep", "seconds": 1000}, count=2)
            wait_until(lambda: len(before.starts()) == 22, "some run")
            before.kill_tree()
        waiting = enqueue(old.url, {}, count=50)
        old.sql("update v7.jobs set event_data = '{}' where status = 'running'")
        began = time.monotonic()
        {"pg_upgrade": upgraded, "dump": dumped}[way](old, new)
        new.start()
        record_property("seconds", round(time.monotonic() - began, 1))
        assert value(new, "select current_setting('server_version_num')::int / 10000") == 18
        database.check(new.url)
        with node(tmp_path / "after", new.url) as after:
            (newest,) = enqueue(new.url, {})
            wait_for_end(new.url)
            assert after.stop() == 0
        check_books(new.url, before, after)
        assert {(job_id, status) for job_id, status, _ in jobs(new.url)} == {
            (job_id, "succeeded") for job_id in [*first, *running, *waiting, newest]
        }
        assert newest > waiting[-1]


def create_database(of: Cluster) -> None:
    with psycopg.connect(of.socket_url.replace("/v7?", "/postgres?"), autocommit=True) as admin:
        admin.execute("create database v7")


def upgraded(old: Cluster, new: Cluster) -> None:
    """The new one's pg_dump does it, which must know the marks of the old one's columns. 18.6 is older than 15.20."""
    if b"pg_attver" not in (new.bin / "postgres").read_bytes():
        old.sql(
            "set allow_system_table_mods = on; update pg_attribute set attoptions = null where attoptions is not null"
        )
    old.stop()
    work = new.data.parent
    command = [
        *new.program("pg_upgrade"), "--username=postgres", "--no-sync",
        f"--old-bindir={old.bin}", f"--new-bindir={new.bin}", f"--old-datadir={old.data}", f"--new-datadir={new.data}",
        f"--socketdir={old.sockets}",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def dumped(old: Cluster, new: Cluster) -> None:
    new.start()
    create_database(new)
    # By the old server's own: since 15.20 its columns bear a mark that pg_dump of 18.6 writes out and 18.6 refuses.
    dump = subprocess.run([*old.program("pg_dump"), "-d", old.socket_url], check=True, capture_output=True).stdout
    restore = [*new.program("psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-d", new.socket_url]
    subprocess.run(restore, input=dump, check=True)
    new.stop()
