"""Acts on many jobs from the command line, `v7 operations` and `v7 audit`."""

import getpass
import json

import psycopg
import pytest

from v7_task_processor.cli import root

from .shell import Shell
from .shell import shell as shell


def test_by_filters_on_a_database_without_a_node(shell: Shell) -> None:
    for more in ((), ("--yes",)):
        said = shell("jobs", "cancel", "--status", "queued", "--type", 1, "--dry-run", *more)
        assert said == "3 jobs would be cancelled.\n"
    assert shell("jobs", "cancel", "--status", "queued", "--type", 1, "--yes") == "3 jobs cancelled.\n"
    assert shell.rows("select count(*) from v7.finished_jobs where status = 'cancelled'") == [(4,)]
    done = json.loads(shell("jobs", "priority", "--to", 9, "--user", 8, "--yes", "--json"))
    assert done == {"operation": 9, "status": "done", "done": 2, "skipped": 0}
    assert shell("jobs", "retry", "--status", "scheduled", "--yes") == "1 job retried.\n"
    assert shell("jobs", "reschedule", "--type", 5, "--run-at", "2100-01-01", "--yes") == "1 job rescheduled.\n"
    assert shell("dead", "redrive", "--error", "second", "--yes") == "1 dead letter queued again.\n"
    assert json.loads(shell("dead", "redrive", "--all", "--dry-run", "--json")) == {"jobs": 1, "at_least": False}
    assert shell("dead", "redrive", "--user", 8, "--yes") == "No such dead letters.\n"


def test_it_asks_and_takes_no_for_an_answer(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked: list[str] = []

    def no(prompt: str) -> str:
        asked.append(prompt)
        return "n"

    monkeypatch.setattr("click.termui.visible_prompt_func", no)
    says = shell("jobs", "priority", "--to", -5, "--all", code=root.INTERRUPTED)
    assert "Give 8 jobs the priority -5?" in says + asked[0]
    assert shell.rows("select count(*) from v7.operations") == [(2,)]


def test_a_count_that_would_take_long_is_a_least_one(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("v7_task_processor.listing.counted.EXACT_SECONDS_MAX", 0.001)
    monkeypatch.setattr("v7_task_processor.listing.counted.LOOKED_MAX", 2)
    with psycopg.connect(shell.url) as connection:
        connection.execute("""insert into v7.jobs (event_type_id, user_id, priority, event_data, queued_at)
            select 1, 1, 1, '{}', now() from generate_series(1, 30000)""")
    says = shell("jobs", "cancel", "--status", "queued", "--error", "no such thing", "--dry-run")
    assert says == "At least 0 jobs would be cancelled.\n"


def test_operations_are_listed_shown_and_stopped(shell: Shell) -> None:
    listed = shell("operations", "list")
    assert "redrive" in listed
    assert "event_type_id 5" in json.dumps(listed) or "…" in listed
    assert [each["id"] for each in json.loads(shell("operations", "list", "--json"))["operations"]] == [7, 6]
    shown = shell("operations", "show", 6)
    assert "event_type_id 5, error timeout" in shown
    assert json.loads(shell("operations", "show", 6, "--json"))["filter"] == {"event_type_id": 5, "error": "timeout"}
    assert shell("operations", "stop", 7) == "Operation 7 is stopped. It was done with 0 until then.\n"
    assert shell("operations", "stop", 7, code=1) == "v7: Operation 7 is stopped already.\n"
    for act in ("show", "stop"):
        assert "There is no operation 999: v7 operations list" in shell("operations", act, 999, code=1)


def test_the_audit_names_the_user_of_the_system(shell: Shell) -> None:
    shell("jobs", "cancel", 1)
    shell("jobs", "priority", 2, "--to", 9)
    shell("jobs", "redrive", 42, "--event-data", '"secret"')
    shell("dead", "redrive", 41)
    shell("types", "pause", 6)
    shell("types", "resume", 6)
    shell("jobs", "retry", "--status", "scheduled", "--yes")
    acts = json.loads(shell("audit", "--limit", 7, "--json"))["acts"]
    assert [(each["act"], each["job_id"], each["event_type_id"], each["jobs"]) for each in reversed(acts)] == [
        ("cancel", 1, None, 1),
        ("priority", 2, None, 1),
        ("redrive", 42, None, 1),
        ("redrive", 41, None, 1),
        ("pause", None, 6, None),
        ("resume", None, 6, None),
        ("retry", None, None, 1),
    ]
    assert {(each["who"].partition("@")[0], each["through"]) for each in acts} == {(getpass.getuser(), "cli")}
    assert "secret" not in json.dumps(acts)
    assert shell("audit", "--job", 1).count("cancel") == 1
    assert "v7 audit" not in shell("audit")


def test_a_refused_act_is_not_noted(shell: Shell) -> None:
    shell("jobs", "cancel", 20, 999, code=1)
    assert shell.rows("select count(*) from v7.audit") == [(4,)]
