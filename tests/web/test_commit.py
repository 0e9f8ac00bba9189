"""Commits whose answers do not come, and servers that go. Named for the disasters."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from v7_task_processor import database, embedded
from v7_task_processor.queue import Connection, Enqueued
from v7_task_processor.web.commit import Committer, Waiting
from v7_task_processor.web.outcome import NOT_ADDED, Added, Failed, Outcome, not_known

from ..support import event
from .support import body, proxied, rows, serving, started
from .test_ingest import LOCK, blocked

COUNT = "select count(*) from v7.jobs"
NOT_KNOWN = not_known(event()).sentence
NOT_KNOWN_KEYED = not_known(event(key="k")).sentence
GONE = "select 1 from pg_stat_activity where pid = %s"


def test_the_sentences() -> None:
    assert NOT_KNOWN == (
        "It is not known whether the event was added, because the database did not confirm it; "
        "sending it again may add it twice, unless all tries carry the same Idempotency-Key."
    )
    assert NOT_KNOWN_KEYED == (
        "It is not known whether the event was added, because the database did not confirm it; "
        "sending it again with the same Idempotency-Key is safe."
    )
    assert NOT_ADDED.sentence == ("The event could not be added, because the database is not available; send it again.")


@pytest.mark.fault(26)
async def test_the_answer_of_a_commit_is_lost(database_url: str) -> None:
    """It is there, and its sender cannot be told so. Sent again under its key, it is found."""
    async with proxied(database_url) as (proxy, through), serving(through) as api:
        proxy.marker = b"lost-1"
        lost = await api.post(body('"lost-1"'), idempotency_key="k")
        assert (lost.status_code, lost.text) == (500, NOT_KNOWN_KEYED)
        assert proxy.seen.is_set()
        stored = rows(database_url, "select job_id from v7.idempotency_keys")
        again = await api.post(body('"lost-1"'), idempotency_key="k")
        assert (again.status_code, [(again.json()["id"],)]) == (200, stored)

        proxy.marker = b"lost-2"
        lost = await api.post(body('"lost-2"'))
        assert (lost.status_code, lost.text) == (500, NOT_KNOWN)
        assert (await api.post(body())).status_code == 200
    assert rows(database_url, COUNT) == [(3,)]


@pytest.mark.fault(53)
async def test_the_answer_of_a_commit_does_not_come(database_url: str) -> None:
    """Those whose commit was sent do not know; those that waited behind it do."""
    async with proxied(database_url, "hold") as (proxy, through), started(through, commit_seconds_max=1.0) as ingest:
        proxy.marker = b"held"
        held = asyncio.create_task(ingest.add(event(event_data='"held"')))
        await proxy.seen.wait()
        behind = asyncio.create_task(ingest.add(event()))
        assert await held == Failed(500, NOT_KNOWN, known=False)
        proxy.release.set()
        assert await behind == NOT_ADDED
        ingest.committer.seconds_max = 10.0  # what is to succeed may take its time
        assert isinstance(await ingest.add(event()), Added)
    assert rows(database_url, COUNT) == [(2,)]


@pytest.mark.fault(41, 46)
async def test_a_lock_holds_up_the_commit_for_too_long(database_url: str, connection: Connection) -> None:
    """Nobody waits for it any more, so it must not be carried out when the lock goes."""
    async with started(database_url, commit_seconds_max=0.2) as ingest:
        async with connection.transaction():
            await connection.execute(LOCK)
            assert await ingest.add(event()) == Failed(500, NOT_KNOWN, known=False)
            while await (await connection.execute("select 1 from pg_locks where not granted")).fetchone():
                await asyncio.sleep(0.01)
        ingest.committer.seconds_max = 10.0
        assert isinstance(await ingest.add(event()), Added)
    assert rows(database_url, COUNT) == [(1,)]


async def test_the_connection_is_closed_while_idle(database_url: str, connection: Connection) -> None:
    async with serving(database_url) as api:
        for _ in range(3):
            pid = api.backend_pid
            await connection.execute("select pg_terminate_backend(%s)", [pid])
            while await (await connection.execute(GONE, [pid])).fetchone():
                await asyncio.sleep(0.01)
            assert (await api.post(body())).status_code == 200
    assert rows(database_url, COUNT) == [(3,)]


async def test_the_connection_is_closed_during_a_commit(database_url: str, connection: Connection) -> None:
    async with serving(database_url) as api:
        async with connection.transaction():
            await connection.execute(LOCK)
            post = asyncio.create_task(api.post(body()))
            await blocked(connection)
            await connection.execute("select pg_terminate_backend(%s)", [api.backend_pid])
            answer = await post
        assert (answer.status_code, answer.text) == (500, NOT_KNOWN)
        assert (await api.post(body())).status_code == 200
    assert rows(database_url, COUNT) == [(1,)]


async def test_a_commit_is_cancelled_before_it_was_one(database_url: str, connection: Connection) -> None:
    async with serving(database_url) as api:
        async with connection.transaction():
            await connection.execute(LOCK)
            post = asyncio.create_task(api.post(body()))
            await blocked(connection)
            await connection.execute("select pg_cancel_backend(%s)", [api.backend_pid])
            answer = await post
        assert (answer.status_code, answer.text) == (500, NOT_ADDED.sentence)
        assert (await api.post(body())).status_code == 200
    assert rows(database_url, COUNT) == [(1,)]


async def test_the_database_is_away(database_url: str) -> None:
    """From the start, and again later; it is found again each time."""
    async with proxied(database_url) as (proxy, through):
        await proxy.stop()
        async with serving(through) as api:
            for _ in range(3):
                answer = await api.post(body())
                assert (answer.status_code, answer.text) == (500, NOT_ADDED.sentence)
            await proxy.start_again()
            while (await api.post(body())).status_code != 200:
                await asyncio.sleep(0.05)
            await proxy.stop()
            assert (await api.post(body())).status_code == 500
            await proxy.start_again()
            while (await api.post(body())).status_code != 200:
                await asyncio.sleep(0.05)
    assert rows(database_url, COUNT) == [(2,)]


@pytest.mark.fault(33)
async def test_a_primary_becomes_a_standby(own_database_url: str) -> None:
    """What it refuses is known not to be there; the next batch looks for a primary again."""
    async with serving(own_database_url) as api:
        pid = api.backend_pid
        with psycopg.connect(own_database_url, autocommit=True) as admin:
            connection = api.ingest.committer.link.connection
            assert connection is not None
            await connection.execute("set default_transaction_read_only = on")
            answer = await api.post(body())
            assert (answer.status_code, answer.text) == (500, NOT_ADDED.sentence)
            assert (await api.post(body())).status_code == 200
            assert api.backend_pid != pid
            assert admin.execute(COUNT).fetchone() == (1,)


@pytest.mark.fault(30)
async def test_two_transactions_take_the_same_keys_in_another_order(database_url: str, connection: Connection) -> None:
    """A deadlock with a program that uses v7.enqueue: whoever loses it, nothing is added twice or not at all."""
    enqueue = "select v7.enqueue(1, 1, 0, '{}', idempotency_key => %s)"
    # A backend looks for it once, so long after it began to wait: by then the other must wait as well.
    patient = make_conninfo(database_url, options="-c deadlock_timeout=5s")
    async with started(patient, commit_seconds_max=60) as ingest:  # what is done again may meet the other once more
        async with connection.transaction():
            await connection.execute("set local deadlock_timeout = '60s'")  # the other side finds it
            await connection.execute(enqueue, ["b"])
            keyed = [asyncio.create_task(ingest.add(event(key=key))) for key in "ab"]
            await blocked(connection)
            await connection.execute(enqueue, ["a"])
        outcomes = await asyncio.gather(*keyed)
    stored = rows(database_url, "select job_id from v7.idempotency_keys order by key")
    assert [(outcome.id,) for outcome in outcomes if isinstance(outcome, Added)] == stored
    assert rows(database_url, COUNT) == [(2,)]


async def test_a_fault_of_ours_after_the_statement_was_sent(database_url: str) -> None:
    """Nobody can say then that nothing was added."""
    committer = Committer(database_url)
    waiting: Waiting[Enqueued, Added] = Waiting(event())

    async def broken(*_: object) -> list[Outcome]:
        raise RuntimeError("a fault")

    with pytest.raises(Exception, match="a fault"):
        await committer.add(await committer.connected(), broken, [waiting])
    assert waiting.outcome.result() == Failed(500, NOT_KNOWN, known=False)
    await committer.close()
    await committer.close()


@pytest.fixture
def lonely_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database on a server of its own, which the test sets up to have a standby that does not exist."""
    with embedded.start(tmp_path_factory.mktemp("lonely"), settings={"fsync": "off"}) as server:
        database.migrate(server.url)
        yield server.url


