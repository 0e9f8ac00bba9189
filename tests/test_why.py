"""Why a job does not run: each sentence, on a real database, and one through a real node."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from v7_task_processor import listing, queue
from v7_task_processor.counting import Account
from v7_task_processor.listing import Why, line
from v7_task_processor.listing.why import ERROR_CHARS_MAX
from v7_task_processor.observability import families
from v7_task_processor.observability.counts import Counts
from v7_task_processor.queue import Connection, Failure

from .command import answer, v7
from .conftest import fresh
from .nodes import enqueue, node, wait_for_end, wait_until
from .population import KEYS, populate
from .support import add, take, take_one, worker
from .support import node as enter

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


def ask(url: str, job_id: int) -> Why:
    with listing.reading(url) as connection:
        found = listing.why(connection, job_id)
    assert found is not None
    return found


def said(url: str, job_id: int, cause: str) -> str:
    """The sentence, its times and spans as T and N."""
    found = ask(url, job_id)
    assert found.cause == cause, found
    head = f"Job {job_id} "
    assert found.why.startswith(head)
    assert found.why.endswith(".")
    sentence = re.sub(TIME, "T", found.why.removeprefix(head))
    return re.sub(r"\b\d+(\.\d+)? (s|min|h)\b", "N", sentence)


@pytest.fixture(scope="module")
def populated(server_url: str, template: str) -> Iterator[str]:
    for name in fresh(server_url, template):
        populate(name)
        yield name


async def serving(connection: Connection, *types: int) -> int:
    """A node that lives, with a worker; the worker's id. Without types it serves all."""
    node_id = await enter(connection)
    await queue.serve(connection, node_id, list(types) or None, {"1": 300.0, "other": 60.0})
    return await worker(connection, node_id, pid=7)


def test_what_has_ended(populated: str) -> None:
    done = "succeeded at T, N after it was taken."
    assert said(populated, KEYS["succeeded"], "succeeded") == done
    assert said(populated, KEYS["cancelled"], "cancelled") == "was cancelled at T; it will not run."
    dead = said(populated, KEYS["dead"], "dead")
    assert dead == (
        "is dead since T: max_retries reached; the last error was ValueError: second. "
        "It runs again only when it is redriven."
    )
    with listing.reading(populated) as connection:
        assert listing.why(connection, 999) is None


def test_a_type_that_is_paused(populated: str) -> None:
    found = ask(populated, KEYS["paused"])
    assert said(populated, KEYS["paused"], "paused") == (
        "waits because its type, 5, is paused since T by v7 types pause by someone@somewhere."
    )
    assert (found.by, found.since is not None, found.status) == ("v7 types pause by someone@somewhere", True, "queued")


def test_a_type_that_no_worker_serves(populated: str) -> None:
    says = "waits because no worker that lives has a handler for its type, 9 (1 node lives)."
    assert said(populated, KEYS["unserved"], "unserved") == says


def test_a_time_that_has_not_come(populated: str) -> None:
    assert said(populated, KEYS["scheduled"], "waits") == "waits for its time, T, in N."


async def test_no_worker_lives(connection: Connection, database_url: str) -> None:
    (job_id,) = await add(connection)
    assert said(database_url, job_id, "no-worker") == "waits because no worker lives."
    await serving(connection)
    await connection.execute("update v7.workers set heartbeat_at = now() - interval '5 minutes'")
    assert said(database_url, job_id, "no-worker") == (
        "waits because no worker lives; the node host:1 was last heard of N ago."
    )
    await enter(connection)
    assert ask(database_url, job_id).cause == "no-worker", "a node that only takes events in is no help"


async def test_all_nodes_that_serve_it_are_drained(connection: Connection, database_url: str) -> None:
    (job_id,) = await add(connection)
    first, second = await serving(connection, 1), await serving(connection)
    ids = [node.id for node in await queue.nodes(connection)]
    await queue.drain_node(connection, ids[0], "ann")
    assert ask(database_url, job_id).cause == "next", (first, second)
    await queue.drain_node(connection, ids[1], "bob")
    assert said(database_url, job_id, "drained") == (
        "waits because all 2 nodes that serve its type, 1, are drained, the last since T by bob."
    )
    await queue.unregister(connection, [ids[1]])
    assert said(database_url, job_id, "drained") == (
        "waits because host:1, the one node that serves its type, 1, is drained since T by ann."
    )
    assert ask(database_url, job_id).by == "ann"


