"""What Postgres refuses of a word keeps back no other."""

from typing import Any

import pytest

from v7_task_processor import Discard, Snooze
from v7_task_processor.handlers import Described, describe
from v7_task_processor.queue import Connection
from v7_task_processor.worker import recorder
from v7_task_processor.worker.outcome import SNOOZE_SECONDS_MAX, Failed, Outcome, Release

from ..support import add, one, refused, rows
from .recording import FAILED, STATES, Recording
from .recording import bench as bench
from .recording import opened as opened
from .recording import told as told


@pytest.mark.fault(21)
async def test_hostile_texts_are_written(bench: Recording, connection: Connection) -> None:
    await add(connection, 3)
    outcomes: list[Failed | Discard | Snooze] = [
        Failed(describe(ValueError("\0\ud800"))),
        Discard("\0\udfff" + "x" * 10_000),
        Snooze(SNOOZE_SECONDS_MAX),
    ]
    for job, outcome in zip(await bench.take(3), outcomes, strict=True):
        bench.say(job, outcome)
    await bench.written()
    failures = await rows(connection, "select error_type, left(message, 10) from v7.failures order by job_id")
    assert failures == [("ValueError", "\\x00\\ud800"), ("Discard", "\\x00\\udfff")]
    assert [status for (status, *_) in await rows(connection, STATES)] == ["queued", "dead", "scheduled"]


@pytest.mark.fault(21)
async def test_a_text_that_postgres_refuses_neither_keeps_its_job_nor_its_neighbours(
    bench: Recording, connection: Connection, told: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is what is discarded for it run again."""
    monkeypatch.setattr(recorder, "clean", lambda text, _: text)
    await add(connection, 4)
    hostile = Failed(Described("E", "nul \0", ""))
    outcomes: list[Outcome] = [FAILED, hostile, FAILED, Discard("nul \0")]
    for job, outcome in zip(await bench.take(4), outcomes, strict=True):
        bench.say(job, outcome)
    await bench.written()
    dead = "discarded: (Postgres refused its text)"
    assert await rows(connection, STATES) == [
        ("queued", 1, None, "E: m"),
        ("queued", 1, None, "Error: (Postgres refused its text)"),
        ("queued", 1, None, "E: m"),
        ("dead", 1, dead, "Discard: (Postgres refused its text)"),
    ]
    assert [event for event, _ in told].count("job.failed") == 3


@pytest.mark.fault(48)
async def test_an_end_that_somebodys_trigger_refuses_is_charged_and_keeps_no_other(
    bench: Recording, connection: Connection
) -> None:
    await add(connection, 5)
    _, _, third, _, _ = found = await bench.take(5)
    async with refused(connection, "v7.finished_jobs", third.id):
        for job in found:
            bench.say(job, None)
        await bench.written()
    ended = [("succeeded", 0)] * 5
    ended[2] = ("queued", 1)
    assert await rows(connection, "select status, retry_count from v7.all_jobs order by id") == ended
    ((error,),) = await rows(connection, "select last_error from v7.jobs")
    assert error.startswith("RaiseException: not this one")


@pytest.mark.fault(48)
@pytest.mark.parametrize("outcome", [FAILED, Snooze(1), Release()], ids=["fail", "snooze", "release"])
async def test_a_row_that_cannot_be_changed_keeps_no_other(
    bench: Recording, connection: Connection, outcome: Outcome
) -> None:
    await add(connection, 3)
    _, second, _ = found = await bench.take(3)
    async with refused(connection, "v7.jobs", second.id):
        for job in found:
            bench.say(job, outcome)
        await bench.written()
    assert await rows(connection, "select id from v7.jobs where status = 'running'") == [(second.id,)]


async def test_a_missing_day_is_made_and_what_succeeded_is_written(bench: Recording, connection: Connection) -> None:
    await add(connection)
    (job,) = await bench.take(1)
    days = "select inhrelid::regclass::text from pg_inherits where inhparent = 'v7.finished_jobs'::regclass"
    for (name,) in await rows(connection, days):
        await connection.execute(f"drop table {name}".encode())
    bench.say(job, None)
    await bench.written()
    assert await one(connection, "status", job.id) == ("succeeded",)
    assert len(await rows(connection, days)) == 15


async def test_a_success_that_postgres_refuses_is_told_as_the_failure_it_becomes(
    bench: Recording, connection: Connection, told: list[tuple[str, Any]]
) -> None:
    good, bad = await add(connection, 2)
    jobs = await bench.take(2)
    async with refused(connection, "v7.finished_jobs", bad):
        for job in jobs:
            bench.say(job, None)
        await bench.written()
    ended = [fields["outcome"] for event, fields in told if event == "attempts.ended"]
    assert sorted(ended) == ["failed", "succeeded"]
    assert await one(connection, "status", good) == ("succeeded",)
