"""sql/claim_limited.sql: the best queued jobs, and of each type no more than there is room for."""

import asyncio
import random

import psycopg
import pytest

from v7_task_processor import database, queue
from v7_task_processor.queue import BEGINNING, LAST, Claim, Connection, Frontier
from v7_task_processor.worker import session

from ..support import EVERYTHING, add, event, rows, until_waiting, worker

NONE: frozenset[int] = frozenset()


async def limit(connection: Connection, **limits: int) -> None:
    for name, number in limits.items():
        await queue.limit_event_type(connection, int(name.removeprefix("type")), number)


async def claim(
    connection: Connection,
    worker_id: int,
    batch: int = 100,
    full: frozenset[int] = NONE,
    frontier: Frontier = BEGINNING,
    served: queue.Served = EVERYTHING,
) -> Claim:
    return await queue.claim_limited(connection, worker_id, batch, frontier, served, full)


def ids_of(claim: Claim) -> list[int]:
    return [job.id for job in claim.jobs]


async def complete(connection: Connection, worker_id: int, claim: Claim, count: int = 100) -> None:
    held = [(job.id, job.attempt) for job in claim.jobs[:count]]
    await queue.complete(connection, worker_id, held, kept=False)


async def test_no_more_of_a_type_run_than_its_limit_and_the_rest_in_order(connection: Connection) -> None:
    await limit(connection, type1=2, type2=50)
    ids = await queue.enqueue(connection, [event(0, kind) for kind in (1, 2, 1, 3, 1, 2, 3, 1)])
    worker_id = await worker(connection)
    first = await claim(connection, worker_id)
    assert ids_of(first) == [ids[n] for n in (0, 1, 2, 3, 5, 6)]
    assert first.full_types == {1}
    again = await claim(connection, worker_id, full=first.full_types)
    assert (again.jobs, again.more, again.full_types) == ([], False, frozenset({1}))


async def test_room_that_came_is_used_in_the_order_of_the_type(connection: Connection) -> None:
    await limit(connection, type1=2)
    ids = await add(connection, 5)
    worker_id = await worker(connection)
    first = await claim(connection, worker_id)
    await complete(connection, worker_id, first, 1)
    second = await claim(connection, worker_id, full=first.full_types, frontier=Frontier(LAST, LAST, LAST))
    assert ids_of(second) == ids[2:3]
    await complete(connection, worker_id, second)
    await complete(connection, worker_id, first)
    third = await claim(connection, worker_id, full=second.full_types, frontier=Frontier(LAST, LAST, LAST))
    assert ids_of(third) == ids[3:]


async def test_a_type_that_was_full_is_probed_until_none_of_it_is_queued(connection: Connection) -> None:
    await limit(connection, type1=2)
    await add(connection, 3)
    worker_id = await worker(connection)
    full = NONE
    seen = []
    for _ in range(4):
        taken = await claim(connection, worker_id, full=full)
        full = taken.full_types
        seen.append((len(taken.jobs), set(full)))
        await complete(connection, worker_id, taken)
    assert seen == [(2, {1}), (1, {1}), (0, set()), (0, set())]


async def test_limited_and_unlimited_are_merged_by_priority(connection: Connection) -> None:
    """However they are found: in the global order, or by a probe."""
    await limit(connection, type1=3, type2=3)
    chance = random.Random(7)
    events = [event(chance.randrange(5), chance.choice([1, 2, 3])) for _ in range(60)]
    ids = await queue.enqueue(connection, events)
    kinds = {job_id: each.event_type_id for job_id, each in zip(ids, events, strict=True)}
    ordered = [job_id for _, job_id in sorted(zip([each.priority for each in events], ids, strict=True))]
    worker_id = await worker(connection)
    for full in (NONE, frozenset({1}), frozenset({1, 2})):
        async with connection.transaction(force_rollback=True):
            taken = await claim(connection, worker_id, 10, full)
        expected: list[int] = []
        for job_id in ordered:
            same = sum(kinds[each] == kinds[job_id] for each in expected)
            if len(expected) < 10 and (kinds[job_id] == 3 or same < 3):
                expected.append(job_id)
        found = ids_of(taken)
        # Where the rows of a type that became full filled the scan, the next claim takes the rest.
        assert found == expected[: len(found)] and found
        assert len(found) == 10 or taken.more


