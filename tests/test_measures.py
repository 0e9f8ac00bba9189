"""What metrics read from the tables, on a database with one of everything and on one with many."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from v7_task_processor import listing
from v7_task_processor.listing import measures
from v7_task_processor.overview import counts

from .conftest import fresh
from .population import populate


@pytest.fixture
def populated(database_url: str) -> Iterator[sa.Connection]:
    populate(database_url)
    with listing.reading(database_url) as connection:
        yield connection


def test_jobs_by_status_and_type(populated: sa.Connection) -> None:
    found = measures.depths(populated, measures.named_types(populated))
    assert found.by_status == {"scheduled": 1, "queued": 5, "running": 1, "dead": 2}
    shown = {
        label: (each.scheduled, each.queued, each.running, each.dead) for label, each in sorted(found.by_type.items())
    }
    assert shown == {"1": (0, 3, 1, 1), "5": (0, 1, 0, 1), "6": (1, 0, 0, 0), "other": (0, 1, 0, 0)}


def test_the_oldest_of_each_type(populated: sa.Connection) -> None:
    """Type 9 has no row yet; the chores of any node make it one within seconds."""
    found = measures.waiting(populated, measures.named_types(populated))
    minutes = {label: round(seconds / 60) for label, seconds in found.oldest_seconds.items()}
    assert minutes == {"1": 5, "5": 120, "6": 0, "other": 3}
    assert found.unserved == 1


def queue_old(url: str, *types: int) -> None:
    """Types with a label, each with a job that has waited for three hours."""
    with psycopg.connect(url) as writer:
        writer.execute("insert into v7.event_types (event_type_id) select unnest(%s::bigint[])", [list(types)])
        writer.execute(
            "insert into v7.jobs (event_type_id, user_id, priority, event_data, queued_at) "
            "select unnest(%s::bigint[]), 1, 5, '{}', now() - interval '3 hours'",
            [list(types)],
        )


def queue_new(url: str, types: str, priorities: str, count: int) -> None:
    with psycopg.connect(url) as writer:
        writer.execute(
            "insert into v7.jobs (event_type_id, user_id, priority, event_data, queued_at) "
            f"select {types}, 1, {priorities}, '{{}}', now() from generate_series(1, {count}) n"
        )


def hours(url: str) -> tuple[dict[str, int], int]:
    """How long the oldest of each type has waited, and how many types nobody serves."""
    with listing.reading(url) as reader:
        found = measures.waiting(reader, measures.named_types(reader))
    return {label: round(seconds / 3600) for label, seconds in found.oldest_seconds.items()}, found.unserved


def test_types_that_somebody_made_up_hide_no_type_with_a_label(database_url: str) -> None:
    queue_old(database_url, 42)
    queue_new(database_url, "-n", "0", 2 * measures.STEPS_MAX)
    found, unserved = hours(database_url)
    assert found == {"42": 3, "other": 0}
    assert unserved > measures.STEPS_MAX


def test_priorities_of_other_types_hide_no_type(database_url: str) -> None:
    """As where they are times."""
    queue_old(database_url, *range(1, 13), 42)
    queue_new(database_url, "n % 12 + 1", "100 + n", 12 * 100)
    queue_new(database_url, "n % 12 + 20", "100 + n", 12 * 100)
    with psycopg.connect(database_url) as writer:
        writer.execute("update v7.jobs set queued_at = now() - interval '2 hours' where event_type_id = 31")
    found, unserved = hours(database_url)
    assert found == {**{str(number): 3 for number in (*range(1, 13), 42)}, "other": 2}
    assert unserved == 25


@pytest.mark.parametrize("new", ["5 - n", "5 + n"], ids=["last", "first"])
def test_of_a_type_all_of_whose_priorities_differ_both_ends_are_looked_at(database_url: str, new: str) -> None:
    with psycopg.connect(database_url) as writer:  # dead letters have the lowest ids
        writer.execute(
            "insert into v7.jobs (event_type_id, user_id, priority, event_data, status, dead_at, dead_reason) "
            "select 1, 1, 1, '{}', 'dead', now(), 'x' from generate_series(1, 10000)"
        )
    queue_old(database_url, 1)
    queue_new(database_url, "1", new, 1000)
    assert hours(database_url)[0] == {"1": 3, "other": 0}


def test_of_a_type_all_of_whose_priorities_differ_the_lowest_ids_are_looked_at(database_url: str) -> None:
    queue_old(database_url, 1)
    queue_new(database_url, "1", "5 + (n % 2 * 2 - 1) * n", 1000)
    assert hours(database_url)[0] == {"1": 3, "other": 0}


def test_types_beyond_the_first_are_other(populated: sa.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "TYPES_MAX", 2)
    types = measures.named_types(populated)
    assert list(types) == [1, 5]
    assert types[1] is None
    assert types[5] is not None
    found = measures.depths(populated, types)
    assert set(found.by_type) == {"1", "5", "other"}
    assert (found.by_type["other"].queued, found.by_type["other"].scheduled) == (1, 1)
    assert found.by_status == {"scheduled": 1, "queued": 5, "running": 1, "dead": 2}
    assert set(measures.waiting(populated, types).oldest_seconds) == {"1", "5", "other"}


def test_a_suspect_of_a_type_without_a_label_is_counted_once(database_url: str) -> None:
    with psycopg.connect(database_url) as writer:
        writer.execute("select v7.enqueue(3, 1, 1, '{}') from generate_series(1, 5)")
        writer.execute("update v7.jobs set suspect = true where id = 1")
    with listing.reading(database_url) as reader:
        found = measures.depths(reader, {})
    assert (found.by_status["queued"], found.by_type["other"].queued) == (5, 5)


def test_connections_are_counted(populated: sa.Connection) -> None:
    used, most = measures.connections(populated)
    assert 1 <= used <= most


MANY = 12_000


@pytest.fixture(scope="module")
def many(server_url: str, template: str) -> Iterator[str]:
    for url in fresh(server_url, template):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("alter table v7.jobs set (autovacuum_enabled = false)")
            connection.execute("insert into v7.event_types (event_type_id) values (1), (2)")
            connection.execute(
                "select v7.enqueue(n %% 2 + 1, 1, n %% 1000, '{}') from generate_series(1, %s) n", [MANY]
            )
            connection.execute("vacuum analyze v7.jobs")
        yield url


def test_past_the_bound_the_index_says_how_many(many: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "COUNT_MAX", 1000)
    monkeypatch.setattr(measures, "COUNT_MAX", 1000)
    with listing.reading(many) as connection:
        found = measures.depths(connection, measures.named_types(connection))
    assert found.by_status["queued"] == pytest.approx(MANY, rel=0.02)
    assert {label: each.queued for label, each in found.by_type.items()} == {"1": 1000, "2": 1000, "other": 0}


def test_without_statistics_it_is_a_floor(many: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "COUNT_MAX", 1000)
    monkeypatch.setattr(measures, "COUNT_MAX", 1000)
    monkeypatch.setattr(measures, "INDEXES", {"queued": "jobs_suspect"})  # of which vacuum found nothing
    with listing.reading(many) as connection:
        found = measures.depths(connection, measures.named_types(connection))
    assert found.by_status["queued"] >= 1000


def test_each_reads_its_index_and_no_more_than_its_bound(many: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what Postgres itself says that it did: no statement reads the table from end to end."""
    monkeypatch.setattr(measures, "COUNTED_MAX", 2000)
    monkeypatch.setattr(counts, "COUNT_MAX", 1000)
    plans: list[str] = []
    with listing.reading(many) as connection:
        types = measures.named_types(connection)

        def explain(_: object, cursor: Any, statement: str, parameters: Any, *rest: object) -> None:
            plan = cursor.connection.cursor().execute(f"explain (analyze, timing off) {statement}", parameters)
            plans.append("\n".join(line for (line,) in plan))

        sa.event.listen(connection, "before_cursor_execute", explain)
        measures.depths(connection, types)
        measures.waiting(connection, types)
    whole = "\n".join(plans)
    assert "jobs_queue_by_type" in whole
    assert "Seq Scan on jobs" not in whole
    assert "Index Only Scan using jobs_queue_by_type" in whole, "what vacuum has seen is counted by the index alone"
