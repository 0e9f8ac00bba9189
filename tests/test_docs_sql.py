"""Every statement in docs/sql.md, on a database with one of everything, an event with \\u0000 among it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from v7_task_processor import database

from .conftest import fresh
from .population import populate

TEXT = (Path(__file__).parents[1] / "docs" / "sql.md").read_text()
BLOCKS = [
    pytest.param(match[1], id=f"line {TEXT[: match.start()].count(chr(10)) + 2}")
    for match in re.finditer(r"^```sql\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
]


def run(connection: "psycopg.Connection[Any]", block: str) -> list[list[tuple[Any, ...]]]:
    """The rows of each statement that has some."""
    cursor = connection.execute(block.encode())
    answers = []
    while True:
        if cursor.description:
            answers.append(cursor.fetchall())
        if not cursor.nextset():
            return answers


@pytest.fixture(scope="module")
def url(server_url: str, template: str) -> Iterator[str]:
    for name in fresh(server_url, template):
        populate(name)
        with psycopg.connect(name) as connection:
            connection.execute("create table orders (id bigint, total numeric)")
        yield name


@pytest.fixture
def populated(url: str) -> Iterator["psycopg.Connection[Any]"]:
    with database.connect_to_wait(url) as connection:
        connection.autocommit = True
        yield connection


def block_with(words: str) -> str:
    return next(str(block.values[0]) for block in BLOCKS if words in str(block.values[0]))


@pytest.mark.parametrize("block", [block for block in BLOCKS if "update v7.jobs" not in str(block.values[0])])
def test_each_statement_runs_and_answers(populated: "psycopg.Connection[Any]", block: str) -> None:
    if "pg_input_is_valid" in block and populated.info.server_version < 160000:
        pytest.skip("pg_input_is_valid is of Postgres 16")
    answers = run(populated, block)
    assert answers
    assert all(answers), "a question without an answer"


def test_there_are_eleven_questions() -> None:
    assert [int(number) for number in re.findall(r"^### (\d+)\.", TEXT, re.MULTILINE)] == list(range(1, 12))


def test_the_trap_is_one_and_the_guards_hold(populated: "psycopg.Connection[Any]") -> None:
    guards = [str(block.values[0]) for block in BLOCKS if "case when" in str(block.values[0])]
    assert len(guards) == 2
    with pytest.raises(psycopg.errors.UntranslatableCharacter):
        populated.execute("select event_data->>'order_id' from v7.jobs")
    populated.execute(
        "insert into v7.jobs (event_type_id, user_id, priority, event_data, queued_at) values (1, 1, 1, %s, now())",
        ['{"order_id": "\\ud800"}'],
    )
    for guard in guards:
        if "pg_input_is_valid" in guard and populated.info.server_version < 160000:
            continue
        found = dict(run(populated, guard)[0])
        assert found[6] == "17"
        assert found[1] is None


def test_sending_again_under_a_key_answers_the_same_id(populated: "psycopg.Connection[Any]") -> None:
    first, second = run(populated, block_with("idempotency_key"))
    assert first == second


def test_redriving_by_sql_does_what_the_command_does(database_url: str) -> None:
    populate(database_url)
    with psycopg.connect(database_url) as connection:
        run(connection, block_with("update v7.jobs"))
        row = connection.execute("select status, retry_count, position from v7.jobs where id = 42").fetchone()
        assert row is not None
        assert row[:2] == ("queued", 0)
        assert connection.execute("select max(position) from v7.jobs").fetchone() == (row[2],)