async def test_a_limit_that_is_full(connection: Connection, database_url: str) -> None:
    worker_id = await serving(connection)
    await queue.limit_event_type(connection, 1, 2)
    await add(connection)
    await take(connection, worker_id)
    first, second, third = await add(connection, 3)
    assert ask(database_url, first).cause == "next", "one more may run"
    await take(connection, worker_id, 1)
    full = "waits because the limit of its type, 1, is full: 2 jobs of it run, and 2 may; "
    assert said(database_url, second, "full") == full + "it is the next of its type."
    assert said(database_url, third, "full") == full + "1 of its type is before it."
    assert ask(database_url, third).ahead == 1
    (other,) = await add(connection, event_type_id=2, priority=9)
    assert ask(database_url, other).cause == "next", "workers pass over what is full"
    await queue.limit_event_type(connection, 1, 1)
    await connection.execute("update v7.jobs set suspect = true where id = %s", [third])
    assert said(database_url, third, "full") == (
        "waits because the limit of its type, 1, is full: 2 jobs of it run, and 1 may; it is the next of the suspects."
    )
    await queue.limit_event_type(connection, 1, None)
    assert ask(database_url, second).cause == "next"


async def test_its_back_off(connection: Connection, database_url: str) -> None:
    worker_id = await serving(connection)
    (job_id,) = await add(connection)
    job = await take_one(connection, worker_id)
    failure = Failure(job.id, job.attempt, 90.0, "ValueError", "no such order", None)
    await queue.fail(connection, worker_id, "host:7", [failure])
    assert said(database_url, job_id, "waits") == (
        "waits for its time, T, in N, since it has failed (1 of 5): ValueError: no such order."
    )
    found = ask(database_url, job_id)
    assert (found.error, found.until is not None) == ("ValueError: no such order", True)
    await connection.execute("update v7.jobs set run_at = now() - interval '1 second'")
    assert said(database_url, job_id, "due") == "was due N ago, and a node is about to queue it."
    await queue.unregister(connection, [node.id for node in await queue.nodes(connection)])
    assert said(database_url, job_id, "due") == "was due N ago, and no node with workers lives that would queue it."


async def test_what_runs_and_how_long_it_may(connection: Connection, database_url: str) -> None:
    worker_id = await serving(connection)
    ids = await add(connection) + await add(connection, event_type_id=2)
    await take(connection, worker_id)
    runs = "runs on host:7 for N now (attempt 1), and may for N more."
    assert [said(database_url, job_id, "running") for job_id in ids] == [runs, runs]
    one, two = (ask(database_url, job_id) for job_id in ids)
    for found, seconds in ((one, 300), (two, 60)):
        assert found.until is not None
        assert found.since is not None
        assert (found.until - found.since).total_seconds() == seconds
        assert found.worker == "host:7"
    await connection.execute("update v7.jobs set claimed_at = now() - interval '10 minutes' where id = %s", [ids[0]])
    assert said(database_url, ids[0], "running") == (
        "runs on host:7 for N now (attempt 1), N longer than it may: it is being ended."
    )
    await connection.execute("update v7.workers set heartbeat_at = now() - interval '20 seconds'")
    assert said(database_url, ids[0], "abandoned") == (
        "was taken N ago by a worker whose node has not been heard of for N; another node will take it from there."
    )
    await queue.unregister(connection, [node.id for node in await queue.nodes(connection)])
    assert said(database_url, ids[0], "abandoned") == (
        "was taken N ago by a worker that is not registered any more; a node will take it from there."
    )


@pytest.mark.parametrize("time", ["infinity", "200000-01-01", "9999-12-31 23:59:59+00", "-infinity"])
async def test_what_runs_since_a_time_that_somebody_wrote(connection: Connection, database_url: str, time: str) -> None:
    worker_id = await serving(connection)
    (job_id,) = await add(connection)
    await take(connection, worker_id)
    await connection.execute("update v7.jobs set claimed_at = %s::timestamptz", [time])
    found = ask(database_url, job_id)
    assert (found.cause, found.worker) == ("running", "host:7")
    assert (found.until is None) == (time != "-infinity")
    assert "and may for" not in found.why


async def test_what_runs_since_a_time_that_somebody_has_emptied(connection: Connection, database_url: str) -> None:
    worker_id = await serving(connection)
    (job_id,) = await add(connection)
    await take(connection, worker_id)
    await connection.execute("update v7.jobs set claimed_at = null")
    assert said(database_url, job_id, "running").startswith("runs on host:7 for N now (attempt 1), and may for N more")
    await queue.unregister(connection, [node.id for node in await queue.nodes(connection)])
    assert said(database_url, job_id, "abandoned").startswith("was taken N ago by a worker that is not registered")


async def test_suspects(connection: Connection, database_url: str) -> None:
    await serving(connection)
    first, second = await add(connection, 2)
    await connection.execute("update v7.jobs set suspect = true")
    alone = "it waits for a process in which nothing runs beside it; "
    says = f"is a suspect: it was running when its process died, so {alone}"
    assert said(database_url, first, "suspect") == says + "it is the next of these."
    assert said(database_url, second, "suspect") == says + "1 of these is before it."
    await connection.execute("update v7.jobs set last_error = 'Crash: killed by SIGSEGV'")
    assert "its process died (Crash: killed by SIGSEGV), so it waits" in said(database_url, first, "suspect")
    assert ask(database_url, second).ahead == 1


