"""Real processes, real signals: what becomes of jobs when things go wrong. Each test is named for its disaster."""

import os
import random
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest

from v7_task_processor import unavailable

from .nodes import V7, Node, enqueue, jobs, node, wait_for_end, wait_until


def enqueue_with_priorities(url: str, priorities: list[int]) -> list[int]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select v7.enqueue(1, 1, p, '{}') from unnest(%s::bigint[]) with ordinality x(p, place) order by place",
            [priorities],
        )
        return [row[0] for row in rows]


@pytest.mark.fault(45, 70)
def test_events_start_in_exactly_the_order_of_priority_and_arrival(database_url: str, tmp_path: Path) -> None:
    chance = random.Random(7)
    choices = [-(2**63), -5, 0, 0, 0, 1, 7, 2**63 - 1]
    priorities = [chance.choice([*choices, chance.randint(-1000, 1000)]) for _ in range(2000)]
    ids = enqueue_with_priorities(database_url, priorities)
    with node(tmp_path / "node", database_url, V7_CONCURRENCY=1) as one:
        wait_for_end(database_url)
    expected = [job_id for _, job_id in sorted(zip(priorities, ids, strict=True))]
    assert [job_id for job_id, _, _ in one.starts()] == expected


def test_a_better_event_that_arrives_while_slow_ones_run_is_started_next(database_url: str, tmp_path: Path) -> None:
    slow = enqueue(database_url, {"do": "wait"}, count=2, priority=5)
    with node(tmp_path / "node", database_url, V7_CONCURRENCY=1) as one:
        wait_until(one.starts, "the first slow one runs")
        better = enqueue(database_url, {}, priority=1)
        (one.folder / "go").touch()
        wait_for_end(database_url)
    assert [job_id for job_id, _, _ in one.starts()] == [slow[0], *better, slow[1]]


@pytest.mark.fault(1, 7)
@pytest.mark.slow
def test_two_that_kill_their_process_among_a_thousand(database_url: str, tmp_path: Path) -> None:
    """And a worker that is killed from outside in the middle. The killers alone are charged."""
    before = enqueue(database_url, {"do": "sleep", "seconds": 0.005}, count=499)
    killers = enqueue(database_url, {"do": "die"}) + enqueue(database_url, {"do": "die"})
    after = enqueue(database_url, {"do": "sleep", "seconds": 0.005}, count=499)
    with node(tmp_path / "node", database_url, V7_WORKER_PROCESSES=2, V7_MAX_RETRIES=3, V7_RETRY_SECONDS=0.05) as one:
        wait_until(lambda: len(one.noted("end")) > 200, "it is in the middle")
        one.workers()[0].kill()
        wait_for_end(database_url)
        assert one.stop() == 0
    state = {job_id: (status, retry_count) for job_id, status, retry_count in jobs(database_url)}
    assert {state[job_id] for job_id in killers} == {("dead", 3)}
    assert {state[job_id] for job_id in before + after} == {("succeeded", 0)}
    with psycopg.connect(database_url) as connection:
        charged = connection.execute("select job_id, error_type, count(*) from v7.failures group by 1, 2 order by 1")
        assert charged.fetchall() == [(job_id, "Crash", 3) for job_id in sorted(killers)]
        assert connection.execute("select count(*) from v7.workers").fetchone() == (0,)


def test_two_nodes_never_run_the_same_attempt(database_url: str, tmp_path: Path) -> None:
    with (
        node(tmp_path / "a", database_url, V7_WORKER_PROCESSES=2) as a,
        node(tmp_path / "b", database_url, V7_WORKER_PROCESSES=2) as b,
    ):
        wait_until(lambda: a.said() and b.said(), "both work")
        enqueue(database_url, {"do": "sleep", "seconds": 0.001}, count=3000)
        wait_for_end(database_url)
    starts = [(job_id, attempt) for job_id, attempt, _ in a.starts() + b.starts()]
    assert len(starts) == len(set(starts)) == 3000
    assert a.starts()
    assert b.starts()


def test_a_failure_is_retried_until_its_limit_and_then_dead(database_url: str, tmp_path: Path) -> None:
    enqueue(database_url, {"do": "fail"})
    with node(tmp_path / "node", database_url, V7_MAX_RETRIES=4, V7_RETRY_SECONDS=0.01) as one:
        wait_for_end(database_url)
    assert len(one.starts()) == 4
    columns = "status, retry_count, max_retries, attempt, dead_reason, last_error"
    assert jobs(database_url, columns) == [("dead", 4, 4, 4, "max_retries reached", "ValueError: as asked")]