@pytest.mark.fault(34)
async def test_the_synchronous_standby_is_missing(lonely_url: str) -> None:
    """The commit never ends, and a cancel makes a success of it that no standby has."""
    syncing = "select pid from pg_stat_activity where wait_event = 'SyncRep'"
    async with serving(lonely_url, commit_seconds_max=60) as api, await database.connect(lonely_url) as admin:
        assert (await api.post(body())).status_code == 200
        await admin.execute("alter system set synchronous_standby_names = 'nobody'")
        await admin.execute("select pg_reload_conf()")
        for cancel in ("pg_cancel_backend", "pg_terminate_backend"):
            post = asyncio.create_task(api.post(body("1"), idempotency_key=cancel))
            while (found := await (await admin.execute(syncing)).fetchone()) is None:
                await asyncio.sleep(0.01)
                if post.done():  # the server had not read its settings yet
                    post = asyncio.create_task(api.post(body("1"), idempotency_key=cancel))
            await admin.execute(f"select {cancel}(%s)", found)
            answer = await post
            assert (answer.status_code, answer.text) == (500, NOT_KNOWN_KEYED)
        async with started(lonely_url, commit_seconds_max=0.3) as ingest:
            assert await ingest.add(event()) == Failed(500, NOT_KNOWN, known=False)
        while await (await admin.execute(syncing)).fetchone():  # none is left behind
            await asyncio.sleep(0.01)
        await admin.execute("alter system reset synchronous_standby_names")
        await admin.execute("select pg_reload_conf()")
        answer = await api.post(body("1"), idempotency_key="pg_cancel_backend")
        known = "select job_id from v7.idempotency_keys where key = 'pg_cancel_backend'"
        assert [(answer.json()["id"],)] == rows(lonely_url, known)
