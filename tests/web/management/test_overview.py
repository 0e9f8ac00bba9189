"""Types, workers and everything at a glance."""

from ...population import KEYS, note_minutes
from ..support import ApiProcess, rows
from .support import answer, post, problem


def test_event_types(populated: ApiProcess) -> None:
    page = answer(populated.client.get("/api/event-types/v1"))
    types = {each["event_type_id"]: each for each in page["event_types"]}
    assert list(types) == [1, 5, 6, 9]
    assert types[1]["jobs"] == {"scheduled": 0, "queued": 3, "running": 1, "dead": 1, "capped": []}
    assert types[5]["paused_by"] == "v7 types pause by someone@somewhere"
    assert types[5]["oldest"]["age_seconds"] >= 7200
    first = answer(populated.client.get("/api/event-types/v1?limit=3"))
    assert first["next_after"] == 6
    second = answer(populated.client.get("/api/event-types/v1?limit=3&after=6"))
    assert [each["event_type_id"] for each in second["event_types"]] == [9]
    assert "limit is x" in problem(populated.client.get("/api/event-types/v1?limit=x"), 400)


def test_limit_and_no_limit(populated: ApiProcess) -> None:
    path = "/api/event-types/v1/-8/limit"
    for number, body in (
        (3, '{"concurrency_limit": 3}'),
        (2**31 - 1, '{"concurrency_limit": 2147483647}'),
        (None, '{"concurrency_limit": null}'),
    ):
        found = answer(post(populated, path, body))
        assert found == {"event_type_id": -8, "concurrency_limit": number}
        listed = answer(populated.client.get("/api/event-types/v1?after=-9&limit=1"))["event_types"]
        assert [(each["event_type_id"], each["concurrency_limit"]) for each in listed] == [(-8, number)]
    for wrong in ("0", "-1", "2147483648", "1.5", '"3"', "true"):
        problem(post(populated, path, f'{{"concurrency_limit": {wrong}}}'), 400)
    missing = "The field concurrency_limit is missing: it must be a whole number from 1 to 2147483647, or null."
    assert problem(post(populated, path, "{}"), 400) == problem(post(populated, path), 400) == missing


def test_pause_and_resume(populated: ApiProcess, database_url: str) -> None:
    state = "select paused_by from v7.event_types where event_type_id = -7"
    first = answer(post(populated, "/api/event-types/v1/-7/pause", '{"paused_by": "ann"}'))
    assert first["event_type_id"] == -7
    assert rows(database_url, state) == [("ann",)]
    again = answer(post(populated, "/api/event-types/v1/-7/pause"))
    assert again == first, "it is paused since the first time, by the first"
    assert rows(database_url, state) == [("ann",)]
    resumed = {"event_type_id": -7, "paused_at": None}
    assert answer(post(populated, "/api/event-types/v1/-7/resume")) == resumed
    assert answer(post(populated, "/api/event-types/v1/-7/resume")) == resumed
    answer(post(populated, "/api/event-types/v1/-7/pause"))
    assert rows(database_url, state) == [("the management API, from 127.0.0.1",)]
    assert problem(post(populated, "/api/event-types/v1/77/resume"), 404).startswith("There is no event type 77")
    assert "paused_by is 1" in problem(post(populated, "/api/event-types/v1/5/pause", '{"paused_by": 1}'), 400)


def test_the_audit_tells_what_came_with_an_act(populated: ApiProcess, database_url: str) -> None:
    node = answer(populated.client.get("/api/workers/v1"))["nodes"][0]["id"]
    for path, body in (
        ("event-types/v1/-7/limit", '{"concurrency_limit": 3}'),
        ("event-types/v1/-7/limit", '{"concurrency_limit": null}'),
        (f"workers/v1/{node}/drain", '{"drained_by": "ann"}'),
        (f"workers/v1/{node}/resume", "{}"),
    ):
        answer(post(populated, f"/api/{path}", body))
    acts = answer(populated.client.get("/api/audit/v1?limit=4"))["acts"]
    assert [(act["act"], act["event_type_id"], act["given"]) for act in reversed(acts)] == [
        ("limit", -7, {"concurrency_limit": 3}),
        ("limit", -7, {}),
        ("drain", None, {"node_id": node, "drained_by": "ann"}),
        ("resume", None, {"node_id": node}),
    ]


def test_workers_and_what_they_run(populated: ApiProcess) -> None:
    alpha, beta = answer(populated.client.get("/api/workers/v1"))["nodes"]
    (worker,) = alpha["workers"]
    assert (alpha["version"], alpha["alive"], worker["running"]) == ("0.1.0", True, 1)
    (job,) = worker["jobs"]
    assert (job["id"], job["event_type_id"], job["attempt"]) == (6, 1, 1)
    assert job["seconds"] >= 10
    assert (beta["alive"], beta["workers"]) == (False, [])
    assert "There is no query parameter 'x'" in problem(populated.client.get("/api/workers/v1?x=1"), 400)


def test_drain_and_resume(populated: ApiProcess, database_url: str) -> None:
    state = "select drained_by from v7.workers where id = 1"
    first = answer(post(populated, "/api/workers/v1/1/drain", '{"drained_by": "ann"}'))
    assert first["id"] == 1
    assert answer(post(populated, "/api/workers/v1/1/drain")) == first, "it is drained since the first time"
    alpha, _ = answer(populated.client.get("/api/workers/v1"))["nodes"]
    assert (alpha["drained_at"], alpha["drained_by"]) == (first["drained_at"], "ann")
    assert answer(populated.client.get(f"/api/jobs/v1/{KEYS['queued']}/why"))["by"] == "ann"
    resumed = {"id": 1, "drained_at": None}
    for _ in range(2):
        assert answer(post(populated, "/api/workers/v1/1/resume")) == resumed
    answer(post(populated, "/api/workers/v1/1/drain"))
    assert rows(database_url, state) == [("the management API, from 127.0.0.1",)]
    answer(post(populated, "/api/workers/v1/1/resume"))
    for act in ("drain", "resume"):
        assert "A worker is drained with its node" in problem(post(populated, f"/api/workers/v1/2/{act}"), 404)
    assert "drained_by is 1" in problem(post(populated, "/api/workers/v1/1/drain", '{"drained_by": 1}'), 400)


def test_why(populated: ApiProcess) -> None:
    found = answer(populated.client.get(f"/api/jobs/v1/{KEYS['paused']}/why"))
    assert (found["cause"], found["by"]) == ("paused", "v7 types pause by someone@somewhere")
    assert problem(populated.client.get("/api/jobs/v1/999/why"), 404).startswith("There is no job 999")


def test_minute_by_minute(populated: ApiProcess, database_url: str) -> None:
    note_minutes(database_url)
    (minute,) = answer(populated.client.get("/api/stats/v1/series"))["minutes"]
    assert [minute[name] for name in ("received", "succeeded", "failed", "dead", "retried")] == [10, 8, 2, 1, 1]
    assert answer(populated.client.get("/api/stats/v1/series?hours=24"))["minutes"] == [minute]
    for hours in (0, 25, "x"):
        assert "from 1 to 24" in problem(populated.client.get(f"/api/stats/v1/series?hours={hours}"), 400)


def test_everything_at_a_glance(populated: ApiProcess) -> None:
    found = answer(populated.client.get("/api/stats/v1"))
    assert found["jobs"] == {"scheduled": 1, "queued": 5, "running": 1, "dead": 2, "capped": []}
    assert (found["paused"], found["unserved"], found["nodes_lost"]) == ([5], [9], 1)
    assert found["last_hour"]["failed_attempts"] == 3
