"""A day of steady load, shortened: whether the queue is at its end what it was at its beginning.

Most of what slows a queue down in a day is dead rows, in its table and its indexes, and what vacuum leaves of them. So
the rate is several times that of the day that is meant, and the time as much shorter.
"""

import threading
import time
from typing import LiteralString

import psycopg
import usage
from contest import Contest, Sizes
from database import Database
from node import wait_for_workers, working
from product import HANDLERS, fill

SECONDS, PARTS = 900.0, 10
A_SECOND, AT_ONCE = 4000, 100
SEND: LiteralString = """
select count(*) from v7.enqueue_many((
    select json_agg(json_build_object('event_type_id', 1 + i %% 5, 'user_id', i, 'priority', i %% 10,
        'event_data', json_build_object('i', i))) from generate_series(1, %s) i))"""
WAITED: LiteralString = """
select 1000 * percentile_cont(0.99) within group (order by extract(epoch from claimed_at - queued_at))
from v7.finished_jobs where finished_at > clock_timestamp() - make_interval(secs => %s)"""


def contests(sizes: Sizes) -> dict[str, Contest]:
    seconds = max(PARTS, SECONDS * sizes.scale)
    what = f"{A_SECOND:,} events/s for {seconds:g} s, its first and its last tenth"
    return {"steady": Contest(what, "the same at the end", {"v7": lambda database: day(database, seconds)}, ())}


def day(database: Database, seconds: float) -> dict[str, float]:
    """What a job costs, how long one in a hundred waited at least, and how large the queue is, with its indexes."""
    fill(database, 0)
    ended = threading.Event()
    with working(database, HANDLERS.format(kind="async def"), V7_WORKER_PROCESSES=1) as node:
        wait_for_workers(database)
        sender = threading.Thread(target=send, args=(database.url, ended))
        sender.start()
        try:
            parts = [part(database, node.pid, seconds / PARTS) for _ in range(PARTS)]
        finally:
            ended.set()
            sender.join()
    ends = {"first": parts[0], "last": parts[-1]}
    return {f"{what}, {when}": each[what] for what in parts[0] for when, each in ends.items()}


def send(url: str, ended: threading.Event) -> None:
    """At a pace that does not follow the answers."""
    with psycopg.connect(url, autocommit=True) as connection:
        due = time.monotonic()
        while not ended.wait(max(0.0, due - time.monotonic())):
            connection.execute(SEND, [AT_ONCE])
            due += AT_ONCE / A_SECOND


def part(database: Database, pid: int, seconds: float) -> dict[str, float]:
    """What happens in so many seconds."""
    jobs, used = ended_jobs(database), usage.of_both(database, pid)
    time.sleep(seconds)
    done = ended_jobs(database) - jobs
    server, program = (now - before for now, before in zip(usage.of_both(database, pid), used, strict=True))
    return {
        "jobs/s": done / seconds,
        "Postgres µs/job": 1e6 * server / done,
        "node µs/job": 1e6 * program / done,
        "p99 ms": database.value(WAITED, seconds),
        "jobs MB": database.value("select pg_total_relation_size('v7.jobs')") / usage.MEGABYTE,
    }


def ended_jobs(database: Database) -> int:
    """How many so far, all of which succeeded; but those of a batch that is being added."""
    count: int = database.value("select last_value - (select count(*) from v7.jobs) from v7.jobs_id_seq")
    return count
