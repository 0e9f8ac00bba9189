"""What was counted, minute by minute: right over processes, restarts and minutes that nobody noted."""

import datetime as dt
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
import sqlalchemy as sa

from v7_task_processor import listing, queue
from v7_task_processor.counting import Account
from v7_task_processor.listing import Minute
from v7_task_processor.listing.series import quantile, recent_rate
from v7_task_processor.observability import families
from v7_task_processor.observability.counts import Counts
from v7_task_processor.queue import Connection

from .nodes import enqueue, node, post, wait_for_end, wait_until
from .support import rows

Answer = TypeVar("Answer")
FIRST = 50


@pytest.fixture
def clock_stands(database_url: str) -> None:
    """The database's clock stands in the middle of a minute for who connects from now on, so that none ends meanwhile:
    functions of ours go before Postgres's where the search path says so."""
    with psycopg.connect(database_url) as connection:
        connection.execute("create schema clock")
        ((stands,),) = connection.execute("select date_trunc('minute', now()) + interval '30 s'")
        for function in ("now", "clock_timestamp"):
            connection.execute(
                f"create function clock.{function}() returns timestamptz stable return '{stands}'::timestamptz"
            )
        connection.execute(
            "do $$ begin execute format("
            "'alter database %I set search_path = clock, pg_catalog, public', current_database()); end $$"
        )


def ask(url: str, listed: Callable[[sa.Connection], Answer]) -> Answer:
    with listing.reading(url) as connection:
        return listed(connection)


async def earlier(connection: Connection, by: str) -> None:
    """Let all that was noted be so much older."""
    await connection.execute(
        "update v7.minutes set minute = minute - %s::interval, noted_at = noted_at - %s::interval", [by, by]
    )


def attempts(account: Account, event_type_id: int, succeeded: int, failed: int = 0, seconds: float = 0.02) -> None:
    account.counts.add(families.ATTEMPTS, succeeded, event_type_id, "succeeded")
    account.counts.add(families.ATTEMPTS, failed, event_type_id, "crashed")
    account.counts.add(families.RETRIES, failed, event_type_id)
    account.counts.observe(families.HANDLER_DURATION, [seconds] * succeeded, event_type_id)


async def test_each_minute_is_noted_once_and_is_what_came_until_the_next(
    clock_stands: None, connection: Connection, database_url: str
) -> None:
    one, other = Account(Counts()), Account(Counts())
    assert await queue.note_minute(connection, FIRST)
    assert not await queue.note_minute(connection, FIRST)
    await earlier(connection, "1 minute")
    one.counts.add(families.RECEIVED, 5)
    attempts(one, 7, 3, 1)
    attempts(other, 8, 2)
    other.counts.add(families.DEAD_LETTERED, 1, 8)
    await one.write(connection)
    await other.write(connection)
    assert ask(database_url, listing.series) == [], "the minute has not ended"
    assert await queue.note_minute(connection, FIRST)
    (minute,) = ask(database_url, listing.series)
    assert minute == Minute(minute=minute.minute, received=5, succeeded=5, failed=1, dead=1, retried=1)
    assert (minute.minute.second, minute.minute.microsecond) == (0, 0)


async def test_a_process_that_ended_changes_no_minute(connection: Connection, database_url: str) -> None:
    one = Account(Counts())
    attempts(one, 7, 3)
    await one.write(connection)
    await queue.note_minute(connection, FIRST)
    await earlier(connection, "1 minute")
    assert await queue.fold_counts(connection, 0, FIRST) == 1
    attempts(one, 7, 2)
    await one.write(connection)
    await queue.note_minute(connection, FIRST)
    assert sum(minute.succeeded for minute in ask(database_url, listing.series)) == 2


async def test_in_minutes_that_nobody_noted_nothing_came(
    clock_stands: None, connection: Connection, database_url: str
) -> None:
    one = Account(Counts())
    await queue.note_minute(connection, FIRST)
    await earlier(connection, "4 minutes")
    attempts(one, 7, 10)
    await one.write(connection)
    await queue.note_minute(connection, FIRST)
    found = ask(database_url, listing.series)
    assert [each.succeeded for each in found] == [10, 0, 0, 0]
    assert [b.minute - a.minute for a, b in itertools.pairwise(found)] == 3 * [dt.timedelta(minutes=1)]


async def test_a_total_that_fell_is_nothing(clock_stands: None, connection: Connection, database_url: str) -> None:
    one = Account(Counts())
    attempts(one, 7, 10)
    await one.write(connection)
    await queue.note_minute(connection, FIRST)
    await earlier(connection, "1 minute")
    await connection.execute("update v7.metrics set counts = '{}'")
    await queue.note_minute(connection, FIRST)
    assert [each.succeeded for each in ask(database_url, listing.series)] == [0]


