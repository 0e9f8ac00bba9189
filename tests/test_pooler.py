"""Behind a real PgBouncer, in transaction mode: statements, a whole life of events, and what becomes of it all."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from v7_task_processor import database, queue
from v7_task_processor.cli import root
from v7_task_processor.errors import DatabaseUnavailable
from v7_task_processor.worker.session import CLAIMS, HOT

from .nodes import EVENT, V7, Node, check_books, enqueue, failures, jobs, node, post, wait_for_end, wait_until
from .poolers import NEEDS_PGBOUNCER, Pooler, pooled
from .standbys import primary, value
from .support import EVERYTHING, add, rows, take, worker
from .support import node as a_node

pytestmark = [NEEDS_PGBOUNCER, pytest.mark.fault(36)]
DEFAULTS = "select name, setting from pg_settings where source in ('session', 'client') order by name"


@pytest.fixture
def pooler(database_url: str, tmp_path: Path) -> Iterator[Pooler]:
    with pooled(tmp_path / "pooler", database_url) as made:
        yield made


async def test_a_pooler_is_noticed_and_nothing_is_left_in_its_sessions(pooler: Pooler) -> None:
    async with await database.connect(pooler.server_url) as direct:
        assert direct.opening is None
    async with await database.connect(pooler.url, CLAIMS) as claims, await database.connect(pooler.url, HOT) as records:
        assert claims.opening is not None
        worker_id = await worker(records, await a_node(records))
        ids = await add(records, 20)
        for _ in range(10):
            (job,) = await take(claims, worker_id, 1)
            assert await queue.complete(records, worker_id, [(job.id, job.attempt)], kept=True) == 1
            assert job.id == ids.pop(0)
        with psycopg.connect(pooler.url, autocommit=True, prepare_threshold=None) as stranger:
            for _ in range(20):  # every session of the pool
                assert dict(stranger.execute(DEFAULTS).fetchall()).keys() <= {"application_name", "client_encoding"}
                assert stranger.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)


def test_what_is_shown_is_alike_whatever_the_databases_defaults(database_url: str, tmp_path: Path) -> None:
    enqueue(database_url, {})
    name = conninfo_to_dict(database_url)["dbname"]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"alter database {name} set datestyle = 'German, DMY'")
        connection.execute(f"alter database {name} set timezone = 'Asia/Kathmandu'")
        try:
            with pooled(tmp_path / "pooler", database_url) as pooler:
                for command in (["status"], ["jobs", "list", "--json"]):
                    assert root.run([*command, "--database-url", pooler.url]) == 0
        finally:
            connection.execute(f"alter database {name} reset all")


@pytest.mark.parametrize("command", [["status"], ["workers"], ["types", "list"]], ids=" ".join)
def test_a_look_leaves_the_poolers_session_to_others(pooler: Pooler, command: list[str]) -> None:
    """One that is left in a transaction is thrown away, and made anew for the next."""
    for _ in range(3):
        assert root.run([*command, "--database-url", pooler.url]) == 0
    assert "client close request" in pooler.said()
    assert "server was not ready" not in pooler.said()


async def test_each_statement_runs_with_the_settings_of_its_connection(pooler: Pooler) -> None:
    """In one transaction with them, that is over when it answers, whatever the database has by default."""
    with psycopg.connect(pooler.server_url, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute(f"alter database {name} set default_transaction_isolation = 'serializable'".encode())
    async with await database.connect(pooler.url, {**CLAIMS, "statement_timeout": "200ms"}) as connection:
        slow = queue.Statement("position")
        slow.text = """select current_setting('enable_sort'), current_setting('synchronous_commit'),
            current_setting('transaction_isolation')"""
        assert await slow(connection) == [("off", "local", "read committed")]
        slow.text = "select pg_sleep(5)"
        with pytest.raises(psycopg.errors.QueryCanceled):
            await slow(connection)
        assert await rows(connection, "select current_setting('enable_sort')") == [("on",)]


async def test_a_limited_type_is_claimed_behind_a_pooler(pooler: Pooler) -> None:
    """Its lock and its claim are two statements in one transaction, whichever session that has."""
    async with await database.connect(pooler.url, CLAIMS) as claims, await database.connect(pooler.url, HOT) as records:
        worker_id = await worker(records, await a_node(records))
        await add(records, 20, event_type_id=5)
        await records.execute("insert into v7.event_types (event_type_id, concurrency_limit) values (5, 3)")
        for room in (3, 0, 0):
            claim = await queue.claim_limited(claims, worker_id, 10, queue.BEGINNING, EVERYTHING, frozenset())
            assert len(claim.jobs) == room
        assert await rows(records, "select count(*) from pg_locks where locktype = 'advisory'") == [(0,)]


async def test_an_error_at_the_commit_is_no_success(pooler: Pooler) -> None:
    """As a deferred constraint, or a disk that is full: the rows were answered before it."""
    async with await database.connect(pooler.url) as connection:
        await connection.execute("""create function refuse() returns trigger language plpgsql as $$
            begin raise exception 'not at the end either'; end $$""")
        await connection.execute("""create constraint trigger refuse after insert on v7.jobs deferrable
            initially deferred for each row execute function refuse()""")
        with pytest.raises(psycopg.errors.RaiseException):
            await add(connection)
        assert await rows(connection, "select count(*) from v7.jobs") == [(0,)]


async def test_a_job_that_cannot_be_claimed_is_found_behind_a_pooler(pooler: Pooler) -> None:
    """By transactions in transactions, of which nothing remains; also where it is the commit that is refused."""
    async with await database.connect(pooler.url, CLAIMS) as claims, await database.connect(pooler.url, HOT) as records:
        worker_id = await worker(records, await a_node(records))
        bad, good = await add(records, 2)
        await records.execute("""create function refuse() returns trigger language plpgsql as $$
            begin if not new.suspect then raise exception 'not this one'; end if; return null; end $$""")
        await records.execute("""create constraint trigger refuse after update on v7.jobs deferrable
            initially deferred for each row execute function refuse()""")
        asked = queue.Asked(1, EVERYTHING, queue.BEGINNING)
        for passed_over, expected in (([], bad), ([bad], good)):
            positions = await rows(records, "select position from v7.jobs where id = any(%s)", passed_over)
            (found,) = await queue.unclaimable(claims, worker_id, asked, [each for (each,) in positions])
            assert (found.job_id, str(found.error).splitlines()[0]) == (expected, "not this one")
        await records.execute("update v7.jobs set suspect = true")
        assert await queue.unclaimable(claims, worker_id, queue.Asked(1, EVERYTHING, None)) == []
        assert await rows(records, "select distinct status, attempt from v7.jobs") == [("queued", 0)]


async def test_a_statement_in_a_transaction_is_part_of_it(pooler: Pooler) -> None:
    async with await database.connect(pooler.url, HOT) as connection:
        with pytest.raises(ZeroDivisionError):
            async with connection.transaction():
                await add(connection, 3)
                with pytest.raises(psycopg.DataError):
                    async with connection.transaction():
                        await queue.enqueue(connection, [queue.Enqueued(1, 1, 1, "{not json", "c")])
                await add(connection, 2)
                assert await rows(connection, "select count(*) from v7.jobs") == [(5,)]
                raise ZeroDivisionError
        assert await rows(connection, "select count(*) from v7.jobs") == [(0,)]


def test_a_life_behind_a_pooler(pooler: Pooler, tmp_path: Path) -> None:
    """Events by HTTP and by SQL, retries, a crash of a worker, a pooler that is killed and started again, a drain."""
    with (
        node(tmp_path / "node", pooler.url, "api") as api,
        node(tmp_path / "worker", pooler.url, V7_WORKER_PROCESSES=2, V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0.05) as one,
    ):
        address = api.address()
        wait_until(lambda: "no hint is heard" in api.said(), "it tells that it does without hints")
        wait_until(lambda: one.said(), "it works")
        enqueue(pooler.url, {"do": "fail"}, count=3)
        enqueue(pooler.url, {"do": "die"})
        before = [post(address, EVENT) for _ in range(20)]
        wait_for_end(pooler.server_url)
        charged = {job_id for job_id, _ in failures(pooler.server_url)}
        assert len(charged) == 4
        enqueue(pooler.url, {"do": "sleep", "seconds": 2}, count=8)
        wait_until(lambda: len(one.starts()) >= 8 + 20 + 8, "they run")
        pooler.kill()
        pooler.start()
        wait_until(lambda: post(address, EVENT)[0] == 200, "events are taken again")
        after = [post(address, EVENT) for _ in range(20)]
        wait_for_end(pooler.server_url)
        assert one.stop() == 0
        assert api.stop() == 0
    assert {status for status, _ in before + after} == {200}
    check_books(pooler.server_url, one)
    ended = {job_id: (status, retry_count) for job_id, status, retry_count in jobs(pooler.server_url)}
    assert {ended.pop(job_id) for job_id in charged} == {("dead", 2)}
    assert set(ended.values()) == {("succeeded", 0)}
    assert value_of(pooler.server_url, "select count(*) from v7.workers") == 0


def value_of(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row and row[0]


@pytest.mark.slow
def test_a_node_that_is_lost_behind_a_pooler_is_rescued(pooler: Pooler, tmp_path: Path) -> None:
    """By its successor, from its notes: a new node on the same folder."""
    enqueue(pooler.url, {"do": "sleep", "seconds": 1}, count=3)
    with node(tmp_path / "node", pooler.url, V7_WORKER_PROCESSES=1) as one:
        wait_until(lambda: len(one.starts()) == 3, "all run")
        one.kill_tree()
        one.start()
        wait_for_end(pooler.server_url)
    assert [row[1:] for row in jobs(pooler.server_url)] == [("succeeded", 0)] * 3


@pytest.mark.slow
def test_without_a_direct_address_an_event_is_found_by_looking(pooler: Pooler, tmp_path: Path) -> None:
    with node(tmp_path / "node", pooler.url, V7_WORKER_PROCESSES=1) as one:
        wait_until(lambda: one.said(), "it works")
        late = [started_after(pooler.url, one) for _ in range(4)]
        assert sorted(late)[1] < 2  # it looks each second; a busy machine may be late now and then


def started_after(url: str, one: Node) -> float:
    before = len(one.starts())
    began = time.monotonic()
    enqueue(url, {})
    wait_until(lambda: len(one.starts()) > before, "it is started")
    return time.monotonic() - began


@pytest.mark.slow
def test_with_a_direct_address_hints_and_beats_go_past_the_pooler(pooler: Pooler, tmp_path: Path) -> None:
    direct = make_conninfo(pooler.server_url, application_name="past it")
    with node(tmp_path / "node", pooler.url, V7_DIRECT_DATABASE_URL=direct, V7_WORKER_PROCESSES=2) as one:
        wait_until(lambda: "hints and heartbeats past it" in one.said(), "it says so")
        past = "select count(*) from pg_stat_activity where application_name = 'past it'"
        wait_until(lambda: value_of(direct, past) == 1 + 1 + 2, "this, the beat, and what two workers hear")
        beats = "select max(heartbeat_at) from v7.workers"
        beat = value_of(pooler.server_url, beats)
        with pooler.standing_still():
            wait_until(lambda: value_of(pooler.server_url, beats) != beat, "it beats")
        enqueue(pooler.server_url, {}, count=100)
        wait_for_end(pooler.server_url)
        assert one.stop() == 0


def test_migrations_say_that_they_need_a_session(
    empty_database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pooled(tmp_path / "pooler", empty_database_url) as pooler:
        for command in ("migrate", "run"):
            assert root.run([command, "--database-url", pooler.url]) == 78
            assert "V7_DIRECT_DATABASE_URL" in capsys.readouterr().err
        monkeypatch.setenv("V7_DIRECT_DATABASE_URL", empty_database_url)
        assert root.run(["migrate", "--database-url", pooler.url]) == 0
        assert database.SCHEMA_VERSION in capsys.readouterr().out


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_listings_go_through_the_pooler(command: str, pooler: Pooler, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        root.run([command, "--database-url", pooler.url])
    shown = capsys.readouterr()
    assert "error" not in shown.err.lower()
    assert command == "status" or "! pooler " in shown.out


def test_a_direct_address_alone_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("V7_DIRECT_DATABASE_URL", "postgresql://somewhere/events")
    assert root.run(["status"]) == 78
    assert "set both" in capsys.readouterr().err


def test_an_address_with_options_is_told_what_to_do(pooler: Pooler) -> None:
    with pytest.raises(DatabaseUnavailable, match="ignore_startup_parameters"):
        database.check(make_conninfo(pooler.url, options="-c geqo=off"))


async def test_a_pooler_that_keeps_sessions_is_as_one_that_does_not(database_url: str, tmp_path: Path) -> None:
    with pooled(tmp_path / "pooler", database_url, "session") as made:
        async with await database.connect(made.url, HOT) as connection:
            assert connection.opening is not None
            assert await add(connection, 2) == [1, 2]


def refused(pooler: Pooler, **environment: str) -> str:
    """What `v7 worker` says as it does not start."""
    done = subprocess.run(
        [*V7, "worker"],
        env={**os.environ, "DATABASE_URL": pooler.url, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 78, done.stderr
    return done.stderr


def test_a_direct_address_that_is_none_is_refused_at_the_start(pooler: Pooler, empty_database_url: str) -> None:
    assert "must lead to Postgres itself" in refused(pooler, V7_DIRECT_DATABASE_URL=pooler.url)
    assert "another database than DATABASE_URL" in refused(pooler, V7_DIRECT_DATABASE_URL=empty_database_url)
    assert "leads nowhere" in refused(pooler, V7_DIRECT_DATABASE_URL="host=127.0.0.1 port=1 dbname=x")


@pytest.mark.slow
async def test_a_server_that_was_restarted_behind_the_pooler_breaks_our_connection(tmp_path: Path) -> None:
    """The pooler tells nobody, and the end of the log may be lost: identities and sequences must be asked anew."""
    with primary(tmp_path / "a") as server, pooled(tmp_path / "pooler", server.socket_url) as between:
        link = database.Link(between.url, HOT)
        connection = await link.get()
        assert await add(connection) == [1]
        server.stop()
        server.start()
        while connection is await link.get():
            try:
                await add(connection)
            except psycopg.OperationalError:
                await asyncio.sleep(0.1)  # the pooler looks for its server once a second
        assert value(server, "select count(*) from v7.jobs") == 1
        assert len(await add(await link.get())) == 1
        await link.close()
