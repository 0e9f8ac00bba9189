"""What real nodes log: a line for each transition that names its job, and never an event or a secret."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from .command import answer
from .nodes import EVENT, enqueue, jobs, node, post, wait_for_end

SECRETS = {"V7_API_KEYS": "key-of-the-shop", "V7_ADMIN_TOKEN": "token-of-the-admin"}
PASSWORD, PAYLOAD = "password-of-the-database", "4111-1111-1111-1111"
ENDS = """
import logging

@handler(max_retries=1)
async def handle(job):
    do = job.event_data["do"]
    if do == "fail":
        raise ValueError("as asked")
    if do == "snooze" and job.attempt == 1:
        return Snooze(0)
"""
LOGS = """
import logging
import structlog

@handler(1, max_retries=2)
async def handle(job):
    logging.getLogger("shop").info("try %s", job.attempt)
    if job.event_data:
        raise ValueError("as asked")

@handler(2)
def handle_in_thread(job):
    structlog.get_logger().info("in a thread", amount=3)
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_every_transition_names_its_job_and_no_line_holds_an_event_or_a_secret(
    database_url: str, tmp_path: Path, log_format: str
) -> None:
    """At the level that says most, with a row that Postgres refuses as well."""
    with psycopg.connect(database_url) as connection:
        connection.execute("alter table v7.jobs add constraint mine check (user_id <> 13)")
        connection.execute("alter table v7.finished_jobs add constraint mine check (user_id <> 14)")
    url = make_conninfo(database_url, password=PASSWORD)
    given: dict[str, Any] = {"LOG_LEVEL": "debug", "LOG_FORMAT": log_format, **SECRETS}
    with node(tmp_path / "node", url, "run", ENDS, **given) as one:
        address, headers = one.address(), {"X-API-Key": SECRETS["V7_API_KEYS"], "Idempotency-Key": "k"}
        for do, user_id in [("end", 1), ("fail", 1), ("snooze", 1), ("end", 13), ("end", 14)]:
            event = {**EVENT, "user_id": user_id, "event_data": {"do": do, "card": PAYLOAD}}
            headers = {**headers, "X-Request-Id": f"{do}-{user_id}", "Idempotency-Key": f"{do}-{user_id}"}
            assert post(address, event, **headers)[0] == (500 if user_id == 13 else 200)
        wait_for_end(database_url)
        assert one.stop() == 0
    said = one.said()
    for secret in (PAYLOAD, PASSWORD, *SECRETS.values()):
        assert secret not in said
    if log_format == "json":
        lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        seen = {(line["event"], line.get("correlation_id")) for line in lines if "job_id" in line}
        assert seen >= {
            *((event, f"{do}-1") for event in ("job.enqueued", "job.claimed") for do in ("end", "fail", "snooze")),
            ("job.completed", "end-1"),
            ("job.completed", "snooze-1"),
            ("job.snoozed", "snooze-1"),
            ("job.dead", "fail-1"),
        }


def test_what_handlers_log_is_shown_with_their_attempts(database_url: str, tmp_path: Path) -> None:
    (fails,) = enqueue(database_url, [1])
    (ends,) = enqueue(database_url, [])
    (in_thread,) = enqueue(database_url, [], event_type_id=2)
    with node(tmp_path / "node", database_url, handlers=LOGS, V7_RETRY_SECONDS=0) as one:
        wait_for_end(database_url)
        assert one.stop() == 0
    shown = answer("jobs", "show", str(fails), url=database_url)
    assert [line.partition(" ")[2] for line in (each["log"] for each in shown["failures"])] == [
        "[info     ] try 1",
        "[info     ] try 2",
    ]
    logs = dict(jobs(database_url, "id, log"))
    assert logs[fails] is None
    assert logs[ends].endswith("[info     ] try 1")
    assert logs[in_thread].endswith("[info     ] in a thread amount=3")
    assert f"job_id={ends}" in one.said()
