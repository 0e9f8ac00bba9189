"""Who is charged when a process dies, and what becomes of the rest."""

import signal
from pathlib import Path

import psycopg
import pytest

from v7_task_processor import maintenance, queue
from v7_task_processor.observability import telemetry
from v7_task_processor.queue import Connection, Held, Running
from v7_task_processor.settings import Settings
from v7_task_processor.worker import rescue
from v7_task_processor.worker.rescue import GRACE_SECONDS, LOOP_SECONDS_MAX, Death, Verdict, carry_out, judge
from v7_task_processor.worker.slots import ENDED, STARTED, SUCCEEDED, NodeMap, Noted, Section, now, ns

from ..support import add, everything, node, refused, rows, take, worker

CRASH = Death("its process was ended by SIGKILL")
ASKED = Death("asked", asked=True)
NODE = Death("its node was lost", unseen=True)
FREE = None
"""Not noted: it had not started."""

CASES: dict[str, tuple[Death, list[tuple[int | None, int]], str]] = {
    # what died: (death, state and suspicion of each job held, what becomes of each)
    "nothing had started": (CRASH, [(FREE, 0), (FREE, 0)], "rr"),
    "one had started, and is charged": (CRASH, [(STARTED, 0), (FREE, 0)], "cr"),
    "one had started, beside one that had succeeded": (CRASH, [(STARTED, 0), (SUCCEEDED, 0)], "cd"),
    "one had started, beside one that had failed": (CRASH, [(STARTED, 0), (SUCCEEDED, 0), (ENDED, 0)], "sds"),
    "one had failed": (CRASH, [(SUCCEEDED, 0), (ENDED, 0)], "ds"),
    "a suspect that had failed": (CRASH, [(ENDED, 1), (FREE, 0)], "cr"),
    "a suspect that had failed, beside one that had started": (CRASH, [(ENDED, 1), (STARTED, 1)], "ss"),
    "several had started: nobody is charged": (CRASH, [(STARTED, 0), (STARTED, 0), (FREE, 0)], "ssr"),
    "a suspect alone": (CRASH, [(STARTED, 1)], "c"),
    "a suspect that had not started": (CRASH, [(FREE, 1)], "r"),
    "all had succeeded": (CRASH, [(SUCCEEDED, 0), (SUCCEEDED, 0)], "dd"),
    "asked to": (ASKED, [(STARTED, 0), (STARTED, 1), (SUCCEEDED, 0), (ENDED, 0), (FREE, 0)], "rrdrr"),
    "asked to, with one": (ASKED, [(STARTED, 0)], "r"),
    "a whole node": (NODE, [(STARTED, 0), (STARTED, 1), (SUCCEEDED, 0), (ENDED, 0), (ENDED, 1), (FREE, 0)], "scdscr"),
    "a whole node with one": (NODE, [(STARTED, 0)], "s"),
    "two past their limit": (Death("stuck", overdue=frozenset({(0, 1), (2, 1)})), [(STARTED, 0)] * 3, "crc"),
    "one past its limit that had ended after all": (
        *(Death("stuck", overdue=frozenset({(0, 1)})), [(SUCCEEDED, 0), (STARTED, 0), (FREE, 0)], "drr"),
    ),
    "one past its limit that had failed after all": (
        *(Death("stuck", overdue=frozenset({(0, 1)})), [(ENDED, 0), (STARTED, 0), (FREE, 0)], "rrr"),
    ),
}


def verdict_of(held: list[Running], becomes: str) -> Verdict:
    def those(letter: str) -> list[Running]:
        return [job for job, each in zip(held, becomes, strict=True) if each == letter]

    return Verdict(complete=those("d"), charge=those("c"), suspect=those("s"), release=those("r"))


@pytest.mark.parametrize("case", CASES)
def test_verdict(case: str) -> None:
    death, jobs, becomes = CASES[case]
    held = [Running(place, 1, 9, bool(suspect), 5, 0, 1) for place, (_, suspect) in enumerate(jobs)]
    notes = [Noted(place, 1, 0.0, state) for place, (state, _) in enumerate(jobs) if state is not FREE]
    assert judge(held, notes, death) == verdict_of(held, becomes)


@pytest.mark.parametrize(
    ("death", "suspects", "becomes"),
    [(NODE, [0, 1], "sc"), (CRASH, [0], "c"), (CRASH, [0, 1], "ss"), (ASKED, [0], "r")],
)
@pytest.mark.fault(8)
def test_without_notes_everything_may_have_started(death: Death, suspects: list[int], becomes: str) -> None:
    held = [Running(place, 1, 9, bool(suspect), 5, 0, 1) for place, suspect in enumerate(suspects)]
    assert judge(held, None, death) == verdict_of(held, becomes)


def test_notes_of_an_earlier_attempt_say_nothing() -> None:
    held = [Running(1, 2, 9, False, 5, 0, 1)]
    assert judge(held, [Noted(1, 1, 0.0, SUCCEEDED)], CRASH) == verdict_of(held, "r")