@pytest.mark.fault(73)
def test_a_drain_lets_end_what_ends_in_time_and_releases_the_rest_uncharged(database_url: str, tmp_path: Path) -> None:
    quick = enqueue(database_url, {"do": "sleep", "seconds": 0.5})
    stubborn = enqueue(database_url, {"do": "sleep", "seconds": 1000})
    with node(tmp_path / "node", database_url, V7_SHUTDOWN_SECONDS=4) as one:
        wait_until(lambda: len(one.starts()) == 2, "both run")
        assert one.stop() == 0
    assert jobs(database_url, "id, status, retry_count, worker_id") == [
        (quick[0], "succeeded", 0, jobs(database_url, "worker_id")[0][0]),
        (stubborn[0], "queued", 0, None),
    ]


@pytest.mark.fault(73)
def test_a_terminal_that_is_closed_lets_end_what_runs(database_url: str, tmp_path: Path) -> None:
    """The kernel tells all of its processes, and the shell tells the first once more."""
    enqueue(database_url, {"do": "sleep", "seconds": 1}, count=3)
    with node(tmp_path / "node", database_url, "run") as one:
        wait_until(lambda: len(one.starts()) == 3, "all run")
        one.signal_tree(signal.SIGHUP)
        wait_until(lambda: "drain" in one.said(), "it drains")
        one.signal_tree(signal.SIGHUP)
        assert one.running.wait(20) == 0
    assert [row[1:] for row in jobs(database_url)] == [("succeeded", 0)] * 3
    assert len(one.starts()) == 3


@pytest.mark.fault(73)
def test_under_nohup_it_goes_on(database_url: str, tmp_path: Path) -> None:
    enqueue(database_url, {"do": "sleep", "seconds": 1})
    with node(tmp_path / "node", database_url, "run", program=["nohup", *V7]) as one:
        wait_until(one.starts, "it runs")
        one.signal_tree(signal.SIGHUP)
        wait_for_end(database_url)
        enqueue(database_url, {})
        wait_for_end(database_url)
        assert "drain" not in one.said()
        assert one.stop() == 0


@pytest.mark.fault(73)
def test_a_second_signal_ends_at_once_and_charges_nobody(database_url: str, tmp_path: Path) -> None:
    enqueue(database_url, {"do": "sleep", "seconds": 1000}, count=3)
    with node(tmp_path / "node", database_url, V7_SHUTDOWN_SECONDS=1000) as one:
        wait_until(lambda: len(one.starts()) == 3, "all run")
        one.running.terminate()
        wait_until(lambda: "drain" in one.said(), "it drains")
        one.running.terminate()
        assert one.running.wait(20) == 0
    assert [row[1:] for row in jobs(database_url)] == [("queued", 0)] * 3


@pytest.mark.fault(12)
@pytest.mark.slow
def test_a_handler_that_holds_the_loop_loses_its_process_and_is_charged_alone(
    database_url: str, tmp_path: Path
) -> None:
    others = enqueue(database_url, {"do": "sleep", "seconds": 30}, count=3)
    blocker = enqueue(database_url, {"do": "block"}, event_type_id=2)
    handlers = "\n@handler(event_type_id=2, timeout_seconds=1)\nasync def block(job):\n    while True:\n        pass\n"
    quick = handlers + "\n@handler()\nasync def rest(job):\n    note('start', job)\n    await asyncio.sleep(1)\n"
    with node(tmp_path / "node", database_url, handlers=quick, V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0):
        wait_for_end(database_url)
    state = {job_id: (status, retry_count) for job_id, status, retry_count in jobs(database_url)}
    assert state[blocker[0]] == ("dead", 2)
    assert {state[job_id] for job_id in others} == {("succeeded", 0)}


@pytest.mark.fault(2)
def test_a_supervisor_that_is_killed_takes_its_workers_along_and_its_successor_goes_on(
    database_url: str, tmp_path: Path
) -> None:
    enqueue(database_url, {"do": "sleep", "seconds": 0.5}, count=8)
    with node(tmp_path / "node", database_url) as one:
        wait_until(lambda: len(one.starts()) == 8, "all run")
        workers = one.workers()
        one.running.kill()
        one.running.wait(10)
        wait_until(lambda: not any(each.is_running() for each in workers), "its workers are gone", 5)
        one.start()
        wait_for_end(database_url)
    assert [row[1:] for row in jobs(database_url)] == [("succeeded", 0)] * 8


@pytest.mark.fault(18)
def test_handlers_that_cannot_be_imported_are_an_error_at_start(database_url: str, tmp_path: Path) -> None:
    with node(tmp_path / "node", database_url, handlers="\nraise ZeroDivisionError('of mine')\n") as one:
        assert one.running.wait(30) == 78
    assert "ZeroDivisionError: of mine" in one.said()
    assert "V7_HANDLERS" in one.said()


