"""Cancelling what runs, on real workers."""

import asyncio
from pathlib import Path

from v7_task_processor import database, queue
from v7_task_processor.queue import Connection

from .nodes import enqueue, jobs, node, wait_until

HANDLER = """
@handler(event_type_id=1)
async def told(job):
    note("start", job)
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        note("told", job)
        raise

@handler(event_type_id=2)
async def short(job):
    note("start", job)
    await asyncio.sleep(0.01)
"""


async def test_a_running_handler_is_told_and_its_place_is_free_again(
    database_url: str, connection: Connection, tmp_path: Path
) -> None:
    (first,) = enqueue(database_url, {})
    with node(tmp_path / "node", database_url, handlers=HANDLER, V7_CONCURRENCY=1) as one:
        await asyncio.to_thread(wait_until, one.starts, "it runs")
        (second,) = enqueue(database_url, {}, event_type_id=2)
        assert await queue.cancel(connection, first) == "running"
        await asyncio.to_thread(wait_until, lambda: one.noted("told"), "its handler is told")
        await asyncio.to_thread(
            wait_until, lambda: jobs(database_url)[1] == (second, "succeeded", 0), "the next one ran in its place"
        )
        assert one.stop() == 0
    assert jobs(database_url) == [(first, "cancelled", 0), (second, "succeeded", 0)]


async def test_cancels_among_completions(database_url: str, tmp_path: Path) -> None:
    """Each job ends once, and as its canceller was told."""
    ids = enqueue(database_url, {}, count=400, event_type_id=2)
    cancelled: dict[int, str | None] = {}

    async def cancel(part: list[int]) -> None:
        async with await database.connect(database_url) as connection:
            for job_id in part:
                cancelled[job_id] = await queue.cancel(connection, job_id)

    with node(tmp_path / "node", database_url, handlers=HANDLER, V7_CONCURRENCY=4) as one:
        await asyncio.to_thread(wait_until, lambda: len(one.starts()) > 20, "it is in the middle")
        await asyncio.gather(*(cancel(ids[start::3]) for start in range(3)))
        assert one.stop() == 0
    ended = {job_id: status for job_id, status, _ in jobs(database_url)}
    assert ended == {job_id: "cancelled" if status else "succeeded" for job_id, status in cancelled.items()}
    assert set(ended) == set(ids)
    assert {"queued", "running", None} <= set(cancelled.values())
