"""sql/claim.sql and claim_suspect.sql: the best queued jobs, for a registered worker."""

import math

import pytest

from v7_task_processor import database, queue
from v7_task_processor.queue import BEGINNING, FIRST, LAST, Connection, Frontier, Served

from ..support import EVERYTHING, add, event, one, rows, take, take_one, worker

NOTHING = Served(False, [], [], {}, 5)


async def test_a_claim_takes_the_best_first_and_the_earliest_of_equals(connection: Connection) -> None:
    priorities = [5, LAST, -1, 5, FIRST, 0, -1, FIRST]
    ids = await queue.enqueue(connection, [event(priority) for priority in priorities])
    expected = [job_id for _, job_id in sorted(zip(priorities, ids, strict=True))]
    worker_id = await worker(connection)
    assert [job.id for job in await take(connection, worker_id, 3)] == expected[:3]
    assert [job.id for job in await take(connection, worker_id, 100)] == expected[3:]
    assert await take(connection, worker_id) == []


async def test_a_claim_takes_no_more_than_so_many_bytes_and_says_so(connection: Connection) -> None:
    large = '"' + 10_000 * "x" + '"'
    ids = await queue.enqueue(connection, [event(event_data=text) for text in ("1", large, "2", large, "3")])
    worker_id = await worker(connection)

    async def claim(bytes_max: int, batch: int = 10) -> tuple[list[int], bool]:
        taken = await queue.claim(connection, worker_id, batch, BEGINNING, EVERYTHING, bytes_max)
        return [job.id for job in taken.jobs], taken.more

    assert await claim(1) == (ids[:1], True)
    assert await claim(10_003) == (ids[1:3], True)
    assert await claim(1) == (ids[3:4], True), "one job, however long it is"
    assert await claim(1_000_000) == (ids[4:], False)


async def test_what_a_claim_leaves_for_its_length_it_has_not_read(connection: Connection) -> None:
    large = 10 * 8192
    await connection.execute("alter table v7.jobs alter event_data set storage external")  # as what does not compress
    await queue.enqueue(connection, [event(event_data=f'"{large * "x"}"') for _ in range(20)])
    worker_id = await worker(connection)

    async def blocks() -> int:
        await connection.execute("select pg_stat_force_next_flush()")
        ((count,),) = await rows(connection, "select toast_blks_hit + toast_blks_read from pg_statio_user_tables "
                                 "where relid = 'v7.jobs'::regclass")  # fmt: skip
        return int(count)

    before = await blocks()
    taken = await queue.claim(connection, worker_id, 20, BEGINNING, EVERYTHING, 1)
    assert len(taken.jobs) == 1
    assert 0 < await blocks() - before < 2 * large / 8192, "one was read, of twenty"


async def test_what_is_taken_runs_under_its_worker(connection: Connection) -> None:
    (job_id,) = await add(connection)
    (position,) = await one(connection, "position", job_id)
    worker_id = await worker(connection)
    await take(connection, worker_id)
    columns = "status, worker_id, attempt, claimed_at >= created_at, retry_count, position"
    assert await one(connection, columns, job_id) == ("running", worker_id, 1, True, 0, position)
    await queue.release(connection, worker_id, [(job_id, 1)])
    assert (await take_one(connection, worker_id)).attempt == 2


async def test_a_handler_is_given_the_event_to_the_letter(connection: Connection) -> None:
    text = '{"a": "\\u0000\\ud800", "b": 123456789012345678901234567890, "c": 1E5, "c": -0.0, "ж": "语"}'
    sent = event(-3, 8, user_id=-9, event_data=text, correlation_id="c-1")
    (job_id,) = await queue.enqueue(connection, [sent])
    job = await take_one(connection, await worker(connection))
    created_at = (await one(connection, "created_at", job_id))[0]
    assert (job.id, job.attempt, job.event_type_id, job.user_id, job.priority) == (job_id, 1, 8, -9, -3)
    assert (job.event_json, job.retry_count, job.max_retries, job.correlation_id) == (text, 0, 5, "c-1")
    assert job.created_at == created_at


