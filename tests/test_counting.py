"""Counts in the database: each process's once, the sum of all never less than it was."""

import asyncio
import time
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from v7_task_processor import counting, database, queue
from v7_task_processor.counting import Account
from v7_task_processor.listing import measures, reading
from v7_task_processor.observability import families
from v7_task_processor.observability.counts import TYPES_MAX, Counts
from v7_task_processor.queue import Connection
from v7_task_processor.schema import metrics

from .support import rows, until_waiting
from .web.support import proxied

CLAIMED = ("v7_jobs_claimed_total", "", "")


def account(claimed: int = 0) -> Account:
    made = Account(Counts())
    if claimed:
        claim(made, claimed)
    return made


def claim(made: Account, count: int) -> None:
    made.counts.add(families.CLAIMED, count)
    made.counts.observe(families.CLAIM_DURATION, [0.5] * count)


def total(url: str) -> tuple[float, float, float]:
    """Jobs claimed; the number and the sum of claims' durations."""
    with reading(url) as connection:
        found = measures.counts(connection, {})
    numbers = found.get(("v7_claim_duration_seconds", "", ""), [0.0, 0.0])
    return found.get(CLAIMED, [0.0])[0], sum(numbers[:-1]), numbers[-1]


async def fold(connection: Connection, idle_seconds: float = 0.0) -> int:
    return await queue.fold_counts(connection, idle_seconds, families.TYPES_MAX)


async def test_writing_again_counts_nothing_twice(connection: Connection, database_url: str) -> None:
    one, other = account(3), account(4)
    for _ in range(2):
        await one.write(connection)
        await other.write(connection)
    assert total(database_url) == (7, 7, 3.5)
    claim(one, 2)
    await one.write(connection)
    assert total(database_url) == (9, 9, 4.5)
    assert await rows(connection, "select count(*) from v7.metrics") == [(3,)]


async def test_what_did_not_change_is_not_written(connection: Connection, database_url: str) -> None:
    one = account()
    await one.write(connection)
    assert await rows(connection, "select count(*) from v7.metrics") == [(1,)]
    claim(one, 1)
    await one.write(connection)
    before = await rows(connection, "select ctid::text from v7.metrics order by source")
    await one.write(connection)
    assert await rows(connection, "select ctid::text from v7.metrics order by source") == before


async def test_ended_processes_are_folded_and_the_sum_stays(connection: Connection, database_url: str) -> None:
    for count in (1, 2, 3):
        await account(count).write(connection)
        assert await fold(connection, 1000) == 0
    assert await fold(connection) == 3
    assert await rows(connection, "select count(*) from v7.metrics") == [(1,)]
    await account(4).write(connection)
    assert await fold(connection) == 1
    assert await fold(connection) == 0
    assert total(database_url) == (10, 10, 5.0)


async def test_a_sum_falls_by_no_fold(connection: Connection, database_url: str) -> None:
    """0.1 + 0.2 + 0.3 is more than 0.1 + 0.5, by a bit, and Prometheus takes what falls for one that began anew."""
    ended = []
    for seconds in (0.1, 0.2, 0.3):
        made = account()
        made.counts.observe(families.CLAIM_DURATION, [seconds])
        await made.write(connection)
        ended.append(made.source)
    before = total(database_url)
    await connection.execute(
        "update v7.metrics set written_at = now() - interval '1 h' where source = any(%s::uuid[])", [ended[1:]]
    )
    assert await fold(connection, 60) == 2
    assert total(database_url) == before
    assert before[2] == pytest.approx(0.6, abs=3e-6)


async def test_who_was_folded_and_lives_goes_on_without_counting_twice(
    connection: Connection, database_url: str
) -> None:
    one = account(5)
    await one.write(connection)
    claim(one, 1)  # and the row goes before this is written
    assert await fold(connection) == 1
    await one.write(connection)
    assert total(database_url) == (6, 6, 3.0)
    for count in range(7, 10):
        assert await fold(connection) == 1
        claim(one, 1)
        await one.write(connection)
        assert total(database_url) == (count, count, count / 2)


async def test_an_answer_that_was_lost_is_written_again(connection: Connection, database_url: str) -> None:
    one = account(5)
    async with proxied(database_url) as (proxy, through):
        link = database.Link(through)
        lost = await link.get()
        proxy.marker = one.source.encode()
        with pytest.raises(psycopg.OperationalError):
            await one.write(lost)
        claim(one, 1)
        await link.close()
        await one.write(await link.get())
        await link.close()
    assert total(database_url) == (6, 6, 3.0)


