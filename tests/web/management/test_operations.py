"""Acts on many jobs over HTTP, and the audit: right use, wrong use, and two callers at once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ...population import KEYS
from ..support import ApiProcess, rows
from .support import answer, post, problem

JOBS, OPERATIONS, AUDIT = "/api/jobs/v1", "/api/operations/v1", "/api/audit/v1"
HERE = "anyone on this machine"


@pytest.mark.parametrize(
    ("act", "body", "count"),
    [
        ("cancel", '{"all": true, "dry_run": true}', 9),
        ("cancel", '{"event_type_id": 1, "dry_run": true}', 5),
        ("cancel", '{"status": "running", "dry_run": true}', 1),
        ("retry", '{"all": true, "dry_run": true}', 3),
        ("redrive", '{"all": true, "dry_run": true}', 2),
        ("redrive", '{"error": "SECOND", "dry_run": true}', 1),
        ("redrive", '{"created_until": "2000-01-01T00:00:00Z", "dry_run": true}', 0),
        ("reschedule", '{"user_id": 8, "run_at": "2100-01-01T00:00:00Z", "dry_run": true}', 3),
        ("priority", '{"priority_min": 1, "priority_max": 3, "priority": 9, "dry_run": true}', 4),
    ],
)
def test_a_dry_run_says_how_many_and_does_nothing(
    populated: ApiProcess, database_url: str, act: str, body: str, count: int
) -> None:
    meant = answer(post(populated, f"{JOBS}/{act}", body))
    assert meant == {"matching": {"jobs": count, "at_least": False}, "operation": None}
    assert rows(database_url, "select count(*) from v7.operations") == [(2,)]


@pytest.mark.parametrize(
    ("act", "body", "given"),
    [
        ("cancel", '{"status": "queued", "user_id": 8}', {}),
        ("retry", '{"all": true}', {}),
        ("reschedule", '{"correlation_id": "c", "run_at": "2100-01-01T00:00:00Z"}', {"run_at": "2100-01-01T00:00:00Z"}),
        ("priority", '{"attempt_min": 2, "priority": -5}', {"priority": -5}),
        ("redrive", '{"created_from": "2000-01-01T00:00:00Z", "error": "x"}', {}),
    ],
)
def test_an_operation_is_begun_and_noted(
    populated: ApiProcess, database_url: str, act: str, body: str, given: dict[str, Any]
) -> None:
    begun = answer(post(populated, f"{JOBS}/{act}", body))["operation"]
    assert begun == answer(populated.client.get(f"{OPERATIONS}/{begun['id']}"))
    assert (begun["act"], begun["status"], begun["who"], begun["through"]) == (act, "waiting", HERE, "api")
    assert {name: begun[name] for name in given} == given
    (noted, *_) = answer(populated.client.get(AUDIT))["acts"]
    assert (noted["act"], noted["operation_id"], noted["who"], noted["jobs"]) == (act, begun["id"], HERE, None)
    assert noted["filter"] == begun["filter"]
    assert noted["given"] == (given or None)
    assert begun["last_id"] == 1000


@pytest.mark.parametrize(
    ("act", "body", "says"),
    [
        ("cancel", "{}", "Name a filter, or say all: true"),
        ("cancel", '{"all": true, "user_id": 8}', "Name a filter, or say all: true"),
        ("cancel", '{"all": 1}', "The field all is 1: it must be true or false."),
        ("cancel", '{"status": "succeeded"}', "The field status is "),
        (
            "retry",
            '{"status": "running"}',
            "What is running cannot be retried: only one that is scheduled or dead can.",
        ),
        ("redrive", '{"finished_from": "2000-01-01T00:00:00Z"}', "There is no field 'finished_from'."),
        ("redrive", '{"staus": "dead"}', "There is no field 'staus'. Did you mean status?"),
        ("redrive", '{"error": "\\u0000"}', 'The field error is "\\u0000": it must be a text of 1 to 200 characters'),
        ("reschedule", '{"user_id": 8}', "The field run_at is missing"),
        ("reschedule", '{"user_id": 8, "run_at": "9999-01-01T00:00:00Z"}', "The field run_at is 9999-01-01"),
        ("priority", '{"user_id": 8, "priority": 9223372036854775808}', "The field priority is 9223372036854775808"),
    ],
)
def test_what_cannot_be_begun(populated: ApiProcess, database_url: str, act: str, body: str, says: str) -> None:
    assert problem(post(populated, f"{JOBS}/{act}", body), 400).startswith(says)
    assert rows(database_url, "select count(*) from v7.operations") == [(2,)]


def test_of_two_who_stop_one_the_second_is_told(populated: ApiProcess, database_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: post(populated, f"{OPERATIONS}/7/stop"), range(2)))
    (stopped,) = [answer(each) for each in both if each.status_code == 200]
    (refused,) = [problem(each, 409) for each in both if each.status_code != 200]
    assert (stopped["status"], stopped["finished_at"] is not None) == ("stopped", True)
    assert refused == "Operation 7 is stopped: only one that has not ended can be stopped."
    assert "Operation 6 is done" in problem(post(populated, f"{OPERATIONS}/6/stop"), 409)
    assert rows(database_url, "select count(*) from v7.audit where act = 'stop'") == [(1,)]
    problem(post(populated, f"{OPERATIONS}/999/stop"), 404)
    problem(populated.client.get(f"{OPERATIONS}/999"), 404)


def test_two_who_begin_at_once_begin_two(populated: ApiProcess) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: answer(post(populated, f"{JOBS}/redrive", '{"all": true}')), range(2)))
    assert len({each["operation"]["id"] for each in both}) == 2


def test_pages(populated: ApiProcess) -> None:
    first = answer(populated.client.get(OPERATIONS, params={"limit": 1}))
    assert ([each["id"] for each in first["operations"]], first["next_after"]) == ([7], 7)
    second = answer(populated.client.get(OPERATIONS, params={"limit": 1, "after": 7}))
    assert ([each["id"] for each in second["operations"]], second["next_after"]) == ([6], None)
    acts = answer(populated.client.get(AUDIT, params={"limit": 3}))
    assert len(acts["acts"]) == 3
    rest = answer(populated.client.get(AUDIT, params={"after": acts["next_after"]}))
    assert [each["act"] for each in rest["acts"]] == ["redrive"]
    assert [each["job_id"] for each in answer(populated.client.get(f"{AUDIT}?job_id=21"))["acts"]] == [21]
    assert problem(populated.client.get(f"{AUDIT}?limit=0"), 400).startswith("The query parameter limit is 0")


@pytest.mark.parametrize(
    ("path", "body", "noted"),
    [
        (f"jobs/v1/{KEYS['queued']}/cancel", None, ("cancel", KEYS["queued"], None, None, 1)),
        (f"jobs/v1/{KEYS['dead']}/retry", None, ("retry", KEYS["dead"], None, None, 1)),
        (f"jobs/v1/{KEYS['queued']}/priority", '{"priority": 9}', ("priority", 1, None, {"priority": 9}, 1)),
        (f"jobs/v1/{KEYS['dead']}/redrive", None, ("redrive", KEYS["dead"], None, None, 1)),
        ("event-types/v1/1/pause", '{"paused_by": "ann"}', ("pause", None, 1, {"paused_by": "ann"}, None)),
        ("event-types/v1/5/resume", None, ("resume", None, 5, None, None)),
    ],
)
def test_each_single_act_is_noted(
    populated: ApiProcess, database_url: str, path: str, body: str | None, noted: tuple[Any, ...]
) -> None:
    answer(post(populated, f"/api/{path}", body))
    columns = "act, job_id, event_type_id, given, jobs, who, through"
    (found,) = rows(database_url, f"select {columns} from v7.audit order by id desc limit 1")
    assert found == (*noted, HERE, "api")


def test_an_edited_redrive_notes_the_new_job_but_not_the_event(populated: ApiProcess, database_url: str) -> None:
    new = answer(post(populated, f"{JOBS}/42/redrive", '{"event_data": "secret"}'))["id"]
    (found,) = rows(
        database_url, "select act, job_id, given, a::text ~ 'secret' from v7.audit a order by id desc limit 1"
    )
    assert found == ("redrive", 42, {"new_job_id": new}, False)


def test_what_was_not_done_is_not_noted(populated: ApiProcess, database_url: str) -> None:
    problem(post(populated, f"{JOBS}/{KEYS['succeeded']}/cancel"), 409)
    problem(post(populated, "/api/event-types/v1/99/resume"), 404)
    assert rows(database_url, "select count(*) from v7.audit") == [(4,)]
