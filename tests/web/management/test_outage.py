"""Where the database is away, hangs, or is another: a problem that says so, soon, and events go on."""

import asyncio
from pathlib import Path

import httpx
import psycopg
import pytest

from v7_task_processor import database, queue
from v7_task_processor.web.management import store

from ...standbys import lonely, unconfirmed
from ...support import add, one
from ..support import proxied, serving
from .support import answer, problem

LOST = "The database was lost before it confirmed this"


async def test_the_database_is_away_and_comes_back(database_url: str) -> None:
    async with proxied(database_url) as (proxy, through), serving(through) as api, api.client() as client:
        answer(await client.get("/api/stats/v1"))
        proxy.refuses = True
        await proxy.reset()
        for response in (await client.get("/api/stats/v1"), await client.post("/api/jobs/v1/1/cancel")):
            assert problem(response, 503).startswith("The database cannot be reached")
            assert response.headers["retry-after"] == "1"
        proxy.refuses = False
        answer(await client.get("/api/stats/v1"))
        problem(await client.post("/api/jobs/v1/1/cancel"), 404)


@pytest.mark.parametrize("sqlstate", ["53100", "40P01"])
async def test_a_database_that_answers_is_not_said_to_be_away(
    database_url: str, connection: queue.Connection, sqlstate: str
) -> None:
    (job_id,) = await add(connection)
    refuse = f"do $$ begin raise 'no space on /secret' using errcode = '{sqlstate}'; end $$"

    async def act(*_: object) -> None:
        await connection.execute(refuse.encode())

    async with serving(database_url) as api, api.client() as client:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(queue, "cancel", act)
            response = await client.post(f"/api/jobs/v1/{job_id}/cancel")
        assert problem(response, 503).startswith("The database could not do this now")
        answer(await client.post(f"/api/jobs/v1/{job_id}/cancel"))


async def test_an_act_whose_answer_was_lost_is_not_known(database_url: str, connection: queue.Connection) -> None:
    (job_id,) = await add(connection)
    async with proxied(database_url) as (proxy, through), serving(through) as api, api.client() as client:
        proxy.marker = b"COMMIT"
        response = await client.post(f"/api/jobs/v1/{job_id}/priority", content='{"priority": -1234567}')
        assert problem(response, 500).startswith(LOST)
    assert await one(connection, "priority", job_id) == (-1234567,)


@pytest.mark.slow
@pytest.mark.fault(34)
async def test_an_act_that_the_standby_does_not_have_is_not_known(tmp_path: Path) -> None:
    """It is done here, and would be gone after a failover: 200 was no word for it."""
    with lonely(tmp_path / "lonely") as server:
        async with serving(server.url) as api, api.client() as client:
            answer(await client.get("/api/stats/v1"))
            for path, content in (
                ("/api/jobs/v1/1/cancel", ""),
                ("/api/jobs/v1/2/priority", '{"priority": 7}'),
                ("/api/jobs/v1/3/redrive", '{"event_data": 1}'),
                ("/api/jobs/v1/cancel", '{"status": "queued"}'),
                ("/api/event-types/v1/5/pause", ""),
                ("/api/event-types/v1/5/resume", ""),
                ("/api/event-types/v1/5/limit", '{"concurrency_limit": 3}'),
            ):
                response = await unconfirmed(server, client.post(path, content=content))
                assert problem(response, 500).startswith(LOST), path
                assert response.json()["type"] == "urn:v7:problem:not-known"


async def test_a_listing_that_takes_too_long(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(database_url) as api, api.client() as client:
        with psycopg.connect(database_url) as holder, monkeypatch.context() as hurried:
            holder.execute("lock table v7.jobs in access exclusive mode")
            hurried.setattr(store, "LISTING_SECONDS_MAX", 0.2)
            assert problem(await client.get("/api/jobs/v1"), 503).startswith("The database took too long over this.")
        answer(await client.get("/api/jobs/v1"))


async def test_too_many_at_once_are_refused_and_take_few_connections(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WAITING_MAX", 10)
    async with serving(database_url) as api, api.client() as client:
        answer(await client.get("/api/stats/v1"))  # it is imported with the first request
        with psycopg.connect(database_url, autocommit=True) as watching, psycopg.connect(database_url) as holder:
            holder.execute("lock table v7.jobs in access exclusive mode")
            asked = [asyncio.create_task(client.get("/api/jobs/v1")) for _ in range(20)]
            done, waiting = set[asyncio.Task[httpx.Response]](), set(asked)
            while len(done) < 10:
                done, waiting = await asyncio.wait(asked, timeout=0.05)
            held_up = (
                "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            )
            assert watching.execute(held_up).fetchone() <= (store.AT_ONCE_MAX,)  # type: ignore[operator]
            holder.rollback()
            await asyncio.wait(waiting)
        statuses = sorted(task.result().status_code for task in asked)
        assert statuses == [200] * 10 + [503] * 10


async def test_another_schema(own_database_url: str) -> None:
    async with serving(own_database_url) as api, api.client() as client:
        async with await database.connect(own_database_url) as connection:
            await connection.execute("drop view v7.all_jobs")
        assert "v7 migrate" in problem(await client.get("/api/jobs/v1"), 503)