async def test_an_hour_a_day_and_no_more(clock_stands: None, connection: Connection, database_url: str) -> None:
    await connection.execute(
        "insert into v7.minutes (minute, received, succeeded, failed, dead, retried, counts) "
        "select date_trunc('minute', now(), 'UTC') - i * interval '1 min', 10000 - i, 0, 0, 0, 0, '{}' "
        "from generate_series(1, 3000) i"
    )
    assert await queue.note_minute(connection, FIRST)
    kept = await rows(connection, "select count(*), count(counts) from v7.minutes")
    assert kept == [(2880, 120)]
    hour = ask(database_url, listing.series)
    day = ask(database_url, lambda asked: listing.series(asked, 24))
    assert (len(hour), len(day)) == (60, 1440)
    assert day[-len(hour) :] == hour
    assert {each.received for each in day[:-1]} == {1}


async def test_rates_of_types(connection: Connection, database_url: str) -> None:
    one = Account(Counts())
    attempts(one, 7, 1000, 1000, seconds=200.0)  # before
    await one.write(connection)
    await queue.note_minute(connection, FIRST)
    await earlier(connection, "50 seconds")  # within the hour, whatever second it is
    assert ask(database_url, listing.event_type_rates) == [], "nothing ended since"
    attempts(one, 7, 75, 25, seconds=0.02)
    attempts(one, 9, 3, seconds=7000.0)
    await one.write(connection)
    seven, nine = ask(database_url, listing.event_type_rates)
    assert (seven.event_type_id, seven.succeeded, seven.failed, seven.failure_share) == (7, 75, 25, 0.25)
    assert 50 <= seven.seconds < 120
    assert seven.per_second == pytest.approx(100 / seven.seconds, rel=0.01)
    assert (seven.p50_seconds, seven.p95_seconds) == (0.03, 0.048), "between 10 and 50 ms, as far as buckets tell"
    assert (nine.event_type_id, nine.failure_share) == (9, 0.0)
    assert nine.p95_seconds is not None
    assert 3600 < nine.p95_seconds <= 21600
    rate = ask(database_url, recent_rate)
    assert rate is not None
    assert rate == pytest.approx(103 / seven.seconds, rel=0.05)


async def test_types_beyond_the_first_are_one(connection: Connection, database_url: str) -> None:
    one = Account(Counts())
    await queue.ensure_event_types(connection, list(range(FIRST)))
    await queue.note_minute(connection, FIRST)
    await earlier(connection, "50 seconds")
    for number in range(FIRST + 10):
        attempts(one, number, 1)
    await one.write(connection)
    found = ask(database_url, listing.event_type_rates)
    assert [each.event_type_id for each in found] == [*range(FIRST), None]
    assert found[-1].succeeded == 10
    await connection.execute("delete from v7.minutes")
    await queue.note_minute(connection, FIRST)
    ((kept,),) = await rows(connection, "select counts from v7.minutes")
    assert len({key.split("|")[1] for key in kept}) == FIRST + 1


def test_quantiles() -> None:
    bounds = (1.0, 2.0, 4.0)
    assert quantile([0, 0, 0, 0], bounds, 0.5) is None
    assert quantile([4, 0, 0, 0], bounds, 0.5) == 0.5
    assert quantile([1, 2, 1, 0], bounds, 0.5) == 1.5
    assert quantile([0, 0, 0, 9], bounds, 0.5) == 4.0


def test_of_an_api_without_workers(database_url: str, tmp_path: Path) -> None:
    with node(tmp_path / "api", database_url, command="api") as started:
        event = {"user_id": 1, "priority": 1, "event_type_id": 1, "event_data": {}}
        assert post(started.address(), event)[0] == 200
        wait_until(lambda: rate_is_known(database_url), "the minute is noted")
        assert started.stop() == 0


def test_of_a_real_node_over_its_restart(database_url: str, tmp_path: Path) -> None:
    def totals() -> tuple[int, int]:
        with listing.reading(database_url) as connection:
            found = listing.event_type_rates(connection)
        return sum(each.succeeded for each in found), sum(each.failed for each in found)

    for number, expected in enumerate([(3, 1), (6, 2)]):
        with node(tmp_path / str(number), database_url, V7_MAX_RETRIES=1) as started:
            wait_until(lambda: rate_is_known(database_url), "the minute is noted")
            enqueue(database_url, {}, count=3)
            enqueue(database_url, {"do": "fail"})
            wait_for_end(database_url)
            assert started.stop() == 0
        assert totals() == expected


def rate_is_known(url: str) -> bool:
    with listing.reading(url) as connection:
        return bool(connection.scalar(sa.text("select count(*) from v7.minutes")))
