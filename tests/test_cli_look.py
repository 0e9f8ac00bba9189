"""The commands that only read, on one of everything: tables for people, JSON for programs."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from v7_task_processor.cli import root
from v7_task_processor.database import SCHEMA_VERSION

from .command import answer, v7
from .conftest import fresh
from .population import HOSTILE, KEYS, NUL_EVENT, fail_often, populate

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CONTROLS = {chr(code) for code in (*range(32), *range(127, 160))} - {"\n"}


@pytest.fixture(scope="module")
def url(server_url: str, template: str) -> Iterator[str]:
    for name in fresh(server_url, template):
        populate(name)
        with psycopg.connect(name) as connection:
            connection.execute("update v7.failures set log = 'of the ' || message where job_id = 42")
            connection.execute("update v7.finished_jobs set log = %s, traceparent = %s where id = 20", [HOSTILE, TRACE])
        yield name


class Shown:
    """What a command says to people, in this process: a process for each of so many would take a minute."""

    def __init__(self, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setenv("COLUMNS", "80")
        self.capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        assert root.run(arguments) == code
        captured = self.capsys.readouterr()
        return captured.out if code == 0 else captured.out + captured.err


@pytest.fixture
def shown(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shown:
    return Shown(url, capsys, monkeypatch)


def test_status(url: str) -> None:
    done = v7("status", url=url)
    assert done.returncode == 0
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines()}
    assert lines["queued"] == "5   the oldest waits 2 h"
    assert lines["dead"].startswith("2")
    assert lines["nodes"] == "1   with 1 worker"
    assert lines["lost"].startswith("1 node without a heartbeat")
    assert lines["paused"].startswith("type 5:")
    assert lines["unserved"].startswith("type 9:")
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_status_for_programs(url: str) -> None:
    found = answer("status", url=url)
    assert found["jobs"] == {"scheduled": 1, "queued": 5, "running": 1, "dead": 2, "capped": []}
    assert (found["paused"], found["unserved"]) == ([5], [9])
    assert found["now"].endswith("Z")


def test_jobs_for_programs_have_their_events_to_the_letter(url: str) -> None:
    done = v7("jobs", "list", "--json", url=url)
    assert '"n": 12345678901234567890123,' in done.stdout
    assert '"x": 1E5,' in done.stdout
    assert '"x": -0.0' in done.stdout
    found = json.loads(done.stdout)
    assert [job["id"] for job in found["jobs"]] == sorted(KEYS.values(), reverse=True)
    assert found["next_after"] is None
    job = next(job for job in found["jobs"] if job["id"] == KEYS["queued"])
    assert job["event_json"] == NUL_EVENT
    assert job["event_data"]["a"] == "\0"
    assert job["priority"] == 3


def test_pages_name_the_next_one(shown: Shown) -> None:
    said = shown("jobs", "list", "--limit", "2")
    assert said.rstrip().endswith("--after 41")
    assert "dead" not in shown("jobs", "list", "--limit", "2", "--after", "41")
    assert "--after" not in shown("jobs", "list", "--status", "dead")


def test_tables_fit_and_hold_nothing_that_moves_the_cursor(shown: Shown) -> None:
    for arguments in (
        ["jobs", "list"],
        ["jobs", "list", "--order", "queue"],
        ["jobs", "show", "41"],
        ["dead", "list"],
        ["dead", "show", "41"],
        ["types", "list"],
        ["workers"],
    ):
        said = shown(*arguments)
        assert not CONTROLS & set(said), arguments
        assert "\u202e" not in said
        if arguments[1:] != ["show", "41"]:
            assert max(len(line) for line in said.splitlines() if "is paused since" not in line) <= 80, said
    assert "ValueError: \\x1b[2J" in shown("dead", "list")


def test_hostile_text_comes_through_to_programs(url: str) -> None:
    found = answer("dead", "list", url=url)
    assert [job["id"] for job in found["jobs"]] == [42, 41]
    assert found["jobs"][1]["failure"]["message"] == HOSTILE
    assert found["jobs"][0]["failure"]["traceback"] == "Traceback:\n  two"


def test_one_job(shown: Shown) -> None:
    said = shown("jobs", "show", "42")
    assert "failures     2 of 2, in 2 attempts" in said
    assert "dead because max_retries reached" in said
    assert '{"amount": -1}' in said
    assert "ValueError: first" in said
    assert "Traceback:\n  two" in said
    assert "Traceback: one" not in said, "only the last in full"
    assert said.index("first\nit logged\nof the first\n") < said.index("  two\nit logged\nof the second\n")
    finished = shown("jobs", "show", "20")
    assert "request-20" in finished
    assert f"trace        {TRACE}" in finished
    assert "it logged\n\\x1b[2J\\x9b31m bold\\u202e\n[red]not markup[/red] 🎈" in finished
    assert "worker       2, alpha:101" in shown("jobs", "show", "6")
    found = json.loads(shown("jobs", "show", "42", "--json"))
    assert [failure["attempt"] for failure in found["failures"]] == [1, 2]
    assert [failure["log"] for failure in found["failures"]] == ["of the first", "of the second"]
    assert (found["event_data"], found["log"]) == ({"amount": -1}, None)
    assert json.loads(shown("jobs", "show", "20", "--json"))["log"] == HOSTILE


def test_one_job_that_failed_for_weeks(database_url: str, shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    populate(database_url)
    fail_often(database_url, 7, 103)
    said = shown("jobs", "show", "7")
    assert "Before these 3 attempts failed: select * from v7.failures where job_id = 7 order by attempt" in said
    assert "number 4\n" in said
    assert "number 3\n" not in said
    found = json.loads(shown("jobs", "show", "7", "--json"))
    assert (len(found["failures"]), found["earlier_failures"]) == (100, 3)


def test_what_is_not_there(shown: Shown) -> None:
    assert "There is no job 999" in shown("jobs", "show", "999", code=1)
    assert "it is succeeded; see v7 jobs show 20" in shown("dead", "show", "20", code=1)
    assert "there is no such job" in shown("dead", "show", "999", code=1)
    assert shown("jobs", "list", "--user", "-1") == "No such jobs.\n"
    assert shown("dead", "list", "--type", "-1") == "No such dead letters.\n"
    assert "not in the queue" in shown("jobs", "list", "--order", "queue", "--after", "6", code=1)


def test_types(shown: Shown) -> None:
    said = shown("types", "list")
    states = {line.split()[0]: line.split()[1] for line in said.splitlines()[1:5]}
    assert states == {"1": "open", "5": "paused", "6": "unserved", "9": "unserved"}
    assert "Type 5 is paused since" in said
    assert "its jobs wait, none is lost" in said
    found = json.loads(shown("types", "list", "--json"))
    assert [row["served"] for row in found["event_types"]] == [True, True, False, False]


def test_workers(shown: Shown) -> None:
    said = shown("workers")
    assert "alpha:100" in said
    assert "lost 60 min ago" in said
    assert "1, 5" in said
    found = json.loads(shown("workers", "--json"))
    assert [node["alive"] for node in found["nodes"]] == [True, False]


def test_empty_lists_say_so(database_url: str, shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert shown("jobs", "list") == "No jobs yet.\n"
    assert shown("dead", "list") == "No dead letters.\n"
    assert shown("types", "list").startswith("No event types yet")
    assert shown("workers").startswith("No nodes")
    assert "none, so nothing is handled" in shown("status")
    assert json.loads(shown("jobs", "list", "--json")) == {"jobs": [], "next_after": None}


def test_doctor(url: str, shown: Shown) -> None:
    said = shown("doctor", code=1)
    assert "✓ schema" in said
    assert "✗ unserved types     jobs of type 9 wait" in said
    assert "→ Start a worker whose handlers serve them." in said
    assert "! dead letters       2" in said
    done = v7("doctor", "--json", url=url)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["ok"] is False
    states = {check["name"]: check["state"] for check in found["checks"]}
    assert states["database"] == states["version"] == states["days"] == states["workers"] == "holds"
    assert states["unserved types"] == "fails"
    assert states["paused types"] == states["lost nodes"] == "note"


def test_doctor_looks_at_handlers_in_another_process(shown: Shown) -> None:
    Path("good.py").write_text("from v7_task_processor import handler\n@handler(event_type_id=5)\ndef f(job): ...\n")
    Path("bad.py").write_text("import sys\nsys.exit('no such luck')\n")
    for code in (0, 3):
        Path(f"ends{code}.py").write_text(f"import os\nos._exit({code})\n")
        said = shown("doctor", "--handlers", f"ends{code}.py", code=1)
        assert f"✗ handlers           ends{code}.py: importing it ends the process, with {code}" in said
    thread = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    Path("thread.py").write_text(thread + Path("good.py").read_text())
    for name in ("good", "thread"):
        assert f"✓ handlers           {name} serves 5" in shown("doctor", "--handlers", name, code=1)
    assert "✗ handlers           bad.py: " in shown("doctor", "--handlers", "bad.py", code=1)


def test_doctor_says_what_is_wrong_with_a_server(shown: Shown, empty_database_url: str) -> None:
    said = shown("doctor", "--database-url", "postgresql://127.0.0.1:1/nobody", code=1)
    assert "✗ database           Cannot reach the database" in said
    said = shown("doctor", "--database-url", empty_database_url, code=1)
    assert "✗ schema" in said
    assert "v7 migrate" in said


def test_doctor_goes_on_after_a_direct_address_that_is_none(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("V7_DIRECT_DATABASE_URL", "mysql://here")
    said = shown("doctor", code=1)
    assert "✗ pooler             V7_DIRECT_DATABASE_URL is not a Postgres address: it must look like " in said
    assert "! dead letters       2" in said, "what comes last is looked at too"


def test_doctor_of_an_older_release_names_the_newer_schema(shown: Shown, database_url: str) -> None:
    assert f"✓ schema             version {SCHEMA_VERSION}, as this release needs it" in shown("doctor", code=1)
    with psycopg.connect(database_url) as connection:
        connection.execute("update v7.alembic_version set version_num = '9999'")
    said = shown("doctor", "--database-url", database_url, code=1)
    assert (
        f"✓ schema             version 9999, newer than the {SCHEMA_VERSION} of this release, which works on it" in said
    )


def test_psql(url: str) -> None:
    done = v7("psql", "-Atc", "select current_database(), 1", "-c", "select 2", url=url)
    assert done.returncode == 0, done.stderr
    name, two = done.stdout.split()
    assert name.endswith("|1")
    assert two == "2"
    assert v7("psql", "-c", "select broken", url=url).returncode == 1
    assert v7("psql", "-v", "ON_ERROR_STOP=1", url=url, stdin="select broken;").returncode == 3


@pytest.mark.parametrize(
    ("command", "part"),
    [
        (("jobs", "list", "--json"), '"amount": "[redacted]"'),
        (("jobs", "show", "42"), '{"amount": "[redacted]"}'),
        (("jobs", "show", "42", "--json"), '"amount": "[redacted]"'),
        (("dead", "show", "42"), '{"amount": "[redacted]"}'),
        (("dead", "list", "--json"), '"amount": "[redacted]"'),
        (("jobs", "list", "--status", "dead"), '{"amount": "[redacted]"}'),
    ],
)
def test_what_is_to_be_redacted_is_not_shown(
    shown: Shown, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], part: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "-1" in shown(*command)
    monkeypatch.setenv("V7_REDACT", "order, Amount")
    said = shown(*command)
    assert part in said
    assert '"amount": -1' not in said
    assert "list" in command or "first" in said, "errors are not touched"
