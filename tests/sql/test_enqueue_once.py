"""sql/enqueue_once.sql: an Idempotency-Key makes sending again safe."""

import asyncio
import random

from v7_task_processor import database, queue
from v7_task_processor.queue import Connection, Enqueued

from ..support import event, rows, until_waiting


def keyed(key: str, digest: bytes = b"1", event_data: str = "{}") -> Enqueued:
    return event(event_data=event_data, key=key, digest=digest)


async def test_a_key_stands_for_one_event(connection: Connection) -> None:
    ((first, same),) = await queue.enqueue_once(connection, [keyed("k")])
    assert same
    assert await queue.enqueue_once(connection, [keyed("k")]) == [(first, True)]
    assert await rows(connection, "select id from v7.jobs") == [(first,)]


async def test_a_key_used_for_another_event_is_told(connection: Connection) -> None:
    ((first, _),) = await queue.enqueue_once(connection, [keyed("k", event_data="1")])
    assert await queue.enqueue_once(connection, [keyed("k", b"2", event_data="2")]) == [(first, False)]
    assert await rows(connection, "select event_data::text from v7.jobs") == [("1",)]
    assert await queue.enqueue_once(connection, [keyed("k", b"1")]) == [(first, True)]


async def test_a_key_outlives_its_job(connection: Connection) -> None:
    ((first, _),) = await queue.enqueue_once(connection, [keyed("k")])
    await connection.execute("delete from v7.jobs")
    assert await queue.enqueue_once(connection, [keyed("k")]) == [(first, True)]
    assert await rows(connection, "select count(*) from v7.jobs") == [(0,)]


async def test_answers_come_in_the_order_of_the_events_and_positions_too(connection: Connection) -> None:
    keys = [f"key {number}" for number in range(300)]
    random.Random(2).shuffle(keys)
    old = await queue.enqueue_once(connection, [keyed(key, event_data=f'"{key}"') for key in keys[::3]])
    random.Random(3).shuffle(keys)
    answers = await queue.enqueue_once(connection, [keyed(key, event_data=f'"{key}"') for key in keys])
    stored = dict(await rows(connection, "select id, event_data #>> '{}' from v7.jobs"))
    assert [stored[job_id] for job_id, _ in answers] == keys
    assert all(same for _, same in answers)
    new = [job_id for job_id, _ in answers if job_id not in dict(old)]
    by_position = [job_id for (job_id,) in await rows(connection, "select id from v7.jobs order by position")]
    assert by_position[len(old) :] == new == sorted(new)


async def test_who_comes_while_the_key_is_being_written_waits_for_what_becomes_of_it(
    connection: Connection, database_url: str
) -> None:
    async with await database.connect(database_url) as other:
        for outcome in ("rollback", "commit"):
            await other.execute("begin")
            ((first, _),) = await queue.enqueue_once(other, [keyed(outcome)])
            waiting = asyncio.create_task(queue.enqueue_once(connection, [keyed(outcome)]))
            await until_waiting(other, connection)
            await other.execute(outcome)
            ((job_id, same),) = await waiting
            assert same
            assert (job_id == first) == (outcome == "commit")
    assert await rows(connection, "select count(*) from v7.jobs") == [(2,)]


async def test_two_that_bring_the_same_keys_in_opposite_orders_do_not_deadlock(
    connection: Connection, database_url: str
) -> None:
    keys = [keyed(f"key {number:03}") for number in range(200)]
    async with await database.connect(database_url) as other:
        await other.execute("begin")
        first = await queue.enqueue_once(other, keys[:1])
        waiting = asyncio.create_task(queue.enqueue_once(connection, keys[::-1]))
        await until_waiting(other, connection)
        first += await queue.enqueue_once(other, keys[1:])  # a deadlock, had the other locked the last key first
        await other.execute("commit")
        assert await waiting == first[::-1]


async def test_many_that_bring_the_same_keys_agree(database_url: str) -> None:
    async def send(seed: int) -> set[tuple[str, int]]:
        chance, seen = random.Random(seed), set()
        async with await database.connect(database_url) as own:
            for number in range(20):
                batch = [keyed(f"{number}-{key}") for key in chance.sample(range(30), 20)]
                answers = await queue.enqueue_once(own, batch)
                seen |= {(each.key or "", job_id) for each, (job_id, _) in zip(batch, answers, strict=True)}
        return seen

    seen = set().union(*await asyncio.gather(*(send(seed) for seed in range(4))))
    assert len(seen) == len(dict(seen))


async def test_a_known_key_is_written_again_so_that_its_answer_waits_for_the_standby(connection: Connection) -> None:
    await queue.enqueue_once(connection, [keyed("k")])
    before = await rows(connection, "select xmin::text, created_at from v7.idempotency_keys")
    await queue.enqueue_once(connection, [keyed("k")])
    after = await rows(connection, "select xmin::text, created_at from v7.idempotency_keys")
    assert before[0][0] != after[0][0]
    assert before[0][1] == after[0][1]


async def test_a_trace_is_kept_and_is_no_part_of_what_the_key_stands_for(connection: Connection) -> None:
    first, second = keyed("k")._replace(traceparent="one", tracestate="a"), keyed("k")._replace(traceparent="two")
    ((job_id, same),) = await queue.enqueue_once(connection, [first])
    assert same
    assert await queue.enqueue_once(connection, [second]) == [(job_id, True)]
    assert await rows(connection, "select traceparent, tracestate from v7.jobs") == [("one", "a")]
