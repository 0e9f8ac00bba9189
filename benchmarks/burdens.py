"""What a queue meets in its life, each burden against its own rate without it.

The numbers are those that are claimed; `--scale 0.01` makes them a hundredth.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
from contest import Contest, Filled, Sizes
from database import Database
from node import tell, working
from product import drained, enqueues, fill, queue

DRAINED = 100_000
SNAPSHOT_JOBS = 200_000
PAUSED_JOBS = 1_000_000
PAUSED_TYPE = 2_000
TYPES = 1_000
DEEP_JOBS = 10_000_000
PRIORITIES = 100_000
DEAD_JOBS, FINISHED_JOBS = 1_000_000, 10_000_000
COMMON = "event_type_id, user_id, priority, event_data, correlation_id, created_at, queued_at, claimed_at"
TRACED = """
import os
from v7_task_processor import handler

LOG = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@handler()
async def traced(job):
    os.write(LOG, f"{{job.id}}\\n".encode())
"""


def contests(sizes: Sizes) -> dict[str, Contest]:
    """One for each burden: without it, with it."""
    drained_jobs = sizes.scaled(DRAINED)
    plain = partial(fill, jobs=drained_jobs)

    def contest(without: Filled, with_it: Filled, what: str, unit: str = "jobs/s") -> Contest:
        return Contest(unit, "more", {"without": without, what: with_it})

    def drain(database: Database) -> dict[str, float]:
        return {"jobs/s": drained_jobs / drained(database, [drained_jobs])[-1]}

    def in_order(database: Database) -> dict[str, float]:
        return drain(database) | disorder(database, sizes)

    snapshots = {
        f"burdens.snapshot{priorities}": contest(
            Filled(partial(fill, jobs=2 * sizes.scaled(SNAPSHOT_JOBS), priorities=priorities), halves),
            Filled(partial(fill, jobs=2 * sizes.scaled(SNAPSHOT_JOBS), priorities=priorities), in_old_sight),
            f"an old snapshot, priorities: {priorities:,}",
        )
        for priorities in (1, 10, 10_000)
    }
    return snapshots | {
        "burdens.paused": contest(
            Filled(plain, drain),
            Filled(partial(fill_paused, sizes=sizes), drain),
            f"behind {sizes.scaled(PAUSED_JOBS):,} jobs of a paused type",
        ),
        "burdens.types": contest(
            Filled(plain, drain),
            Filled(partial(fill, jobs=drained_jobs, types=TYPES), drain),
            f"event types: {TYPES:,}",
        ),
        "burdens.limits": Contest(
            "jobs/s",
            "more",
            {
                f"event types: {TYPES:,}": Filled(partial(fill, jobs=drained_jobs, types=TYPES), drain),
                "each with a limit of 1,000": Filled(partial(fill_limited, jobs=drained_jobs, limit=1_000), drain),
                "each with a limit of 10": Filled(partial(fill_limited, jobs=drained_jobs, limit=10), drain),
            },
        ),
        "burdens.beside_limits": contest(
            Filled(plain, drain),
            Filled(partial(fill_beside_limits, jobs=drained_jobs), drain),
            f"beside {TYPES:,} types with a limit, of which nothing is queued",
        ),
        "burdens.priorities": contest(
            Filled(plain, in_order),
            Filled(
                partial(fill, jobs=drained_jobs, priorities=sizes.scaled(PRIORITIES)),
                in_order,
            ),
            f"priorities: {sizes.scaled(PRIORITIES):,}",
        ),
        "burdens.deep": contest(
            Filled(plain, partial(deep, sizes=sizes)),
            Filled(
                partial(fill, jobs=sizes.scaled(DEEP_JOBS)),
                partial(deep, sizes=sizes),
            ),
            f"queued: {sizes.scaled(DEEP_JOBS):,}",
            "events/s: enqueued, and claimed and completed",
        ),
        "burdens.history": contest(
            Filled(plain, drain),
            Filled(partial(fill_history, sizes=sizes), drain),
            f"dead: {sizes.scaled(DEAD_JOBS):,}, finished: {sizes.scaled(FINISHED_JOBS):,}",
        ),
    }


def halves(database: Database) -> dict[str, float]:
    """What is queued in two halves: where the second is slower, what the first left behind is in the way."""
    jobs = database.value("select count(*) from v7.jobs") // 2
    middle, end = drained(database, [jobs, 2 * jobs])
    return {f"first {jobs:,}": jobs / middle, f"next {jobs:,}": jobs / (end - middle)}


def in_old_sight(database: Database) -> dict[str, float]:
    with old_snapshot(database):
        return halves(database)


@contextlib.contextmanager
def old_snapshot(database: Database) -> Iterator[None]:
    """As a report or a dump that takes long: what is deleted from now on cannot be cleaned away."""
    with psycopg.connect(database.url, autocommit=True) as reader:
        reader.execute("begin isolation level repeatable read")
        reader.execute("select count(*) from v7.event_types")
        yield
        reader.execute("rollback")


def fill_paused(database: Database, sizes: Sizes) -> None:
    """Jobs of a type that is paused, all of them better than the others."""
    fill(database, 0)
    database.connection.execute(
        "insert into v7.jobs (event_type_id, user_id, priority, event_data, queued_at) "
        "select %s, 1, 0, json_build_object('i', i), now() from generate_series(1, %s) i",
        [PAUSED_TYPE, sizes.scaled(PAUSED_JOBS)],
    )
    tell(database, "types", "pause", str(PAUSED_TYPE))
    queue(database, sizes.scaled(DRAINED))


def fill_limited(database: Database, jobs: int, limit: int) -> None:
    """Jobs of many types, each with a limit."""
    fill(database, jobs, types=TYPES)
    database.connection.execute(
        "insert into v7.event_types (event_type_id, concurrency_limit) select 1 + i, %s from generate_series(1, %s) i",
        [limit, TYPES],
    )


def fill_beside_limits(database: Database, jobs: int) -> None:
    """Jobs of a type without a limit, where others have one."""
    fill(database, jobs)
    database.connection.execute(
        "insert into v7.event_types (event_type_id, concurrency_limit) select 1 + i, 10 from generate_series(1, %s) i",
        [TYPES],
    )


def deep(database: Database, sizes: Sizes) -> dict[str, float]:
    """Enqueued behind all that is there; then the first of it claimed and completed."""
    figures = enqueues(database, sizes.scale)
    jobs = sizes.scaled(DRAINED)
    return figures | {"jobs/s": jobs / drained(database, [jobs], whole=False)[-1]}


def disorder(database: Database, sizes: Sizes) -> dict[str, float]:
    """Starts out of order, of jobs in priorities by chance, where one runs at a time. Exact order has none."""
    database.connection.execute(
        "insert into v7.jobs (event_type_id, user_id, priority, event_data, queued_at) "
        "select 1, 1, (random() * 1e6)::bigint, '{}', now() from generate_series(1, %s)",
        [sizes.scaled(DRAINED) // 10],
    )
    right = [row[0] for row in database.connection.execute("select id from v7.jobs order by priority, position")]
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "starts.log"
        with working(database, TRACED.format(log=str(log)), V7_WORKER_PROCESSES=1, V7_CONCURRENCY=1):
            while database.value("select exists (select from v7.jobs)"):
                time.sleep(0.01)
        started = [int(line) for line in log.read_text().split()]
    return {"out of order": float(sum(one != other for one, other in zip(started, right, strict=True)))}


def fill_history(database: Database, sizes: Sizes) -> None:
    """Dead letters with their failures, and finished jobs, older than what is queued."""
    fill(database, 0)
    dead, finished = sizes.scaled(DEAD_JOBS), sizes.scaled(FINISHED_JOBS)
    database.connection.execute(
        f"insert into v7.jobs ({COMMON}, status, retry_count, max_retries, attempt, last_error, dead_at, dead_reason) "
        "select 1, 1, 5, json_build_object('i', i), gen_random_uuid(), now(), now(), now(), 'dead', 5, 5, 5, "
        "'ValueError: no', now(), 'failed 5 times' from generate_series(1, %s) i",
        [dead],
    )
    database.connection.execute(
        "insert into v7.failures (job_id, attempt, event_type_id, error_type, message, worker_id, worker, claimed_at) "
        "select id, 5, 1, 'ValueError', 'no', 1, 'host:1', now() from v7.jobs"
    )
    database.connection.execute(
        f"insert into v7.finished_jobs (id, {COMMON}, status, position, retry_count, max_retries, attempt, suspect, "
        "finished_at) select nextval('v7.jobs_id_seq'), 1, 1, 5, json_build_object('i', i), gen_random_uuid(), now(), "
        "now(), now(), 'succeeded', nextval('v7.position'), 0, 5, 1, false, now() from generate_series(1, %s) i",
        [finished],
    )
    queue(database, sizes.scaled(DRAINED))
