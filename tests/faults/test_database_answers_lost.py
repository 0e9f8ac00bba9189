"""F26 to F28: the database did it, and its answer never came."""

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from v7_task_processor import database

from ..nodes import enqueue, jobs, node, wait_for_end, wait_until
from ..support import add, rows, until_waiting
from ..support import node as a_node
from ..worker.recording import Recording, cut
from .books import check_ledger, lines
from .cluster import Cluster
from .lab import Lab
from .looks import Record
from .proxy import Proxy, proxied

CLAIM_MARK = "{777}"
"""The limit of failures that a handler declares goes with each claim, and with nothing else."""
FIRST_ID = 987_654_321_000
"""Ids of jobs that stand in no other message: only words about how attempts ended name them."""
HANDLERS = """
@handler()
async def handle(job):
    note("start", job)
    await asyncio.sleep(job.event_data.get("seconds", 0))
    note("end", job)

@handler(event_type_id=2)
async def fail(job):
    note("start", job)
    raise ValueError("as asked")

@handler(event_type_id=3)
async def discard(job):
    note("start", job)
    return Discard("as asked")

@handler(event_type_id=4)
async def snooze(job):
    note("start", job)
    if job.attempt == 1:
        return Snooze(0.5)

@handler(event_type_id=5, max_retries=777)
async def never(job):
    pass
"""


def lose_one(proxy: Proxy, mark: str) -> None:
    """Lose the answer to the next message that has this in it."""
    before = proxy.hits
    proxy.hit = lambda data: proxy.hits == before and mark.encode() in data


@pytest.mark.fault(26)
@pytest.mark.slow
def test_answers_to_commits_of_events_are_lost_under_load(cluster: Cluster, tmp_path: Path) -> None:
    """Every fifth batch is stored and not answered: 500, and sent again under its key it is the same job."""
    seen = 0

    def every_fifth(data: bytes) -> bool:
        nonlocal seen
        is_batch = b"seconds" in data
        seen += is_batch
        return is_batch and seen % 5 == 0

    with Lab(tmp_path / "lab", cluster, 26) as lab:
        api, _ = lab.add("api", "api"), lab.add("worker")
        lab.ready()
        api.proxy.hit = every_fifth
        lab.send()
        wait_until(lambda: api.proxy.hits >= 30, "thirty answers were lost")
        api.proxy.hit = None
        lab.settle()
        check_ledger(lab)
        told = {line["status"] for line in lines(lab.sent.path) if line["what"] == "done"}
        tries = Counter(line["n"] for line in lines(lab.sent.path) if line["what"] == "sent" and line["key"])
        made = Counter(n for (n,) in cluster.sql("select (event_data->>'n')::int from v7.all_jobs"))
    assert told == {200, 500}
    assert {made[n] for n, count in tries.items() if count > 1} == {1}


@pytest.mark.fault(27)
@pytest.mark.slow
def test_the_answer_to_a_claim_is_lost(cluster: Cluster, tmp_path: Path, record_property: Record) -> None:
    """The job runs, says the database, under a worker that lives and never heard of it."""
    with (
        proxied(cluster.url) as proxy,
        node(tmp_path / "node", proxy.through(), handlers=HANDLERS, V7_CONCURRENCY=1) as one,
    ):
        (slow,) = enqueue(cluster.url, {"seconds": 5})
        wait_until(one.starts, "it is busy, and claims nothing")
        lose_one(proxy, CLAIM_MARK)
        (job,) = enqueue(cluster.url, {})
        wait_until(lambda: proxy.hits, "the answer to its claim is lost")
        lost_at = time.monotonic()
        wait_until(lambda: len(one.starts()) == 2, "it is claimed again, and started")
        seconds = time.monotonic() - lost_at
        record_property("recovery_seconds", round(seconds, 2))
        wait_for_end(cluster.url)
        assert one.stop() == 0
    assert seconds < 5
    assert [start[:2] for start in one.starts()] == [(slow, 1), (job, 2)]
    assert jobs(cluster.url) == [(slow, "succeeded", 0), (job, "succeeded", 0)]


