"""`v7 --version` tells what one wants to know of an installation, whatever the database does."""

import socket

import pytest

from v7_task_processor import __version__, database
from v7_task_processor.cli.version import lines
from v7_task_processor.server import describe

FIRST = [f"v7 {__version__}", f"schema {database.SCHEMA_VERSION}"]


def test_of_a_database_with_our_schema(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    version = describe(database_url, []).version
    assert list(lines()) == [*FIRST, f"Postgres {version}, its schema {database.SCHEMA_VERSION}"]


def test_of_a_database_without_it(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    assert list(lines())[-1].endswith(", its schema none")


def test_without_a_database() -> None:
    *first, last = lines()
    assert first == FIRST
    assert last.startswith("Postgres 18.")
    assert last.endswith(", embedded")


@pytest.mark.parametrize(("url", "says"), [("postgresql://x@127.0.0.1:1/y", "refused"), ("?", "must look like")])
def test_what_cannot_be_reached_is_said(url: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    *first, last = lines()
    assert first == FIRST
    assert last.startswith("Postgres not reached: ")
    assert says in last


def test_a_server_that_says_nothing_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("DATABASE_URL", f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/y")
        *first, last = lines()
    assert first == FIRST
    assert last.startswith("Postgres ")
