"""Batches and their commits: whom one bad row harms, and what is known of each."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from v7_task_processor import database
from v7_task_processor.observability import telemetry
from v7_task_processor.queue import Connection
from v7_task_processor.web import batches
from v7_task_processor.web.batches import CUT_CHARS_MAX, CUT_EVENTS_MAX, cuts
from v7_task_processor.web.outcome import BUSY, of_batch

from ..support import event
from .management.support import problem
from .support import Api, body, proxied, rows, serving
from .test_ingest import LOCK, blocked
from .test_receive_batch import COUNT, PATH, is_refusal, lines, sent

NOT_KNOWN = "It is not known whether the batch was added, because the database did not confirm it; "


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Api]:
    """A server whose connection for batches is there: a transaction sees no backend that came after its first look."""
    async with serving(url) as api:
        assert (await sent(api, lines("0"))).status_code == 200
        yield api


def test_a_batch_is_cut_by_events_and_by_characters() -> None:
    """To make a statement's arrays holds the event loop: none may have more than so many."""
    assert list(cuts([])) == []
    assert list(cuts([event()])) == [(0, 1)]
    many = list(cuts([event()] * (2 * CUT_EVENTS_MAX + 1)))
    assert many == [(0, 500), (500, 1000), (1000, 1001)]
    half = event(event_data="x" * (CUT_CHARS_MAX // 2))
    assert list(cuts([half] * 5)) == [(0, 2), (2, 4), (4, 5)]
    huge = event(event_data="x" * (3 * CUT_CHARS_MAX))
    assert list(cuts([event(), huge, huge, event()])) == [(0, 1), (1, 2), (2, 3), (3, 4)]


LUCKY = "alter table v7.jobs add constraint lucky check (user_id <> 13)"
REFUSED = "The event could not be added: the database refuses it (new row for relation"


async def unlucky(url: str, count: int, thirteenth: Callable[[int], bool]) -> bytes:
    async with await database.connect(url) as connection:
        await connection.execute(LUCKY)
    return b"\n".join(body(str(n), user_id=13 if thirteenth(n) else 1) for n in range(count))


@pytest.mark.fault(48)
async def test_a_row_that_postgres_refuses_keeps_all_out(own_database_url: str) -> None:
    content = await unlucky(own_database_url, 1_200, lambda n: n in (777, 900))
    async with serving(own_database_url) as api:
        for headers in ({}, {"idempotency_key": "k"}):
            answer = await sent(api, content, **headers)
            assert problem(answer, 500).startswith(
                "The event could not be added: line 778: the database refuses it (new row for"
            )
            assert rows(own_database_url, COUNT) == [(0,)]
            assert rows(own_database_url, "select count(*) from v7.idempotency_keys") == [(0,)]
        assert (await sent(api, lines("1"))).status_code == 200


@pytest.mark.fault(48)
async def test_partial_leaves_out_the_rows_that_postgres_refuses(own_database_url: str) -> None:
    content = await unlucky(own_database_url, 1_200, lambda n: n in (0, 777, 778, 1_199))
    async with serving(own_database_url) as api:
        first = (await sent(api, b"{}\n" + content, "?partial=true", idempotency_key="k")).json()["results"]
        errors = {place: each["error"] for place, each in enumerate(first) if "error" in each}
        assert list(errors) == [0, 1, 778, 779, 1_200]
        assert all(errors[place].startswith(REFUSED) for place in (1, 778, 779, 1_200))
        assert rows(own_database_url, COUNT) == [(1_196,)]
        again = await sent(api, b"{}\n" + content, "?partial=true", idempotency_key="k")
        assert again.json()["results"] == first
    assert rows(own_database_url, COUNT) == [(1_196,)]
    ids = [each["id"] for each in first if "id" in each]
    assert ids == [row[0] for row in rows(own_database_url, "select id from v7.jobs order by event_data::text::int")]


async def test_a_partial_batch_with_too_many_refused_rows_is_given_up(
    own_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "REFUSALS_MAX", 3)
    content = await unlucky(own_database_url, 40, lambda n: n % 10 == 5)
    async with serving(own_database_url) as api:
        answer = await sent(api, content, "?partial=true")
    assert problem(answer, 500).startswith(
        "The event could not be added: line 36: the database refuses it (new row for relation"
    )
    assert rows(own_database_url, COUNT) == [(0,)]


@pytest.mark.fault(26)
async def test_the_answer_to_the_commit_of_a_batch_is_lost(database_url: str) -> None:
    """It is there, and its sender cannot be told so. Sent again under its key, it is found."""
    content = lines(*map(str, range(700)))
    async with proxied(database_url) as (proxy, through), serving(through) as api:
        proxy.marker = b"COMMIT"
        answer = await sent(api, content, idempotency_key="k")
        safe = NOT_KNOWN + "sending it again with the same Idempotency-Key is safe."
        assert is_refusal(answer, 500, safe)
        assert rows(database_url, COUNT) == [(700,)]
        again = await sent(api, content, idempotency_key="k")
        assert again.json()["ids"] == [row[0] for row in rows(database_url, "select id from v7.jobs order by position")]

        proxy.marker = b"COMMIT"
        answer = await sent(api, content, "?partial=true")
        assert problem(answer, 500).startswith(NOT_KNOWN + "sending it again may add it twice")
        assert (await sent(api, lines("1"))).status_code == 200
    assert rows(database_url, COUNT) == [(1_401,)]


async def test_the_database_goes_in_the_middle_of_a_batch(database_url: str, connection: Connection) -> None:
    async with connected(database_url) as api:
        linked = api.ingest.batches.committer.link.connection
        assert linked is not None
        async with connection.transaction():
            await connection.execute(LOCK)
            posting = asyncio.create_task(sent(api, lines(*map(str, range(700)))))
            await blocked(connection)
            await connection.execute("select pg_terminate_backend(%s)", [linked.info.backend_pid])
            answer = await posting
        assert problem(answer, 500).startswith(NOT_KNOWN)
        assert answer.json()["type"] == "urn:v7:problem:not-known"
        assert (await sent(api, lines("1"))).status_code == 200
    assert rows(database_url, COUNT) == [(2,)]


async def test_the_database_is_away(database_url: str) -> None:
    async with proxied(database_url) as (proxy, through), serving(through) as api:
        await proxy.stop()
        answer = await sent(api, body())
        sentence = "The batch could not be added, because the database is not available; send it again."
        assert is_refusal(answer, 500, sentence)
        await proxy.start_again()
        while (await sent(api, body())).status_code != 200:
            await asyncio.sleep(0.05)
    assert rows(database_url, COUNT) == [(1,)]


@pytest.mark.fault(58)
async def test_a_client_that_leaves_in_the_middle(database_url: str, connection: Connection) -> None:
    """Of its body: nothing is added. Of the commit: the batch is added all the same."""
    async with connected(database_url) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        head = (
            f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ncontent-length: 100000\r\n\r\n"
        )
        writer.write(head.encode() + body() + b"\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert await reader.read() == b""
        assert rows(database_url, COUNT) == [(1,)]
        async with connection.transaction():
            await connection.execute(LOCK)
            posting = asyncio.create_task(sent(api, lines(*map(str, range(700)))))
            await blocked(connection)
            posting.cancel()
            await asyncio.wait([posting])
        assert (await sent(api, lines("1"))).status_code == 200
    assert rows(database_url, COUNT) == [(702,)]


async def test_a_batch_that_waits_holds_up_no_single_event(database_url: str, connection: Connection) -> None:
    """Its transaction is open, before a row that somebody else is about to write; others commit meanwhile."""
    async with connected(database_url) as api:
        async with connection.transaction():
            await connection.execute(
                "insert into v7.idempotency_keys (key, body_sha256, job_id) values (E'k\n600', '', 1)"
            )
            posting = asyncio.create_task(sent(api, lines(*map(str, range(700))), idempotency_key="k"))
            await blocked(connection)
            assert (await api.post(body())).status_code == 200
            assert rows(database_url, COUNT) == [(2,)]
            await connection.execute("delete from v7.idempotency_keys")
        assert (await posting).status_code == 200
    assert rows(database_url, COUNT) == [(702,)]


@pytest.mark.fault(46, 67)
async def test_what_waits_is_bounded_by_its_events(
    database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "WAITING_EVENTS_MAX", 5)
    told: list[object] = []
    monkeypatch.setattr(telemetry, "_subscribers", [lambda name, fields: told.append((name, fields.get("statuses")))])
    async with connected(database_url) as api:
        async with connection.transaction():
            await connection.execute(LOCK)
            first = asyncio.create_task(sent(api, lines("1")))
            await blocked(connection)
            second = asyncio.create_task(sent(api, lines("1", "2", "3")))
            while not api.ingest.batches.waiting:
                await asyncio.sleep(0)
            refused = await sent(api, lines("1", "2", "3"))
            assert is_refusal(refused, 503, of_batch(BUSY).sentence)
            assert refused.headers["retry-after"] == "1"
            assert told[-1] == ("events.answered", {503: 3}), "each of its events is counted"
        assert {answer.status_code for answer in await asyncio.gather(first, second)} == {200}
        assert len((await sent(api, lines(*"12345678"))).json()["ids"]) == 8
    assert rows(database_url, COUNT) == [(13,)]


async def test_stopping_commits_what_waits(database_url: str, connection: Connection) -> None:
    async with connected(database_url) as api:
        async with connection.transaction():
            await connection.execute(LOCK)
            posts = [asyncio.create_task(sent(api, lines("1", "2"))) for _ in range(3)]
            await blocked(connection)
            while len(api.ingest.batches.waiting) < 2:
                await asyncio.sleep(0)
            stopping = asyncio.create_task(api.ingest.stop(60))
            await asyncio.sleep(0)
            late = await sent(api, lines("1"))
            assert is_refusal(
                late, 503, "The batch was not added, because this process is shutting down; send it again."
            )
        assert {answer.status_code for answer in await asyncio.gather(*posts)} == {200}
        await stopping
    assert rows(database_url, COUNT) == [(7,)]
