"""Lines of the log: whose they are, how they look, and how many of one kind."""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
import structlog

from v7_task_processor.observability import logs, telemetry
from v7_task_processor.observability.seldom import CAUSES_MAX, LINES_MAX, Flood, Seldom
from v7_task_processor.settings import Settings

Said = Callable[[], list[str]]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Said]]:
    """Logs of a process with such settings, and what it wrote."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.raiseExceptions
    monkeypatch.setattr(telemetry, "_subscribers", [])
    monkeypatch.setattr(logs, "flood", Flood())
    read, write = os.pipe()
    os.set_blocking(read, False)

    def configure(**settings: str) -> Said:
        with open(write, "w", closefd=False) as stream:
            monkeypatch.setattr("sys.stderr", stream)
            logs.configure(Settings(**settings))  # type: ignore[arg-type]

        def said() -> list[str]:
            logs.flush()
            try:
                return os.read(read, 1_000_000).decode().splitlines()
            except BlockingIOError:
                return []

        return said

    yield configure
    root.handlers[:], root.level, logging.raiseExceptions = before
    structlog.reset_defaults()
    os.close(read)
    os.close(write)


FAILED = {"event_type_id": 5, "job_id": 7, "correlation_id": "r-1", "error": "ValueError: no"}
BATCH = {"count": 2, "each": lambda: [{"job_id": each, "correlation_id": f"r-{each}"} for each in (1, 2)]}


@pytest.mark.parametrize("logger", ["uvicorn.error", "alembic.runtime.migration", "shop.payments", "psycopg.pool"])
def test_whoever_logs_comes_out_alike(configured: Callable[..., Said], logger: str) -> None:
    said = configured(log_format="json")
    logging.getLogger(logger).setLevel(logging.NOTSET)  # another test may have run uvicorn in this process
    logging.getLogger(logger).warning("hello %s", "world", extra={"amount": 3})
    (line,) = map(json.loads, said())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "hello world", "level": "warning", "amount": 3}


def test_a_line_for_people(configured: Callable[..., Said]) -> None:
    said = configured()
    telemetry.publish("job.failed", **FAILED)
    (line,) = said()
    assert line.partition(" ")[2] == (
        "[warning  ] job.failed correlation_id=r-1 error='ValueError: no' event_type_id=5 job_id=7"
    )


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_line_that_cannot_be_made_says_whose_it_is(configured: Callable[..., Said], log_format: str) -> None:
    said = configured(log_format=log_format)
    logging.getLogger("theirs").warning("%d of them", "many")
    (line,) = said()
    assert "a log line of theirs could not be made: TypeError" in line
    assert log_format == "console" or json.loads(line)["level"] == "warning"


@pytest.mark.parametrize("event", ["job.enqueued", "job.claimed", "job.completed", "job.released", "job.snoozed"])
def test_each_job_of_a_batch_has_its_line_where_such_lines_are_wanted(
    configured: Callable[..., Said], event: str
) -> None:
    said = configured(log_format="json", log_level="debug")
    telemetry.publish(event, **BATCH)
    lines = [json.loads(line) for line in said()]
    for line in lines:
        del line["timestamp"]
    assert lines == [
        {"event": event, "level": "debug", "job_id": each, "correlation_id": f"r-{each}"} for each in (1, 2)
    ]


def test_and_costs_nothing_where_they_are_not(configured: Callable[..., Said]) -> None:
    said = configured()
    telemetry.publish("job.completed", count=1, each=lambda: pytest.fail("nobody asked"))
    assert said() == []


def test_a_flood_of_failures_hides_no_other_cause(
    configured: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    said = configured(log_format="json")
    for _ in range(1000):
        telemetry.publish("job.failed", **FAILED)
    telemetry.publish("job.failed", **{**FAILED, "event_type_id": 6})
    telemetry.publish("job.failed", **{**FAILED, "error": "KeyError: 1"})
    telemetry.publish("job.dead", **FAILED)
    clock[0] += 1
    telemetry.publish("job.failed", **FAILED)
    lines = [json.loads(line) for line in said()]
    assert len(lines) == LINES_MAX + 4
    *_, other_type, other_error, dead, last = lines
    assert (other_type["event_type_id"], other_error["error"], dead["event"]) == (6, "KeyError: 1", "job.dead")
    assert [line.get("left_out") for line in lines] == [None] * (LINES_MAX + 3) + [1000 - LINES_MAX]
    assert last["job_id"] == 7


def test_what_a_flood_remembers_is_bounded() -> None:
    flood = Flood()
    for cause in range(5000):
        flood.lets({}, cause)
    assert len(flood.causes) <= CAUSES_MAX


def test_each_cause_is_told_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    once = Seldom()
    assert [once.allows(ValueError("a")), once.allows(ValueError("b")), once.allows(KeyError("c"))] == [
        *(True, False, True)
    ]
    clock[0] += 1
    assert once.allows(ValueError("a"))


def test_of_a_refused_row_nothing_is_said_but_why(database_url: str) -> None:
    """Postgres' details hold the whole row."""
    with psycopg.connect(database_url) as connection:
        connection.execute("alter table v7.jobs add constraint mine check (user_id > 0)")
        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            connection.execute('select v7.enqueue(1, 0, 1, \'{"card": "4111"}\')')
    assert "4111" in str(caught.value)
    assert logs.said(caught.value) == 'new row for relation "jobs" violates check constraint "mine"'
    assert logs.said(ValueError(" why ")) == "why"
    assert logs.said(ValueError()) == "ValueError"