async def test_of_a_thousand_full_types_the_best_heads_are_taken(connection: Connection) -> None:
    await connection.execute(
        "insert into v7.event_types (event_type_id, concurrency_limit) select n, 2 from generate_series(1, 1000) n"
    )
    await connection.execute(
        "insert into v7.jobs (event_type_id, user_id, priority, event_data, queued_at) "
        "select 1 + n %% 1000, 1, (n * 7919) %% 101, '{}', now() from generate_series(1, 3000) n".replace("%%", "%")
    )
    worker_id = await worker(connection)
    every = frozenset(range(1, 1001))
    order = [
        row[0]
        for row in await rows(
            connection,
            """select id from (select id, priority, position,
        row_number() over (partition by event_type_id order by priority, position) as nth from v7.jobs) as ranked
        where nth <= 2 order by priority, position limit 100""",
        )
    ]
    taken = await claim(connection, worker_id, 100, every)
    assert ids_of(taken) == order
    assert taken.full_types == every


async def test_what_others_run_counts_and_what_a_rescue_gives_back_does_not(connection: Connection) -> None:
    await limit(connection, type1=2)
    ids = await add(connection, 3)
    lost, heir = await worker(connection), await worker(connection)
    held = await claim(connection, lost, 2)
    await queue.unregister(connection, [lost])
    assert (await claim(connection, heir)).jobs == [], "they may run, until they are given back"
    await queue.release(connection, lost, [(job.id, job.attempt) for job in held.jobs])
    assert ids_of(await claim(connection, heir)) == ids[:2]


@pytest.mark.parametrize("end", ["fail", "snooze", "release", "cancel", "by hand"])
async def test_whatever_ends_an_attempt_gives_its_room_back(connection: Connection, end: str) -> None:
    await limit(connection, type1=1)
    ids = await add(connection, 2)
    worker_id = await worker(connection)
    (job,) = (await claim(connection, worker_id)).jobs
    assert (await claim(connection, worker_id)).jobs == []
    held = [(job.id, job.attempt)]
    match end:
        case "fail":
            await queue.fail(connection, worker_id, "w", [queue.Failure(*held[0], 0, "E", "m")])
        case "snooze":
            await queue.snooze(connection, worker_id, [(*held[0], 60)])
        case "release":
            await queue.release(connection, worker_id, held)
        case "cancel":
            await queue.cancel(connection, job.id)
        case _:
            await connection.execute("delete from v7.jobs where id = %s", [job.id])
    assert ids_of(await claim(connection, worker_id)) == (ids[:1] if end == "release" else ids[1:])


async def test_a_limit_that_is_lowered_raised_or_taken_away_holds_for_the_next_claim(connection: Connection) -> None:
    await limit(connection, type1=4)
    ids = await add(connection, 12)
    worker_id = await worker(connection)
    first = await claim(connection, worker_id)
    await limit(connection, type1=2)
    await complete(connection, worker_id, first, 2)
    full = first.full_types
    assert (await claim(connection, worker_id, full=full)).jobs == [], "two run"
    await limit(connection, type1=5)
    second = await claim(connection, worker_id, full=full)
    assert ids_of(second) == ids[4:7]
    await queue.limit_event_type(connection, 1, None)
    assert ids_of(await claim(connection, worker_id, full=second.full_types)) == ids[7:]


async def test_a_paused_type_and_one_that_is_not_served_are_neither_scanned_nor_probed(connection: Connection) -> None:
    await limit(connection, type1=1, type2=1)
    await add(connection, 1)
    await add(connection, 1, event_type_id=2)
    worker_id = await worker(connection)
    for served in (EVERYTHING._replace(closed_types=[1, 2]), queue.Served(False, [3], [], {}, 5)):
        for full in (NONE, frozenset({1, 2})):
            assert (await claim(connection, worker_id, full=full, served=served)).jobs == []


