"""Group commit: who shares a transaction, in which order, and whom one bad event harms."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from v7_task_processor import database
from v7_task_processor.queue import Connection
from v7_task_processor.web import ingest as module
from v7_task_processor.web.commit import Waiting
from v7_task_processor.web.ingest import Ingest
from v7_task_processor.web.outcome import BUSY, SHUTTING_DOWN, Added, Failed, Outcome

from ..support import event
from .support import body, rows, serving, started

LOCK = "lock table v7.jobs in access exclusive mode"
WAITS = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


async def blocked(connection: Connection) -> None:
    """Until a commit waits for the lock."""
    while not await (await connection.execute(WAITS)).fetchone():
        await asyncio.sleep(0.01)


def in_flight(ingest: Ingest) -> Sequence[Waiting[Any, Any]]:
    return ingest.committer.in_flight[1] if ingest.committer.in_flight else []


async def gathered(ingest: Ingest, connection: Connection, *events: Any) -> list[Outcome]:
    """Add events as one batch: they come while the flusher is busy with another."""
    async with connection.transaction():
        await connection.execute(LOCK)
        first = asyncio.create_task(ingest.add(event(event_data='"first"')))
        await blocked(connection)
        rest = [asyncio.create_task(ingest.add(each)) for each in events]
        while len(ingest.waiting) < len(events):
            await asyncio.sleep(0)
    assert isinstance(await first, Added)
    return await asyncio.gather(*rest)


async def test_two_hundred_at_once(database_url: str) -> None:
    async with serving(database_url) as api, api.client() as client:

        async def one_after_the_other(sender: int) -> list[int]:
            ids = []
            for number in range(10):
                answer = await client.post("/api/event/v1", content=body(str(number), user_id=sender))
                assert answer.status_code == 200
                ids.append(answer.json()["id"])
            return ids

        answers = await asyncio.gather(*(one_after_the_other(sender) for sender in range(20)))
    assert len({job_id for ids in answers for job_id in ids}) == 200
    query = "select id from v7.jobs where user_id = %s order by position"
    for sender, ids in enumerate(answers):
        assert [row[0] for row in rows(database_url, query, sender)] == ids
    in_order = "select event_data::text::int from v7.jobs where user_id = 7 order by position"
    assert [row[0] for row in rows(database_url, in_order)] == list(range(10))


async def test_what_comes_together_shares_a_transaction(database_url: str, connection: Connection) -> None:
    async with started(database_url) as ingest:
        outcomes = await gathered(ingest, connection, *(event(event_data=str(n)) for n in range(50)))
    ids = [outcome.id for outcome in outcomes if isinstance(outcome, Added)]
    assert len(ids) == 50
    transactions = "select count(distinct xmin::text), count(*) from v7.jobs where id = any(%s)"
    assert rows(database_url, transactions, ids) == [(1, 50)]
    positions = "select id from v7.jobs where id = any(%s) order by position"
    assert [row[0] for row in rows(database_url, positions, ids)] == ids


@pytest.mark.fault(48)
async def test_one_event_that_postgres_refuses_fails_alone(database_url: str, connection: Connection) -> None:
    good = [event(event_data=str(n)) for n in range(50)]
    bad = [
        event(event_data="not JSON"),
        event(event_data='"\x00"'),
        event(event_data='"\ud800"'),
        event(user_id=2**63),
        event(event_data="[" * 20_000 + "]" * 20_000),
    ]
    async with started(database_url) as ingest:
        outcomes = await gathered(ingest, connection, *good[:25], *bad, *good[25:])
    untaken = "Failed to parse event: the database does not take event_data (invalid input syntax for type json)."
    deep = "Failed to parse event: the database does not take event_data (stack depth limit exceeded)."
    failed = outcomes[25:30]
    assert (failed[0], failed[4]) == (Failed(400, untaken), Failed(400, deep))
    assert all(isinstance(each, Failed) and "refuses it (" in each.sentence for each in failed[1:4])
    ids = [outcome.id for outcome in outcomes if isinstance(outcome, Added)]
    assert len(ids) == 50
    query = "select event_data::text from v7.jobs where id = any(%s) order by position"
    assert [row[0] for row in rows(database_url, query, ids)] == [str(n) for n in range(50)]
    assert rows(database_url, "select count(*) from v7.jobs") == [(51,)]


@pytest.mark.fault(48)
async def test_a_constraint_of_the_users_refuses_one_event(own_database_url: str) -> None:
    async with serving(own_database_url) as api, await database.connect(own_database_url) as connection:
        await connection.execute("alter table v7.jobs add constraint lucky check (user_id <> 13)")
        refused = await api.post(body(user_id=13))
        keyed = await api.post(body(user_id=13), idempotency_key="k")
        assert (await api.post(body(user_id=12))).status_code == 200
    for answer in (refused, keyed):
        assert answer.status_code == 500
        assert answer.text.startswith("The event could not be added: the database refuses it (new row for relation")
    assert rows(own_database_url, "select count(*) from v7.idempotency_keys") == [(0,)]


async def test_no_key_stands_twice_in_a_batch(database_url: str, connection: Connection) -> None:
    keyed = [event(event_data=str(n % 2), key=f"k{n % 3}") for n in range(12)]
    async with started(database_url) as ingest:
        outcomes = await gathered(ingest, connection, *keyed, event(), *keyed)
    same = [(each, other) for each, other in zip(outcomes[:12], outcomes[13:], strict=True)]
    assert all(each == other for each, other in same)
    assert [isinstance(each, Added) for each in outcomes[:6]] == [True, True, True, False, False, False]
    assert rows(database_url, "select count(*) from v7.jobs where event_data::text in ('0', '1')") == [(3,)]


async def test_many_under_one_key_do_not_hold_up_the_others(database_url: str, connection: Connection) -> None:
    async with started(database_url) as ingest:
        outcomes = await gathered(ingest, connection, *[event(key="k")] * 600, event(event_data='"late"'))
    assert len(set(outcomes[:600])) == 1
    assert isinstance(outcomes[600], Added)


async def test_a_large_batch_is_cut(database_url: str, connection: Connection, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "BATCH_CHARS_MAX", 1000)
    large = [event(event_data=f'"{"x" * 400}"') for _ in range(5)]
    async with started(database_url) as ingest:
        outcomes = await gathered(ingest, connection, *large, event(event_data=f'"{"x" * 4000}"'))
    assert all(isinstance(each, Added) for each in outcomes)
    counted = "select count(*) from v7.jobs where event_data::text like '\"x%%' group by xmin::text order by 1"
    assert rows(database_url, counted) == [(1,), (1,), (2,), (2,)]


@pytest.mark.fault(46, 67)
@pytest.mark.parametrize(("bound", "number"), [("WAITING_EVENTS_MAX", 3), ("WAITING_BYTES_MAX", 4 * 3 * 10_000 + 1000)])
async def test_what_waits_is_bounded(
    database_url: str, connection: Connection, monkeypatch: Any, bound: str, number: int
) -> None:
    """A text with one wide character takes four bytes for each."""
    monkeypatch.setattr(module, bound, number)
    large = body(json.dumps("x" * 10_000 + "\N{PARTY POPPER}", ensure_ascii=False))
    async with serving(database_url) as api, connection.transaction():
        await connection.execute(LOCK)
        first = asyncio.create_task(api.post(body()))
        await blocked(connection)
        waiting = [asyncio.create_task(api.post(large)) for _ in range(3)]
        while len(api.ingest.waiting) < 3:
            await asyncio.sleep(0)
        refused = await api.post(large)
        assert (refused.status_code, refused.text) == (503, BUSY.sentence)
        assert refused.headers["retry-after"] == "1"
        await connection.execute("commit")
        assert {answer.status_code for answer in await asyncio.gather(first, *waiting)} == {200}
        await connection.execute("begin")
    assert rows(database_url, "select count(*) from v7.jobs") == [(4,)]


@pytest.mark.fault(58)
async def test_clients_that_leave_harm_nobody(database_url: str, connection: Connection) -> None:
    """Their events are added all the same: the commit belongs to all that share it."""
    async with serving(database_url) as api:
        async with connection.transaction():
            await connection.execute(LOCK)
            posts = [asyncio.create_task(api.post(body(str(n)))) for n in range(10)]
            await blocked(connection)
            while len(api.ingest.waiting) + len(in_flight(api.ingest)) < 10:
                await asyncio.sleep(0.01)
            for post in posts[::2]:
                post.cancel()
            await asyncio.wait(posts[::2])
        answers = await asyncio.gather(*posts[1::2])
    assert {answer.status_code for answer in answers} == {200}
    assert rows(database_url, "select count(*) from v7.jobs") == [(10,)]


async def test_stopping_commits_what_waits(database_url: str, connection: Connection) -> None:
    async with started(database_url) as ingest:
        async with connection.transaction():
            await connection.execute(LOCK)
            adding = [asyncio.create_task(ingest.add(event())) for _ in range(5)]
            await blocked(connection)
            stopping = asyncio.create_task(ingest.stop(60))
            await asyncio.sleep(0)
            assert await ingest.add(event()) == SHUTTING_DOWN
        assert all(isinstance(each, Added) for each in await asyncio.gather(*adding))
        await stopping
        await ingest.stop(0)
    assert rows(database_url, "select count(*) from v7.jobs") == [(5,)]


async def test_stopping_does_not_wait_for_a_database_that_hangs(database_url: str, connection: Connection) -> None:
    async with started(database_url) as ingest, connection.transaction():
        await connection.execute(LOCK)
        sent = asyncio.create_task(ingest.add(event()))
        await blocked(connection)
        waiting = asyncio.create_task(ingest.add(event()))
        await asyncio.sleep(0)
        await ingest.stop(0)
        outcomes = await asyncio.gather(sent, waiting)
    assert [outcome.sentence.partition(",")[0] for outcome in outcomes if isinstance(outcome, Failed)] == [
        "It is not known whether the event was added",
        "The event could not be added",
    ]


async def test_the_first_event_of_a_type_makes_its_row(database_url: str) -> None:
    types = "select event_type_id from v7.event_types order by 1"
    async with serving(database_url) as api:
        assert (await api.post(body(event_type_id=-7))).status_code == 200
        while rows(database_url, types) != [(-7,)]:  # an answer waits a second for it, not longer
            await asyncio.sleep(0.01)
        await asyncio.gather(*(api.post(body(event_type_id=n % 3)) for n in range(12)))
        while rows(database_url, types) != [(-7,), (0,), (1,), (2,)]:
            await asyncio.sleep(0.01)


async def test_a_type_whose_row_is_locked_holds_up_nobody(database_url: str, connection: Connection) -> None:
    async with serving(database_url) as api:
        async with connection.transaction(force_rollback=True):  # so that nobody else has made it in the end
            await connection.execute("insert into v7.event_types (event_type_id) values (99)")
            answers = [await api.post(body(event_type_id=99)) for _ in range(3)]
            assert {answer.status_code for answer in answers} == {200}
        while not rows(database_url, "select 1 from v7.event_types where event_type_id = 99"):
            await asyncio.sleep(0.05)


async def test_workers_are_woken_after_the_commit(database_url: str, connection: Connection) -> None:
    await connection.execute("listen v7")
    async with serving(database_url) as api:
        await api.post(body())
        async for notice in connection.notifies(timeout=60, stop_after=1):
            assert notice.payload == "jobs"
        await asyncio.gather(*(api.post(body()) for _ in range(50)))
