"""Senders of events: many callers at once, bulk, and one now and then; by asyncpg, for the product and plain SQL."""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable

import asyncpg
import uvloop
from database import Database

SENT = 500
"""Events of which the latency is measured."""
GAP_SECONDS = 0.01
CALLERS = 16
CALL_SECONDS = 2.0
BULK = 50_000
BULK_BATCH = 1000


def rates(database: Database, one: str, many: str, scale: float = 1.0) -> dict[str, float]:
    """Events a second. `one` is a statement for an event's data, `many` one for an array of them."""
    return uvloop.run(measured(database, one, many, max(1, int(BULK * scale / BULK_BATCH))))


async def measured(database: Database, one: str, many: str, batches: int) -> dict[str, float]:
    async with asyncpg.create_pool(**database.asyncpg, min_size=CALLERS, max_size=CALLERS) as pool:
        called = await calls_a_second(lambda number: pool.execute(one, json.dumps({"i": number})))
        began = time.perf_counter()
        for batch in range(batches):
            numbers = range(batch * BULK_BATCH, (batch + 1) * BULK_BATCH)
            await pool.execute(many, [json.dumps({"i": number}) for number in numbers])
        bulk = batches * BULK_BATCH / (time.perf_counter() - began)
    return {f"{CALLERS} callers": called, "bulk": bulk}


async def calls_a_second(call: Callable[[int], Awaitable[object]]) -> float:
    """Of so many callers, each of whom calls again when it is answered."""
    calls = 0
    began = time.perf_counter()

    async def caller() -> None:
        nonlocal calls
        while time.perf_counter() < began + CALL_SECONDS:
            await call(calls)
            calls += 1

    await asyncio.gather(*[caller() for _ in range(CALLERS)])
    return calls / (time.perf_counter() - began)


def percentiles(seconds: list[float]) -> dict[str, float]:
    """In milliseconds."""
    ordered = sorted(seconds)
    return {"p50": 1000 * statistics.median(ordered), "p99": 1000 * ordered[int(len(ordered) * 0.99) - 1]}
