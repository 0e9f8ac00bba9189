"""Each migration, under nodes that run: forward and back with jobs in it, and what it locks on its way."""

import itertools
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command

from v7_task_processor import database, migration
from v7_task_processor.errors import V7Error

from .population import populate

VERSIONS = migration.versions()
STEPS = list(itertools.pairwise(VERSIONS))
CHECKED = [step for step in STEPS if step[0] >= "0005"]
"""Those before were made for databases that nobody had yet."""
SAID = [step for step in STEPS if step[0] >= "0010"]
"""Since 0010 a schema says whom it serves; of those before, it says itself that it serves none."""
POPULATED = [step for step in STEPS if step[0] >= "0003"]
SQUAWK = Path(sys.executable).with_name("squawk")
TAKES_AWAY = re.compile(
    r"\b(drop (table|column|view|function|constraint)|rename|alter column \w+ (type|set not null))", re.IGNORECASE
)
TABLES = """
select relname from pg_class where relnamespace = 'v7'::regnamespace and relkind in ('r', 'p') and not relispartition
    and relname <> 'alembic_version' order by 1"""


def contents(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, with their columns' names first."""
    found = {}
    with database.connect_to_wait(url) as connection:
        for (name,) in connection.execute(TABLES).fetchall():
            cursor = connection.execute(f"select * from v7.{name} t order by t::text".encode())
            assert cursor.description is not None
            found[name] = [tuple(column.name for column in cursor.description), *cursor.fetchall()]
    return found


def at(url: str, version: str) -> None:
    """An empty database with this version of the schema."""
    with database.engine(url).begin() as connection:
        config = migration.config()
        config.attributes["connection"] = connection
        command.upgrade(config, version)


@pytest.mark.parametrize(("before", "after"), POPULATED)
def test_forward_and_back_keeps_all_that_there_was(before: str, after: str, empty_database_url: str) -> None:
    at(empty_database_url, before)
    populate(empty_database_url)
    there = contents(empty_database_url)
    assert database.migrate(empty_database_url, after) == (before, after)
    forward = contents(empty_database_url)
    for name, (columns, *rows) in there.items():
        assert len(forward[name]) == len(rows) + 1, name
        assert set(columns) <= set(forward[name][0]), name
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("select v7.enqueue(1, 1, 1, '{}')")
        connection.rollback()
    assert database.migrate(empty_database_url, before) == (after, before)
    assert contents(empty_database_url) == there
    assert database.migrate(empty_database_url) == (before, database.SCHEMA_VERSION)


def test_all_the_way_down_and_up_again(database_url: str) -> None:
    database.migrate(database_url, VERSIONS[0])
    assert database.migrate(database_url) == (VERSIONS[0], VERSIONS[-1])


@pytest.mark.parametrize(("before", "after"), CHECKED)
def test_squawk_finds_nothing_that_stops_the_others(before: str, after: str, tmp_path: Path) -> None:
    """No index made under a lock, no column that rewrites its table, no constraint that reads all of it."""
    file = tmp_path / f"{after}.sql"
    file.write_text(migration.sql(before, after))
    checked: list[str | Path] = [SQUAWK, "--config", Path(__file__).parents[1] / ".squawk.toml", file]
    said = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize(("before", "after"), SAID)
def test_what_takes_something_away_says_whom_it_still_serves(before: str, after: str) -> None:
    """Nodes of the release before work on beside it, unless it says that they cannot."""
    text = migration.sql(before, after)
    assert not TAKES_AWAY.search(text) or "update v7.server set oldest_schema" in text


def test_squawk_would_find_it(tmp_path: Path) -> None:
    file = tmp_path / "bad.sql"
    file.write_text("create index jobs_user on v7.jobs (user_id);")
    checked: list[str | Path] = [SQUAWK, "--config", Path(__file__).parents[1] / ".squawk.toml", file]
    said = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert "require-concurrent-index-creation" in said.stdout
    assert said.returncode != 0


@pytest.mark.slow
def test_no_event_waits_longer_than_a_fifth_of_a_second_for_it(empty_database_url: str) -> None:
    """A report holds the second table that a migration wants: it gives back the first, and tries again."""
    at(empty_database_url, "0003")
    with (
        psycopg.connect(empty_database_url) as report,
        psycopg.connect(empty_database_url, autocommit=True) as sender,
        psycopg.connect(empty_database_url, autocommit=True) as watcher,
        ThreadPoolExecutor() as pool,
    ):
        report.execute("select count(*) from v7.finished_jobs")
        migrating = pool.submit(database.migrate, empty_database_url)
        tries: set[object] = set()
        waits = """select xact_start from pg_locks l join pg_stat_activity a using (pid)
            where l.relation = 'v7.finished_jobs'::regclass and not l.granted"""
        while len(tries) < 3:
            tries |= {row[0] for row in watcher.execute(waits)}
            sender.execute("select v7.enqueue(1, 1, 1, '1')")
            assert not migrating.done()
        report.rollback()
        assert migrating.result(60) == ("0003", database.SCHEMA_VERSION)


def test_in_the_end_it_gives_up_and_says_why(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "TRY_SECONDS_MAX", 0.5)
    at(empty_database_url, "0003")
    with psycopg.connect(empty_database_url) as report:
        report.execute("select count(*) from v7.finished_jobs")
        with pytest.raises(V7Error, match=r"^The schema stays at version 0003: .* \(v7 doctor names the oldest"):
            database.migrate(empty_database_url)
    with database.engine(empty_database_url).connect() as connection:
        assert database.schema_version(connection.connection.driver_connection) == "0003"


def test_it_waits_for_its_locks_for_a_fifth_of_a_second_in_all(empty_database_url: str) -> None:
    at(empty_database_url, "0005")
    with database.engine(empty_database_url).begin() as connection, migration.hurried(connection):
        connection.exec_driver_sql("select 1")
        time.sleep(migration.LOCKS_SECONDS_MAX)
        (left,) = connection.exec_driver_sql("select setting from pg_settings where name = 'lock_timeout'").one()
    assert left == "1"
