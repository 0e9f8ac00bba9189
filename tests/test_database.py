"""Connections, and the version of the schema."""

import asyncio
import datetime as dt
import functools
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from v7_task_processor import database, listing, migration, overview, queue
from v7_task_processor.database import SCHEMA_VERSION, Link
from v7_task_processor.deadline import deadline
from v7_task_processor.errors import ConfigurationError, DatabaseUnavailable
from v7_task_processor.server import describe
from v7_task_processor.unavailable import explained

from .command import Done, v7
from .standbys import SYNCING, lonely, unconfirmed
from .support import event, take, worker

NOWHERE = "postgresql://ann:hunter2@127.0.0.1:1/db"


def version(url: str, number: str, oldest: str | None = None) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("update v7.alembic_version set version_num = %s", [number])
        if oldest is not None:
            connection.execute("update v7.server set oldest_schema = %s", [oldest])


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+asyncpg"])
def test_the_spellings_of_other_libraries_are_understood(scheme: str) -> None:
    found = conninfo_to_dict(database.conninfo(f"{scheme}://ann:p%40ss@host:5433/db?sslmode=require"))
    expected = {"user": "ann", "password": "p@ss", "host": "host", "port": "5433", "dbname": "db", "sslmode": "require"}
    assert expected.items() <= found.items()


def test_no_connection_waits_for_ever_unless_its_address_says_so() -> None:
    found = conninfo_to_dict(database.conninfo("host=/tmp dbname=x connect_timeout=60", "mine"))
    assert (found["connect_timeout"], found["application_name"]) == ("60", "mine")
    found = conninfo_to_dict(database.conninfo("dbname=x application_name=theirs", "mine"))
    assert (found["connect_timeout"], found["application_name"]) == ("3", "theirs")
    assert found["tcp_user_timeout"] == "10000"


def test_only_a_primary_will_do_unless_the_address_says_so() -> None:
    assert conninfo_to_dict(database.conninfo("host=a,b dbname=x"))["target_session_attrs"] == "read-write"
    given = conninfo_to_dict(database.conninfo("postgresql://a,b/x?target_session_attrs=any"))
    assert given["target_session_attrs"] == "any"


@pytest.mark.parametrize("url", ["nonsense", "mysql://a:hunter2@b/c", "host=x hunter2"])
def test_what_is_no_address_is_told_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must look like postgresql://") as refused:
        database.conninfo(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("call", [database.check, database.migrate])
def test_a_database_that_is_away_is_told_without_the_password(call: object) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"^Cannot reach the database: .*Check DATABASE_URL") as told:
        call(NOWHERE)  # type: ignore[operator]
    assert "hunter2" not in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("code", ["53100", "55P03", "40P01", "40001", "57014", "08006", "57P01", "53300"])
def test_what_a_server_refuses_is_not_told_as_a_server_that_is_away(database_url: str, code: str) -> None:
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.OperationalError) as refused:
        connection.execute(f"do $$ begin raise 'not now' using errcode = '{code}'; end $$")
    told = explained(refused.value)
    if code.startswith(("08", "57P", "53300")):
        assert isinstance(told, DatabaseUnavailable)
        assert str(told).startswith("Cannot reach the database: not now. Check DATABASE_URL")
    else:
        assert (str(told), told.exit_code) == ("The database refused: not now", 1)


async def test_a_session_has_the_settings_that_it_was_given(database_url: str) -> None:
    async with await database.connect(database_url, {"statement_timeout": "7s", "jit": "off"}) as connection:
        cursor = await connection.execute("select current_setting('statement_timeout'), current_setting('jit')")
        assert await cursor.fetchone() == ("7s", "off")
        assert connection.autocommit


