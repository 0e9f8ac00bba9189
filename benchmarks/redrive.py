"""A bulk redrive beside live traffic: what it costs those who send, and whether other work keeps its order.

Dead letters stand in the worse priority. The live events come at a steady pace, a tenth of what one API process takes
in: at its limit everything that shares the machine doubles everything.
"""

import asyncio
import json
import tempfile
import urllib.request
from functools import partial
from pathlib import Path
from typing import LiteralString

import uvloop
from client import Connection
from contest import Contest, Filled, Sizes
from database import Database
from ingest import free_port, wait_for
from node import running, wait_for_workers

from v7_task_processor import database as schema

DEAD_JOBS = 1_000_000
CONNECTIONS = 8
PAUSE_SECONDS = 0.02
SECONDS_MIN = 10.0
LIVE, DEAD = 1, 2
BODY = json.dumps({"user_id": 1, "priority": 1, "event_data": {"i": 1}, "event_type_id": LIVE})
HANDLERS = """
from v7_task_processor import handler

@handler()
async def noop(job):
    job.event_data["i"]
"""
WAITS: LiteralString = """
with live as (
    select position, claimed_at, extract(epoch from claimed_at - queued_at) * 1000 as waited,
        max(claimed_at) over (order by position rows between unbounded preceding and 1 preceding) as before
    from v7.finished_jobs where event_type_id = 1)
select percentile_cont(0.5) within group (order by waited), percentile_cont(0.99) within group (order by waited),
    100.0 * count(*) filter (where claimed_at < before) / count(*) from live"""


def contests(sizes: Sizes) -> dict[str, Contest]:
    fill = partial(dead_letters, jobs=sizes.scaled(DEAD_JOBS))
    waiting = partial(dead_letters, jobs=sizes.scaled(DEAD_JOBS), queued=True)
    sides = {
        "without": Filled(fill, live),
        "beside as many that wait": Filled(waiting, live),
        "beside a redrive": Filled(fill, partial(live, redriving=True)),
    }
    return {"redrive": Contest("ms, and what came out of turn", "less", dict(sides))}


def dead_letters(database: Database, jobs: int, queued: bool = False) -> None:
    """So many; or as many jobs that were redriven long ago, and wait: what of the cost is that workers have work."""
    schema.migrate(database.url)
    database.connection.execute(
        "insert into v7.jobs (event_type_id, user_id, priority, event_data, status, dead_at, dead_reason, retry_count) "
        "select %s, 1, 5, json_build_object('i', i), 'dead', now(), 'x', 5 from generate_series(1, %s) i",
        [DEAD, jobs],
    )
    if queued:
        database.connection.execute("update v7.jobs set status = 'queued', dead_at = null, dead_reason = null")


def live(database: Database, redriving: bool = False) -> dict[str, float]:
    """What senders and their events wait for, for as long as the redrive takes."""
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "handlers.py").write_text(HANDLERS)
        settings = {"V7_HANDLERS": "handlers.py", "V7_WORKER_PROCESSES": 1, "PORT": port}
        with running("run", database, folder, **settings):
            wait_for(port)
            wait_for_workers(database)
            if redriving:
                begin(port)
            latencies = uvloop.run(post(database, port))
            while database.value("select count(*) from v7.jobs where event_type_id = %s", LIVE):
                pass
    waits = database.connection.execute(WAITS).fetchone()
    assert waits is not None
    figures = {"answer p50": at(latencies, 0.5), "answer p99": at(latencies, 0.99)}
    figures |= {"start p50": float(waits[0]), "start p99": float(waits[1]), "% out of turn": float(waits[2])}
    if redriving:
        seconds = "extract(epoch from finished_at - started_at)"
        rate = database.value(f"select done / {seconds} from v7.operations")
        figures["redriven/s"] = float(rate)
    return figures


def begin(port: int) -> None:
    body = json.dumps({"event_type_id": DEAD}).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(
        urllib.request.Request(f"http://127.0.0.1:{port}/api/jobs/v1/redrive", body, headers), timeout=30
    ).close()


class Paced(Connection):
    """Sends the next request a while after the last was answered."""

    def send(self) -> None:
        asyncio.get_running_loop().call_later(PAUSE_SECONDS, self.send_now)

    def send_now(self) -> None:
        if not self.transport.is_closing():
            super().send()


async def post(database: Database, port: int) -> list[float]:
    """Post until no operation goes on, and for SECONDS_MIN at least; the sorted latencies in seconds."""
    request = (
        "POST /api/event/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(BODY.encode())}\r\n\r\n{BODY}"
    ).encode()
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    ends = [loop.create_future() for _ in range(CONNECTIONS)]
    opened = [
        await loop.create_connection(partial(Paced, request, float("inf"), latencies, end), "127.0.0.1", port)
        for end in ends
    ]
    await asyncio.sleep(SECONDS_MIN)
    while database.value("select count(*) from v7.operations where finished_at is null"):
        await asyncio.sleep(0.5)
    for transport, _ in opened:
        transport.close()
    await asyncio.gather(*ends, return_exceptions=True)
    return sorted(latencies)


def at(latencies: list[float], share: float) -> float:
    return 1000 * latencies[int(len(latencies) * share) - 1]