@pytest.mark.fault(28)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("event_type_id", "starts", "end", "charges"),
    [(1, 1, "succeeded", 0), (2, 1, "dead", 1), (3, 1, "dead", 1), (4, 2, "succeeded", 0)],
    ids=["complete", "fail", "discard", "snooze"],
)
def test_the_answer_to_the_word_about_an_end_is_lost(
    cluster: Cluster, tmp_path: Path, event_type_id: int, starts: int, end: str, charges: int
) -> None:
    """It is said again, finds that it was heard, and is counted neither twice nor as stolen."""
    cluster.sql("select setval('v7.jobs_id_seq', %s)", FIRST_ID)
    with (
        proxied(cluster.url) as proxy,
        node(tmp_path / "node", proxy.through(), handlers=HANDLERS, V7_MAX_RETRIES=1) as one,
    ):
        lose_one(proxy, str(FIRST_ID + 1))
        (job,) = enqueue(cluster.url, {}, event_type_id=event_type_id)
        wait_until(lambda: proxy.hits, "the answer is lost")
        wait_for_end(cluster.url)
        wait_until(lambda: "connected again" in one.said(), "the worker is back")
        assert one.stop() == 0
    assert [start[:2] for start in one.starts()] == [(job, attempt) for attempt in range(1, starts + 1)]
    assert jobs(cluster.url) == [(job, end, charges)]
    assert cluster.sql("select count(*) from v7.failures") == [(charges,)]
    assert "taken_away" not in one.said()


@pytest.mark.fault(28)
@pytest.mark.slow
def test_the_answer_to_a_release_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    """A node that drains gives back what does not end in time, once, and leaves."""
    cluster.sql("select setval('v7.jobs_id_seq', %s)", FIRST_ID)
    with (
        proxied(cluster.url) as proxy,
        node(tmp_path / "node", proxy.through(), handlers=HANDLERS, V7_SHUTDOWN_SECONDS=4) as one,
    ):
        (job,) = enqueue(cluster.url, {"seconds": 1000})
        wait_until(one.starts, "it runs")
        lose_one(proxy, str(job))
        one.running.send_signal(signal.SIGTERM)
        assert one.running.wait(30) == 0
        assert proxy.hits == 1
    assert jobs(cluster.url, "id, status, retry_count, attempt, suspect") == [(job, "queued", 0, 1, False)]
    assert cluster.sql("select count(*) from v7.workers") == [(0,)]


@pytest.mark.fault(27, 28)
@pytest.mark.parametrize("broken", ["claims", "records"])
async def test_one_connection_of_a_worker_breaks_while_its_other_one_waits(
    cluster: Cluster, tmp_path: Path, broken: str
) -> None:
    """Who waits on the connection that is given up with it must hear of that: it would wait for ever."""
    async with await database.connect(cluster.url) as admin, await database.connect(cluster.url) as blocker:
        bench = Recording(cluster.url, tmp_path, await a_node(admin))
        await bench.session.open()
        writing = asyncio.create_task(bench.recorder.run())
        try:
            await add(admin)
            session, before = bench.session, bench.session.worker_id
            jobs = await bench.take(1) if broken == "claims" else []
            async with blocker.transaction():
                await blocker.execute("lock v7.jobs in share mode")
                if broken == "claims":
                    bench.say(jobs[0], None)
                    await until_waiting(admin, session.records)
                    await cut(admin, session.claims)
                    await session.attempt(lambda: session.claims.execute("select 1"))
                else:
                    claim = asyncio.create_task(session.attempt(lambda: bench.take(1)))
                    await until_waiting(admin, session.claims)
                    await cut(admin, session.records)
                    await session.attempt(lambda: session.records.execute("select 1"))
            async with asyncio.timeout(60):
                if broken == "records":
                    bench.say((await claim)[0], None)
                await bench.written()
            assert session.worker_id > before
            assert await rows(admin, "select status, attempt from v7.all_jobs") == [("succeeded", 1)]
        finally:
            writing.cancel()
            await bench.session.close()
