"""Locks that somebody holds for long: on the queue, on the history, and pruning that waits for a reader."""

import asyncio
import threading
import time
from pathlib import Path

import psycopg
import pytest

from v7_task_processor import database, queue

from ..nodes import EVENT, check_books, enqueue, get, jobs, node, post, wait_for_end, wait_until
from ..support import add, take, until_waiting, worker
from ..test_maintenance import days, old_day
from .cluster import Cluster
from .looks import Record, beats

GAVE_UP = "canceling statement"


class Burst:
    """So many clients at once; what each was told, and after how many seconds."""

    def __init__(self, address: tuple[str, int], count: int) -> None:
        self.address = address
        self.answers: list[tuple[int, str, float]] = []
        self.threads = [threading.Thread(target=self.send) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def send(self) -> None:
        began = time.monotonic()
        status, text = post(self.address, EVENT)
        self.answers.append((status, text, time.monotonic() - began))

    def done(self) -> list[tuple[int, str, float]]:
        for thread in self.threads:
            thread.join()
        return self.answers


def connections(cluster: Cluster) -> int:
    return len(cluster.pids("%"))


@pytest.mark.slow
@pytest.mark.fault(41, 46)
def test_the_queue_is_locked_for_longer_than_any_statement_waits(
    cluster: Cluster, tmp_path: Path, record_property: Record
) -> None:
    """Clients hear of it in time, connections do not pile up, nodes go on beating, nobody is rescued or charged."""
    with (
        node(tmp_path / "a", cluster.url, "run") as a,
        node(tmp_path / "b", cluster.url) as b,
        psycopg.connect(cluster.url) as other,
    ):
        address = a.address()
        wait_until(lambda: len(beats(cluster)) == 2 and b.said(), "both live")
        enqueue(cluster.url, {"do": "sleep", "seconds": 3}, count=20)
        wait_until(lambda: len(a.starts() + b.starts()) == 20, "they run")
        before, beating = connections(cluster), beats(cluster)
        other.execute("lock table v7.jobs in access exclusive mode")
        answers = Burst(address, 40).done()
        assert {status for status, _, _ in answers} <= {500, 503}
        assert max(seconds for _, _, seconds in answers) < 20
        assert get(address, "/livez") == 200
        wait_until(lambda: GAVE_UP in a.said() and GAVE_UP in b.said(), "statements gave up")
        for _ in range(6):  # for longer than a node that stands still would be left alone
            last = beats(cluster)
            wait_until(lambda: all(beat != last.get(each) for each, beat in beats(cluster).items()), "all beat")  # noqa: B023
        wait_until(lambda: connections(cluster) <= before + 2, "what was given up is gone")
        after = beats(cluster)
        assert after.keys() == beating.keys()
        assert all(after[each] != beating[each] for each in beating)
        other.rollback()
        began = time.monotonic()
        wait_until(lambda: post(address, EVENT)[0] == 200, "events are taken again")
        wait_for_end(cluster.url)
        record_property("recovery_seconds", time.monotonic() - began)
        assert beats(cluster).keys() == beating.keys()
        check_books(cluster.url, a, b)
        assert a.stop() == b.stop() == 0
    # The clients were told that it is not known, or that nothing was added; what was sent had been cancelled.
    assert {row[1:] for row in jobs(cluster.url)} == {("succeeded", 0)}
    assert len(jobs(cluster.url)) == 21 == len(a.starts() + b.starts())


@pytest.mark.fault(42)
async def test_a_day_that_cannot_be_dropped_for_a_reader_holds_up_completions_for_a_second_at_most(
    cluster: Cluster,
) -> None:
    """The DROP waits for the reader and everybody behind the DROP: until it gives up, which it does soon."""
    async with (
        await database.connect(cluster.url) as connection,
        await database.connect(cluster.url) as reader,
        await database.connect(cluster.url) as pruner,
    ):
        old = await old_day(connection, 9)
        (job_id,) = await add(connection)
        worker_id = await worker(connection)
        await take(connection, worker_id)
        await reader.execute("begin")
        await reader.execute("select count(*) from v7.finished_jobs")
        dropping = asyncio.create_task(queue.drop_oldest_day(pruner, 7))
        await until_waiting(connection, pruner, dropping)
        while dropping.done():  # it had given up before it was seen
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await dropping
            dropping = asyncio.create_task(queue.drop_oldest_day(pruner, 7))
            await until_waiting(connection, pruner, dropping)
        await connection.execute("set statement_timeout = '20s'")
        assert await queue.complete(connection, worker_id, [(job_id, 1)], kept=True) == 1
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await dropping
        await reader.execute("rollback")
        assert await queue.drop_oldest_day(pruner, 7) == old
        assert old not in await days(connection)
