"""v7.enqueue_many: many events in by one statement, in the caller's transaction."""

import json

import psycopg
import pytest

from v7_task_processor import database
from v7_task_processor.queue import FIRST, LAST, Connection
from v7_task_processor.web.receive import REQUEST_ID_CHARS_MAX

from ..support import heard_until, one, rows, take, worker

EVENT = {"event_type_id": 1, "user_id": 2, "priority": 3, "event_data": {"a": 1}}


async def enqueue_many(connection: Connection, events: object) -> list[int]:
    found = await rows(
        connection, "select v7.enqueue_many(%s)", events if isinstance(events, str) else json.dumps(events)
    )
    return [job_id for (job_id,) in found]


async def test_many_are_like_as_many_single_ones(connection: Connection) -> None:
    text = '[{"event_type_id": 1, "user_id": 2, "priority": 3, "event_data": {"a": 1e5,  "a": 2}}]'
    (many,) = await enqueue_many(connection, text)
    ((single,),) = await rows(connection, """select v7.enqueue(1, 2, 3, '{"a": 1e5,  "a": 2}')""")
    columns = (
        "event_type_id, user_id, priority, event_data::text, status, attempt, retry_count, max_retries, suspect, "
        "run_at, queued_at = created_at, length(correlation_id), traceparent, tracestate"
    )
    assert await one(connection, columns, many) == await one(connection, columns, single)


async def test_ids_and_turns_are_in_the_order_of_the_array(connection: Connection) -> None:
    ids = await enqueue_many(connection, [{**EVENT, "user_id": number} for number in range(2000)])
    assert ids == sorted(ids)
    assert await rows(connection, "select id, user_id from v7.jobs order by position") == list(
        zip(ids, range(2000), strict=True)
    )
    taken = await take(connection, await worker(connection), batch=100)
    assert [job.id for job in taken] == ids[:100]


async def test_all_that_an_event_may_have(connection: Connection) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    later, past, traced, odd = await enqueue_many(
        connection,
        [
            {**EVENT, "run_at": "2999-01-01T00:00:00Z", "max_retries": 0, "correlation_id": "mine"},
            {**EVENT, "run_at": "2001-01-01T00:00:00Z"},
            {**EVENT, "traceparent": trace, "tracestate": "a=b"},
            {**EVENT, "traceparent": "none", "tracestate": "a=b"},
        ],
    )
    columns = "status, queued_at is null, run_at is null, max_retries, correlation_id = 'mine'"
    assert await one(connection, columns, later) == ("scheduled", True, False, 0, True)
    assert await one(connection, columns, past) == ("queued", False, True, None, False)
    assert await one(connection, "traceparent, tracestate", traced) == (trace, "a=b")
    assert await one(connection, "traceparent, tracestate", odd) == (None, None)


async def test_a_correlation_id_is_cut_as_by_http(connection: Connection) -> None:
    (job_id,) = await enqueue_many(connection, [{**EVENT, "correlation_id": "é" * 3_000_000}])
    assert await one(connection, "correlation_id", job_id) == ("é" * REQUEST_ID_CHARS_MAX,)


@pytest.mark.parametrize("event_data", ["null", "[]", '"text"', "0", "true", '{"\\u0041": null}'])
async def test_every_event_data_is_kept_as_it_was_sent(connection: Connection, event_data: str) -> None:
    text = json.dumps([{**EVENT, "event_data": "HERE"}]).replace('"HERE"', event_data)
    (job_id,) = await enqueue_many(connection, text)
    assert await one(connection, "event_data::text", job_id) == (event_data,)


@pytest.mark.parametrize(
    "event_data",
    [
        r'"\u0000"',
        r'{"a\u0000b": [1e5, "\ud800"],  "a\u0000b": "\ud83d\ude00"}',
        r'["\\u0041", "\\\u0000\\", "\"\\\"\\\\", "\n\/\\/\u005c\\n\\\\u005c"]',
    ],
)
async def test_what_postgres_cannot_take_apart_is_kept_as_it_was_sent(connection: Connection, event_data: str) -> None:
    plain, trap = json.dumps({**EVENT, "event_data": "x", "correlation_id": "\\u é \\ 😀"}), json.dumps(EVENT)
    trap = trap.replace('{"a": 1}', event_data)
    first, second, third = await enqueue_many(connection, f"[{plain}, {trap}, {plain}]")
    assert await one(connection, "event_type_id, user_id, priority, event_data::text", second) == (1, 2, 3, event_data)
    for job_id in (first, third):
        assert await one(connection, "event_data::text, correlation_id", job_id) == ('"x"', "\\u é \\ 😀")