async def test_large_events_end_a_claim_early_and_stay_to_be_taken(connection: Connection) -> None:
    await limit(connection, type1=5)
    ids = await queue.enqueue(connection, [event(event_data='"' + 10_000 * "x" + '"')] * 4)
    worker_id = await worker(connection)
    for full in (NONE, frozenset({1})):
        taken = await queue.claim_limited(connection, worker_id, 10, BEGINNING, EVERYTHING, full, 15_000)
        assert (ids_of(taken), taken.more) == (ids[:2], full == NONE)
        ids = ids[2:]


async def test_rows_that_others_hold_are_passed_over(connection: Connection, database_url: str) -> None:
    await limit(connection, type1=2)
    ids = await add(connection, 4)
    worker_id = await worker(connection)
    async with await database.connect(database_url) as other:
        await other.execute("begin")
        await other.execute("select from v7.jobs where id = %s for update", [ids[0]])
        taken = await claim(connection, worker_id, full=frozenset({1}))
        assert ids_of(taken) == ids[1:3]
        await other.execute("rollback")


async def test_a_claim_that_stands_still_keeps_no_other_waiting(connection: Connection, database_url: str) -> None:
    await limit(connection, type1=2)
    await add(connection)
    worker_id = await worker(connection)
    async with await database.connect(database_url) as other:
        await other.execute("begin")
        await claim(other, worker_id)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await claim(connection, worker_id)
        await other.execute("rollback")
    assert len((await claim(connection, worker_id)).jobs) == 1, "the connection is as good as before"
    assert await rows(connection, "show lock_timeout") == [("0",)]


async def test_a_claim_sees_what_the_one_before_it_took(connection: Connection, database_url: str) -> None:
    """A count by a snapshot from before the other's commit would take as many again."""
    await limit(connection, type1=2)
    first, second = await worker(connection), await worker(connection)
    async with await database.connect(database_url) as other:
        found = None
        while found is None:
            await add(connection, 4)
            async with other.transaction():
                taken = await claim(other, first)
                assert len(taken.jobs) == 2
                waiting = asyncio.create_task(claim(connection, second))
                await until_waiting(other, connection, waiting)
            try:
                found = await waiting
            except psycopg.errors.LockNotAvailable:  # the machine is slow: the other held it for over 200 ms
                await complete(connection, first, taken)
    assert found.jobs == []


async def test_many_that_claim_and_complete_at_once_never_exceed_a_limit(
    connection: Connection, database_url: str
) -> None:
    await limit(connection, type1=3, type2=7)
    for kind in (1, 2, 3):
        await add(connection, 150, event_type_id=kind)
    most = {1: 0, 2: 0, 3: 0}
    running = {1: 0, 2: 0, 3: 0}
    done = 0

    async def work(seed: int) -> None:
        nonlocal done
        chance = random.Random(seed)
        full = NONE
        async with await database.connect(database_url, session.CLAIMS) as own:
            worker_id = await worker(own)
            while done < 450:
                try:
                    taken = await claim(own, worker_id, chance.randrange(1, 9), full)
                except psycopg.errors.LockNotAvailable:  # the machine is slow, and three others were first
                    continue
                full = taken.full_types
                for job in taken.jobs:
                    running[job.event_type_id] += 1
                    most[job.event_type_id] = max(most[job.event_type_id], running[job.event_type_id])
                await own.execute("select pg_sleep(%s)", [chance.random() / 100])
                for job in taken.jobs:
                    running[job.event_type_id] -= 1
                done += len(taken.jobs)
                await complete(own, worker_id, taken)

    await asyncio.wait_for(asyncio.gather(*map(work, range(4))), 60)
    assert done == 450
    assert most[1] == 3
    assert most[2] <= 7