async def test_its_place_in_line(connection: Connection, database_url: str) -> None:
    await serving(connection, 1, 2)
    await add(connection, 3, priority=-5)
    await add(connection, 2, priority=1, event_type_id=2)
    await add(connection, 4, event_type_id=9)
    (job_id,) = await add(connection, priority=1)
    cannot = "; how long that takes cannot be told, since nothing has ended in the last five minutes."
    behind = "is in line behind 5 jobs: 3 of priority -5, 2 of priority 1"
    assert said(database_url, job_id, "in-line") == behind + cannot, "those that no worker serves are not before it"
    await queue.pause_event_type(connection, 2, "ann")
    assert said(database_url, job_id, "in-line") == "is in line behind 3 jobs: 3 of priority -5" + cannot
    for priority in (-4, -3, -2):
        await add(connection, priority=priority)
    assert said(database_url, job_id, "in-line") == "is in line behind 6 jobs of priorities -5 to -2" + cannot
    found = ask(database_url, job_id)
    assert (found.ahead, found.ahead_at_least, found.estimate_seconds) == (6, False, None)
    await connection.execute("delete from v7.jobs where priority < 0")
    assert said(database_url, job_id, "next") == "is the next to be taken."


async def test_the_next_when_all_are_busy(connection: Connection, database_url: str) -> None:
    worker_id = await serving(connection)
    _, job_id = await add(connection, 2)
    await take_one(connection, worker_id)
    says = "is the next to be taken, when the one that runs has ended."
    assert said(database_url, job_id, "next") == says


async def test_the_estimate(connection: Connection, database_url: str) -> None:
    await serving(connection)
    await queue.note_minute(connection, families.TYPES_MAX)
    await connection.execute("update v7.minutes set noted_at = now() - interval '100 seconds'")
    account = Account(Counts())
    account.counts.add(families.ATTEMPTS, 50, 1, "succeeded")
    account.counts.add(families.ATTEMPTS, 150, 2, "failed")
    await account.write(connection)
    await add(connection, 1000)
    (job_id,) = await add(connection)
    found = ask(database_url, job_id)
    assert found.why.startswith(
        f"Job {job_id} is in line behind 1,000 jobs: 1,000 of priority 0; at the rate of the last"
    )
    assert found.estimate_seconds == pytest.approx(500, rel=0.3)


@pytest.mark.parametrize(
    ("paused", "says"),
    [
        (0, "is in line behind more than 10 jobs of priorities 0 to 3; "),
        (4, "is in line behind at least 7 jobs of priorities 1 to 3; "),
        (11, "is in line behind 10 jobs of types that are paused, full or not served, and perhaps others; "),
    ],
)
async def test_a_long_line_is_counted_up_to_a_bound(
    connection: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch, paused: int, says: str
) -> None:
    monkeypatch.setattr(line, "AHEAD_MAX", 10)
    await serving(connection)
    await queue.pause_event_type(connection, 2, "ann")
    await add(connection, paused, priority=0, event_type_id=2)
    await add(connection, 1 if paused == 0 else 0, priority=0)
    await add(connection, 20, priority=1)
    (job_id,) = await add(connection, priority=3)
    assert said(database_url, job_id, "in-line").startswith(says)
    found = ask(database_url, job_id)
    assert (found.ahead, found.ahead_at_least) == (min(10, 11 - paused), True)


async def test_a_long_error_is_cut_to_one_line(connection: Connection, database_url: str) -> None:
    (job_id,) = await add(connection)
    await connection.execute(
        "update v7.jobs set status = 'dead', dead_at = now(), dead_reason = 'max_retries reached', "
        "last_error = 'ValueError: ' || repeat(E'x\\n', 1000)"
    )
    found = ask(database_url, job_id)
    assert found.error is not None
    assert len(found.error) == ERROR_CHARS_MAX
    assert "\n" not in found.why


def test_of_a_real_node(database_url: str, tmp_path: Path) -> None:
    with node(tmp_path / "node", database_url, V7_CONCURRENCY=1, V7_TIMEOUT_SECONDS=50) as started:
        (runs,) = enqueue(database_url, {"do": "sleep", "seconds": 600})
        wait_until(lambda: ask(database_url, runs).cause == "running", "it runs")
        found = ask(database_url, runs)
        assert found.until is not None
        assert found.since is not None
        assert (found.until - found.since).total_seconds() == 50
        assert found.worker is not None
        (waits,) = enqueue(database_url, {})
        (behind,) = enqueue(database_url, {}, priority=1)
        assert ask(database_url, waits).why == (
            f"Job {waits} is the next to be taken, when the one that runs has ended."
        )
        assert ask(database_url, behind).ahead == 1
        assert v7("why", waits, url=database_url).stdout == f"{ask(database_url, waits).why}\n"
        assert answer("why", behind, url=database_url)["ahead"] == 1
        assert v7("jobs", "cancel", runs, url=database_url).returncode == 0
        wait_for_end(database_url)
        assert [ask(database_url, job_id).cause for job_id in (runs, waits)] == ["cancelled", "succeeded"]
        assert "There is no job 999" in v7("why", 999, url=database_url).stderr
        assert started.stop() == 0
