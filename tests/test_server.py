"""What a server says of itself."""

import psycopg
import pytest

from v7_task_processor import database
from v7_task_processor.database import SCHEMA_VERSION
from v7_task_processor.errors import DatabaseUnavailable, V7Error
from v7_task_processor.server import describe
from v7_task_processor.web.dashboard.overview import worth_of
from v7_task_processor.web.ingest import Ingest
from v7_task_processor.web.problem import Problem
from v7_task_processor.web.ready import UNREACHABLE, Readiness

NOWHERE = "postgresql://ann:hunter2@127.0.0.1:1/db"


def test_a_server_describes_itself(database_url: str) -> None:
    found = describe(database_url, ["fsync", "no_such_setting"])
    assert found.number // 10_000 >= 15
    assert found.version.startswith(str(found.number // 10_000))
    assert found.settings.keys() == {"fsync"}
    assert (found.is_standby, found.standbys, found.schema) == (False, (), SCHEMA_VERSION)
    with pytest.raises(DatabaseUnavailable):
        describe(NOWHERE, [])


async def test_one_that_answers_and_refuses_is_a_problem_to_all_who_ask(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(database.SESSION, "statement_timeout", "100ms")
    with psycopg.connect(database_url) as other:
        other.execute("lock table v7.alembic_version")
        with pytest.raises(V7Error, match=r"^The database refused: canceling statement due to statement timeout$"):
            describe(database_url, [])
        assert await Readiness(database_url, Ingest()).look() == [UNREACHABLE]
        with pytest.raises(Problem, match="cannot be reached"):
            await worth_of(database_url)
