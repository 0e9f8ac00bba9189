"""A newcomer, who knows of a server what its /docs says, and of Python what comes with it."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from .nodes import Node, wait_until

KEYS = "shop send s3nd, ops manage m4nage"


class Script:
    """What they wrote to ask the server."""

    def __init__(self, base: str) -> None:
        self.base = base

    def __call__(self, method: str, path: str, key: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **named}
        text = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, text, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            said = refused.read().decode()
            is_problem = refused.headers["Content-Type"] == "application/problem+json"
            return refused.code, json.loads(said)["detail"] if is_problem else said

    def status(self, job_id: int) -> str:
        code, job = self("GET", f"/api/jobs/v1/{job_id}", "m4nage")
        assert code == 200, job
        return str(job["status"])


def test_a_script_that_was_written_from_the_docs_alone(database_url: str, tmp_path: Path) -> None:
    node = Node(tmp_path / "node", database_url, V7_API_KEYS=KEYS, V7_MAX_RETRIES=1)
    try:
        host, port = node.start("run").address()
        sends_looks_and_acts(Script(f"http://{host}:{port}"))
    finally:
        node.kill_tree()


def sends_looks_and_acts(ask: Script) -> None:
    event = {"user_id": 7, "priority": 1, "event_data": {"hello": "world"}, "event_type_id": 5}
    assert ask("POST", "/api/event/v1", "wr0ng", event)[0] == 401
    code, added = ask("POST", "/api/event/v1", "s3nd", event, Idempotency_Key="order-17")
    assert code == 200, added
    assert ask("POST", "/api/event/v1", "s3nd", event, Idempotency_Key="order-17") == (200, added)
    wait_until(lambda: ask.status(added["id"]) == "succeeded", "the event was handled")

    events = [event, {**event, "event_data": {"do": "fail"}}]
    _, batch = ask("POST", "/api/event/v1/batch", "s3nd", events)
    ended, dead = batch["ids"]
    wait_until(lambda: (ask.status(ended), ask.status(dead)) == ("succeeded", "dead"), "both were handled")
    _, page = ask("GET", "/api/jobs/v1?status=dead&event_type_id=5&limit=100", "m4nage")
    assert [(job["id"], job["last_error"]) for job in page["jobs"]] == [(dead, "ValueError: as asked")]
    assert page["next_after"] is None

    assert ask("POST", f"/api/jobs/v1/{dead}/redrive", "s3nd", {})[0] == 403
    _, again = ask("POST", f"/api/jobs/v1/{dead}/redrive", "m4nage", {"event_data": {"mended": True}})
    assert again["redriven_from"] == dead
    wait_until(lambda: ask.status(again["id"]) == "succeeded", "the mended event was handled")
    code, why = ask("POST", f"/api/jobs/v1/{dead}/redrive", "m4nage", {})
    assert (code, f"Job {dead} is cancelled" in why) == (409, True)

    assert ask("POST", "/api/event-types/v1/5/pause", "m4nage", {"paused_by": "ann"})[0] == 200
    assert ask("GET", "/api/stats/v1", "m4nage")[1]["paused"] == [5]
    assert ask("POST", "/api/event-types/v1/5/resume", "m4nage")[1]["paused_at"] is None
