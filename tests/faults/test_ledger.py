"""The checker is checked first: a sound run passes, and each forgery of its records is found by exactly its check."""

import hashlib
import random
import time
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from v7_task_processor import queue
from v7_task_processor.queue import Connection
from v7_task_processor.queue import Failure as Charge

from ..support import event, take, take_one, worker
from .ledger import (
    BrokenRecord,
    Clock,
    Done,
    Failure,
    Ledger,
    Sent,
    Start,
    install,
    read,
    read_clients,
    report,
    strict_order,
)
from .ledger.example import DOS, Worker, World
from .ledger.forge import Records, copied, put_start
from .ledger.forgeries import FORGERIES, Forgery


def run_of(seed: int) -> World:
    """200 events with a killed worker, a frozen node and a crash of Postgres on the way."""
    world, chance = World(seed), random.Random(seed)

    def some(count: int) -> None:
        for _ in range(count):
            statuses: list[tuple[int | None, ...]] = [(200,)] * 20 + [(500, 200), (None, 200), (None,)]
            world.send(chance.choice(DOS), chance.randint(0, 3), f"k{chance.random()}", chance.choice(statuses))
            world.step()

    world.send("ok", 1, statuses=(400,))
    for do in ["die", "exit", "block", "fail", "snooze", "discard"]:
        world.send(do, 1)
    some(93)
    while not (victim := next(filter(harmless, world.workers), None)):
        some(1)
    world.kill(victim)
    some(50)
    freeze = world.freeze("b")
    for _ in freeze:
        some(10)
    some(5)
    while not any(harmless(each) and each.runs[-1].job.id == world.changes[-1].id for each in world.workers):
        some(1)
    world.crash()
    some(25)
    while any(job.status in ("queued", "scheduled", "running") for job in world.jobs):
        world.step()
    return world


def harmless(worker: Worker) -> bool:
    """Whether it runs several jobs, and none that could end it: a fault is all that explains its death."""
    return len(worker.runs) > 1 and all(run.job.do in ("ok", "sleep") for run in worker.runs)


@pytest.fixture(scope="module")
def sound() -> World:
    return run_of(1)


@pytest.fixture
def records(sound: World) -> Records:
    """A copy that can be forged."""
    return copied(sound.records())


@pytest.mark.parametrize("seed", range(1, 21))
def test_a_sound_run_passes(seed: int) -> None:
    ledger = Ledger(**run_of(seed).records(), drained_seconds=60)
    result = report(ledger)
    assert result.passed, str(result)
    assert len(ledger.rows) >= 199
    assert {"succeeded", "dead"} == {row.status for row in ledger.rows}
    assert sum(result.extra_runs.values()) == len(ledger.runs_by_id)
    assert result.extra_runs[1] >= 3
    assert 0 < result.unknown_share < 0.2
    assert "all checks passed" in str(result)


@pytest.mark.parametrize(
    ("check", "forge"), [(check, forge) for check, forgeries in FORGERIES.items() for forge in forgeries]
)
def test_a_forgery_is_found_by_exactly_its_check(check: str, forge: Forgery, records: Records) -> None:
    forge(records, Ledger(**copied(records)))
    result = report(Ledger(**records))
    assert [name for name, found in result.findings.items() if found] == [check], str(result)
    assert f"{check} " in str(result)


@pytest.mark.parametrize("fault", ["worker-killed", "node-frozen", "database-crashed"])
def test_what_a_fault_explains_is_found_where_there_was_none(fault: str, records: Records) -> None:
    records["faults"] = [each for each in records["faults"] if each.fault != fault]
    found = {name for name, found in report(Ledger(**records)).findings.items() if found}
    assert "L8" in found
    assert found <= {"L8", "L9", "L11"}


def test_an_unknown_fault_explains_nothing(records: Records) -> None:
    records["faults"] = [replace(each, fault="full moon") for each in records["faults"]]
    assert report(Ledger(**records)).findings["L8"]


def test_a_frozen_node_explains_nothing_before_others_may_give_it_up(records: Records) -> None:
    (frozen,) = [each for each in records["faults"] if each.fault == "node-frozen"]
    records["faults"][records["faults"].index(frozen)] = replace(frozen, end=frozen.begin + 11)
    assert report(Ledger(**records)).findings["L8"]


def test_one_worker_that_runs_one_at_a_time_keeps_to_the_order_exactly() -> None:
    world, chance = World(), random.Random(1)
    for _ in range(50):
        world.send("ok", chance.randint(0, 3))
    world.workers, world.concurrency = world.workers[:1], 1
    while any(job.status != "succeeded" for job in world.jobs):
        world.step()
    records = copied(world.records())
    assert report(Ledger(**records)).passed
    assert strict_order(Ledger(**records)) == []
    one, other = [each for each in records["handled"] if isinstance(each, Start)][20:22]
    assert one.id != other.id
    put_start(records, one, mono=other.mono)
    put_start(records, other, mono=one.mono)
    (found,) = strict_order(Ledger(**records))
    assert (found.check, found.key) == ("L12", other.id)