async def test_two_who_fold_at_once_lose_nothing(connection: Connection, database_url: str) -> None:
    async with await database.connect(database_url) as first, await database.connect(database_url) as second:
        await account(1).write(connection)
        async with first.transaction():
            assert await fold(first) == 1
            await account(2).write(connection)  # which only the second can see
            other = asyncio.create_task(fold(second))
            await until_waiting(connection, second)
        assert await other == 1
    assert total(database_url) == (3, 3, 1.5)
    assert await rows(connection, "select count(*) from v7.metrics") == [(1,)]


async def test_a_writer_and_a_folder_at_once(connection: Connection, database_url: str) -> None:
    one = account(5)
    await one.write(connection)
    async with await database.connect(database_url) as folder, await database.connect(database_url) as observer:
        async with folder.transaction():
            assert await fold(folder) == 1
            claim(one, 1)
            writing = asyncio.create_task(one.write(connection))
            await until_waiting(observer, connection)
        await writing
    assert total(database_url) == (6, 6, 3.0)


@pytest.fixture
def few_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "TYPES_MAX", 2)


async def by_type(url: str) -> dict[str, float]:
    def read() -> dict[str, float]:
        with reading(url) as connection:
            types = measures.named_types(connection)
            found = measures.counts(connection, types)
        return {place[1]: numbers[0] for place, numbers in found.items() if place[0] == families.RETRIES.name}

    return await asyncio.to_thread(read)


async def test_types_beyond_the_first_are_other_before_and_after_the_fold(
    connection: Connection, database_url: str, few_types: None
) -> None:
    one = account()
    for number in (30, 10, 20):
        one.counts.add(families.RETRIES, number, number)
        await queue.ensure_event_types(connection, [number])
    one.counts.add(families.RETRIES, 4, 40)  # has no row yet
    one.counts.add(families.RETRIES, 5, 30)
    await one.write(connection)
    expected = {"30": 35, "10": 10, "other": 24}
    assert await by_type(database_url) == expected
    assert await queue.fold_counts(connection, 0, 2) == 1
    assert await by_type(database_url) == expected
    (kept,) = await rows(connection, "select counts from v7.metrics")
    assert set(kept[0]) == {f"v7_retries_total|{label}|" for label in ("30", "10", "other")}


async def test_a_type_with_a_label_keeps_it_in_a_process_that_met_made_up_types_first(
    connection: Connection, database_url: str
) -> None:
    await queue.ensure_event_types(connection, [5])
    one = account()
    for number in range(100, 100 + TYPES_MAX):
        one.counts.add(families.RETRIES, 1, number)
    await queue.ensure_event_types(connection, range(100, 200))
    await one.keep(connection)
    one.counts.add(families.RETRIES, 7, 5)
    await one.keep(connection)
    assert (await by_type(database_url))["5"] == 7


async def test_a_type_too_new_for_a_row_has_its_number(connection: Connection, database_url: str) -> None:
    one = account()
    one.counts.add(families.RETRIES, 1, 77)
    await one.write(connection)
    await fold(connection)
    assert await by_type(database_url) == {"77": 1}


async def test_what_another_release_counted_otherwise_is_passed_over(connection: Connection, database_url: str) -> None:
    await account(3).write(connection)
    await connection.execute("""insert into v7.metrics (source, counts) values (gen_random_uuid(),
        '{"v7_gone_total||": [9], "v7_claim_duration_seconds||": [1, 2], "v7_jobs_claimed_total||": [1]}')""")
    assert total(database_url) == (4, 3, 1.5)


async def test_a_refusal_is_no_error_and_a_break_is(connection: Connection, database_url: str) -> None:
    one = account(1)
    await connection.execute("alter table v7.metrics rename to hidden")
    await one.keep(connection)
    await connection.execute("alter table v7.hidden rename to metrics")
    await one.keep(connection)
    assert total(database_url) == (1, 1, 0.5)
    claim(one, 1)
    await connection.close()
    with pytest.raises(psycopg.OperationalError):
        await one.keep(connection)


async def test_it_is_written_when_it_is_time(
    connection: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = account(1)
    clock: dict[str, Any] = {"now": 1000.0}
    monkeypatch.setattr(time, "monotonic", lambda: clock["now"])
    await one.keep_in_time(connection)
    claim(one, 1)
    clock["now"] += counting.WRITE_SECONDS / 2
    await one.keep_in_time(connection)
    assert total(database_url)[0] == 1
    clock["now"] += counting.WRITE_SECONDS / 2
    await one.keep_in_time(connection)
    assert total(database_url)[0] == 2


def test_every_count_is_read_as_it_is_kept(database_url: str) -> None:
    with reading(database_url) as connection:
        assert connection.scalars(sa.select(metrics.c.counts)).all() == [{}]
