"""A row that somebody has locked keeps only its own word back."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from v7_task_processor import Discard, Snooze, database, queue
from v7_task_processor.queue import Connection
from v7_task_processor.worker import recorder
from v7_task_processor.worker.outcome import Ended, Outcome, Release

from ..standbys import lonely
from ..support import add, node, one, refused, rows, until_waiting
from .recording import FAILED, SLOTS, STATES, Recording
from .recording import bench as bench
from .recording import opened as opened
from .recording import told as told

pytestmark = pytest.mark.fault(79)
OUTCOMES: dict[str, tuple[Outcome | None, str]] = {
    "succeeded": (None, "succeeded"),
    "failed": (FAILED, "queued"),
    "discarded": (Discard("bad"), "dead"),
    "snoozed": (Snooze(60), "scheduled"),
    "released": (Release(), "queued"),
}


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def locked(url: str, *ids: int) -> AsyncIterator[Connection]:
    """As by a psql that was left open."""
    async with await database.connect(url) as hand, hand.transaction():
        await hand.execute("select from v7.jobs where id = any(%s) for update", [list(ids)])
        yield hand


@pytest.mark.parametrize("name", OUTCOMES)
async def test_the_others_of_its_batch_are_written(
    bench: Recording, connection: Connection, database_url: str, told: list[tuple[str, Any]], name: str
) -> None:
    outcome, status = OUTCOMES[name]
    await add(connection, 5)
    jobs = await bench.take(5)
    identity = bench.session.worker_id
    async with locked(database_url, jobs[1].id, jobs[3].id):
        for job in jobs:
            bench.say(job, outcome, log="said")
        await eventually(lambda: len(bench.recorder.holds()) == 2)
        assert [each for each, *_ in await rows(connection, STATES)] == [
            status, "running", status, "running", status
        ]  # fmt: skip
        assert bench.recorder.idle.is_set(), "a drain tells all others"
        assert len(bench.section.free) == SLOTS - 2
    await bench.written()
    assert {each for each, *_ in await rows(connection, STATES)} == {status}
    assert bench.session.worker_id == identity, "no connection was given up for it"
    assert "job.taken_away" not in dict(told)
    ended = [fields["ended"] for event, fields in told if event == "attempts.ended"]
    assert sum(map(len, ended)) == (0 if name == "released" else 5), "each is counted once"


async def test_what_never_started_goes_back_past_it(
    bench: Recording, connection: Connection, database_url: str
) -> None:
    returned: list[int] = []
    bench.recorder.on_returned = returned.append
    await add(connection, 3)
    jobs = await bench.take(3)
    async with locked(database_url, jobs[1].id):
        for job in jobs:
            bench.recorder.add(Ended(job, bench.session.worker_id, None, Release()))
        await eventually(lambda: returned == [3])
    await bench.written()
    assert returned == [3]
    assert {each for each, *_ in await rows(connection, STATES)} == {"queued"}


@pytest.mark.parametrize("name", ["failed", "snoozed"])
async def test_a_word_that_waits_for_a_hand_holds(
    bench: Recording, connection: Connection, database_url: str, told: list[tuple[str, Any]], name: str
) -> None:
    """The row is at another place then, where the statement does not look for it."""
    outcome, status = OUTCOMES[name]
    await add(connection, 3)
    jobs = await bench.take(3)
    async with await database.connect(database_url) as hand:
        await bench.session.records.execute("set lock_timeout = 0")
        await hand.execute("begin")
        await hand.execute("update v7.jobs set priority = 3 where id = %s", [jobs[1].id])
        for job in jobs:
            bench.say(job, outcome)
        await until_waiting(hand, bench.session.records)
        await hand.execute("commit")
    await bench.written()
    assert {each for each, *_ in await rows(connection, STATES)} == {status}
    assert await one(connection, "priority", jobs[1].id) == (3,)
    assert "job.taken_away" not in dict(told)


async def test_a_batch_that_takes_long_after_it_was_laid_aside(
    bench: Recording, connection: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not come again, nor is its slot free, before the others of its batch are through."""
    monkeypatch.setattr(recorder, "LOCKED_SECONDS", 0.0)
    await add(connection, 3)
    succeeded, failed, snoozed = await bench.take(3)
    async with locked(database_url, failed.id) as hand:
        put_off = bench.recorder.snooze

        async def slow(worker_id: int, words: list[Ended]) -> None:
            assert [ended.job.id for ended in bench.recorder.laid_aside.words()] == [failed.id]
            await hand.execute("commit")
            for _ in range(3):  # it is looked at, and is free
                await rows(connection, "select pg_sleep(0.1)")
            await put_off(worker_id, words)

        monkeypatch.setattr(bench.recorder, "snooze", slow)
        for job, outcome in ((succeeded, None), (failed, FAILED), (snoozed, Snooze(60))):
            bench.say(job, outcome)
        await bench.written()
        await hand.execute("begin")
    assert len(set(bench.section.free)) == SLOTS
    assert [each for each, *_ in await rows(connection, STATES)] == ["succeeded", "queued", "scheduled"]


