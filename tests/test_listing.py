"""What people are shown: right on one of everything, bounded on many."""

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from v7_task_processor import listing
from v7_task_processor.errors import V7Error
from v7_task_processor.listing import Filter, jobs
from v7_task_processor.overview import Depth, counts, glance, nodes, waits

from .conftest import fresh
from .nodes import wait_until
from .population import HOSTILE, KEYS, NUL_EVENT, populate

LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def url(server_url: str, template: str) -> Iterator[str]:
    for name in fresh(server_url, template):
        populate(name)
        yield name


@pytest.fixture
def reading(url: str) -> Iterator[sa.Connection]:
    with listing.reading(url) as connection:
        yield connection


def ids(page: listing.Page) -> list[int]:
    return [job.id for job in page.jobs]


def test_pages_go_on_where_the_last_one_ended(reading: sa.Connection) -> None:
    seen: list[int] = []
    after = None
    while True:
        page = listing.jobs_page(reading, Filter(), after=after, limit=4)
        seen += ids(page)
        after = page.next_after
        if after is None:
            break
        assert after == seen[-1]
    assert seen == sorted(KEYS.values(), reverse=True)


@pytest.mark.parametrize(
    ("which", "names"),
    [
        (Filter(status="queued"), {"queued", "better", "paused", "unserved", "suspect"}),
        (Filter(status="running"), {"running"}),
        (Filter(status="scheduled"), {"scheduled"}),
        (Filter(status="succeeded"), {"succeeded"}),
        (Filter(status="cancelled"), {"cancelled"}),
        (Filter(event_type_id=5), {"paused", "dead"}),
        (Filter(user_id=8, status="queued"), {"paused", "unserved", "suspect"}),
        (Filter(priority_min=2), {"queued", "unserved", "suspect"}),
        (Filter(priority_max=-1), {"better"}),
        (Filter(priority_min=0, priority_max=0), {"paused"}),
        (Filter(event_type_id=-1), set()),
        (Filter(correlation_id="request-21"), {"cancelled"}),
        (Filter(attempt_min=1, status="dead"), {"hostile", "dead"}),
        (Filter(error="second"), {"dead"}),
        (Filter(error="s_cond"), set()),
        (Filter(error_kind="ValueError"), {"hostile", "dead"}),
        (Filter(error_kind="valueerror"), set()),
        (Filter(error_kind="ValueError: second"), set()),
        (Filter(created_until=LONG_AGO), set()),
        (Filter(created_from=LONG_AGO, user_id=8), {"paused", "unserved", "suspect"}),
        (Filter(finished_from=LONG_AGO), {"succeeded", "cancelled"}),
        (Filter(finished_from=LONG_AGO, status="queued"), set()),
    ],
)
def test_filters(reading: sa.Connection, which: Filter, names: set[str]) -> None:
    assert set(ids(listing.jobs_page(reading, which))) == {KEYS[name] for name in names}


