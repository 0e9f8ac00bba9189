"""The state of the whole: what stands where, since when, how fast it ends, and who works."""

from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa
from msgspec import structs

from v7_task_processor import listing
from v7_task_processor.overview import Depth, counts, glance, nodes, rates, seeing, waits

from .conftest import fresh
from .population import populate


@pytest.fixture(scope="module")
def url(server_url: str, template: str) -> Iterator[str]:
    for name in fresh(server_url, template):
        populate(name)
        yield name


@pytest.fixture
def reading(url: str) -> Iterator[sa.Connection]:
    with listing.reading(url) as connection:
        yield connection


def test_the_overview(reading: sa.Connection) -> None:
    found = glance(reading.exec_driver_sql)
    assert found.jobs == Depth(scheduled=1, queued=5, running=1, dead=2, capped=[])
    assert found.oldest is not None
    assert 7200 <= found.oldest.age_seconds < 7260
    assert not found.oldest.at_least
    assert (found.paused, found.unserved) == ([5], [9])
    assert (found.nodes, found.nodes_lost, found.workers) == (1, 1, 1)
    assert (found.last_hour.succeeded, found.last_hour.cancelled, found.last_hour.failed_attempts) == (1, 1, 3)
    assert found.last_hour.capped == []


def test_nodes_and_their_workers(reading: sa.Connection) -> None:
    alpha, beta = nodes(reading.exec_driver_sql)
    assert (alpha.name, alpha.alive, alpha.event_type_ids) == ("alpha:100", True, [1, 5])
    assert [(worker.name, worker.running) for worker in alpha.workers] == [("alpha:101", 1)]
    assert (beta.alive, beta.workers) == (False, [])
    assert beta.beat_age_seconds >= 3600


@pytest.mark.parametrize("time", [None, "infinity", "-infinity", "200000-01-01"])
def test_what_a_worker_runs_since_a_time_that_somebody_wrote(database_url: str, time: str | None) -> None:
    populate(database_url)
    with psycopg.connect(database_url) as writer:
        writer.execute("update v7.jobs set claimed_at = %s::timestamptz where status = 'running'", [time])
    with listing.reading(database_url) as reader:
        [job] = [job for node in nodes(reader.exec_driver_sql, 9) for each in node.workers for job in each.jobs]
    assert job.attempt == 1
    assert job.seconds >= 0


@pytest.mark.fault(68)
def test_counts_stop_at_their_limit(reading: sa.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "COUNT_MAX", 1)
    found = glance(reading.exec_driver_sql).jobs
    assert (found.queued, found.dead, found.scheduled) == (1, 1, 1)
    assert found.capped == ["queued", "dead"]
    rows = {row.event_type_id: row.jobs for row in listing.types_page(reading).event_types}
    assert rows[1].capped == ["queued", "dead"]
    assert rows[9].capped == ["dead"]


@pytest.mark.fault(68)
def test_none_of_a_type_is_a_floor_where_not_all_were_looked_at(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its dead letters may have come after those that are counted."""
    monkeypatch.setattr(counts, "COUNT_MAX", 10)
    with psycopg.connect(database_url) as writer:
        for columns, values in [
            ("status, dead_at, dead_reason", "'dead', now() + n * interval '1 s', 'x'"),
            ("status, run_at", "'scheduled', now() + n * interval '1 s'"),
        ]:
            writer.execute(
                f"insert into v7.jobs (event_type_id, user_id, priority, event_data, {columns}) "
                f"select 1 + n / 100, 1, 1, '{{}}', {values} from generate_series(1, 105) n"
            )
        writer.execute("insert into v7.event_types values (2)")
    with listing.reading(database_url) as reader:
        rows = {row.event_type_id: row.jobs for row in listing.types_page(reader).event_types}
    assert rows == {
        1: Depth(scheduled=10, queued=0, running=0, dead=10, capped=["scheduled", "dead"]),
        2: Depth(scheduled=0, queued=0, running=0, dead=0, capped=["scheduled", "dead"]),
    }


def test_the_oldest_of_many_priorities_is_a_floor(reading: sa.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "PRIORITIES_MAX", 1)
    found = glance(reading.exec_driver_sql)
    assert found.oldest is not None
    assert found.oldest.at_least
    assert 7200 <= found.oldest.age_seconds < 7260, "the lowest ids are looked at too"
    monkeypatch.setattr(waits, "PRIORITIES_MAX", 100)
    monkeypatch.setattr(waits, "STEPS_MAX", 1)
    assert glance(reading.exec_driver_sql).unserved == [], "the step limit ends the walk over the types"


def test_rates_come_from_the_newest_rows(reading: sa.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "ENDED_MAX", 2)
    hour = glance(reading.exec_driver_sql).last_hour
    assert hour.capped == ["succeeded", "cancelled", "failed_attempts"]
    assert hour.succeeded_per_second > 0


def test_without_sqlalchemy_it_is_the_same(url: str, reading: sa.Connection) -> None:
    with seeing(url) as ask:
        alone, beside = glance(ask), glance(reading.exec_driver_sql)
        assert structs.replace(alone, now=beside.now, oldest=beside.oldest) == beside
        assert [node.workers for node in nodes(ask)] == [node.workers for node in nodes(reading.exec_driver_sql)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            ask("delete from v7.jobs", {})
