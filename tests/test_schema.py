"""Tables, migrations and their descriptions agree."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from v7_task_processor import database, schema

from .population import KEYS, populate

COLUMNS = """
select table_name, column_name, data_type, is_nullable, column_default, is_identity
from information_schema.columns where table_schema = 'v7' and table_name = any(%s) order by 1, 2"""
CONSTRAINTS = """
select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
where connamespace = 'v7'::regnamespace and conrelid::regclass::text = any(%s) order by 1, 2"""
INDEXES = """
select tablename, indexname, indexdef from pg_indexes where schemaname = 'v7' and tablename = any(%s) order by 1, 2"""
TABLES = [table.name for table in schema.metadata.tables.values()]


def described(url: str) -> list[list[tuple[object, ...]]]:
    with psycopg.connect(url) as connection:
        return [
            connection.execute(COLUMNS, [TABLES]).fetchall(),
            connection.execute(CONSTRAINTS, [[f"v7.{name}" for name in TABLES]]).fetchall(),
            connection.execute(INDEXES, [TABLES]).fetchall(),
        ]


def test_no_drift_by_alembic(database_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(database.migrations()))
    config.set_main_option("path_separator", "os")
    with database.engine(database_url).connect() as connection:
        config.attributes["connection"] = connection
        command.check(config)


def test_no_drift_in_defaults_checks_and_indexes(database_url: str, empty_database_url: str) -> None:
    """What Alembic does not compare: defaults, CHECKs, the conditions of indexes."""
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("create schema v7")
    schema.metadata.create_all(database.engine(empty_database_url))
    assert described(database_url) == described(empty_database_url)


def test_this_release_names_the_newest_migration() -> None:
    assert ScriptDirectory(str(database.migrations())).get_current_head() == database.SCHEMA_VERSION


def test_every_table_view_and_column_is_described(database_url: str) -> None:
    undescribed = """
        select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relnamespace = 'v7'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition
          and c.relname <> 'alembic_version' and a.attnum > 0 and not a.attisdropped
          and (col_description(c.oid, a.attnum) is null or obj_description(c.oid) is null)"""
    with psycopg.connect(database_url) as connection:
        assert connection.execute(undescribed).fetchall() == []


@pytest.mark.fault(79)
@pytest.mark.parametrize(
    "half_state",
    [
        "status = 'running'",
        "worker_id = 1",
        "status = 'scheduled'",
        "run_at = now()",
        "status = 'dead', dead_at = now()",
        "dead_at = now(), dead_reason = 'x'",
        "status = 'lost'",
        "retry_count = -1",
    ],
)
def test_half_states_are_refused(database_url: str, half_state: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("select v7.enqueue(1, 1, 1, '1')")
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(f"update v7.jobs set {half_state}")


def test_from_0003_with_jobs_in_it(empty_database_url: str) -> None:
    """Jobs and history stay; and the columns that the view had before stay where programs expect them, the first."""
    config = Config()
    config.set_main_option("script_location", str(database.migrations()))
    config.set_main_option("path_separator", "os")
    with database.engine(empty_database_url).connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
    populate(empty_database_url)
    everything = "select * from v7.all_jobs order by id"
    with database.connect_to_wait(empty_database_url) as plain:
        before = plain.execute(everything).fetchall()
    assert database.migrate(empty_database_url) == ("0003", database.SCHEMA_VERSION)
    with database.connect_to_wait(empty_database_url) as plain:
        assert plain.execute(everything).fetchall() == [(*row, *[None] * 4) for row in before]
    assert len(before) == len(KEYS)


def test_a_migration_that_must_wait_lets_others_pass(empty_database_url: str) -> None:
    """A long report is in its way: senders wait for a fifth of a second at a time, not until the report ends."""
    database.migrate(empty_database_url)
    config = Config()
    config.set_main_option("script_location", str(database.migrations()))
    config.set_main_option("path_separator", "os")
    with database.engine(empty_database_url).connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
    with (
        psycopg.connect(empty_database_url) as report,
        psycopg.connect(empty_database_url, autocommit=True) as sender,
        ThreadPoolExecutor() as pool,
    ):
        report.execute("select count(*) from v7.finished_jobs")
        migrating = pool.submit(database.migrate, empty_database_url)
        waits = "select 1 from pg_locks where relation = 'v7.finished_jobs'::regclass and not granted"
        while not sender.execute(waits).fetchone():
            assert not migrating.done()
        sender.execute("select v7.enqueue(1, 1, 1, '1')")
        assert not migrating.done()
        report.rollback()
        assert migrating.result(60) == ("0003", database.SCHEMA_VERSION)


def test_who_may_call_enqueue_stays_as_it_was(empty_database_url: str) -> None:
    """It is another function from 0007 on, and a second one from 0012 on; a new one may be called by everybody."""
    config = Config()
    config.set_main_option("script_location", str(database.migrations()))
    config.set_main_option("path_separator", "os")
    with database.engine(empty_database_url).connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
    with psycopg.connect(empty_database_url, autocommit=True) as plain:
        plain.execute("revoke all on function v7.enqueue from public")
        plain.execute("grant execute on function v7.enqueue to pg_monitor")
        database.migrate(empty_database_url)
        may = "select has_function_privilege(%s, oid, 'execute') from pg_proc where proname like 'enqueue%%'"
        found = {role: plain.execute(may, [role]).fetchall() for role in ("pg_monitor", "pg_read_all_data")}
    assert found == {"pg_monitor": [(True,)] * 2, "pg_read_all_data": [(False,)] * 2}
