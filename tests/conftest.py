"""One Postgres for the session, and a database for each test, copied from a migrated template."""

import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from v7_task_processor import database
from v7_task_processor.queue import Connection

from .embedded.support import USER, first_line, process

# A machine that is busy elsewhere is no defect: limits of time are tested by name, not by Hypothesis.
settings.register_profile("v7", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("v7")
TEMPLATE = f"v7_template_{uuid.uuid4().hex[:8]}"


@pytest.hookimpl(trylast=True)  # after what -m and -k leave out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a Docker engine its tests are skipped, and say why."""
    marked = [item for item in items if item.get_closest_marker("docker")]
    if marked and (reason := no_engine()):
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))


def no_engine() -> str | None:
    """Why no container can be run here; None: they can."""
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no Docker engine: {error}"
    said = asked.stderr.strip().splitlines() or ["it says nothing"]
    return f"no Docker engine answers: {said[-1]}" if asked.returncode else None


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings from outside: neither from the environment nor from an .env file."""
    for name in list(os.environ):
        if name.startswith(("V7_", "OTEL_")) or name in (
            "DATABASE_URL",
            "DATABASE_URL_FILE",
            "HOST",
            "PORT",
            "LOG_LEVEL",
            "LOG_FORMAT",
        ):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server to test on: V7_TEST_DATABASE_URL, or an embedded one without fsync.

    Nothing that is tested on it depends on fsync; tests of durability start servers of their own.
    """
    given = os.environ.get("V7_TEST_DATABASE_URL")
    if given:
        yield given
        return
    # A process of its own has it, and stops it when we are gone, even where we were killed with our whole group.
    with process(USER, tmp_path_factory.mktemp("postgres"), start_new_session=True) as user:
        yield first_line(user)


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """What the names of databases that are migrated and empty begin with; the rest is the day of each."""
    with psycopg.connect(server_url, autocommit=True) as admin:
        yield TEMPLATE
        made = admin.execute("select datname from pg_database where starts_with(datname, %s)", [TEMPLATE])
        for (name,) in made.fetchall():
            admin.execute(f"drop database {name} with (force)")


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """A database without our schema."""
    with psycopg.connect(server_url, autocommit=True) as admin:
        yield from copied(server_url, admin, "template1")


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """A migrated, empty database of this test's own."""
    yield from fresh(server_url, template)


def fresh(server_url: str, template: str) -> Iterator[str]:
    """A migrated, empty database. Its history has the days from today on, though midnight may have come since the
    first was made."""
    with psycopg.connect(server_url, autocommit=True) as admin:
        yield from copied(server_url, admin, of_today(server_url, admin, template))


def of_today(server_url: str, admin: psycopg.Connection, template: str) -> str:
    """The template of the server's day, made where it is the first to be asked for."""
    ((name,),) = admin.execute("select %s || to_char(now() at time zone 'UTC', '_YYYYMMDD')", [template])
    if not admin.execute("select from pg_database where datname = %s", [name]).rowcount:
        admin.execute(f"create database {name}")
        database.migrate(named(server_url, name))
    return str(name)


def copied(server_url: str, admin: psycopg.Connection, source: str) -> Iterator[str]:
    name = f"v7_test_{uuid.uuid4().hex[:12]}"
    admin.execute(f"create database {name} template {source}")
    try:
        yield named(server_url, name)
    finally:
        admin.execute(f"drop database {name} with (force)")


def named(server_url: str, name: str) -> str:
    """The same server, another database. A libpq string: DATABASE_URL takes it as it takes a URL.

    Whoever connects waits for as long as this machine stalls: the product's few seconds have tests of their own.
    """
    return make_conninfo("", **{**conninfo_to_dict(server_url), "dbname": name, "connect_timeout": "60"})


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    """An autocommit connection to this test's database."""
    async with await database.connect(database_url) as opened:
        yield opened