@pytest.fixture
def otherwise(database_url: str) -> Iterator[str]:
    """A database whose defaults are another country's."""
    name = str(conninfo_to_dict(database_url)["dbname"])
    with psycopg.connect(database_url, autocommit=True) as connection:
        for setting in ("datestyle = 'German, DMY'", "timezone = 'Asia/Kathmandu'", "client_encoding = 'LATIN1'"):
            connection.execute(sql.SQL("alter database {} set ").format(sql.Identifier(name)) + sql.SQL(setting))
        yield database_url
        connection.execute(sql.SQL("alter database {} reset all").format(sql.Identifier(name)))


@pytest.mark.fault(29)
async def test_defaults_of_another_country_change_nothing(otherwise: str) -> None:
    async with await database.connect(otherwise) as connection:
        (job_id,) = await queue.enqueue(connection, [event(event_data='"€ 日本"')])
        assert [job.event_data for job in await take(connection, await worker(connection))] == ["€ 日本"]
    with listing.reading(otherwise) as reading:
        (row,) = listing.jobs_page(reading, listing.Filter(user_id=1)).jobs
        assert (row.id, row.event_json, row.created_at.utcoffset()) == (job_id, '"€ 日本"', dt.timedelta())
    with overview.seeing(otherwise) as ask:
        assert overview.now(ask).utcoffset() == dt.timedelta()


def test_migrating_tells_what_it_did_and_does_it_once(empty_database_url: str) -> None:
    assert database.migrate(empty_database_url) == (None, SCHEMA_VERSION)
    assert database.migrate(empty_database_url) == (SCHEMA_VERSION, SCHEMA_VERSION)
    database.check(empty_database_url)


def test_who_waits_has_our_timeouts_and_not_those_of_the_role(empty_database_url: str) -> None:
    role = f"hasty_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(empty_database_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create role {} superuser login").format(sql.Identifier(role)))
        for name in ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout"):
            if admin.execute("select current_setting(%s, true)", [name]).fetchone() != (None,):  # 17 has the second
                admin.execute(sql.SQL("alter role {} set {} = '200ms'").format(sql.Identifier(role), sql.SQL(name)))
        try:
            url = make_conninfo(empty_database_url, user=role)
            assert database.migrate(url) == (None, database.SCHEMA_VERSION)
            with database.connect_to_read(url) as connection:
                connection.execute("select pg_sleep(0.3)")
                time.sleep(0.3)
                connection.execute("select 1")
        finally:
            admin.execute(sql.SQL("drop owned by {0} cascade").format(sql.Identifier(role)))
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def test_of_several_that_migrate_at_once_one_does_it(empty_database_url: str) -> None:
    done: list[tuple[str | None, str | None]] = []
    threads = [
        threading.Thread(target=lambda: done.append(database.migrate(empty_database_url)), daemon=True)
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done, key=str) == [(SCHEMA_VERSION, SCHEMA_VERSION)] * 2 + [(None, SCHEMA_VERSION)]


