"""`v7 migrate`, and what the other commands say of a schema that is not theirs."""

import asyncio

import psycopg
import pytest

from v7_task_processor import __version__, database
from v7_task_processor.cli import root

from .support import entered


@pytest.mark.parametrize("command", ["status", "api", "worker"])
def test_without_the_schema_it_is_78_and_names_migrate(
    command: str, empty_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run([command, "--database-url", empty_database_url]) == 78
    assert "v7 migrate" in capsys.readouterr().err


@pytest.mark.fault(75)
@pytest.mark.parametrize(("version", "says"), [("0001", "this release needs"), ("9999", "newer than this release")])
def test_an_older_or_newer_schema_is_78_and_names_migrate(
    version: str, says: str, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("update v7.alembic_version set version_num = %s", [version])
        connection.execute("update v7.server set oldest_schema = %s", [version])
    assert root.run(["worker", "--database-url", database_url]) == 78
    said = capsys.readouterr().err
    assert says in said
    assert "v7 migrate" in said
    if version == "9999":
        assert root.run(["migrate", "--database-url", database_url]) == 78


def test_migrate_makes_the_schema_once(empty_database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["migrate", "--database-url", empty_database_url]) == 0
    assert capsys.readouterr().out == f"The schema is version {database.SCHEMA_VERSION} now; before: none.\n"
    assert root.run(["migrate", "--database-url", empty_database_url]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert root.run(["migrate", "--database-url", empty_database_url, "--json"]) == 0
    assert f'"before": "{database.SCHEMA_VERSION}"' in capsys.readouterr().out


async def test_migrating_back_under_nodes_of_this_release_has_to_be_meant(
    empty_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ["--database-url", empty_database_url]
    assert await asyncio.to_thread(root.run, ["migrate", *url]) == 0
    async with await database.connect(empty_database_url) as connection:
        await entered(connection, None)
        await connection.execute("update v7.workers set version = %s", [__version__])
        back = ["migrate", "--to", "0012", *url]
        assert await asyncio.to_thread(root.run, back) == 1
        assert capsys.readouterr().err.startswith("v7: Nodes of this release are at work (")
        assert await asyncio.to_thread(root.run, ["migrate", "--to", database.SCHEMA_VERSION, *url]) == 0
        await connection.execute("update v7.workers set version = '0.0.1'")
        assert await asyncio.to_thread(root.run, back) == 0
        assert await asyncio.to_thread(root.run, ["migrate", *url]) == 0
        await connection.execute("update v7.workers set version = %s", [__version__])
        assert await asyncio.to_thread(root.run, [*back, "--yes"]) == 0
