"""What people do with single jobs, from the command line."""

import json

import psycopg
import pytest

from v7_task_processor import queue
from v7_task_processor.cli import acts, root

from .command import answer, v7
from .population import KEYS, populate
from .shell import Shell
from .shell import shell as shell


def test_cancel(shell: Shell) -> None:
    assert shell("jobs", "cancel", KEYS["running"], KEYS["dead"], KEYS["dead"]) == "2 jobs cancelled.\n"
    assert shell.row("status", KEYS["running"]) == ("cancelled",)
    says = shell("jobs", "cancel", KEYS["queued"], KEYS["succeeded"], 999, code=1)
    assert says == (
        "v7: Job 20 is succeeded, and cannot be cancelled: only one that is scheduled, queued, running or dead can.\n"
        "There is no job 999: it never was, or was pruned.\n"
    )
    assert shell.row("status", KEYS["queued"]) == ("cancelled",), "the others are done all the same"


def test_retry_reschedule_and_priority(shell: Shell) -> None:
    assert shell("jobs", "retry", KEYS["scheduled"], KEYS["dead"]) == "2 jobs retried.\n"
    assert shell.row("status, retry_count", KEYS["dead"]) == ("queued", 0)
    assert shell("jobs", "reschedule", KEYS["queued"], "--run-at", "2100-01-31T12:00:00Z") == "1 job rescheduled.\n"
    assert shell.row("run_at::text like '2100-01-31%'", KEYS["queued"]) == (True,)
    assert shell("jobs", "priority", KEYS["queued"], "--to", -5) == "1 job given another priority.\n"
    assert shell.row("priority", KEYS["queued"]) == (-5,)


def test_a_job_that_another_holds_keeps_no_other(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those before it were done, and nobody was told so; those after it were not."""
    monkeypatch.setitem(acts.SESSION, "lock_timeout", "100ms")
    better, queued, paused, dead = (KEYS[name] for name in ("better", "queued", "paused", "dead"))
    with psycopg.connect(shell.url) as holder:
        holder.execute("select from v7.jobs where id = any(%s) for update", [[queued, dead]])
        assert root.run(["jobs", "cancel", str(better), str(queued), str(paused)]) == 1
        said = shell.capsys.readouterr()
        assert said.out == "2 jobs cancelled.\n"
        assert said.err == f"v7: Job {queued} was left as it is: canceling statement due to lock timeout.\n"
        for one in (["jobs", "cancel", queued, queued], ["dead", "redrive", dead]):
            assert shell(*one, code=1) == f"v7: {queue.LOCKED}\n", "nobody is told to ask for less than one"
    assert [shell.row("status", each)[0] for each in (better, queued, paused)] == ["cancelled", "queued", "cancelled"]
    assert shell.rows("select job_id from v7.audit order by id desc limit 2") == [(paused,), (better,)]


def test_a_refusal_of_postgres_shows_no_event(shell: Shell) -> None:
    """The details that follow its message hold the whole row."""
    with psycopg.connect(shell.url) as owner:
        owner.execute("alter table v7.jobs add constraint mine check (priority < 100) not valid")
    says = shell("jobs", "priority", KEYS["dead"], "--to", 500, code=1)
    assert says == 'v7: The database refused: new row for relation "jobs" violates check constraint "mine"\n'


def test_a_server_that_answers_is_not_said_to_be_away(shell: Shell) -> None:
    with psycopg.connect(shell.url) as owner:
        owner.execute("""create function mine() returns trigger language plpgsql as $$ begin
            raise 'could not extend file' using errcode = 'disk_full', hint = 'Check free disk space.'; end $$""")
        owner.execute("create trigger mine before insert on v7.audit for each row execute function mine()")
    says = shell("jobs", "retry", KEYS["dead"], code=1)
    assert says == "v7: The database refused: could not extend file\n"


def test_redrive_with_another_event(shell: Shell) -> None:
    done = json.loads(shell("jobs", "redrive", 42, "--event-data", '{"amount": 1E0}', "--json"))
    (new,) = done["added"]
    assert done == {"done": [42], "refused": [], "added": [new]}
    assert shell.row("event_data::text, redriven_from, status", new) == ('{"amount": 1E0}', 42, "queued")
    assert shell.row("status", 42) == ("cancelled",)
    assert "cannot be redriven" in shell("jobs", "redrive", 42, code=1)
    assert shell("jobs", "redrive", 41) == "1 job redriven.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["cancel"], "Say which: IDs, or filters, or --all."),
        (["cancel", "x"], "'x' is not a valid integer"),
        (["reschedule", "1"], "Missing option '--run-at'"),
        (["reschedule", "1", "--run-at", "tomorrow"], "'tomorrow' is no time like 2030-01-31"),
        (["reschedule", "1", "--run-at", "9999-01-01"], "before the year 9999"),
        (["priority", "1", "--to", str(2**63)], "is not in the range"),
        (["redrive", "42", "--event-data", "x"], "event_data is not JSON"),
    ],
)
def test_mistakes(shell: Shell, arguments: list[str], says: str) -> None:
    assert says in shell("jobs", *arguments, code=2)


def test_as_a_program_sees_it(database_url: str) -> None:
    populate(database_url)
    assert answer("jobs", "cancel", 1, url=database_url) == {"done": [1], "refused": [], "added": []}
    done = v7("jobs", "cancel", 1, 2, "--json", url=database_url)
    assert done.returncode == 1
    assert [each["id"] for each in json.loads(done.stdout)["refused"]] == [1]


def test_filters_of_the_list(shell: Shell) -> None:
    def listed(*options: str) -> list[int]:
        return [job["id"] for job in json.loads(shell("jobs", "list", "--json", *options))["jobs"]]

    assert listed("--correlation-id", "request-20") == [20]
    assert listed("--attempt-min", "2") == [42]
    assert listed("--error", "SECOND") == [42]
    assert listed("--error-kind", "ValueError", "--type", "5") == [42]
    assert listed("--error-kind", "Value") == []
    assert listed("--created-until", "2000-01-01") == []
    assert listed("--finished-from", "2000-01-01") == [21, 20]
    assert listed("--finished-until", "2000-01-01") == []
    (alpha, _) = json.loads(shell("workers", "--json"))["nodes"]
    assert [job["id"] for job in alpha["workers"][0]["jobs"]] == [6]


def test_a_page_on_which_none_was_found_says_how_to_go_on(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("v7_task_processor.listing.jobs.LOOKED_MAX", 3)
    assert shell("jobs", "list", "--user", "8").endswith("… and more: the same with --after 21\n")
    assert shell("jobs", "list", "--user", "8", "--after", "2") == "No such jobs.\n"