def test_a_rescue_that_is_repeated_does_not_charge_who_is_left() -> None:
    """Two had started; the first was given back before the connection broke."""
    left = [Running(2, 1, 9, False, 5, 0, 1)]
    notes = [Noted(1, 1, 0.0, STARTED), Noted(2, 1, 0.0, STARTED)]
    assert judge(left, notes, CRASH) == verdict_of(left, "s")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "its process ended with exit code 0"),
        (3, "its process ended with exit code 3"),
        (-signal.SIGKILL, "its process was ended by SIGKILL"),
        (-63, "its process was ended by signal 63"),
    ],
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert rescue.ended_by(code) == words


STATES = "select status, retry_count, suspect from v7.all_jobs order by id"


@pytest.mark.parametrize("times", [1, 2])
async def test_a_verdict_is_carried_out_and_doing_it_again_changes_nothing(connection: Connection, times: int) -> None:
    node_id = await node(connection)
    before, after = await worker(connection, node_id), await worker(connection, node_id)
    ids = await add(connection, 5)
    await take(connection, before, 3)
    await take(connection, after, 2)
    notes = [Noted(job_id, 1, 0.0, state) for job_id, state in zip(ids, [2, 1, 3, 1], strict=False)]
    for _ in range(times):
        await carry_out(connection, Settings(), [before, after], notes, CRASH)
        assert await rows(connection, STATES) == [
            ("succeeded", 0, False),
            ("queued", 0, True),
            ("queued", 0, True),
            ("queued", 0, True),
            ("queued", 0, False),
        ]
    assert await rows(connection, "select id from v7.workers") == [(node_id,)]
    assert await rows(connection, "select count(*) from v7.failures") == [(0,)]


