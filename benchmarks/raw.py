"""The limit: the least SQL that is a queue. No types, no history, no fences, no limits; claim, and mark as done."""

import asyncio
import json
import statistics
import time

import asyncpg
from database import Database

BATCH = 500
CONNECTIONS = 2
TABLE = """
create table jobs (id bigint generated always as identity primary key, priority int not null default 5,
                   status text not null default 'new', event_data json);
create index on jobs (priority, id) where status = 'new'"""
NEXT = "select id from jobs where status = 'new' order by priority, id limit 500 for update skip locked"
CLAIM = f"update jobs set status = 'running' where id in ({NEXT}) returning id, event_data"
FUSED = f"with done as (update jobs set status = 'done' where id = any($1::bigint[])) {CLAIM}"


def drain(database: Database, jobs: int) -> dict[str, float]:
    """Jobs a second, from the first claim to the last mark."""
    database.connection.execute(TABLE)
    database.connection.execute(
        "insert into jobs (event_data) select json_build_object('i', i) from generate_series(1, %s) i", [jobs]
    )
    database.settle()
    return {"jobs/s": jobs / asyncio.run(drained(database))}


async def drained(database: Database) -> float:
    async def work() -> None:
        connection = await asyncpg.connect(**database.asyncpg)
        step = await connection.prepare(FUSED)
        ids: list[int] = []
        while True:
            rows = await step.fetch(ids)
            if not rows and not ids:
                break
            for row in rows:
                json.loads(row["event_data"])["i"]
            ids = [row["id"] for row in rows]
        await connection.close()

    began = time.perf_counter()
    await asyncio.gather(*[work() for _ in range(CONNECTIONS)])
    return time.perf_counter() - began


def latency(database: Database) -> dict[str, float]:
    """Milliseconds from a commit to the claim that found it, in an idle system."""
    database.connection.execute(TABLE)
    return percentiles(asyncio.run(waits(database)))


async def waits(database: Database) -> list[float]:
    worker, sender = await asyncpg.connect(**database.asyncpg), await asyncpg.connect(**database.asyncpg)
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
    for _ in range(200):
        async with sender.transaction():
            job_id = await sender.fetchval("insert into jobs (event_data) values ('{}') returning id")
            await sender.execute("select pg_notify('jobs', '')")
        sent[job_id] = time.time()
        await asyncio.sleep(0.02)
    task.cancel()
    for connection in (worker, sender):
        await connection.close()
    return [found[job_id] - sent[job_id] for job_id in sent]


def percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {"p50": 1000 * statistics.median(ordered), "p99": 1000 * ordered[int(len(ordered) * 0.99) - 1]}