@pytest.mark.parametrize("by", ["claim", "claim_limited", "claim_suspect"])
@pytest.mark.parametrize("time", ["infinity", "-infinity", "200000-01-01", "4000-01-01 BC"])
async def test_times_that_python_does_not_have_stop_no_claim(connection: Connection, time: str, by: str) -> None:
    first, second = await add(connection, 2)
    await connection.execute("update v7.jobs set created_at = %s, queued_at = %s where id = %s", [time, time, first])
    worker_id = await worker(connection)
    if by == "claim_suspect":
        await connection.execute("update v7.jobs set suspect = true")
        one_by_one = [await queue.claim_suspect(connection, worker_id, EVERYTHING) for _ in (first, second)]
        claim = one_by_one[0]._replace(jobs=[job for each in one_by_one for job in each.jobs])
    elif by == "claim_limited":
        claim = await queue.claim_limited(connection, worker_id, 10, BEGINNING, EVERYTHING, frozenset())
    else:
        claim = await queue.claim(connection, worker_id, 10, BEGINNING, EVERYTHING)
    assert [job.id for job in claim.jobs] == [first, second]
    assert all(0 <= job._waited_seconds < math.inf for job in claim.jobs), "it goes into sums that only grow"
    assert (await one(connection, "created_at", second))[0] == claim.jobs[1].created_at
    with pytest.raises((ValueError, OverflowError)):
        _ = claim.jobs[0].created_at


async def test_a_worker_that_is_not_registered_takes_nothing_and_is_told(connection: Connection) -> None:
    await add(connection)
    worker_id = await worker(connection)
    await queue.unregister(connection, [worker_id])
    for claim in (
        await queue.claim(connection, worker_id, 10, BEGINNING, EVERYTHING),
        await queue.claim_suspect(connection, worker_id, EVERYTHING),
    ):
        assert (claim.registered, claim.jobs) == (False, [])
    assert await rows(connection, "select status, attempt from v7.jobs") == [("queued", 0)]


async def test_the_answer_tells_where_the_sequence_stands(connection: Connection) -> None:
    await add(connection, 3)
    claim = await queue.claim(connection, await worker(connection), 2, BEGINNING, EVERYTHING)
    positions = [position for (position,) in await rows(connection, "select position from v7.jobs order by 1")]
    assert [job._position for job in claim.jobs] == positions[:2]
    assert (claim.registered, claim.last_position) == (True, positions[2])


async def test_the_first_event_of_a_new_database_is_newer_than_where_it_stood_before(connection: Connection) -> None:
    await connection.execute("alter sequence v7.position restart")  # other tests have asked it
    worker_id = await worker(connection)
    asked = await queue.last_position(connection)
    assert (await queue.claim(connection, worker_id, 1, BEGINNING, EVERYTHING)).last_position == asked
    ids = await queue.enqueue(connection, [event(), event()])
    found = await queue.claim(connection, worker_id, 10, Frontier(LAST, LAST, asked), EVERYTHING)
    assert [job.id for job in found.jobs] == ids


@pytest.mark.parametrize("frontier", [BEGINNING, Frontier(1, 0, -1), Frontier(0, 0, 0)])
async def test_rows_that_others_hold_are_passed_over(
    connection: Connection, database_url: str, frontier: Frontier
) -> None:
    ids = await add(connection, 4)
    worker_id = await worker(connection)
    await connection.execute("set lock_timeout = '5s'")
    async with await database.connect(database_url) as other:
        await other.execute("begin")
        await take(other, worker_id, 2)
        claim = await queue.claim(connection, worker_id, 10, frontier, EVERYTHING)
        assert [job.id for job in claim.jobs] == ids[2:]
        await other.execute("rollback")
    assert [job.id for job in await take(connection, worker_id)] == ids[:2]