@pytest.mark.parametrize("name", ["correlation_id", "traceparent", "x\\u0000"])
async def test_it_is_refused_where_it_stands_elsewhere(connection: Connection, name: str) -> None:
    trap = json.dumps([EVENT, {**EVENT, name: "HERE"}]).replace("HERE", r"\u0000").replace(r"\\u", r"\u")
    with pytest.raises(psycopg.DataError, match=r"^events\[1\]"):
        await connection.execute("select v7.enqueue_many(%s)", [trap])
    assert await rows(connection, "select count(*) from v7.jobs") == [(0,)]


async def test_limits_of_its_numbers(connection: Connection) -> None:
    extremes = [{**EVENT, **dict.fromkeys(("event_type_id", "user_id", "priority"), n)} for n in (FIRST, LAST)]
    await enqueue_many(connection, extremes)
    found = await rows(connection, "select event_type_id, user_id, priority from v7.jobs order by id")
    assert found == [(FIRST,) * 3, (LAST,) * 3]


async def test_none_are_none(connection: Connection) -> None:
    assert await enqueue_many(connection, []) == []


@pytest.mark.parametrize(
    ("events", "says"),
    [
        (None, "events is null: it must be a JSON array of objects"),
        ({"event_type_id": 1}, "events is object: it must be a JSON array of objects"),
        ([EVENT, 7], r"events\[1\] is number: it must be an object"),
        ([{**EVENT, "event_data": "\0"}, []], r"^events\[1\] is array: it must be an object"),
        ([None], r"^events\[0\] is null: it must be an object"),
        ([{**EVENT, "idempotency_key": "k"}], r'events\[0\] has "idempotency_key": it may have event_type_id, '),
        ([EVENT, {**EVENT, "prio\n": 1}], r'events\[1\] has "prio\\n": '),
        ([{name: EVENT[name] for name in EVENT if name != "user_id"}], '^null value in column "user_id"'),
        ([EVENT, {name: EVENT[name] for name in EVENT if name != "event_data"}], r'^events\[1\]: null .* "event_data"'),
        ([EVENT, EVENT, {**EVENT, "priority": 1.5}, EVENT], r'^events\[2\]: .* type bigint: "1.5"'),
        ([EVENT, {**EVENT, "priority": "3"}], r'^events\[1\] has "priority" as text: it must be a number'),
        ([{**EVENT, "max_retries": "3"}], r'^events\[0\] has "max_retries" as text: it must be a number'),
        ([EVENT, {**EVENT, "user_id": "3", "event_data": "\0"}], r'^events\[1\] has "user_id" as text'),
        ([{**EVENT, "priority": LAST + 1}, EVENT], r"^events\[0\]: .* out of range for type bigint"),
        ([EVENT, {**EVENT, "max_retries": -1}], r"^events\[1\]: .*jobs_counts"),
        ([{**EVENT, "run_at": "infinity"}], "jobs_run_at_is_in_reach"),
    ],
)
async def test_one_that_cannot_be_means_none_at_all(connection: Connection, events: object, says: str) -> None:
    given = None if events is None else json.dumps(events)
    with pytest.raises((psycopg.DataError, psycopg.IntegrityError), match=says):
        await connection.execute("select v7.enqueue_many(%s)", [given])
    assert await rows(connection, "select count(*) from v7.jobs") == [(0,)]


async def test_workers_are_woken_once_and_only_for_what_can_run(connection: Connection, database_url: str) -> None:
    async with await database.connect(database_url) as listener:
        await listener.execute("listen v7")
        await enqueue_many(connection, [])
        await enqueue_many(connection, [{**EVENT, "run_at": "2999-01-01T00:00:00Z"}])
        assert await heard_until(listener, connection, "nothing can run") == []
        await enqueue_many(connection, [{**EVENT, "run_at": "2999-01-01T00:00:00Z"}, EVENT, EVENT])
        assert await heard_until(listener, connection, "end") == ["jobs"]
