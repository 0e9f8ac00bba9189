"""Attempts that failed, as people are shown them: the last ones of a job, and one by its number."""

import psycopg
import pytest

from v7_task_processor import listing
from v7_task_processor.listing import Detail, failures

from .population import fail_often, populate


def detail(url: str, job_id: int, failures_max: int = failures.FAILURES_MAX) -> Detail:
    with listing.reading(url) as reader:
        found = listing.detail(reader, job_id, failures_max=failures_max)
    assert found is not None
    return found


def test_of_a_job_that_failed_for_weeks_the_last_ones_are_read(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    populate(database_url)
    fail_often(database_url, 7, 300)
    found = detail(database_url, 7)
    assert [each.attempt for each in found.failures] == list(range(201, 301))
    assert found.earlier_failures == 200
    one = detail(database_url, 7, 1)
    assert ([each.attempt for each in one.failures], one.earlier_failures) == ([300], 299)
    monkeypatch.setattr(failures, "EARLIER_MAX", 50)
    assert detail(database_url, 7).earlier_failures == 50, "so many are counted"
    assert detail(database_url, 42).earlier_failures == 0


def test_those_of_other_jobs_are_not_read(database_url: str) -> None:
    """Where most failures are of one job, the planner may take the whole table for it."""
    fail_often(database_url, 7, 20_000)
    fail_often(database_url, 8, 200)
    with psycopg.connect(database_url, autocommit=True) as writer:
        writer.execute("vacuum analyze v7.failures")
    with listing.reading(database_url) as reader:
        for job_id in (7, 8):
            failures.failures_of(reader, job_id, 100)
        read = "select seq_scan from pg_stat_xact_user_tables where relname = 'failures'"
        assert reader.exec_driver_sql(read).scalar() == 0


def test_one_by_its_number(database_url: str) -> None:
    populate(database_url)
    with listing.reading(database_url) as reader:
        found = listing.failure(reader, 42, 2)
        assert found is not None
        assert found.message == "second"
        assert [listing.failure(reader, *none) for none in ((42, 3), (43, 1), (42, 2**63 - 1))] == [None] * 3
