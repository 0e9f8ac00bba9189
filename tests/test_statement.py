"""Statements of several tasks on one connection: a worker claims on the one on which it gives back."""

import asyncio
import time

import pytest

from v7_task_processor import database, queue
from v7_task_processor.deadline import STATEMENT_SECONDS_MAX
from v7_task_processor.queue import BEGINNING, Connection, Statement, workers
from v7_task_processor.worker.session import CLAIMS

from .poolers import NEEDS_PGBOUNCER, Pooler
from .support import EVERYTHING, add, node, rows, worker
from .test_pooler import pooler

__all__ = ["pooler"]  # a fixture
TIMES = 50


async def claims_and_gives_back(claims: Connection, records: Connection) -> None:
    """At once, again and again. Claims under limits are pipelines, and behind a pooler every statement is one."""
    worker_id = await worker(records, await node(records))
    await add(records, 4)
    held: list[tuple[int, int]] = []
    async with asyncio.timeout(60):
        for _ in range(TIMES):
            claim, given_back, _, _ = await asyncio.gather(
                queue.claim_limited(claims, worker_id, 2, BEGINNING, EVERYTHING, frozenset()),
                queue.release(claims, worker_id, held),
                queue.last_position(claims),
                queue.claim_limited(claims, worker_id, 0, BEGINNING, EVERYTHING, frozenset()),
            )
            assert given_back == len(held)
            held = [(job.id, job.attempt) for job in claim.jobs]
            assert len(held) == 2
    assert await rows(records, "select count(*) from v7.jobs where status = 'running'") == [(2,)]


async def test_they_take_turns(connection: Connection, database_url: str) -> None:
    async with await database.connect(database_url, CLAIMS) as claims:
        await claims_and_gives_back(claims, connection)


@NEEDS_PGBOUNCER
@pytest.mark.fault(36)
async def test_they_take_turns_behind_a_pooler(connection: Connection, pooler: Pooler) -> None:
    async with await database.connect(pooler.url, CLAIMS) as claims:
        await claims_and_gives_back(claims, connection)


async def test_an_answer_that_was_there_is_read_however_late(connection: Connection) -> None:
    """A handler held the loop for longer than the statement might take."""
    for _ in range(2):  # it is prepared, so that its answer is one
        await Statement("position")(connection)
    statement = Statement("position", 0.2)
    asking = asyncio.create_task(statement(connection))
    while not connection.lock.locked():
        await asyncio.sleep(0)
    time.sleep(0.5)
    await asking
    await asyncio.sleep(0)
    assert len(await rows(connection, "select pg_backend_pid()")) == 1
    assert statement.seconds() == 0.2


@pytest.mark.fault(41)
async def test_a_beat_has_no_more_time_after_one_that_hung(connection: Connection) -> None:
    """Others give the node up before a second one that hangs would be noticed."""
    patient, prompt = Statement("position", 0.2), Statement("position", 0.2, patient=False)
    for statement in (patient, prompt):
        statement.be_patient()
    assert (patient.seconds(), prompt.seconds()) == (STATEMENT_SECONDS_MAX, 0.2)
    assert not workers._beat.patient
