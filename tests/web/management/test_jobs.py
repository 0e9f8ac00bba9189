"""`/api/jobs/v1` from the outside: its right use, its wrong use, and two callers at once."""

import json
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from ...population import HOSTILE, KEYS, NUL_EVENT, populate
from ..support import ApiProcess, process, rows
from .support import answer, post, problem

JOBS = "/api/jobs/v1"
ACTS = {
    "cancel": None,
    "retry": None,
    "reschedule": '{"run_at": "2100-01-01T00:00:00Z"}',
    "priority": '{"priority": 9}',
    "redrive": None,
}


def ids(api: ApiProcess, **query: object) -> list[int]:
    return [job["id"] for job in answer(api.client.get(JOBS, params={k: str(v) for k, v in query.items()}))["jobs"]]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"status": "dead"}, {"hostile", "dead"}),
        ({"event_type_id": 5}, {"paused", "dead"}),
        ({"user_id": 8, "status": "queued"}, {"paused", "unserved", "suspect"}),
        ({"priority_min": 0, "priority_max": 0}, {"paused"}),
        ({"correlation_id": "request-20"}, {"succeeded"}),
        ({"attempt_min": 2}, {"dead"}),
        ({"error": "valueerror: SECOND"}, {"dead"}),
        ({"error": "%"}, set()),
        ({"error_kind": "ValueError"}, {"hostile", "dead"}),
        ({"error_kind": "Value"}, set()),
        ({"created_until": "2000-01-01T00:00:00Z"}, set()),
        ({"finished_from": "2000-01-01T00:00:00Z"}, {"succeeded", "cancelled"}),
        ({"finished_until": "2000-01-01T00:00:00Z"}, set()),
        ({"finished_from": "2000-01-01T00:00:00Z", "status": "dead"}, set()),
    ],
)
def test_filters(populated: ApiProcess, query: dict[str, object], names: set[str]) -> None:
    assert set(ids(populated, **query)) == {KEYS[name] for name in names}


def test_pages_go_on_where_the_last_one_ended(populated: ApiProcess) -> None:
    seen: list[int] = []
    query: dict[str, int] = {"limit": 4}
    while True:
        page = answer(populated.client.get(JOBS, params=query))
        seen += [job["id"] for job in page["jobs"]]
        if page["next_after"] is None:
            break
        query["after"] = page["next_after"]
    assert seen == sorted(KEYS.values(), reverse=True)
    assert ids(populated, order="queue", limit=2) == [KEYS["better"], KEYS["paused"]]
    detail = problem(populated.client.get(JOBS, params={"order": "queue", "after": KEYS["running"]}), 400)
    assert detail.startswith("Job 6 is not in the queue")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("stauts=dead", "There is no query parameter 'stauts'. Did you mean status?"),
        ("zzz=1", "There is no query parameter 'zzz'. Here it may be status, event_type_id, "),
        ("status=lost", "The query parameter status is lost: it must be scheduled or queued or "),
        ("limit=1001", "The query parameter limit is 1001: it must be a whole number from 1 to 1000."),
        ("limit=0", "The query parameter limit is 0: "),
        ("after=null", "The query parameter after is null: "),
        ("user_id=1.5", "The query parameter user_id is 1.5: "),
        ("priority_min=9223372036854775808", "The query parameter priority_min is 9223372036854775808: "),
        ("created_from=2030-01-01", "The query parameter created_from is 2030-01-01: it must be a time with its zone"),
        ("created_from=0.5", "The query parameter created_from is 0.5: it must be a time with its zone"),
        ("created_from=2030-01-01T00:00:00", "The query parameter created_from is "),
        ("error=", "The query parameter error is : it must be a text of 1 to 200 characters, none of them NUL."),
        ("order=oldest", "The query parameter order is oldest: it must be newest or queue."),
        ("error=a%00", "The query parameter error is a\\u0000: it must be a text of 1 to 200 characters"),
        ("limit=1&limit=2", "The query parameter limit is given more than once."),
        ("order=queue&status=dead", "order=queue lists what is queued, so status=dead finds nothing."),
    ],
)
def test_what_cannot_be_asked(populated: ApiProcess, query: str, says: str) -> None:
    assert problem(populated.client.get(f"{JOBS}?{query}"), 400).startswith(says)