def test_a_run_of_which_too_much_is_unknown_proves_nothing(records: Records) -> None:
    answers = [each for each in records["clients"] if isinstance(each, Done) and each.status == 200][::2]
    records["clients"] = [each for each in records["clients"] if each not in answers]
    result = report(Ledger(**records))
    assert not any(result.findings.values())
    assert result.unknown_share > 0.2
    assert not result.passed
    assert "proves nothing" in str(result)


def test_what_waits_for_a_reason_is_not_unfinished(records: Records) -> None:
    row = records["tables"].rows[0]
    waiting = replace(row, status="queued")
    records["tables"].rows[records["tables"].rows.index(row)] = waiting
    assert report(Ledger(**records)).findings["L2"]
    assert not report(Ledger(**records, paused_or_unserved=[1])).findings["L2"]


def test_half_of_a_last_line_is_ignored_and_a_broken_line_before_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clients.jsonl"
    sent, done = Sent(1, None, 5, 0, "ab", "ok", 1.5), Done(1, 200, 7, 1.75)
    whole = b"".join(msgspec.json.encode(each) + b"\n" for each in (sent, done))
    path.write_bytes(whole + b'{"what":"sent","n":2,"ke')
    assert read_clients([path]) == [sent, done]
    path.write_bytes(whole + b'{"what":"sent","n":2,"ke\n' + whole)
    with pytest.raises(BrokenRecord, match=r"clients\.jsonl:3: "):
        read_clients([path])
    path.write_bytes(b"")
    assert read_clients([path]) == []


async def test_the_audit_records_the_life_of_a_job(connection: Connection, database_url: str) -> None:
    install(database_url)
    before = time.monotonic()
    text = '{"n": 7, "do": "fail", "x": "\\u0000"}'
    (job_id,) = await queue.enqueue(connection, [event(3, event_data=text)])
    worker_id = await worker(connection)
    await take_one(connection, worker_id)
    await queue.release(connection, worker_id, [(job_id, 1)])
    await take(connection, worker_id)
    await queue.fail(connection, worker_id, "w", [Charge(job_id, 2, 0, "ValueError", "as asked")])
    await take(connection, worker_id)
    await queue.snooze(connection, worker_id, [(job_id, 3, 0.0)])
    await queue.promote(connection, 10)
    await take(connection, worker_id)
    await queue.complete(connection, worker_id, [(job_id, 4)], kept=True)

    tables = read(database_url)
    lives = ["queued", *["running", "queued"] * 2, "running", "scheduled", "queued", "running", "succeeded"]
    assert [change.status for change in tables.changes] == lives
    last = tables.changes[-1]
    assert (last.old_status, last.old_attempt, last.old_worker, last.retry_count) == ("running", 4, worker_id, 1)
    assert tables.failures == [Failure(job_id, 2, "ValueError", worker_id)]
    (row,) = tables.rows
    sha = hashlib.sha256(text.encode()).hexdigest()
    assert (row.id, row.n, row.do, row.sha, row.status, row.attempt) == (job_id, 7, "fail", sha, "succeeded", 4)

    clock = Clock.measured()
    times = [clock.mono(change.wall) for change in tables.changes]
    assert before - 0.1 < times[0]
    assert times == sorted(times)
    findings = report(Ledger([], [], tables, clock=clock)).findings
    assert [name for name, found in findings.items() if found] == ["L3", "L6", "L11"]  # nobody sent nor handled it


async def test_the_audit_says_when_a_change_could_be_seen_and_not_when_it_was_made(
    connection: Connection, database_url: str
) -> None:
    install(database_url)
    async with connection.transaction():
        await queue.enqueue(connection, [event()])
        await connection.execute("select pg_sleep(0.3)")
    (change,) = read(database_url).changes
    assert change.wall - change.began >= 0.3


async def test_the_audit_asks_no_rights_of_whoever_writes(connection: Connection, database_url: str) -> None:
    install(database_url)
    for statement in (
        "create role audited",
        "grant usage on schema v7 to audited",
        "grant usage on all sequences in schema v7 to audited",
        "grant insert, select on v7.jobs to audited",
        "set role audited",
        "set search_path = ''",
    ):
        await connection.execute(statement)
    try:
        await queue.enqueue(connection, [event()])
    finally:
        for statement in ("reset role", "drop owned by audited", "drop role audited"):
            await connection.execute(statement)
    assert len(read(database_url).changes) == 1