@pytest.mark.parametrize(
    ("state", "served", "taken"),
    [
        ("user_id = 1", EVERYTHING, True),
        ("user_id = 1", EVERYTHING._replace(closed_types=[1, 3]), False),
        ("user_id = 1", EVERYTHING._replace(closed_types=[2]), True),
        ("user_id = 1", NOTHING, False),
        ("user_id = 1", NOTHING._replace(open_types=[2, 3]), False),
        ("user_id = 1", NOTHING._replace(open_types=[1, 2]), True),
        ("user_id = 1", NOTHING._replace(open_types=[1, 2], closed_types=[1]), False),
        ("suspect = true", EVERYTHING, False),
        ("status = 'scheduled', run_at = now() - interval '1 hour'", EVERYTHING, False),
        ("status = 'running', worker_id = 1", EVERYTHING, False),
        ("status = 'dead', dead_at = now(), dead_reason = 'x'", EVERYTHING, False),
    ],
)
async def test_only_what_may_run_here_is_taken(connection: Connection, state: str, served: Served, taken: bool) -> None:
    ids = await add(connection)
    await connection.execute(f"update v7.jobs set {state}".encode())
    found = await take(connection, await worker(connection), served=served)
    assert [job.id for job in found] == (ids if taken else [])


async def test_a_suspect_is_taken_alone_and_by_nobody_else(connection: Connection) -> None:
    innocent, *suspects = await add(connection, 4)
    await connection.execute("update v7.jobs set suspect = true where id <> %s", [innocent])
    await connection.execute("update v7.jobs set priority = -1 where id = %s", [suspects[2]])
    worker_id = await worker(connection)
    assert (await queue.claim_suspect(connection, worker_id, EVERYTHING._replace(closed_types=[1]))).jobs == []
    assert (await queue.claim_suspect(connection, worker_id, NOTHING)).jobs == []
    for expected in (suspects[2], suspects[0], suspects[1]):
        claim = await queue.claim_suspect(connection, worker_id, EVERYTHING)
        assert [(job.id, job.attempt) for job in claim.jobs] == [(expected, 1)]
        assert claim.registered
    assert (await queue.claim_suspect(connection, worker_id, EVERYTHING)).jobs == []
    assert await one(connection, "status", innocent) == ("queued",)


@pytest.mark.parametrize("suspect", [False, True])
@pytest.mark.parametrize(
    ("senders", "event_type_id", "expected"), [(None, 1, 7), (None, 2, 0), (None, 3, 5), (9, 1, 9), (0, 1, 0)]
)
async def test_the_senders_limit_of_failures_holds_then_the_handlers_then_the_default(
    connection: Connection, suspect: bool, senders: int | None, event_type_id: int, expected: int
) -> None:
    (job_id,) = await add(connection, event_type_id=event_type_id)
    await connection.execute("update v7.jobs set max_retries = %s, suspect = %s", [senders, suspect])
    served = EVERYTHING._replace(type_limits={1: 7, 2: 0})
    worker_id = await worker(connection)
    if suspect:
        (job,) = (await queue.claim_suspect(connection, worker_id, served)).jobs
    else:
        job = await take_one(connection, worker_id, served)
    assert job.max_retries == expected
    assert await one(connection, "max_retries", job_id) == (expected,)
    await queue.release(connection, worker_id, [(job.id, job.attempt)])
    await connection.execute("update v7.jobs set suspect = false")
    assert (await take_one(connection, worker_id, served._replace(type_limits={1: 1, 2: 1}))).max_retries == expected


async def test_a_claim_says_how_long_each_had_been_runnable(connection: Connection) -> None:
    first, second, third = await add(connection, 3)
    worker_id = await worker(connection)
    await connection.execute("update v7.jobs set queued_at = now() - interval '90 s' where id = %s", [first])
    await connection.execute("update v7.jobs set queued_at = null where id = %s", [second])
    await connection.execute("update v7.jobs set suspect = true where id = %s", [third])
    claim = await queue.claim(connection, worker_id, 10, BEGINNING, EVERYTHING)
    assert [job.id for job in claim.jobs] == [first, second]
    assert 90 <= claim.jobs[0]._waited_seconds < 150
    assert claim.jobs[1]._waited_seconds == 0
    alone = await queue.claim_suspect(connection, worker_id, EVERYTHING)
    assert [job.id for job in alone.jobs] == [third]
    assert 0 <= alone.jobs[0]._waited_seconds < 60
