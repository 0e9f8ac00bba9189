"""v7.enqueue: events in by SQL, in the caller's transaction."""

import datetime as dt

import psycopg
import pytest

from v7_task_processor import database, queue
from v7_task_processor.queue import FIRST, LAST, Connection
from v7_task_processor.web.ingest import digest
from v7_task_processor.web.receive import REQUEST_ID_CHARS_MAX

from ..support import event, heard_until, one, rows, take_one, worker


async def enqueue(connection: Connection, more: str = "", *values: object) -> int:
    ((job_id,),) = await rows(connection, f"select v7.enqueue(1, 2, 3, '{{\"a\": 1e5}}'{more})", *values)
    return int(job_id)


async def test_an_event_by_sql_is_like_any_other(connection: Connection) -> None:
    job_id = await enqueue(connection)
    columns = "event_type_id, user_id, priority, event_data::text, status, attempt, max_retries, queued_at = created_at"
    assert await one(connection, columns, job_id) == (1, 2, 3, '{"a": 1e5}', "queued", 0, None, True)
    assert await one(connection, "length(correlation_id)", job_id) == (36,)


async def test_limits_of_its_numbers(connection: Connection) -> None:
    for number in (FIRST, LAST):
        await connection.execute("select v7.enqueue(%s::bigint, %s::bigint, %s::bigint, '0')", [number] * 3)
    found = await rows(connection, "select event_type_id, user_id, priority from v7.jobs order by id")
    assert found == [(FIRST,) * 3, (LAST,) * 3]


async def test_its_own_correlation_id_and_max_retries_stand(connection: Connection) -> None:
    job_id = await enqueue(connection, ", correlation_id => 'mine', max_retries => 0")
    assert await one(connection, "correlation_id, max_retries", job_id) == ("mine", 0)
    assert (await take_one(connection, await worker(connection))).max_retries == 0


@pytest.mark.parametrize("more", ["", ", run_at => now() + interval '1 hour'"])
async def test_a_correlation_id_is_cut_as_by_http(connection: Connection, more: str) -> None:
    """Whole it would come back with each listing, and count in no worker's memory."""
    job_id = await enqueue(connection, f"{more}, correlation_id => repeat('é', 3000000)")
    assert await one(connection, "correlation_id", job_id) == ("é" * REQUEST_ID_CHARS_MAX,)


async def test_a_time_to_come_schedules_and_a_time_past_queues(connection: Connection) -> None:
    later = await enqueue(connection, ", run_at => now() + interval '1 hour'")
    assert await one(connection, "status, run_at - created_at, queued_at", later) == (
        "scheduled",
        dt.timedelta(hours=1),
        None,
    )
    for past in ("now()", "now() - interval '1 second'", "'-infinity'", "null"):
        assert await one(connection, "status, run_at", await enqueue(connection, f", run_at => {past}")) == (
            "queued",
            None,
        )


async def test_a_key_makes_it_repeatable(connection: Connection) -> None:
    job_id = await enqueue(connection, ", idempotency_key => 'k'")
    assert await enqueue(connection, ", idempotency_key => 'k'") == job_id
    with pytest.raises(psycopg.errors.UniqueViolation, match=f"'k' was used for another event, which is job {job_id}"):
        await connection.execute("select v7.enqueue(1, 2, 4, '1', idempotency_key => 'k')")
    assert await rows(connection, "select id from v7.jobs") == [(job_id,)]


async def test_a_key_means_the_same_by_sql_and_by_http(connection: Connection) -> None:
    sent = event(3, 1, user_id=2, event_data='{"ä": 1e5}', key="k")
    sent = sent._replace(digest=digest(sent))
    ((by_http, _),) = await queue.enqueue_once(connection, [sent])
    statement = "select v7.enqueue(1, 2, %s, %s, idempotency_key => %s)"
    assert await rows(connection, statement, 3, sent.event_data, "k") == [(by_http,)]
    ((by_sql,),) = await rows(connection, statement, 3, sent.event_data, "other")
    assert await queue.enqueue_once(connection, [sent._replace(key="other")]) == [(by_sql, True)]
    another = sent._replace(key="other", digest=digest(sent._replace(priority=4)))
    assert await queue.enqueue_once(connection, [another]) == [(by_sql, False)]


async def test_workers_are_woken_by_the_commit_and_not_before(connection: Connection, database_url: str) -> None:
    async with await database.connect(database_url) as listener, await database.connect(database_url) as sender:
        await listener.execute("listen v7")
        await sender.execute("begin")
        await enqueue(sender)
        await enqueue(sender)
        assert await heard_until(listener, connection, "not yet") == []
        await sender.execute("commit")
        assert await heard_until(listener, connection, "now") == ["jobs"]
        await enqueue(sender, ", run_at => now() + interval '1 hour'")
        assert await heard_until(listener, connection, "scheduled ones wake nobody") == []
        await queue.wake(sender)
        assert await heard_until(listener, connection, "end") == ["jobs"]


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("more", ["", ", run_at => now() + interval '1 hour'"])
async def test_a_trace_is_kept_with_the_job(connection: Connection, more: str) -> None:
    job_id = await enqueue(connection, f"{more}, traceparent => %s, tracestate => %s", TRACE, "a=1")
    assert await one(connection, "traceparent, tracestate", job_id) == (TRACE, "a=1")


@pytest.mark.parametrize(
    ("trace", "state", "kept"),
    [(TRACE.upper(), "a=1", (None, None)), ("x", None, (None, None)), (TRACE, "a" * 513, (TRACE, None))],
)
async def test_what_is_no_trace_is_left_out(
    connection: Connection, trace: str, state: str | None, kept: tuple[str | None, ...]
) -> None:
    job_id = await enqueue(connection, ", traceparent => %s, tracestate => %s", trace, state)
    assert await one(connection, "traceparent, tracestate", job_id) == kept


async def test_there_is_one_function_of_its_name(connection: Connection) -> None:
    """With two a call with few arguments would be ambiguous."""
    assert await rows(connection, "select count(*) from pg_proc where proname = 'enqueue'") == [(1,)]
