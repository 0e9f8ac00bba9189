"""Suspects of a type with a limit: claim_limited.sql leaves them places, suspects_wait.sql asks whether one is free."""

import pytest

from v7_task_processor import queue
from v7_task_processor.queue import LAST, Connection, Frontier

from ..support import EVERYTHING, add, node, rows, worker
from .test_limits import NONE, claim, complete, ids_of, limit


async def suspect(connection: Connection, *job_ids: int) -> None:
    await connection.execute("update v7.jobs set suspect = true where id = any(%s)", [list(job_ids)])


async def run_alone(connection: Connection, worker_id: int) -> list[int]:
    """What a lone worker finds."""
    return ids_of(await queue.claim_suspect(connection, worker_id, EVERYTHING))


async def test_a_suspect_waits_for_room_like_any_other(connection: Connection) -> None:
    await limit(connection, type1=1)
    ids = await add(connection, 2)
    worker_id = await worker(connection)
    running = await claim(connection, worker_id)
    assert ids_of(running) == ids[:1]
    await suspect(connection, ids[1])
    assert (await queue.claim_suspect(connection, worker_id, EVERYTHING)).jobs == []
    await complete(connection, worker_id, running)
    assert ids_of(await queue.claim_suspect(connection, worker_id, EVERYTHING)) == ids[1:]
    await add(connection)
    assert (await claim(connection, worker_id)).jobs == [], "a suspect that runs counts"


@pytest.mark.parametrize("priority", [0, 9])
@pytest.mark.parametrize("full", [NONE, frozenset({1})])
async def test_the_room_that_comes_is_left_to_a_suspect_whatever_its_priority(
    connection: Connection, full: frozenset[int], priority: int
) -> None:
    await limit(connection, type1=1)
    backlog = await add(connection, 3)
    (guilty,) = await add(connection, priority=priority)
    worker_id = await worker(connection)
    first = await claim(connection, worker_id)
    await suspect(connection, guilty)
    await complete(connection, worker_id, first)
    kept = await claim(connection, worker_id, full=full)
    assert (kept.jobs, kept.more, kept.full_types) == ([], False, frozenset({1}))
    assert await run_alone(connection, worker_id) == [guilty]
    await connection.execute("delete from v7.jobs where id = %s", [guilty])
    behind = Frontier(LAST, LAST, LAST)
    assert ids_of(await claim(connection, worker_id, full=kept.full_types, frontier=behind)) == backlog[1:2]


async def test_as_many_places_are_left_as_there_are_suspects_and_lone_workers(connection: Connection) -> None:
    """As many of these as there are workers: of a crash of hundreds not all run at once, and others may meanwhile."""
    await limit(connection, type1=5, type2=5)
    backlog = await add(connection, 9)
    others = await add(connection, 9, event_type_id=2)
    guilty = await add(connection, 2)
    await suspect(connection, *guilty)
    first = await worker(connection)

    async def found() -> list[int]:
        async with connection.transaction(force_rollback=True):
            return ids_of(await claim(connection, first))

    assert await found() == backlog[:4] + others[:5], "one worker"
    second = await worker(connection)
    assert await found() == backlog[:3] + others[:5], "two"
    await worker(connection)
    assert await found() == backlog[:3] + others[:5], "two suspects"
    await suspect(connection, *backlog)
    assert await found() == others[:5], "none else is there"
    assert await run_alone(connection, second) == backlog[:1]


async def test_a_type_is_not_held_for_suspects_while_all_lone_workers_run_others(connection: Connection) -> None:
    """Or what takes hours alone would stop for hours what is limited."""
    await limit(connection, type1=1)
    (long, *more) = await add(connection, 2, event_type_id=2)
    (guilty,) = await add(connection)
    backlog = await add(connection, 3)
    await suspect(connection, long, *more, guilty)
    ordinary, lone = await worker(connection), await worker(connection)
    assert (await claim(connection, ordinary)).jobs == [], "it may be taken at once"
    assert await run_alone(connection, lone) == [long]
    first = await claim(connection, ordinary, full=frozenset({1}))
    assert ids_of(first) == backlog[:1]
    await complete(connection, ordinary, first)
    await queue.complete(connection, lone, [(long, 1)], kept=False)
    assert (await claim(connection, ordinary, full=first.full_types)).jobs == [], "it is idle again"


async def test_workers_of_drained_nodes_are_no_hope_for_suspects(connection: Connection) -> None:
    await limit(connection, type1=1)
    (long,) = await add(connection, event_type_id=2)
    (guilty,) = await add(connection)
    backlog = await add(connection)
    await suspect(connection, long, guilty)
    ordinary, lone = await worker(connection), await worker(connection)
    drained = await node(connection)
    for _ in range(4):
        await worker(connection, drained)
    assert await run_alone(connection, lone) == [long]
    assert (await claim(connection, ordinary)).jobs == []
    await queue.drain_node(connection, drained, "Ann")
    assert ids_of(await claim(connection, ordinary)) == backlog


async def test_a_suspect_holds_nothing_of_other_types_nor_of_one_without_a_limit(connection: Connection) -> None:
    await limit(connection, type1=1, type2=1)
    (guilty,) = await add(connection, event_type_id=3)
    ids = [*await add(connection, event_type_id=1), *await add(connection, event_type_id=2)]
    ids += await add(connection, 3, event_type_id=3)
    await suspect(connection, guilty)
    assert ids_of(await claim(connection, await worker(connection), full=frozenset({1, 3}))) == ids


async def test_no_lone_worker_is_wanted_where_all_suspects_wait_for_room(connection: Connection) -> None:
    await limit(connection, type1=1)
    running, guilty = await add(connection, 2)
    worker_id = await worker(connection)
    held = await claim(connection, worker_id, 1)
    assert ids_of(held) == [running]
    await suspect(connection, guilty)
    assert not await queue.suspects_wait(connection, EVERYTHING)
    await limit(connection, type1=2)
    assert await queue.suspects_wait(connection, EVERYTHING)
    await limit(connection, type1=1)
    (other,) = await add(connection, event_type_id=2)
    await suspect(connection, other)
    assert await queue.suspects_wait(connection, EVERYTHING), "one of another type"
    await connection.execute("delete from v7.jobs where id = %s", [other])
    assert not await queue.suspects_wait(connection, EVERYTHING)
    await complete(connection, worker_id, held)
    assert await queue.suspects_wait(connection, EVERYTHING)
    assert await rows(connection, "select id from v7.jobs") == [(guilty,)]