def test_a_list_shows_the_beginning_of_each_event(api: ApiProcess, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("select v7.enqueue(1, 1, 1, to_json(repeat('x', 5000)))")
    (job,) = answer(api.client.get(JOBS))["jobs"]
    assert job["event_json"] == '"' + 999 * "x"
    assert answer(api.client.get(f"{JOBS}/{job['id']}"))["event_data"] == 5000 * "x"


def test_one_job_with_its_whole_history(populated: ApiProcess, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("update v7.failures set log = 'of the ' || message where job_id = 42")
        connection.execute("update v7.finished_jobs set log = 'said' where id = 20")
    found = answer(populated.client.get(f"{JOBS}/42"))
    assert [(each["attempt"], each["message"]) for each in found["failures"]] == [(1, "first"), (2, "second")]
    assert found["failures"][1]["traceback"] == "Traceback:\n  two"
    assert [each["log"] for each in found["failures"]] == ["of the first", "of the second"]
    assert (found["event_data"], found["log"]) == ({"amount": -1}, None)
    assert answer(populated.client.get(f"{JOBS}/41"))["failures"][0]["message"] == HOSTILE
    sent = populated.client.get(f"{JOBS}/20").text
    assert f'"event_data":{NUL_EVENT}' in sent, "to the letter"
    assert '"log":"said"' in sent


@pytest.mark.parametrize("path", ["999", "x", "9" * 30, "-1", "٣"])
def test_there_is_no_such_job(populated: ApiProcess, path: str) -> None:
    problem(populated.client.get(f"{JOBS}/{path}"), 404)
    for act, body in ACTS.items():
        problem(post(populated, f"{JOBS}/{path}/{act}", body), 404)


@pytest.mark.parametrize(
    ("act", "job", "status"),
    [
        *[("cancel", job, "cancelled") for job in ("queued", "scheduled", "running", "dead", "suspect")],
        ("retry", "scheduled", "queued"),
        ("retry", "dead", "queued"),
        ("reschedule", "queued", "scheduled"),
        ("reschedule", "scheduled", "scheduled"),
        ("priority", "queued", "queued"),
        ("priority", "dead", "dead"),
        ("redrive", "dead", "queued"),
    ],
)
def test_acts(populated: ApiProcess, database_url: str, act: str, job: str, status: str) -> None:
    done = answer(post(populated, f"{JOBS}/{KEYS[job]}/{act}", ACTS[act]))
    assert done == {"id": KEYS[job], "status": status, "redriven_from": None}
    assert rows(database_url, "select status from v7.all_jobs where id = %s", KEYS[job]) == [(status,)]


@pytest.mark.parametrize(
    ("act", "job"),
    [
        ("cancel", "succeeded"),
        ("retry", "running"),
        ("retry", "queued"),
        ("reschedule", "dead"),
        ("priority", "running"),
        ("redrive", "scheduled"),
    ],
)
def test_acts_that_do_not_fit_the_status(populated: ApiProcess, database_url: str, act: str, job: str) -> None:
    everything = "select j::text from v7.all_jobs j order by id"
    before = rows(database_url, everything)
    detail = problem(post(populated, f"{JOBS}/{KEYS[job]}/{act}", ACTS[act]), 409)
    assert detail.startswith(f"Job {KEYS[job]} is {job}, and cannot be ")
    assert rows(database_url, everything) == before


@pytest.mark.parametrize(
    ("act", "body", "says"),
    [
        ("priority", None, "The field priority is missing: it must be a whole number from -9223372036854775808 to "),
        ("priority", '{"priority": "1"}', 'The field priority is "1": '),
        ("priority", '{"priority": null}', "The field priority is null: "),
        ("priority", '{"priority": 1, "priority": 2}', "The field priority is given more than once."),
        ("priority", '{"proirity": 1}', "There is no field 'proirity'. Did you mean priority?"),
        ("priority", "[1]", "The body is no JSON object: it must be a JSON object with priority."),
        ("priority", '{"priority": 1', "The body is not JSON ("),
        ("priority", '{"priority": NaN}', "The body is not JSON ("),
        ("priority", '{"priority": ' + "[" * 9999, "The body is nested deeper than 512 levels."),
        ("reschedule", '{"run_at": "tomorrow"}', 'The field run_at is "tomorrow": it must be a time with its zone'),
        ("reschedule", '{"run_at": "9999-06-01T00:00:00Z"}', "The field run_at is 9999-06-01 "),
        ("reschedule", '{"run_at": "0001-01-01T00:00:00+14:00"}', 'The field run_at is "0001-01-01T00:00:00+14:00": '),
        ("cancel", '{"why": "x"}', "There is no field 'why'. Here it may be nothing."),
    ],
)
def test_bodies_that_are_wrong(populated: ApiProcess, act: str, body: str | None, says: str) -> None:
    assert problem(post(populated, f"{JOBS}/1/{act}", body), 400).startswith(says)


def test_other_refusals_by_the_head(populated: ApiProcess) -> None:
    path = f"{JOBS}/1/priority"
    response = populated.client.post(path, content=b'{"priority": 1}', headers={"content-type": "text/plain"})
    assert problem(response, 415) == "Content-Type must be application/json, not text/plain."
    assert "1048576 bytes" in problem(post(populated, path, " " * (2**20 + 1)), 413)
    assert problem(populated.client.get(path), 405) == f"{path} takes POST only, not GET."
    for missing in ("/api/jobs/v2", "/api/jobs", "/api/job/v1", "/api/"):
        assert problem(populated.client.get(missing), 404).startswith(f"There is nothing at {missing};")
    assert populated.client.head(JOBS).status_code == 200


@pytest.mark.parametrize("sent", ["null", "1E5", '{"a": 1, "a" :2}', r'"\u0000"', r'"\ud800"', '"日本語 😀"'])
def test_a_redrive_with_another_event(populated: ApiProcess, database_url: str, sent: str) -> None:
    done = answer(post(populated, f"{JOBS}/42/redrive", f'{{"event_data": {sent}}}'))
    assert done == {"id": done["id"], "status": "queued", "redriven_from": 42}
    stored = "select event_data::text, redriven_from, event_type_id from v7.jobs where id = %s"
    assert rows(database_url, stored, done["id"]) == [(sent, 42, 5)]
    assert answer(populated.client.get(f"{JOBS}/42"))["status"] == "cancelled"
    assert answer(populated.client.get(f"{JOBS}/{done['id']}"))["redriven_from"] == 42


@pytest.mark.parametrize(("act", "body"), [("cancel", None), ("retry", None), ("redrive", '{"event_data": 1}')])
def test_of_many_callers_at_once_one_does_it(
    populated: ApiProcess, database_url: str, act: str, body: str | None
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(populated, f"{JOBS}/42/{act}", body), range(8)))
    assert sorted(each.status_code for each in answers) == [200] + 7 * [409]
    counted = "select count(*) from v7.jobs where event_type_id = 5 and status = 'queued'"
    assert rows(database_url, counted) == [(1 if act == "cancel" else 2,)], "beside the one that waits there"


def test_a_row_that_somebody_holds_is_not_waited_for_without_end(populated: ApiProcess, database_url: str) -> None:
    with psycopg.connect(database_url) as holder:
        holder.execute("select from v7.jobs where id = 1 for update")
        response = post(populated, f"{JOBS}/1/cancel")
        assert problem(response, 503).startswith("Another transaction holds the row")
        assert response.headers["retry-after"] == "1"
    assert json.loads(post(populated, f"{JOBS}/1/cancel").text)["status"] == "cancelled"


def test_what_is_to_be_redacted_is_not_shown(shared_database_url: str, database_url: str) -> None:
    populate(database_url)
    with process(shared_database_url, redact="amount,x") as api:
        listed = answer(api.client.get(f"{JOBS}?status=dead"))["jobs"]
        assert listed[0]["event_json"] == '{"amount": "[redacted]"}'
        assert listed[1]["event_json"].endswith('"x": "[redacted]", "x": "[redacted]"}')
        found = answer(api.client.get(f"{JOBS}/42"))
        assert (found["event_data"], found["event_json"]) == ({"amount": "[redacted]"}, '{"amount": "[redacted]"}')
        assert found["last_error"] == "ValueError: second"
        copied = post(api, f"{JOBS}/42/redrive", '{"event_data": {"amount": "[redacted]"}}')
        assert "V7_REDACT hides a value" in problem(copied, 400), "what was shown is not what was sent"
        answer(post(api, f"{JOBS}/42/redrive"))
    assert rows(database_url, "select event_data::text from v7.jobs where id = 42") == [('{"amount": -1}',)]


def test_a_list_cuts_events_after_nothing_of_them_is_shown(shared_database_url: str, database_url: str) -> None:
    long = json.dumps({"a": "x" * 900, "password": "s3cret" * 1000})
    rows(database_url, "select v7.enqueue(1, 1, 1, %s)", long)
    with process(shared_database_url, redact="password") as api:
        (job,) = answer(api.client.get(JOBS))["jobs"]
    assert job["event_json"].endswith('"password": "[redacted]"')
