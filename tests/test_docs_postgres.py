"""The roles of docs/postgres.md, made by its own SQL: all that nodes do is done by a role that owns nothing."""

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from v7_task_processor import database, maintenance
from v7_task_processor.cli import checks, root

from .nodes import EVENT, check_books, enqueue, failures, jobs, node, post, wait_for_end, wait_until

TEXT = (Path(__file__).parents[1] / "docs" / "postgres.md").read_text()
OLD_DAY = """
create table v7.finished_jobs_20200101 partition of v7.finished_jobs
for values from ('2020-01-01 00:00+00') to ('2020-01-02 00:00+00')"""
LAST_DAY = "select max(relname) from pg_class where relkind = 'r' and relname like 'finished_jobs_2%'"
OWNERS = """
select distinct pg_get_userbyid(relowner) from pg_class where relnamespace = 'v7'::regnamespace"""


def block(name: str, suffix: str) -> bytes:
    """The statements under this name, their roles and database with a suffix of the test's own."""
    found = re.search(rf"^```sql {name}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    assert found, name
    return re.sub(r"\b(v7_(?:owner|node|sender|reader)|events)\b", rf"\1_{suffix}", found[1]).encode()


class Roles(NamedTuple):
    """The same database as each of them."""

    owner: str
    node: str
    sender: str
    reader: str


@pytest.fixture(scope="module")
def roles(server_url: str) -> Iterator[Roles]:
    suffix = uuid.uuid4().hex[:8]
    with psycopg.connect(server_url, autocommit=True) as admin:
        for statement in block("roles", suffix).split(b";"):
            admin.execute(re.sub(rb"(?m)^\s*--.*$", b"", statement))
        as_admin = make_conninfo(server_url, dbname=f"events_{suffix}")
        users = (f"v7_{user}_{suffix}" for user in Roles._fields)
        made = Roles(*(make_conninfo(as_admin, user=user) for user in users))
        database.migrate(made.owner)
        with psycopg.connect(made.owner) as owner:
            owner.execute(block("grants", suffix))
        with psycopg.connect(as_admin) as connection:
            create, *rest = re.split(rb"(?m)^(?=grant)", block("senders", suffix), maxsplit=1)
            connection.execute(create + b"".join(rest))
        yield made
        admin.execute(f"drop database events_{suffix} with (force)".encode())
        for user in Roles._fields:
            admin.execute(f"drop role v7_{user}_{suffix}".encode())


def test_a_whole_life_as_a_role_that_owns_nothing(roles: Roles, tmp_path: Path) -> None:
    """Events by HTTP and by SQL, retries, a crash, days made and dropped, a node on a schema that is there."""
    with psycopg.connect(roles.owner) as owner:
        owner.execute(OLD_DAY)
        (last,) = owner.execute(LAST_DAY).fetchall()
        owner.execute(f"drop table v7.{last[0]}".encode())
    with node(tmp_path / "node", roles.node, "run", V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0.05) as one:
        address = one.address()
        assert {post(address, EVENT)[0] for _ in range(10)} == {200}
        assert post(address, EVENT, **{"Idempotency-Key": "a"}) == post(address, EVENT, **{"Idempotency-Key": "a"})
        enqueue(roles.sender, {"do": "fail"})
        enqueue(roles.sender, {"do": "die"})
        with psycopg.connect(roles.sender) as sender:
            sender.execute(
                "select v7.enqueue(1, 1, 1, '{}', run_at => now() + interval '0.2 s', idempotency_key => 'k')"
            )
            event = {"event_type_id": 1, "user_id": 1, "priority": 1, "event_data": {}}
            assert len(sender.execute("select v7.enqueue_many(%s)", [json.dumps([event] * 2)]).fetchall()) == 2
        wait_for_end(roles.node)
        days = "select to_regclass('v7.finished_jobs_20200101') is null and to_regclass(%s) is not null"
        wait_until(lambda: ask(roles.node, days, f"v7.{last[0]}"), "days are made and dropped")
        assert one.stop() == 0, one.said()
    assert "permission" not in one.said()
    assert "must be owner" not in one.said()
    check_books(roles.node, one)
    assert {error for _, error in failures(roles.node)} == {"ValueError", "Crash"}
    assert [row[1] for row in jobs(roles.node)].count("dead") == 2
    with psycopg.connect(roles.node) as connection:
        owners = connection.execute(OWNERS).fetchall()
    assert owners == [(conninfo_to_dict(roles.owner)["user"],)]


def ask(url: str, query: str, *values: object) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode(), values).fetchone()
        return row is not None and bool(row[0])


@pytest.mark.parametrize(
    "command",
    ["status", "jobs list", "dead list", "dead redrive --all --yes", "types pause 9", "types resume 9", "workers"],
)
def test_commands_work_as_the_role_of_nodes(roles: Roles, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run([*command.split(), "--database-url", roles.node]) == 0, capsys.readouterr().err


def test_the_doctor_sees_all_as_the_role_of_nodes(roles: Roles, capsys: pytest.CaptureFixture[str]) -> None:
    root.run(["doctor", "--database-url", roles.node, "--json"])
    checks = {check["name"]: check["state"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert {checks[name] for name in ("database", "schema", "days", "transactions")} == {"holds"}
    assert ask(roles.node, "select pg_has_role('pg_monitor', 'member')")


def test_the_doctor_says_what_it_cannot_see_as_a_role_without_pg_monitor(
    roles: Roles, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "TRANSACTION_SECONDS_MAX", 0)
    with psycopg.connect(roles.owner) as old:
        old.execute("select 1")
        root.run(["doctor", "--database-url", roles.reader, "--json"])
    found = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}["transactions"]
    assert (found["state"], found["todo"]) == ("note", "Grant pg_monitor to see all.")
    assert found["says"].endswith(", as far as this user may see")


async def test_after_a_failover_the_role_of_nodes_moves_the_sequences(roles: Roles) -> None:
    with psycopg.connect(roles.owner) as owner:
        owner.execute("update v7.server set timeline = 77, system_identifier = 1")
    maintenance.unrecognised.clear()
    async with await database.connect(roles.node) as connection:
        await maintenance.recognise(connection)
    assert not maintenance.unrecognised
    assert ask(roles.node, "select last_value > 1000000 from v7.jobs_id_seq")


@pytest.mark.parametrize(
    "statement",
    [
        "create table v7.mine ()",
        "drop table v7.failures",
        "truncate v7.jobs",
        "alter table v7.jobs add column mine text",
        "update v7.alembic_version set version_num = '0001'",
        "create schema v8",
    ],
)
def test_nodes_change_rows_and_nothing_else(roles: Roles, statement: str) -> None:
    with psycopg.connect(roles.node) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        "select * from v7.jobs",
        "delete from v7.jobs",
        "update v7.jobs set priority = 1",
        "select v7.drop_oldest_day(-1000)",
        "select v7.add_days(1000)",
    ],
)
def test_a_sender_sends_and_nothing_else(roles: Roles, statement: str) -> None:
    with psycopg.connect(roles.sender) as connection:
        connection.execute("select v7.enqueue(1, 1, 1, '{}')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())
        connection.rollback()


def test_a_reader_looks_and_nothing_else(roles: Roles, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["jobs", "list", "--database-url", roles.reader]) == 0
    assert root.run(["status", "--database-url", roles.reader]) == 0
    with psycopg.connect(roles.reader) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select v7.enqueue(1, 1, 1, '{}')")