@pytest.mark.fault(22)
def test_a_worker_that_dies_at_every_start_is_started_ever_more_slowly(database_url: str, tmp_path: Path) -> None:
    (job,) = enqueue(database_url, {})
    with node(tmp_path / "node", database_url, handlers="\nos._exit(9)\n") as one:
        wait_until(lambda: one.said().count("it ended before it was ready") >= 3, "it was started three times")
        assert one.running.poll() is None
        assert one.stop() == 0, one.said()
    assert "look at what 'handlers.py' (V7_HANDLERS) does when it is imported" in one.said()
    assert jobs(database_url) == [(job, "queued", 0)]


@pytest.mark.fault(19)
def test_a_type_that_nobody_serves_stays_queued_and_holds_up_no_one(database_url: str, tmp_path: Path) -> None:
    unserved = enqueue(database_url, {}, count=2000, priority=-1, event_type_id=9)
    served = enqueue(database_url, {}, count=100, event_type_id=3)
    only_three = "\n@handler(event_type_id=3)\nasync def three(job):\n    note('start', job)\n"
    with node(tmp_path / "node", database_url, handlers=only_three) as one:
        wait_until(lambda: len(one.starts()) == 100, "all of the served type ran")
    assert {job_id for job_id, _, _ in one.starts()} == set(served)
    with psycopg.connect(database_url) as connection:
        left = connection.execute("select count(*), sum(attempt) from v7.jobs where status = 'queued'").fetchone()
    assert left == (len(unserved), 0)


def test_pausing_and_resuming_a_type_works_at_once_on_all_nodes(database_url: str, tmp_path: Path) -> None:
    def v7(*arguments: str) -> None:
        environment = {**os.environ, "DATABASE_URL": database_url}
        subprocess.run([*V7, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL, timeout=30)

    with node(tmp_path / "a", database_url) as a, node(tmp_path / "b", database_url) as b:
        wait_until(lambda: a.said() and b.said(), "both work")
        v7("types", "pause", "5")
        paused = enqueue(database_url, {}, count=200, priority=-1, event_type_id=5)
        others = enqueue(database_url, {}, count=200)
        wait_until(lambda: len(a.starts() + b.starts()) == 200, "the others ran")
        assert {job_id for job_id, _, _ in a.starts() + b.starts()} == set(others)
        v7("types", "resume", "5")
        wait_for_end(database_url)
    assert {job_id for job_id, _, _ in a.starts() + b.starts()} == {*others, *paused}


def test_nothing_of_a_paused_type_runs_when_a_node_starts(database_url: str, tmp_path: Path) -> None:
    enqueue(database_url, {}, count=300, priority=-1, event_type_id=5)
    others = enqueue(database_url, {}, count=300)
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into v7.event_types values (5, now(), now(), 'somebody')")
    with node(tmp_path / "node", database_url, V7_WORKER_PROCESSES=2) as one:
        wait_until(lambda: len(one.starts()) >= 300, "the others ran")
        assert one.stop() == 0
    assert {job_id for job_id, _, _ in one.starts()} == set(others)


@pytest.mark.fault(16)
def test_a_pipe_that_nobody_reads_stops_neither_jobs_nor_the_end(database_url: str, tmp_path: Path) -> None:
    enqueue(database_url, {"do": "fail"}, count=500)
    one = Node(tmp_path / "node", database_url, V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0)
    read, write = os.pipe()
    try:
        with os.fdopen(write, "wb") as pipe:
            one.start(stderr=pipe)
        wait_for_end(database_url)
        assert one.stop() == 0
    finally:
        one.kill_tree()
        os.close(read)
    assert {row[1:] for row in jobs(database_url)} == {("dead", 2)}


@pytest.mark.fault(33)
def test_a_database_that_is_read_only_for_a_while_charges_nobody(database_url: str, tmp_path: Path) -> None:
    """As in a failover, or where the provider's disk is full: connections break, and nothing can be written."""
    enqueue(database_url, {"do": "sleep", "seconds": 5}, count=30)
    with node(tmp_path / "node", database_url) as one, psycopg.connect(database_url, autocommit=True) as admin:
        wait_until(lambda: len(one.starts()) >= 16, "the first run")
        admin.execute("set default_transaction_read_only = off")
        set_read_only(admin, "on")
        wait_until(lambda: unavailable.READ_ONLY in one.said(), "the node meets it")
        wait_until(lambda: len(one.noted("end")) >= 16, "what ran has ended, and cannot be written")
        set_read_only(admin, "off")
        wait_for_end(database_url)
        assert one.stop() == 0
    assert {row[1:] for row in jobs(database_url)} == {("succeeded", 0)}
    assert len(one.starts()) == 30


def set_read_only(admin: psycopg.Connection, setting: str) -> None:
    """For all who connect from now on; and all have to."""
    admin.execute(f"alter database {admin.info.dbname} set default_transaction_read_only = {setting}")
    admin.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
