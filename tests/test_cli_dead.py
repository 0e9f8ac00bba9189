"""`v7 dead redrive`: which are queued again, and what is said of it."""

import json

import psycopg
import pytest

from v7_task_processor import operations
from v7_task_processor.cli import acts, root

from .command import v7
from .population import populate

VETO = """
create function mine() returns trigger language plpgsql as $$ begin {}; end $$;
create trigger mine before update on v7.jobs for each row execute function mine()"""


def dead(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("select id from v7.jobs where status = 'dead' order by id")]


def test_redrive_by_id(database_url: str) -> None:
    populate(database_url)
    with psycopg.connect(database_url, autocommit=True) as listening:
        listening.execute("listen v7")
        done = v7("dead", "redrive", "42", url=database_url)
        assert [note.payload for note in listening.notifies(timeout=60, stop_after=1)] == ["jobs"]
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 dead letter queued again.\n", "")
    assert dead(database_url) == [41]
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select status, retry_count, dead_reason from v7.jobs where id = 42").fetchone()
    assert row == ("queued", 0, None)


def test_redrive_says_of_each_id_why_not(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    populate(database_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert root.run(["dead", "redrive", "42", "1", "999", "--yes"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "1 dead letter queued again.\n"
    assert captured.err == (
        "v7: Job 1 is queued, and cannot be redriven: only one that is dead can.\n"
        "There is no job 999: it never was, or was pruned.\n"
    )
    assert root.run(["dead", "redrive", "42", "--yes", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["redriven"], found["not_dead"], found["refused"][0]["status"]) == (0, [42], "queued")


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ("select from v7.jobs where id = 41 for update", "was left as it is: canceling statement due to lock timeout."),
        (VETO.format("raise 'not this one'"), "was left as it is: not this one."),
        (VETO.format("return null"), "changed while this was asked for, and is dead now: ask again."),
    ],
    ids=["lock", "trigger", "veto"],
)
def test_a_dead_letter_that_is_refused_is_not_said_to_be_none(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, other: str, why: str
) -> None:
    populate(database_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setitem(acts.SESSION, "lock_timeout", "100ms")
    with psycopg.connect(database_url) as holder:
        holder.execute(other.encode())
        if "trigger" in other:
            holder.commit()
        assert root.run(["dead", "redrive", "41", "1", "--json"]) == 1
        found = json.loads(capsys.readouterr().out)
        assert (found["redriven"], found["not_dead"]) == (0, [1])
        assert [(each["id"], each["status"]) for each in found["refused"]] == [(41, "dead"), (1, "queued")]
        assert root.run(["dead", "redrive", "41", "1"]) == 1
    assert capsys.readouterr().err == (
        f"v7: Job 41 {why}\nJob 1 is queued, and cannot be redriven: only one that is dead can.\n"
    )


def test_redrive_by_type_and_all(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    populate(database_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert root.run(["dead", "redrive", "--type", "5", "--yes"]) == 0
    assert dead(database_url) == [41]
    assert root.run(["dead", "redrive", "--all", "--yes"]) == 0
    assert dead(database_url) == []
    capsys.readouterr()
    assert root.run(["dead", "redrive", "--all", "--yes"]) == 0
    assert capsys.readouterr().out == "No dead letters.\n"


def test_redrive_goes_by_batches(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into v7.jobs (event_type_id, user_id, priority, event_data, status, dead_at, dead_reason) "
            "select 1, i, 0, '{}', 'dead', now(), 'x' from generate_series(1, 25) i"
        )
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr(operations, "BATCH", 10)
    assert root.run(["dead", "redrive", "--all", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"operation": 1, "status": "done", "done": 25, "skipped": 0}
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select user_id from v7.jobs where status = 'queued' order by position").fetchall()
    assert [row[0] for row in rows] == list(range(1, 26)), "in the order in which they came"


def test_redrive_asks_where_somebody_is_there(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    populate(database_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked: list[str] = []
    answers = ["n", "y"]

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return answers.pop(0)

    monkeypatch.setattr("click.termui.visible_prompt_func", ask)
    assert root.run(["dead", "redrive", "--all"]) == root.INTERRUPTED
    assert dead(database_url) == [41, 42]
    assert "Queue 2 dead letters again?" in asked[0] + capsys.readouterr().err
    assert root.run(["dead", "redrive", "--all"]) == 0
    assert dead(database_url) == []