@pytest.mark.fault(75)
def test_a_schema_that_does_not_fit_says_what_to_do(database_url: str, empty_database_url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no schema v7 yet\. Make it with: v7 migrate"):
        database.check(empty_database_url)
    version(database_url, "0001")
    with pytest.raises(ConfigurationError, match=r"is version 0001, .*Bring it up to date with: v7 migrate"):
        database.check(database_url)
    version(database_url, "9999", "9998")
    for call in (database.check, database.migrate):
        with pytest.raises(ConfigurationError, match="is version 9999, newer than this release"):
            call(database_url)


def test_a_newer_schema_that_serves_this_release_is_left_as_it_is(database_url: str) -> None:
    version(database_url, "9999")
    assert database.check(database_url) == "9999"
    assert database.migrate(database_url) == ("9999", "9999")
    assert describe(database_url, []).misfit == ""


def test_it_waits_for_one_who_migrates(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, application_name=migration.MIGRATOR), ThreadPoolExecutor() as pool:
        checking = pool.submit(database.check, empty_database_url)
        with pytest.raises(TimeoutError):
            checking.result(1)
        database.migrate(empty_database_url)
        checking.result(60)


def test_back_and_forward_by_name(database_url: str) -> None:
    assert database.migrate(database_url, "0005") == (SCHEMA_VERSION, "0005")
    with pytest.raises(ConfigurationError, match="is version 0005, this release needs"):
        database.check(database_url)
    assert database.migrate(database_url) == ("0005", SCHEMA_VERSION)
    with pytest.raises(ConfigurationError, match=r"no version 12 of the schema: this release knows 0001 to \d{4}\.$"):
        database.migrate(database_url, "12")


async def limit(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
    async with database.transaction(connection):
        await connection.execute("insert into v7.event_types (event_type_id) values (5) on conflict do nothing")
        await connection.execute("update v7.event_types set concurrency_limit = 5 where event_type_id = 5")


@pytest.mark.slow
@pytest.mark.fault(34)
async def test_a_transaction_that_its_standby_does_not_have_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ends the wait for it, somebody's cancel or our own deadline: Postgres only warns."""
    with lonely(tmp_path / "lonely") as server:
        connection = await database.connect(server.url)
        with pytest.raises(psycopg.OperationalError, match="not confirmed by the synchronous standby"):
            await unconfirmed(server, limit(connection))
        assert connection.closed
        connection = await database.connect(server.url)
        monkeypatch.setattr(database, "deadline", functools.partial(deadline, seconds_max=0.3))
        with pytest.raises(psycopg.OperationalError):
            await limit(connection)
        assert connection.closed
        while server.sql(SYNCING):  # none is left behind
            await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.fault(34)
async def test_a_command_that_the_standby_does_not_have_fails(tmp_path: Path) -> None:
    with lonely(tmp_path / "lonely") as server:

        async def run(*arguments: object) -> Done:
            return await unconfirmed(server, asyncio.to_thread(functools.partial(v7, *arguments, url=server.url)))

        for arguments in (
            ("jobs", "cancel", 1),
            ("jobs", "cancel", 2, 3, "--json"),
            ("types", "pause", 5),
            ("jobs", "priority", "--to", 7, "--all", "--yes"),
        ):
            done = await run(*arguments)
            assert (done.returncode, done.stdout) == (69, ""), arguments
            assert "not confirmed by the synchronous standby" in done.stderr


async def test_a_warning_of_somebody_s_trigger_ends_no_transaction(database_url: str) -> None:
    async with await database.connect(database_url) as connection:
        await connection.execute("""create function warn() returns trigger language plpgsql as $$ begin
            raise warning 'it was %', old; return new; end $$""")
        await connection.execute(
            "create trigger warn before update on v7.event_types for each row execute function warn()"
        )
        await limit(connection)
        assert not connection.closed


async def test_a_link_keeps_its_connection_until_it_breaks(database_url: str) -> None:
    link = Link(database_url, {"application_name": "linked"})
    first = await link.get()
    assert await link.get() is first
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s)", [first.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        await first.execute("select 1")
    second = await link.get()
    assert second is not first
    cursor = await second.execute("select current_setting('application_name')")
    assert await cursor.fetchone() == ("linked",)
    await link.close()
    assert second.closed
    await link.close()
    third = await link.get()
    assert not third.closed
    await link.close()


async def test_a_link_greets_each_new_connection(database_url: str) -> None:
    greeted = []

    async def greet(connection: object) -> None:
        greeted.append(connection)
        if len(greeted) == 2:
            raise psycopg.OperationalError("not this one")

    link = Link(database_url, greet=greet)
    first = await link.get()
    assert await link.get() is first
    await link.close()
    with pytest.raises(psycopg.OperationalError, match="not this one"):
        await link.get()
    assert link.connection is None
    assert greeted[1].closed  # type: ignore[attr-defined]
    await link.get()
    assert len(greeted) == 3
    await link.close()


async def test_a_link_to_nowhere_raises_what_is_waited_for() -> None:
    link = Link(NOWHERE)
    with pytest.raises(psycopg.OperationalError):
        await link.get()
    await link.close()
