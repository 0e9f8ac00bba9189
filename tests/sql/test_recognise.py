"""sql/recognise.sql: nothing is given out twice, wherever the database stands."""

import asyncio
import uuid

import pytest
import structlog
from psycopg import sql
from psycopg.errors import LockNotAvailable

from v7_task_processor import database, maintenance, queue
from v7_task_processor.observability import telemetry
from v7_task_processor.queue import Change, Connection

from ..support import add, node, rows, until_waiting

ELSEWHERE = "update v7.server set timeline = timeline - 1"
SEQUENCES = (
    *("v7.jobs_id_seq", "v7.position", "v7.workers_id_seq", "v7.failures_id_seq"),
    *("v7.operations_id_seq", "v7.audit_id_seq"),
)


async def stand(connection: Connection) -> list[int]:
    return [(await rows(connection, f"select last_value from {name}"))[0][0] for name in SEQUENCES]


@pytest.fixture(autouse=True)
async def seen(connection: Connection) -> None:
    """The server is known; no other test's node has beat here."""
    await connection.execute("update v7.server set system_identifier = null, timeline = null, seen_at = now()")
    assert await queue.recognise(connection) is None


async def test_the_same_server_is_nothing_new(connection: Connection) -> None:
    before = await stand(connection)
    written = await rows(connection, "select xmin from v7.server")
    for _ in range(3):
        assert await queue.recognise(connection) is None
    assert await stand(connection) == before
    assert await rows(connection, "select xmin from v7.server") == written


@pytest.mark.parametrize(
    ("elsewhere", "same_system"), [(ELSEWHERE, True), ("update v7.server set system_identifier = 7", False)]
)
async def test_another_timeline_or_system_advances_everything_once(
    connection: Connection, elsewhere: str, same_system: bool
) -> None:
    last = (await add(connection))[0]
    await connection.execute(elsewhere)
    before = await stand(connection)
    change = await queue.recognise(connection)
    assert change is not None
    assert change.same_system is same_system
    assert 1_000_000 <= change.jump < 2_000_000
    assert [after - earlier for after, earlier in zip(await stand(connection), before, strict=True)] >= [
        change.jump
    ] * 4
    assert (await add(connection))[0] > last + 1_000_000
    assert await queue.recognise(connection) is None


async def test_two_at_once_do_it_once(connection: Connection, database_url: str) -> None:
    await connection.execute(ELSEWHERE)
    async with await database.connect(database_url) as other:
        async with connection.transaction():
            assert isinstance(await queue.recognise(connection), Change)
            second = asyncio.create_task(queue.recognise(other))
            async with await database.connect(database_url) as observer:
                await until_waiting(observer, other)
            jumped = await stand(connection)
        assert await second is None
    assert await stand(connection) == jumped


async def test_it_jumps_over_the_time_that_nobody_was_heard_in(connection: Connection) -> None:
    """A restore of yesterday has lost a day of ids."""
    await node(connection)
    await connection.execute("update v7.workers set heartbeat_at = now() - interval '1 day'")
    await connection.execute(f"{ELSEWHERE}, seen_at = now() - interval '1 year'")
    change = await queue.recognise(connection)
    assert change is not None
    assert change.jump == pytest.approx(1_000_000 + 86_400 * 20_000, abs=60 * 20_000)


async def test_a_clock_that_went_back_does_not_take_the_sequences_along(connection: Connection) -> None:
    await connection.execute(f"{ELSEWHERE}, seen_at = now() + interval '1 day'")
    change = await queue.recognise(connection)
    assert change is not None
    assert change.jump == 1_000_000


async def test_it_is_told_once(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(telemetry, "_subscribers", [lambda event, fields: told.append(event)])
    await connection.execute(ELSEWHERE)
    for _ in range(2):
        await maintenance.recognise(connection)
    assert told == ["server.changed"]


async def test_who_may_not_look_says_so_once_and_goes_on(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "unrecognised", set())
    role = sql.Identifier(f"v7_test_{uuid.uuid4().hex[:8]}")
    await connection.execute(sql.SQL("create role {}").format(role))
    try:
        await connection.execute(sql.SQL("grant usage on schema v7 to {}").format(role))
        await connection.execute(sql.SQL("set role {}").format(role))
        with structlog.testing.capture_logs() as logged:
            for _ in range(3):
                await maintenance.recognise(connection)
        assert [line["log_level"] for line in logged] == ["warning"]
        assert "ids may repeat" in logged[0]["event"]
    finally:
        await connection.execute("reset role")
        await connection.execute(sql.SQL("drop owned by {}").format(role))
        await connection.execute(sql.SQL("drop role {}").format(role))


async def test_a_server_that_is_busy_is_not_used_unseen(connection: Connection, database_url: str) -> None:
    await connection.execute(ELSEWHERE)
    async with await database.connect(database_url, {"lock_timeout": "50ms"}) as other, connection.transaction():
        await queue.recognise(connection)
        with pytest.raises(LockNotAvailable):
            await maintenance.recognise(other)