@pytest.mark.fault(34)
async def test_whose_first_try_has_locked_it_and_lands_after_a_break(
    bench: Recording, connection: Connection, database_url: str, told: list[tuple[str, Any]]
) -> None:
    """Its backend waits for a standby, when we have long given up its connection: nobody took the job away."""
    await add(connection)
    (job,) = await bench.take(1)
    identity = bench.session.worker_id
    async with await database.connect(database_url) as first, first.transaction():
        assert await queue.complete(first, identity, [(job.id, job.attempt)], kept=True) == 1
        bench.say(job, None)
        await eventually(lambda: bool(bench.recorder.laid_aside.words()))
        await bench.session.renew(bench.session.generation)
    await bench.written()
    assert "job.taken_away" not in dict(told)


async def test_beside_one_that_is_refused(
    bench: Recording, connection: Connection, database_url: str, told: list[tuple[str, Any]]
) -> None:
    """Whose halves come again, with what was laid aside."""
    await add(connection, 4)
    jobs = await bench.take(4)
    async with refused(connection, "v7.finished_jobs", jobs[2].id), locked(database_url, jobs[1].id):
        for job in jobs:
            bench.say(job, None)
        await eventually(lambda: len(bench.recorder.holds()) == 1)
        assert [each for each, *_ in await rows(connection, STATES)] == ["succeeded", "running", "queued", "succeeded"]
    await bench.written()
    assert [each for each, *_ in await rows(connection, STATES)] == ["succeeded", "succeeded", "queued", "succeeded"]
    assert "job.taken_away" not in dict(told)


async def test_a_table_that_is_locked_is_waited_for(
    bench: Recording, connection: Connection, database_url: str
) -> None:
    await add(connection, 2)
    jobs = await bench.take(2)
    identity = bench.session.worker_id
    async with await database.connect(database_url) as hand, hand.transaction():
        await hand.execute("lock table v7.finished_jobs in share mode")
        for job in jobs:
            bench.say(job, None)
        began = await started(connection, bench)
        async with asyncio.timeout(60):
            while await started(connection, bench) == began:
                await asyncio.sleep(0.01)
        assert not bench.recorder.laid_aside.words()
    await bench.written()
    assert {each for each, *_ in await rows(connection, STATES)} == {"succeeded"}
    assert bench.session.worker_id == identity


async def started(observer: Connection, bench: Recording) -> dt.datetime:
    """When a statement began that waits for a lock."""
    await until_waiting(observer, bench.session.records)
    query = "select query_start from pg_stat_activity where pid = %s"
    ((moment,),) = await rows(observer, query, bench.session.records.info.backend_pid)
    assert isinstance(moment, dt.datetime)
    return moment


async def test_after_a_break_what_is_locked_is_left_alone(
    bench: Recording, connection: Connection, database_url: str
) -> None:
    """Claims whose answers were lost are given back, but for those that somebody has locked."""
    await add(connection, 2)
    jobs = await bench.take(2)
    async with locked(database_url, jobs[0].id):
        async with asyncio.timeout(60):
            await bench.session.renew(bench.session.generation)
        assert [each for each, *_ in await rows(connection, STATES)] == ["running", "queued"]


@pytest.mark.fault(34)
async def test_after_a_break_no_standby_is_needed_to_see_what_is_locked(tmp_path: Path) -> None:
    """To lock a row is to write."""
    with lonely(tmp_path / "server") as server:
        async with await database.connect(server.url, database.LOCAL) as connection:
            bench = Recording(server.url, tmp_path, await node(connection))
            await bench.session.open()
            known, _ = await bench.take(2)
            bench.session.holds = lambda: {((known.id, known.attempt), bench.session.earlier[0])}
            async with asyncio.timeout(60):
                await bench.session.renew(bench.session.generation)
            await bench.session.close()
            assert [each for each, *_ in await rows(connection, STATES)] == ["running", "queued", "dead"]
