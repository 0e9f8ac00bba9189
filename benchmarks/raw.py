"""The limit: the least SQL that is a queue. No types, no history, no fences, no limits; claim, and mark as done.

By asyncpg, the fastest driver for Python, and by psycopg, the product's.
"""

import asyncio
import json
import multiprocessing
import time
from collections.abc import Callable, Coroutine
from multiprocessing.synchronize import Barrier

import asyncpg
import psycopg
import sender
import uvloop
from database import Database
from sender import GAP_SECONDS, SENT, percentiles

CONNECTIONS = 2
PLANS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""As who writes it by hand would pin them: with 100,000 jobs the planner joins a claim with all of the table, and it
takes five times as long as with 200,000."""
TABLE = """
create table jobs (id bigint generated always as identity primary key, priority int not null default 5,
                   status text not null default 'new', event_data json);
create index on jobs (priority, id) where status = 'new'"""
NEXT = "select id from jobs where status = 'new' order by priority, id limit 500 for update skip locked"
CLAIM = f"update jobs set status = 'running' where id in ({NEXT}) returning id, event_data"
FUSED = f"with done as (update jobs set status = 'done' where id = any($1::bigint[])) {CLAIM}"


def drain(database: Database, jobs: int, processes: int = 1, *, by_psycopg: bool = False) -> dict[str, float]:
    """Jobs a second, from the first claim to the last mark."""
    database.connection.execute(TABLE)
    database.connection.execute(
        "insert into jobs (event_data) select json_build_object('i', i) from generate_series(1, %s) i", [jobs]
    )
    database.settle()
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, meet, [context.Barrier(processes)]) as pool:
        if by_psycopg:
            times = pool.map(psycopg_drained, [database.url] * processes, chunksize=1)
        else:
            times = pool.map(asyncpg_drained, [database.asyncpg] * processes, chunksize=1)
    return {"jobs/s": jobs / (max(ended for _, ended in times) - min(began for began, _ in times))}


def meet(barrier: Barrier) -> None:
    """None begins before all are there."""
    barrier.wait()


def asyncpg_drained(where: dict[str, str]) -> tuple[float, float]:
    """When its first claim began and its last mark ended, in seconds of the clock that processes share."""

    async def work() -> None:
        connection = await asyncpg.connect(**where, server_settings=PLANS)
        step = await connection.prepare(FUSED)
        ids: list[int] = []
        while rows := await step.fetch(ids):
            for row in rows:
                json.loads(row["event_data"])["i"]
            ids = [row["id"] for row in rows]
        await connection.close()

    return uvloop.run(timed(work))


def psycopg_drained(url: str) -> tuple[float, float]:
    """The same by the other driver."""

    async def work() -> None:
        options = " ".join(f"-c {name}={value}" for name, value in PLANS.items())
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True, prepare_threshold=0, options=options)
        step = FUSED.replace("$1", "%s")
        ids: list[int] = []
        while rows := await (await connection.execute(step, [ids], binary=True)).fetchall():
            for row in rows:
                row[1]["i"]
            ids = [row[0] for row in rows]
        await connection.close()

    return uvloop.run(timed(work))


async def timed(work: Callable[[], Coroutine[None, None, None]]) -> tuple[float, float]:
    began = time.time()
    await asyncio.gather(*[work() for _ in range(CONNECTIONS)])
    return began, time.time()


def latency(database: Database) -> dict[str, float]:
    """Milliseconds from a commit to the claim that found it, in an idle system."""
    database.connection.execute(TABLE)
    return percentiles(uvloop.run(waits(database)))


async def waits(database: Database) -> list[float]:
    worker, sends = await asyncpg.connect(**database.asyncpg), await asyncpg.connect(**database.asyncpg)
    woken, sent, found = asyncio.Event(), {}, {}
    await worker.add_listener("jobs", lambda *_: woken.set())
    step = await worker.prepare(FUSED)

    async def work() -> None:
        ids: list[int] = []
        while True:
            woken.clear()
            rows = await step.fetch(ids)
            ids = [row["id"] for row in rows]
            found.update({job_id: time.time() for job_id in ids})
            if not ids:
                await woken.wait()

    task = asyncio.create_task(work())
    for _ in range(SENT):
        async with sends.transaction():
            job_id = await sends.fetchval("insert into jobs (event_data) values ('{}') returning id")
            await sends.execute("select pg_notify('jobs', '')")
        sent[job_id] = time.time()
        await asyncio.sleep(GAP_SECONDS)
    task.cancel()
    for connection in (worker, sends):
        await connection.close()
    return [found[job_id] - sent[job_id] for job_id in sent]


def enqueues(database: Database) -> dict[str, float]:
    """Jobs a second: from 16 callers at once, and in bulk."""
    database.connection.execute(TABLE)
    return sender.rates(
        database,
        "with added as (insert into jobs (event_data) values ($1)) select pg_notify('jobs', '')",
        "insert into jobs (event_data) select data::json from unnest($1::text[]) data",
    )