async def test_a_rescue_is_carried_out_whole_or_not_at_all(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise psycopg.OperationalError

    worker_id = await worker(connection)
    guilty, innocent = await add(connection, 2)
    await take(connection, worker_id)
    notes = [Noted(guilty, 1, 0.0, STARTED), Noted(innocent, 1, 0.0, SUCCEEDED)]
    before = await everything(connection)
    with monkeypatch.context() as breaking, pytest.raises(psycopg.OperationalError):
        breaking.setattr(queue, "fail", broken)
        await carry_out(connection, Settings(), [worker_id], notes, CRASH)
    assert await everything(connection) == before
    assert await rows(connection, "select count(*) from v7.workers where id = %s", worker_id) == [(1,)]
    assert await maintenance.release_orphans(connection) == 0
    await carry_out(connection, Settings(retry_seconds=0), [worker_id], notes, CRASH)
    assert await rows(connection, STATES) == [("queued", 1, True), ("succeeded", 0, False)]


@pytest.mark.fault(48)
async def test_one_that_somebodys_trigger_refuses_keeps_no_other_from_its_rescue(connection: Connection) -> None:
    worker_id = await worker(connection)
    ids = await add(connection, 3)
    await take(connection, worker_id)
    notes = [Noted(job_id, 1, 0.0, SUCCEEDED) for job_id in ids]
    async with refused(connection, "v7.finished_jobs", ids[1]):
        await carry_out(connection, Settings(), [worker_id], notes, CRASH)
    assert await maintenance.release_orphans(connection) == 1
    assert await rows(connection, STATES) == [
        ("succeeded", 0, False),
        ("queued", 0, False),
        ("succeeded", 0, False),
    ]


@pytest.mark.fault(48)
async def test_one_that_cannot_be_given_back_keeps_no_other_neither_in_a_rescue_nor_among_orphans(
    connection: Connection,
) -> None:
    worker_id = await worker(connection)
    ids = await add(connection, 4)
    await take(connection, worker_id)
    passed_over: set[int] = set()
    async with refused(connection, "v7.jobs", ids[1]):
        notes = [Noted(ids[0], 1, 0.0, STARTED), Noted(ids[1], 1, 0.0, STARTED)]
        await carry_out(connection, Settings(), [worker_id], notes, CRASH)
        assert [status for status, *_ in await rows(connection, STATES)] == ["queued", "running", "queued", "queued"]
        lost = await worker(connection)
        await take(connection, lost)
        await queue.unregister(connection, [lost])
        assert await maintenance.release_orphans(connection, passed_over) == 2  # the first is a suspect, not taken
        assert passed_over == {ids[1]}
    assert await maintenance.release_orphans(connection) == 1
    assert {status for status, *_ in await rows(connection, STATES)} == {"queued"}


async def test_who_is_charged_stays_a_suspect_with_its_failure_told(connection: Connection) -> None:
    worker_id = await worker(connection)
    (job_id,) = await add(connection)
    await take(connection, worker_id)
    notes = [Noted(job_id, 1, 0.0, STARTED)]
    for _ in range(2):
        await carry_out(connection, Settings(retry_seconds=0), [worker_id], notes, CRASH)
    assert await rows(connection, STATES) == [("queued", 1, True)]
    failures = "select job_id, error_type, message, worker_id, worker from v7.failures"
    assert await rows(connection, failures) == [
        (job_id, "Crash", "its process was ended by SIGKILL", worker_id, f"worker {worker_id}")
    ]


async def test_a_handlers_limit_of_failures_holds_for_crashes(connection: Connection) -> None:
    (job_id,) = await add(connection)
    for run in (1, 2):
        worker_id = await worker(connection)
        served = queue.Served(True, [], [], {1: 2}, 5)
        claim = queue.claim_suspect if run > 1 else None
        jobs = (
            (await claim(connection, worker_id, served)).jobs if claim else await take(connection, worker_id, 1, served)
        )
        assert [(job.id, job.attempt) for job in jobs] == [(job_id, run)]
        notes = [Noted(job_id, run, 0.0, STARTED)]
        await carry_out(connection, Settings(retry_seconds=0), [worker_id], notes, CRASH)
    assert await rows(connection, STATES) == [("dead", 2, True)]


async def test_a_stuck_one_is_charged_as_a_timeout_after_its_back_off(connection: Connection) -> None:
    worker_id = await worker(connection)
    guilty, innocent = await add(connection, 2)
    await take(connection, worker_id)
    notes = [Noted(guilty, 1, 0.0, STARTED), Noted(innocent, 1, 0.0, STARTED)]
    death = Death("stuck", overdue=frozenset({(guilty, 1)}))
    await carry_out(connection, Settings(retry_seconds=60), [worker_id], notes, death)
    assert await rows(connection, STATES) == [("scheduled", 1, True), ("queued", 0, False)]
    assert await rows(connection, "select error_type from v7.failures") == [("Timeout",)]


async def test_without_history_what_had_succeeded_is_gone(connection: Connection) -> None:
    worker_id = await worker(connection)
    (job_id,) = await add(connection)
    await take(connection, worker_id)
    notes = [Noted(job_id, 1, 0.0, SUCCEEDED)]
    await carry_out(connection, Settings(retention_days=0), [worker_id], notes, CRASH)
    assert await rows(connection, STATES) == []


async def test_what_others_run_is_not_touched(connection: Connection) -> None:
    dead, alive = await worker(connection), await worker(connection)
    await add(connection, 2)
    await take(connection, alive)
    before = await everything(connection)
    await carry_out(connection, Settings(), [dead], None, CRASH)
    assert await everything(connection) == before


@pytest.fixture
def section(tmp_path: Path) -> Section:
    return NodeMap.create(tmp_path / "node.map", 1, 8).section(0)


def overdue(section: Section, job_id: int) -> Held:
    section.start(job_id, 1, now() - GRACE_SECONDS - 1)
    return job_id, 1


def test_a_process_whose_attempts_end_in_time_is_not_stuck(section: Section) -> None:
    section.tick()
    section.start(1, 1, now() + 60)
    section.start(2, 1, now() - 0.01)  # past its limit, and within its grace
    section.end(section.start(3, 1, now() - 60), succeeded=False)
    assert rescue.stuck(section) is None


def test_a_loop_that_stands_still_while_nothing_runs_is_held_by_what_a_handler_left(
    section: Section, monkeypatch: pytest.MonkeyPatch
) -> None:
    section.end(section.start(1, 1, now() + 60), succeeded=True)
    section.tick()
    assert rescue.stuck(section) is None
    monkeypatch.setattr(rescue, "STILL_SECONDS_MAX", -1.0)
    assert rescue.stuck(section) == rescue.Stuck([], frozenset())
    section.start(2, 1, now() + 60)
    assert rescue.stuck(section) is None


def test_attempts_past_their_limit_are_guilty_while_the_loop_turns(
    section: Section, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue, "LOOP_SECONDS_MAX", 60.0)
    guilty = {overdue(section, 1), overdue(section, 2)}
    section.start(3, 1, now() + 60)
    section.tick()
    stuck = rescue.stuck(section)
    assert stuck is not None
    assert (sorted(stuck.job_ids), set(stuck.guilty)) == ([1, 2], guilty)


@pytest.mark.parametrize("others", [0, 1])
def test_where_the_loop_stands_still_nobody_knows_which_one_holds_it(section: Section, others: int) -> None:
    guilty = {overdue(section, 1)}
    if others:
        section.start(2, 1, now() + 60)
    section.view[0] = ns(now() - LOOP_SECONDS_MAX - 1)
    stuck = rescue.stuck(section)
    assert stuck is not None
    assert (stuck.job_ids, stuck.guilty) == ([1], frozenset() if others else guilty)


async def test_what_a_rescue_did_is_told_for_metrics(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(telemetry, "_subscribers", [lambda event, fields: told.append((event, dict(fields)))])
    worker_id = await worker(connection)
    await add(connection, event_type_id=7)
    await add(connection, event_type_id=8)
    done, running = await take(connection, worker_id)
    section = NodeMap.create(tmp_path / "node.map", 1, 4).section(0)
    section.end(section.start(done.id, done.attempt, 0.0), succeeded=True)
    section.start(running.id, running.attempt, 0.0)
    await carry_out(connection, Settings(retry_seconds=0), [worker_id], section.noted(), CRASH)
    await carry_out(connection, Settings(retry_seconds=0), [worker_id], section.noted(), CRASH)
    assert [each for each in told if each[0] == "attempts.rescued"] == [
        ("attempts.rescued", {"charged": [(8, "queued")], "completed": [7]})
    ]
