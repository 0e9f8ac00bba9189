"""Words about how attempts ended reach the database, whatever breaks, once. What breaks is real."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from v7_task_processor import Discard, Job, Snooze, queue
from v7_task_processor.child import Assignment
from v7_task_processor.handlers import Described, describe
from v7_task_processor.observability import telemetry
from v7_task_processor.queue import Connection
from v7_task_processor.settings import Settings
from v7_task_processor.worker.outcome import SNOOZE_SECONDS_MAX, Ended, Failed, Outcome, Release
from v7_task_processor.worker.recorder import Recorder
from v7_task_processor.worker.session import Session
from v7_task_processor.worker.slots import NodeMap

from ..support import add, node, one, refused, rows, take, worker

FAILED = Failed(Described("E", "m", "t"))
SLOTS = 1300


class Bench:
    """A recorder on a session of its own, and what was heard of it."""

    def __init__(self, url: str, folder: Path, node_id: int, **given: Any) -> None:
        settings = Settings(**{"retry_seconds": 0, **given})
        assignment = Assignment(settings=settings, role="worker", node_id=node_id, token="t")
        self.session = Session(url, assignment, lambda: self.recorder.holds())
        self.section = NodeMap.create(folder / "node.map", 1, SLOTS).section(0)
        self.recorder = Recorder(settings, self.session, self.section)
        self.called: list[str] = []
        self.recorder.on_requeued = lambda jobs: self.called.append("requeued")
        self.recorder.on_written = lambda: self.called.append("written")

    async def take(self, batch: int) -> list[Job]:
        return await take(self.session.claims, self.session.worker_id, batch)

    def say(self, job: Job, outcome: Outcome | None, worker_id: int | None = None, log: str | None = None) -> None:
        slot = self.section.start(job.id, job.attempt, 0.0)
        self.section.end(slot, succeeded=outcome is None)
        self.recorder.add(Ended(job, worker_id or self.session.worker_id, slot, outcome, log=log))

    async def written(self) -> None:
        await self.recorder.idle.wait()
        assert len(self.section.free) == SLOTS
        assert self.recorder.holds() == set()


Opens = Callable[..., Any]


@pytest.fixture
async def opened(database_url: str, connection: Connection, tmp_path: Path) -> AsyncIterator[Opens]:
    async with contextlib.AsyncExitStack() as stack:

        async def open_bench(**given: Any) -> Bench:
            made = Bench(database_url, tmp_path, await node(connection), **given)
            await made.session.open()
            stack.push_async_callback(made.session.close)
            writing = asyncio.create_task(made.recorder.run())
            stack.callback(writing.cancel)
            return made

        yield open_bench


@pytest.fixture
async def bench(opened: Opens) -> Bench:
    return await opened()  # type: ignore[no-any-return]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    heard: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(telemetry, "_subscribers", [lambda event, fields: heard.append((event, dict(fields)))])
    return heard


async def cut(connection: Connection, *sessions: Connection) -> None:
    for each in sessions:
        await connection.execute("select pg_terminate_backend(%s, 10000)", [each.info.backend_pid])


STATES = "select status, retry_count, dead_reason, last_error from v7.all_jobs order by id"


async def test_each_outcome_is_written_and_its_slot_is_free(bench: Bench, connection: Connection) -> None:
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


async def test_what_each_logged_is_written_with_it(bench: Bench, connection: Connection) -> None:
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
    bench: Bench, connection: Connection
) -> None:
    """As it does for a synchronous standby: claims wait for what goes back, and must not wait for that."""
    await add(connection, 2)
    ended, unstarted = await bench.take(2)
    async with connection.transaction():
        await connection.execute("select from v7.jobs where id = %s for update", [ended.id])
        bench.say(ended, None)
        bench.recorder.add(Ended(unstarted, bench.session.worker_id, None, Release()))
        async with asyncio.timeout(10):
            while bench.called != ["requeued", "written"]:
                await asyncio.sleep(0.01)
        assert await one(connection, "status", unstarted.id) == ("queued",)
        assert await one(connection, "status", ended.id) == ("running",)
    await bench.written()
    assert await one(connection, "status", ended.id) == ("succeeded",)


async def test_more_words_than_a_batch_holds(bench: Bench, connection: Connection) -> None:
    await add(connection, 1200)
    for place, job in enumerate(await bench.take(1200)):
        bench.say(job, FAILED if place % 3 == 0 else None)
    assert len(bench.recorder.holds()) == 1200
    await bench.written()
    counts = "select status, count(*) from v7.all_jobs group by 1 order by 1"
    assert await rows(connection, counts) == [("queued", 400), ("succeeded", 800)]
    assert bench.called.count("written") == 3


async def test_a_failure_waits_its_back_off_by_its_count(opened: Opens, connection: Connection) -> None:
    bench: Bench = await opened(retry_seconds=100.0)
    await add(connection)
    await connection.execute("update v7.jobs set retry_count = 2")
    (job,) = await bench.take(1)
    bench.say(job, FAILED)
    await bench.written()
    wait = "run_at - (select failed_at from v7.failures) between interval '360 seconds' and interval '440 seconds'"
    assert await one(connection, wait, job.id) == (True,)


async def test_without_history_what_succeeded_is_gone(opened: Opens, connection: Connection) -> None:
    bench: Bench = await opened(retention_days=0)
    await add(connection)
    (job,) = await bench.take(1)
    bench.say(job, None)
    await bench.written()
    assert await rows(connection, STATES) == []


@pytest.mark.parametrize("broken", ["records", "claims", "both"])
async def test_words_are_written_once_after_a_connection_broke(
    bench: Bench, connection: Connection, broken: str
) -> None:
    await add(connection, 4)
    jobs, before = await bench.take(4), bench.session.worker_id
    sessions = {"records": bench.session.records, "claims": bench.session.claims}
    await cut(connection, *(each for name, each in sessions.items() if broken in (name, "both")))
    if broken == "claims":
        with pytest.raises(psycopg.OperationalError):
            await bench.session.claims.execute("select 1")
    for job, outcome in zip(jobs, [None, FAILED, Snooze(60), Release()], strict=True):
        bench.say(job, outcome, before)
    await bench.written()
    states = [status for (status, *_) in await rows(connection, STATES)]
    assert states == ["succeeded", "queued", "scheduled", "queued"]
    assert await rows(connection, "select worker_id from v7.failures") == [(before,)]
    if broken != "claims":
        assert bench.session.generation == 1
        assert bench.session.worker_id > before
        assert bench.session.earlier == [before]
        await bench.session.forget_earlier(connection)
        assert bench.session.earlier == []
        registered = "select id from v7.workers where node_id is not null"
        assert await rows(connection, registered) == [(bench.session.worker_id,)]


@pytest.mark.fault(28)
async def test_words_whose_answer_was_lost_are_not_written_twice(
    bench: Bench, connection: Connection, told: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit reached the database, its answer did not reach us."""
    lost: list[str] = []

    def losing(name: str) -> Callable[..., Any]:
        statement = getattr(queue, name)

        async def lose(on: Connection, *given: Any, **more: Any) -> Any:
            answer = await statement(on, *given, **more)
            if name not in lost:
                lost.append(name)
                await cut(connection, on)
                await on.execute("select 1")
            return answer

        return lose

    await add(connection, 4)
    jobs, worker_id = await bench.take(4), bench.session.worker_id
    names = ["complete", "fail", "snooze", "release"]
    for name in names:
        monkeypatch.setattr(queue, name, losing(name))
    for job, outcome in zip(jobs, [None, FAILED, Snooze(60), Release()], strict=True):
        bench.say(job, outcome, worker_id)
    await bench.written()
    assert lost == names
    assert await rows(connection, STATES) == [
        ("succeeded", 0, None, None),
        ("queued", 1, None, "E: m"),
        ("scheduled", 0, None, None),
        ("queued", 0, None, None),
    ]
    assert await rows(connection, "select count(*) from v7.failures") == [(1,)]
    assert "job.taken_away" not in dict(told)
    assert bench.session.generation == 4


