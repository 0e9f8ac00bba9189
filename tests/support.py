"""Jobs, workers and their rows, for the tests of statements and of a worker's parts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg

from v7_task_processor import queue
from v7_task_processor.job import Job
from v7_task_processor.queue import BEGINNING, Connection, Enqueued, Served

from .conftest import fresh

EVERYTHING = Served(True, [], [], {}, 5)
"""What a worker with a catch-all handler serves."""
TABLES = (
    "jobs",
    "finished_jobs",
    "failures",
    "event_types",
    "workers",
    "idempotency_keys",
    "metrics",
    "operations",
    "audit",
    "minutes",
)


def shared_database(server_url: str, template: str) -> Iterator[str]:
    """A database that many tests use one after the other: to make one takes longer than most of them."""
    yield from fresh(server_url, template)


def emptied(url: str) -> str:
    """The same database without rows."""
    with psycopg.connect(url, autocommit=True, options="-c lock_timeout=10s") as connection:
        connection.execute("; ".join(f"delete from v7.{table}" for table in TABLES).encode())
    return url


def event(priority: int = 0, event_type_id: int = 1, **fields: Any) -> Enqueued:
    given = {"user_id": 1, "event_data": "{}", "correlation_id": "c", **fields}
    return Enqueued(event_type_id=event_type_id, priority=priority, **given)


async def add(connection: Connection, count: int = 1, priority: int = 0, event_type_id: int = 1) -> list[int]:
    return await queue.enqueue(connection, [event(priority, event_type_id)] * count)


async def node(connection: Connection, token: str = "node") -> int:
    return await entered(connection, None, token=token)


async def worker(connection: Connection, node_id: int | None = None, pid: int = 1) -> int:
    """A registered worker; of a node of its own where none is given."""
    return await entered(connection, await node(connection) if node_id is None else node_id, pid=pid)


async def entered(connection: Connection, node_id: int | None, pid: int = 1, token: str = "node") -> int:
    given = {"name": f"host:{pid}", "version": "0", "concurrency": 1, "event_type_ids": None}
    entered = await queue.register(connection, node_id=node_id, pid=pid, token=token, **given)  # type: ignore[arg-type]
    assert entered is not None
    return entered


async def take(connection: Connection, worker_id: int, batch: int = 100, served: Served = EVERYTHING) -> list[Job]:
    """Claim, looking everywhere."""
    return (await queue.claim(connection, worker_id, batch, BEGINNING, served)).jobs


async def take_one(connection: Connection, worker_id: int, served: Served = EVERYTHING) -> Job:
    (job,) = await take(connection, worker_id, 1, served)
    return job


async def rows(connection: Connection, statement: str, *values: object) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(statement, values)
    return await cursor.fetchall()


async def one(connection: Connection, columns: str, job_id: int) -> tuple[Any, ...]:
    """Columns of a job, wherever it stands."""
    (row,) = await rows(connection, f"select {columns} from v7.all_jobs where id = %s", job_id)
    return row


async def everything(connection: Connection) -> list[list[tuple[Any, ...]]]:
    """All that a transition could change, to show that it did not."""
    tables = ("jobs", "finished_jobs", "failures")
    return [await rows(connection, f"select t::text from v7.{table} t order by id") for table in tables]


@contextlib.asynccontextmanager
async def refused(connection: Connection, table: str, job_id: int) -> AsyncIterator[None]:
    """A trigger of somebody's refuses to write a job."""
    await connection.execute("""create function refuse() returns trigger language plpgsql as $$ begin
        if new.id = tg_argv[0]::bigint then raise exception 'not this one'; end if;
        return new;
    end $$""")
    trigger = f"create trigger refuse before insert or update on {table} for each row execute function refuse({job_id})"
    await connection.execute(trigger.encode())
    try:
        yield
    finally:
        await connection.execute("drop function refuse() cascade")


async def heard_until(listener: Connection, sender: Connection, word: str) -> list[str]:
    """What the listener hears before a word that is sent now."""
    await sender.execute("select pg_notify('v7', %s)", [word])
    heard: list[str] = []
    async for notice in listener.notifies(timeout=30):
        if notice.payload == word:
            return heard
        heard.append(notice.payload)
    raise AssertionError("nothing heard")


async def until_waiting(observer: Connection, waiting: Connection, task: "asyncio.Task[Any] | None" = None) -> None:
    """Until a connection waits for a lock of another, or what it does has ended, since it waited long enough."""
    blocking = "select pg_blocking_pids(%s)"
    while not (task and task.done()) and await rows(observer, blocking, waiting.info.backend_pid) == [([],)]:
        await asyncio.sleep(0.005)