def test_a_filter_without_an_index_looks_at_some_and_goes_on(
    reading: sa.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LOOKED_MAX", 3)
    for which in (Filter(user_id=8), Filter(user_id=8, status="queued")):
        pages = [listing.jobs_page(reading, which, limit=2)]
        while (after := pages[-1].next_after) is not None:
            pages.append(listing.jobs_page(reading, which, after=after, limit=2))
            assert len(pages) < 10
        assert [each for page in pages for each in ids(page)] == [7, 4, 3]
        assert max(len(page.jobs) for page in pages) <= 2
    first = listing.jobs_page(reading, Filter(user_id=8))
    assert (ids(first), first.next_after) == ([], 21), "of 42, 41 and 21 none"


@pytest.mark.parametrize("more", [{}, {"user_id": 7}, {"finished_from": LONG_AGO}], ids=["alone", "a user", "a time"])
def test_finished_jobs_of_a_status_are_looked_at_some_at_a_time(
    reading: sa.Connection, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    """No index tells those that were cancelled, of which there may be none, from the millions that succeeded."""
    monkeypatch.setattr(jobs, "LOOKED_MAX", 1)
    which = Filter(status="succeeded", **more)
    first = listing.listed_page(reading, which)
    assert (ids(first), first.next_after) == ([], 21)
    second = listing.listed_page(reading, which, after=21)
    assert (ids(second), second.next_after) == ([20], 20)
    third = listing.listed_page(reading, which, after=20)
    assert (ids(third), third.next_after) == ([], None)
    assert ids(listing.listed_page(reading, Filter(status="cancelled", **more))) == [21]


def test_the_queue_is_in_the_order_of_claims(reading: sa.Connection) -> None:
    order = [KEYS[name] for name in ("better", "paused", "queued", "unserved")]
    assert ids(listing.queue_page(reading, Filter())) == order
    first = listing.queue_page(reading, Filter(), limit=2)
    assert ids(first) == order[:2]
    assert ids(listing.queue_page(reading, Filter(), after=first.next_after, limit=2)) == order[2:]
    with pytest.raises(V7Error, match=r"Job 6 is not in the queue"):
        listing.queue_page(reading, Filter(), after=KEYS["running"])


def test_dead_letters_with_their_last_failures(reading: sa.Connection) -> None:
    assert ids(listing.dead_page(reading)) == [42, 41]
    assert ids(listing.dead_page(reading, after=42)) == [41]
    assert ids(listing.dead_page(reading, Filter(event_type_id=5))) == [42]
    assert ids(listing.dead_page(reading, Filter(error="SECOND", user_id=7))) == [42]
    assert ids(listing.dead_page(reading, Filter(finished_from=LONG_AGO))) == []
    last = listing.last_failures(reading, [41, 42, 1])
    assert {job_id: failure.message for job_id, failure in last.items()} == {41: HOSTILE, 42: "second"}
    with pytest.raises(V7Error, match="among the dead letters"):
        listing.dead_page(reading, after=1)


def test_dead_letters_are_looked_at_some_at_a_time(reading: sa.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LOOKED_MAX", 1)
    which = Filter(status="dead", event_type_id=1)
    first = listing.listed_page(reading, which)
    assert (ids(first), first.next_after) == ([], 42)
    second = listing.listed_page(reading, which, after=42)
    assert (ids(second), second.next_after) == ([41], 41)
    third = listing.listed_page(reading, which, after=41)
    assert (ids(third), third.next_after) == ([], None)


def test_a_list_is_in_the_order_that_it_is_for(reading: sa.Connection) -> None:
    assert ids(listing.listed_page(reading, Filter(user_id=8))) == [7, 4, 3]
    assert ids(listing.listed_page(reading, Filter(user_id=8), "queue")) == [3, 4]
    assert ids(listing.listed_page(reading, Filter(status="dead"))) == [42, 41]


def test_one_job_live_finished_or_unknown(reading: sa.Connection) -> None:
    dead, done = listing.detail(reading, 42), listing.detail(reading, 20)
    assert dead is not None
    assert [(failure.attempt, failure.message) for failure in dead.failures] == [(1, "first"), (2, "second")]
    assert done is not None
    assert (done.job.status, done.job.correlation_id, done.job.event_json) == ("succeeded", "request-20", NUL_EVENT)
    assert done.job.finished_at is not None
    running = listing.detail(reading, KEYS["running"])
    assert running is not None
    assert running.job.worker == "alpha:101"
    assert listing.detail(reading, 999) is None


def test_events_are_cut_where_one_asks(reading: sa.Connection) -> None:
    page = listing.jobs_page(reading, Filter(status="queued"), event_chars_max=5)
    assert max(len(job.event_json) for job in page.jobs) == 5


def test_types_and_who_serves_them(reading: sa.Connection) -> None:
    rows = {row.event_type_id: row for row in listing.types_page(reading).event_types}
    assert list(rows) == [1, 5, 6, 9]
    assert [rows[number].served for number in (1, 5, 6, 9)] == [True, True, False, False]
    assert [rows[number].known for number in (1, 5, 6, 9)] == [True, True, True, False]
    assert rows[1].jobs == Depth(scheduled=0, queued=3, running=1, dead=1, capped=[])
    assert rows[5].paused_by == "v7 types pause by someone@somewhere"
    assert rows[6].jobs.scheduled == 1
    assert rows[6].oldest is None


def test_types_by_the_page(reading: sa.Connection) -> None:
    first = listing.types_page(reading, limit=3)
    assert first.next_after == 6
    second = listing.types_page(reading, after=6, limit=3)
    assert [row.event_type_id for row in second.event_types] == [9]
    assert second.next_after is None


def test_a_reader_cannot_write(reading: sa.Connection) -> None:
    with pytest.raises(sa.exc.InternalError, match="read-only"):
        reading.execute(sa.text("delete from v7.jobs"))


def test_days(reading: sa.Connection) -> None:
    assert listing.missing_days(reading, 2) == []
    assert len(listing.missing_days(reading, 40)) >= 40 - 15


def test_the_oldest_transaction(reading: sa.Connection, url: str) -> None:
    with psycopg.connect(url, application_name="a report") as other:
        other.execute("select 1")

        def is_found() -> bool:
            reading.execute(sa.func.pg_stat_clear_snapshot().select())
            found = listing.oldest_transaction(reading)
            return found is not None and found.application == "a report"

        # Other tests may have older ones, for a moment, on a server that they share with this one.
        wait_until(is_found, "it is the oldest")


@pytest.fixture(scope="module")
def full(server_url: str, template: str) -> Iterator[str]:
    """Many jobs, with statistics."""
    for name in fresh(server_url, template):
        with psycopg.connect(name, autocommit=True) as connection:
            for columns, values in [
                ("queued_at", "now()"),
                ("status, run_at", "'scheduled', now()"),
                ("status, dead_at, dead_reason", "'dead', now() - i * interval '1 s', 'x'"),
            ]:
                connection.execute(
                    f"insert into v7.jobs (event_type_id, user_id, priority, event_data, {columns}) "
                    f"select i % 10, i, i % 3, '{{}}', {values} from generate_series(1, 10000) i"
                )
            connection.execute("vacuum analyze v7.jobs")
        yield name


@pytest.mark.fault(68)
@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda connection: glance(connection.exec_driver_sql), id="overview"),
        pytest.param(listing.types_page, id="types"),
        pytest.param(lambda connection: listing.why(connection, 10_000), id="why"),
        pytest.param(listing.series, id="series"),
        pytest.param(lambda connection: nodes(connection.exec_driver_sql), id="nodes"),
        pytest.param(lambda connection: listing.jobs_page(connection, Filter()), id="jobs"),
        pytest.param(lambda connection: listing.jobs_page(connection, Filter(), after=5000), id="jobs after"),
        pytest.param(lambda connection: listing.jobs_page(connection, Filter(user_id=-1)), id="jobs of a user"),
        pytest.param(lambda connection: listing.jobs_page(connection, Filter(error="x")), id="jobs by error"),
        pytest.param(lambda connection: listing.queue_page(connection, Filter(), after=5000), id="queue"),
        pytest.param(lambda connection: listing.queue_page(connection, Filter(event_type_id=3)), id="queue of a type"),
        pytest.param(lambda connection: listing.queue_page(connection, Filter(user_id=-1)), id="queue of a user"),
        pytest.param(
            lambda connection: listing.queue_page(connection, Filter(event_type_id=3, error="x"), after=5002),
            id="queue of a type by error",
        ),
        pytest.param(lambda connection: listing.dead_page(connection, after=25000), id="dead"),
        pytest.param(
            lambda connection: listing.dead_page(connection, Filter(error="no such"), after=25000), id="dead by error"
        ),
        pytest.param(lambda connection: listing.detail(connection, 5000), id="one"),
    ],
)
def test_no_listing_reads_the_whole_table(full: str, ask: Callable[[sa.Connection], Any]) -> None:
    """Except where a filter has no index. Small limits, as the tables are small for a planner."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    with pytest.MonkeyPatch.context() as patch, listing.reading(full) as connection:
        patch.setattr(counts, "COUNT_MAX", 100)
        patch.setattr(waits, "LOOKED_MAX", 100)
        patch.setattr(jobs, "LOOKED_MAX", 100)
        sa.event.listen(connection, "before_cursor_execute", note)
        ask(connection)
    with psycopg.connect(full) as plain:
        for statement, parameters in statements:
            plan = "\n".join(row[0] for row in plain.execute(f"explain {statement}", parameters))
            assert "Seq Scan on jobs" not in plan, f"{statement}\n{plan}"


def test_dead_letters_are_found_by_their_own_index(full: str) -> None:
    """Not by id, among all jobs that came since."""
    plans: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "last_error" in statement:
            with psycopg.connect(full) as plain:
                plans.append("\n".join(row[0] for row in plain.execute(f"explain {statement}", parameters)))

    with listing.reading(full) as connection:
        sa.event.listen(connection, "before_cursor_execute", note)
        listing.listed_page(connection, Filter(status="dead", error="no such", event_type_id=3))
    (plan,) = plans
    assert "Index Scan Backward using jobs_dead" in plan, plan


@pytest.fixture(scope="module")
def ended(server_url: str, template: str) -> Iterator[str]:
    """Many jobs that succeeded, with statistics, and none that was cancelled."""
    columns = "id, event_type_id, user_id, priority, event_data, correlation_id, position, attempt"
    for name in fresh(server_url, template):
        with psycopg.connect(name, autocommit=True) as connection:
            connection.execute(
                f"insert into v7.finished_jobs ({columns}, status, retry_count, suspect, created_at, finished_at) "
                "select i, i % 10, i, 0, '{}', 'c', i, 1, 'succeeded', 0, false, now(), now() "
                "from generate_series(1, 10000) i"
            )
            connection.execute("vacuum analyze v7.finished_jobs")
        yield name


def looked_at(plan: dict[str, Any]) -> float:
    """How many rows of tables a statement read."""
    own = 0.0
    if "Relation Name" in plan:
        own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return own + sum(looked_at(each) for each in plan.get("Plans", []))


@pytest.mark.fault(68)
@pytest.mark.parametrize("more", [{}, {"event_type_id": 3}, {"finished_from": LONG_AGO}], ids=["alone", "type", "time"])
@pytest.mark.parametrize("status", ["cancelled", "succeeded"])
def test_no_page_of_finished_jobs_looks_at_all(ended: str, status: str, more: dict[str, Any]) -> None:
    looked: list[float] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        with psycopg.connect(ended) as plain:
            ((found,),) = plain.execute(f"explain (analyze, format json) {statement}", parameters).fetchall()
        looked.append(looked_at(found[0]["Plan"]))

    with pytest.MonkeyPatch.context() as patch, listing.reading(ended) as connection:
        patch.setattr(jobs, "LOOKED_MAX", 300)
        sa.event.listen(connection, "before_cursor_execute", note)
        page = listing.listed_page(connection, Filter(status=status, **more))
    assert page.next_after == {"cancelled": 9_701}.get(status, page.next_after)
    assert len(page.jobs) == (20 if status == "succeeded" else 0)
    assert looked and max(looked) <= 310, looked