@pytest.mark.fault(27)
async def test_a_claim_whose_answer_was_lost_is_given_back(bench: Bench, connection: Connection) -> None:
    known, unknown = await add(connection, 2)
    (job,) = await bench.take(1)
    await bench.take(1)  # and we never heard of it
    before = bench.session.worker_id
    await cut(connection, bench.session.records)
    bench.say(job, None, before)
    await bench.written()
    assert await one(connection, "status", known) == ("succeeded",)
    assert await one(connection, "status, worker_id, retry_count, suspect", unknown) == ("queued", None, 0, False)


async def test_a_word_about_what_was_taken_away_is_void_and_told(
    bench: Bench, connection: Connection, told: list[tuple[str, Any]]
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


async def test_words_of_two_identities_in_one_batch(bench: Bench, connection: Connection) -> None:
    await add(connection, 2)
    before = await worker(connection)
    (first,) = await take(connection, before, 1)
    (second,) = await bench.take(1)
    bench.say(first, None, before)
    bench.say(second, None)
    await bench.written()
    written = await rows(connection, "select worker_id from v7.finished_jobs order by id")
    assert written == [(before,), (bench.session.worker_id,)]


@pytest.mark.fault(21)
async def test_hostile_texts_are_written(bench: Bench, connection: Connection) -> None:
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
    bench: Bench, connection: Connection, told: list[tuple[str, Any]]
) -> None:
    await add(connection, 3)
    hostile = Failed(Described("E", "nul \0", ""))
    for job, outcome in zip(await bench.take(3), [FAILED, hostile, FAILED], strict=True):
        bench.say(job, outcome)
    await bench.written()
    assert await rows(connection, STATES) == [
        ("queued", 1, None, "E: m"),
        ("queued", 1, None, "Error: (Postgres refused its text)"),
        ("queued", 1, None, "E: m"),
    ]
    assert [event for event, _ in told].count("job.failed") == 3


@pytest.mark.fault(48)
async def test_an_end_that_somebodys_trigger_refuses_is_charged_and_keeps_no_other(
    bench: Bench, connection: Connection
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
    bench: Bench, connection: Connection, outcome: Outcome
) -> None:
    await add(connection, 3)
    _, second, _ = found = await bench.take(3)
    async with refused(connection, "v7.jobs", second.id):
        for job in found:
            bench.say(job, outcome)
        await bench.written()
    assert await rows(connection, "select id from v7.jobs where status = 'running'") == [(second.id,)]


async def test_a_missing_day_is_made_and_what_succeeded_is_written(bench: Bench, connection: Connection) -> None:
    await add(connection)
    (job,) = await bench.take(1)
    days = "select inhrelid::regclass::text from pg_inherits where inhparent = 'v7.finished_jobs'::regclass"
    for (name,) in await rows(connection, days):
        await connection.execute(f"drop table {name}".encode())
    bench.say(job, None)
    await bench.written()
    assert await one(connection, "status", job.id) == ("succeeded",)
    assert len(await rows(connection, days)) == 15


async def test_what_died_is_told_once_with_its_job(
    bench: Bench, connection: Connection, told: list[tuple[str, Any]]
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
    bench: Bench, connection: Connection, told: list[tuple[str, Any]]
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


async def test_a_success_that_postgres_refuses_is_told_as_the_failure_it_becomes(
    bench: Bench, connection: Connection, told: list[tuple[str, Any]]
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
