"""Words about how attempts ended reach the database, once."""

import asyncio
from typing import Any

import pytest

from v7_task_processor import Discard, Snooze, queue
from v7_task_processor.queue import Connection
from v7_task_processor.worker.outcome import Ended, Outcome, Release

from ..support import add, one, rows
from .recording import FAILED, STATES, Opens, Recording
from .recording import bench as bench
from .recording import opened as opened
from .recording import told as told


async def test_each_outcome_is_written_and_its_slot_is_free(bench: Recording, connection: Connection) -> None:
    await add(connection, 5)
    outcomes: list[Outcome | None] = [None, FAILED, Discard("bad"), Snooze(60), Release()]
    for job, outcome in zip(await bench.take(5), outcomes, strict=True):
        bench.say(job, outcome)
    await bench.written()
    assert await rows(connection, STATES) == [
        ("succeeded", 0, None, None),
        ("queued", 1, None, "E: m"),
        ("dead", 1, "discarded: bad", "Discard: bad"),
        ("scheduled", 0, None, None),
        ("queued", 0, None, None),
    ]
    assert bench.called == ["requeued", "requeued", "written"]
    assert await rows(connection, "select distinct worker from v7.failures") == [(bench.session.name,)]


async def test_what_each_logged_is_written_with_it(bench: Recording, connection: Connection) -> None:
    await add(connection, 6)
    outcomes: list[Outcome | None] = [None, None, FAILED, Discard("bad"), Snooze(60), None]
    logs = ["one", None, "three", "four", "five", "six"]
    for job, outcome, log in zip(await bench.take(6), outcomes, logs, strict=True):
        bench.say(job, outcome, log=log)
    await bench.written()
    assert await rows(connection, "select log from v7.all_jobs order by id") == [
        ("one",), (None,), (None,), (None,), ("five",), ("six",)
    ]  # fmt: skip
    assert await rows(connection, "select log from v7.failures order by job_id") == [("three",), ("four",)]


async def test_without_history_nothing_of_what_succeeded_is_kept(opened: Opens, connection: Connection) -> None:
    bench = await opened(retention_days=0)
    await add(connection)
    (job,) = await bench.take(1)
    bench.say(job, None, log="said")
    await bench.written()
    assert await rows(connection, STATES) == []


@pytest.mark.fault(34)
async def test_what_never_started_goes_back_while_the_end_of_another_waits(
    bench: Recording, connection: Connection
) -> None:
    """As it does for a synchronous standby: claims wait for what goes back, and must not wait for that."""
    await add(connection, 2)
    ended, unstarted = await bench.take(2)
    async with connection.transaction():
        await connection.execute("lock table v7.finished_jobs in share mode")
        bench.say(ended, None)
        bench.recorder.add(Ended(unstarted, bench.session.worker_id, None, Release()))
        async with asyncio.timeout(60):
            while bench.called != ["requeued", "written"]:
                await asyncio.sleep(0.01)
        assert await one(connection, "status", unstarted.id) == ("queued",)
        assert await one(connection, "status", ended.id) == ("running",)
    await bench.written()
    assert await one(connection, "status", ended.id) == ("succeeded",)


async def test_more_words_than_a_batch_holds(bench: Recording, connection: Connection) -> None:
    await add(connection, 1200)
    for place, job in enumerate(await bench.take(1200)):
        bench.say(job, FAILED if place % 3 == 0 else None)
    assert len(bench.recorder.holds()) == 1200
    await bench.written()
    counts = "select status, count(*) from v7.all_jobs group by 1 order by 1"
    assert await rows(connection, counts) == [("queued", 400), ("succeeded", 800)]
    assert bench.called.count("written") == 3


async def test_a_failure_waits_its_back_off_by_its_count(opened: Opens, connection: Connection) -> None:
    bench: Recording = await opened(retry_seconds=100.0)
    await add(connection)
    await connection.execute("update v7.jobs set retry_count = 2")
    (job,) = await bench.take(1)
    bench.say(job, FAILED)
    await bench.written()
    wait = "run_at - (select failed_at from v7.failures) between interval '360 seconds' and interval '440 seconds'"
    assert await one(connection, wait, job.id) == (True,)


async def test_a_word_about_what_was_taken_away_is_void_and_told(
    bench: Recording, connection: Connection, told: list[tuple[str, Any]]
) -> None:
    await add(connection, 3)
    jobs = await bench.take(3)
    await queue.release(connection, bench.session.worker_id, [(job.id, 1) for job in jobs[:2]])
    for job, outcome in zip(jobs, [None, FAILED, None], strict=True):
        bench.say(job, outcome)
    await bench.written()
    assert [status for (status, *_) in await rows(connection, STATES)] == ["queued", "queued", "succeeded"]
    assert [fields for event, fields in told if event == "job.taken_away"] == [{"count": 1}, {"count": 1}]
    assert "job.failed" not in dict(told)


async def test_what_died_is_told_once_with_its_job(
    bench: Recording, connection: Connection, told: list[tuple[str, Any]]
) -> None:
    await add(connection)
    await connection.execute("update v7.jobs set max_retries = 1")
    (job,) = await bench.take(1)
    bench.say(job, FAILED)
    await bench.written()
    ((event, fields),) = [each for each in told if each[0].startswith("job.")]
    names = ("job_id", "attempt", "retry_count", "max_retries", "error")
    assert (event, *(fields[name] for name in names)) == ("job.dead", job.id, 1, 1, 1, "E: m")


async def test_what_handlers_did_is_told_by_the_batch_with_types_and_times(
    bench: Recording, connection: Connection, told: list[tuple[str, Any]]
) -> None:
    outcomes: list[Outcome | None] = [None, None, FAILED, Discard("no"), Snooze(9), Release()]
    for event_type_id in range(len(outcomes)):
        await add(connection, event_type_id=event_type_id)
    for job, outcome in zip(await bench.take(10), outcomes, strict=True):
        slot = bench.section.start(job.id, job.attempt, 0.0)
        bench.recorder.add(Ended(job, bench.session.worker_id, slot, outcome, float(job.event_type_id)))
    await bench.written()
    ended = {fields["outcome"]: fields["ended"] for event, fields in told if event == "attempts.ended"}
    assert ended == {
        "succeeded": [(0, 0.0), (1, 1.0)],
        "failed": [(2, 2.0)],
        "discarded": [(3, 3.0)],
        "snoozed": [(4, 4.0)],
    }
