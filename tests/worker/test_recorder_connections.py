"""Words about how attempts ended reach the database once, whatever connection breaks. What breaks is real."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from v7_task_processor import Snooze, queue
from v7_task_processor.queue import Connection
from v7_task_processor.worker.outcome import Release

from ..support import add, one, rows, take, worker
from .recording import FAILED, STATES, Recording, cut
from .recording import bench as bench
from .recording import opened as opened
from .recording import told as told


@pytest.mark.parametrize("broken", ["records", "claims", "both"])
async def test_words_are_written_once_after_a_connection_broke(
    bench: Recording, connection: Connection, broken: str
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
        assert bench.session.generation == 2
        assert bench.session.worker_id > before
        assert bench.session.earlier == [before]
        await bench.session.forget_earlier(connection)
        assert bench.session.earlier == []
        registered = "select id from v7.workers where node_id is not null"
        assert await rows(connection, registered) == [(bench.session.worker_id,)]


@pytest.mark.fault(28)
async def test_words_whose_answer_was_lost_are_not_written_twice(
    bench: Recording, connection: Connection, told: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
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
    assert bench.session.generation == 5


@pytest.mark.fault(27)
async def test_a_claim_whose_answer_was_lost_is_given_back(bench: Recording, connection: Connection) -> None:
    known, unknown = await add(connection, 2)
    (job,) = await bench.take(1)
    await bench.take(1)  # and we never heard of it
    before = bench.session.worker_id
    await cut(connection, bench.session.records)
    bench.say(job, None, before)
    await bench.written()
    assert await one(connection, "status", known) == ("succeeded",)
    assert await one(connection, "status, worker_id, retry_count, suspect", unknown) == ("queued", None, 0, False)


async def test_words_of_two_identities_in_one_batch(bench: Recording, connection: Connection) -> None:
    await add(connection, 2)
    before = await worker(connection)
    (first,) = await take(connection, before, 1)
    (second,) = await bench.take(1)
    bench.say(first, None, before)
    bench.say(second, None)
    await bench.written()
    written = await rows(connection, "select worker_id from v7.finished_jobs order by id")
    assert written == [(before,), (bench.session.worker_id,)]
