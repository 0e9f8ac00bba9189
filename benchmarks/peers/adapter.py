"""What each adapter for a Python peer has in common: its commands, and what it prints. adapter.cjs is its twin.

    ADAPTER install                   makes the peer's schema
    ADAPTER bulk JOBS                 enqueues in calls of 1,000;            prints: rate JOBS_A_SECOND
    ADAPTER call CALLERS SECONDS      enqueues one by one from each caller;  prints: rate JOBS_A_SECOND
    ADAPTER send JOBS GAP_SECONDS     enqueues one now and then;             prints for each: sent NUMBER TIME
    ADAPTER work                      works until SIGTERM; prints: first TIME, and after each 500 jobs: handled 500
    ADAPTER trace                     works until SIGTERM; prints for each job: started NUMBER TIME

Where the database is stands in PGHOST, PGUSER and the like. Times are seconds since 1970.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

import uvloop

BATCH = 1000
TOLD = 500


class Adapter(NamedTuple):
    """How one does it with the peer. `client` takes the number of connections; jobs carry a number."""

    install: Callable[[], Awaitable[None]]
    client: Callable[[int], AbstractAsyncContextManager[Any]]
    enqueue: Callable[[Any, int], Awaitable[object]]
    enqueue_many: Callable[[Any, Sequence[int]], Awaitable[object]]
    work: Callable[[Callable[[int], None]], Awaitable[None]]
    """Is given what its handler calls with the job's number."""


def tell(*words: object) -> None:
    print(*words, flush=True)


def main(adapter: Adapter) -> None:
    command, *arguments = sys.argv[1:]
    uvloop.run(COMMANDS[command](adapter, *map(float, arguments)))


async def install(adapter: Adapter) -> None:
    await adapter.install()


async def bulk(adapter: Adapter, jobs: float) -> None:
    async with adapter.client(1) as client:
        began = time.perf_counter()
        for first in range(0, int(jobs), BATCH):
            await adapter.enqueue_many(client, range(first, min(int(jobs), first + BATCH)))
        tell("rate", jobs / (time.perf_counter() - began))


async def call(adapter: Adapter, callers: float, seconds: float) -> None:
    async with adapter.client(int(callers)) as client:
        calls, began = 0, time.perf_counter()

        async def caller() -> None:
            nonlocal calls
            while time.perf_counter() < began + seconds:
                await adapter.enqueue(client, calls)
                calls += 1

        await asyncio.gather(*[caller() for _ in range(int(callers))])
        tell("rate", calls / (time.perf_counter() - began))


async def send(adapter: Adapter, jobs: float, gap: float) -> None:
    async with adapter.client(1) as client:
        for number in range(int(jobs)):
            await adapter.enqueue(client, number)
            tell("sent", number, time.time())
            await asyncio.sleep(gap)


async def work(adapter: Adapter) -> None:
    handled = 0

    def started(_number: int) -> None:
        nonlocal handled
        if not handled:
            tell("first", time.time())
        handled += 1
        if handled % TOLD == 0:
            tell("handled", TOLD)

    await adapter.work(started)


async def trace(adapter: Adapter) -> None:
    await adapter.work(lambda number: tell("started", number, time.time()))


COMMANDS: dict[str, Callable[..., Any]] = {each.__name__: each for each in (install, bulk, call, send, work, trace)}
