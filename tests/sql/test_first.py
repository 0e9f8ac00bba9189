"""sql/first_queued.sql and sql/first_suspect.sql: what a claim of one looks at. Each claim is held against its own."""

import random

import pytest

from v7_task_processor import queue
from v7_task_processor.queue import BEGINNING, FIRST, LAST, Asked, Connection, Frontier, Served
from v7_task_processor.queue.blame import first_of

from ..support import event, rows, worker
from .test_limits import limit

TYPES = range(1, 6)


async def someone(connection: Connection, chance: random.Random) -> int:
    """A worker beside as many others as come, and jobs of all kinds that it or they may run."""
    worker_ids = [await worker(connection) for _ in range(chance.randint(1, 3))]
    for kind in TYPES:
        if chance.random() < 0.6:
            await limit(connection, **{f"type{kind}": chance.choice([1, 1, 2, 3])})
    events = [event(chance.randrange(3), chance.choice(TYPES)) for _ in range(chance.randint(3, 12))]
    ids = await queue.enqueue(connection, events)
    chance.shuffle(ids)
    suspects, running = ids[: chance.randint(0, 3)], ids[2 : 2 + chance.randint(0, 8)]
    await connection.execute("update v7.jobs set suspect = true where id = any(%s)", [suspects])
    await connection.execute(
        "update v7.jobs set status = 'running', attempt = 1, max_retries = 1, claimed_at = now(), worker_id = %s "
        "where id = any(%s)",
        [chance.choice(worker_ids), running],
    )
    return worker_ids[0]


def asking(chance: random.Random, positions: list[int], *, counts: bool) -> tuple[Asked, list[int]]:
    """A claim of one, and what it passes over."""
    some = sorted(chance.sample(TYPES, chance.randint(0, 2)))
    served = chance.choice([Served(True, [], some, {}, 5), Served(False, sorted({1, 2, *some}), [], {}, 5)])
    anywhere = Frontier(chance.choice([FIRST, 0, 1, LAST]), chance.choice(positions), chance.choice(positions))
    full = frozenset(chance.sample(TYPES, chance.randint(0, 4))) if counts else None
    asked = Asked(1, served, chance.choice([BEGINNING, anywhere]), full)
    return asked, chance.sample(positions, chance.randint(0, 2))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["claim", "claim_limited", "claim_suspect"])
async def test_what_a_claim_takes_is_among_the_first_and_where_it_takes_none_there_is_none(
    connection: Connection, kind: str, seed: int
) -> None:
    chance = random.Random(seed)
    found = 0
    for _ in range(40):
        await connection.execute("truncate v7.jobs, v7.event_types, v7.workers")
        worker_id = await someone(connection, chance)
        positions = [position for (position,) in await rows(connection, "select position from v7.jobs")]
        asked, passed_over = asking(chance, positions, counts=kind == "claim_limited")
        if kind == "claim_suspect":
            asked = asked._replace(frontier=None)
        async with connection.transaction(force_rollback=True):
            taken = await claimed(connection, worker_id, asked, passed_over)
        async with connection.transaction(force_rollback=True):
            first = {job_id for job_id, _ in await first_of(connection, asked, passed_over)}
        assert bool(taken) == bool(first), (asked, passed_over)
        assert taken <= first
        found += len(taken)
    assert 4 < found < 36, "both are seen"


async def claimed(connection: Connection, worker_id: int, asked: Asked, passed_over: list[int]) -> set[int]:
    batch, served, frontier, full = asked
    if frontier is None:
        claim = await queue.claim_suspect(connection, worker_id, served, passed_over)
    elif full is None:
        claim = await queue.claim(connection, worker_id, batch, frontier, served, LAST, passed_over)
    else:
        claim = await queue.claim_limited(connection, worker_id, batch, frontier, served, full, LAST, passed_over)
    return {job.id for job in claim.jobs}
