"""The register: nodes, their beats, their workers, and who takes a lost one's place."""

import asyncio
from typing import Any

import pytest

from v7_task_processor import database, queue
from v7_task_processor.queue import Connection, Lost, Node

from ..support import EVERYTHING, add, entered, node, rows, until_waiting, worker

GIVEN: dict[str, Any] = {"name": "w", "pid": 1, "token": "t", "version": "0", "concurrency": 1, "event_type_ids": None}


async def seen(connection: Connection, node_id: int) -> Node:
    return next(each for each in await queue.nodes(connection) if each.id == node_id)


async def test_nodes_are_listed_and_workers_are_not(connection: Connection) -> None:
    first, second = await node(connection, "a"), await node(connection, "b")
    await worker(connection, first)
    assert {(each.id, each.token) for each in await queue.nodes(connection)} == {(first, "a"), (second, "b")}


async def test_a_beat_moves_and_tells_whether_the_node_is_still_known(connection: Connection) -> None:
    node_id = await node(connection)
    before = await seen(connection, node_id)
    assert await queue.beat(connection, node_id)
    assert (await seen(connection, node_id)).heartbeat_at > before.heartbeat_at
    await queue.unregister(connection, [node_id])
    assert not await queue.beat(connection, node_id)


async def test_no_worker_enters_for_a_node_that_is_gone(connection: Connection) -> None:
    node_id = await node(connection)
    worker_id = await worker(connection, node_id)
    assert await queue.register(connection, node_id=worker_id, **GIVEN) is None
    await queue.unregister(connection, [node_id])
    assert await queue.register(connection, node_id=node_id, **GIVEN) is None
    assert await rows(connection, "select count(*) from v7.workers") == [(0,)]


async def test_nor_for_one_that_is_being_given_up(connection: Connection, database_url: str) -> None:
    node_id = await node(connection)
    async with await database.connect(database_url) as other:
        await other.execute("begin")
        await queue.unregister(other, [node_id])
        entering = asyncio.create_task(queue.register(connection, node_id=node_id, **GIVEN))
        await until_waiting(other, connection)
        await other.execute("commit")
        assert await entering is None


async def test_a_node_takes_its_workers_along_and_nobody_elses(connection: Connection) -> None:
    gone, stays = await node(connection), await node(connection)
    await worker(connection, gone)
    neighbour = await worker(connection, stays)
    await queue.unregister(connection, [gone])
    assert await rows(connection, "select id from v7.workers order by id") == [(stays,), (neighbour,)]
    await queue.unregister(connection, [neighbour, gone])
    assert await rows(connection, "select id from v7.workers") == [(stays,)]


async def test_the_workers_of_a_node_and_of_one_of_its_processes(connection: Connection) -> None:
    node_id = await node(connection)
    first = await worker(connection, node_id, pid=11)
    again = await worker(connection, node_id, pid=11)
    other = await worker(connection, node_id, pid=12)
    await worker(connection, pid=11)
    found = await queue.workers_of(connection, node_id)
    assert sorted(found) == [Lost(first, 11, "host:11"), Lost(again, 11, "host:11"), Lost(other, 12, "host:12")]
    assert {each.worker_id for each in await queue.workers_of(connection, node_id, 11)} == {first, again}


@pytest.mark.parametrize("types", [None, [], [1, -5]])
async def test_what_a_node_serves_is_noted(connection: Connection, types: list[int] | None) -> None:
    node_id = await entered(connection, None)
    await queue.serve(connection, node_id, types, {})
    assert await rows(connection, "select event_type_ids from v7.workers") == [(types,)]


async def test_a_node_whose_beat_stands_still_is_given_up_with_its_workers(connection: Connection) -> None:
    lost = await node(connection)
    workers = {await worker(connection, lost), await worker(connection, lost)}
    rescuer = await node(connection)
    found = await queue.give_up_node(connection, await seen(connection, lost))
    assert found is not None
    assert set(found) == workers
    assert await rows(connection, "select id from v7.workers") == [(rescuer,)]


async def test_a_node_without_workers_is_given_up_too(connection: Connection) -> None:
    assert await queue.give_up_node(connection, await seen(connection, await node(connection))) == []


async def test_a_node_that_beat_meanwhile_is_left_alone(connection: Connection) -> None:
    node_id = await node(connection)
    await worker(connection, node_id)
    watched = await seen(connection, node_id)
    await queue.beat(connection, node_id)
    assert await queue.give_up_node(connection, watched) is None
    assert await rows(connection, "select count(*) from v7.workers") == [(2,)]


async def test_of_two_rescuers_one_gets_the_node(connection: Connection, database_url: str) -> None:
    lost = await node(connection)
    worker_id = await worker(connection, lost)
    watched = await seen(connection, lost)
    await connection.execute("set lock_timeout = '5s'")
    async with await database.connect(database_url) as other:
        await other.execute("begin")
        assert await queue.give_up_node(other, watched) == [worker_id]
        assert await queue.give_up_node(connection, watched) is None  # it does not wait
        beating = asyncio.create_task(queue.beat(connection, lost))
        await until_waiting(other, connection)
        await other.execute("commit")
        assert not await beating
    assert await queue.give_up_node(connection, watched) is None


async def test_whether_a_suspect_waits_that_this_node_could_run(connection: Connection) -> None:
    await add(connection, event_type_id=4)
    assert not await queue.suspects_wait(connection, EVERYTHING)
    await connection.execute("update v7.jobs set suspect = true")
    only_five = EVERYTHING._replace(all_types=False, open_types=[5])
    assert await queue.suspects_wait(connection, EVERYTHING)
    assert not await queue.suspects_wait(connection, only_five)
    assert await queue.suspects_wait(connection, only_five._replace(open_types=[4, 5]))
    await queue.pause_event_type(connection, 4, "Ann")
    assert not await queue.suspects_wait(connection, EVERYTHING)


async def test_drain_and_resume(connection: Connection) -> None:
    node_id, other = await node(connection), await node(connection)
    worker_id = await worker(connection, node_id)
    since = await queue.drain_node(connection, node_id, "ann")
    assert since is not None
    assert await queue.drain_node(connection, node_id, "bob") == since, (
        "it is drained since the first time, by the first"
    )
    assert [(await queue.restrictions(connection, each)).drained for each in (node_id, other, -1)] == [
        True,
        False,
        False,
    ]
    heard = await queue.beat(connection, node_id)
    assert heard is not None
    assert heard.drained_by == "ann"
    assert await queue.resume_node(connection, node_id)
    assert await queue.resume_node(connection, node_id)
    assert not (await queue.restrictions(connection, node_id)).drained
    for nobody in (worker_id, -1):
        assert await queue.drain_node(connection, nobody, "ann") is None
        assert not await queue.resume_node(connection, nobody)
