"""More worker processes on one database; and what a node costs that has nothing to do."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import usage
from contest import Contest, Sizes
from database import Database
from node import tell, wait_for_workers, working
from product import fill, migrated, passed, queue

PROCESSES = (1, 2, 4, 8)
JOBS_A_PROCESS = 15_000
IDLE_SECONDS, SETTLING_SECONDS = 20.0, 5.0
TOLD_SECONDS = 15.0
"""An idle backend tells of its last transactions ten seconds later: those of the start must not count as idle ones."""
WAITING = """
import asyncio
from v7_task_processor import handler

@handler()
async def wait(job):
    await asyncio.sleep(0.005)
"""


def contests(sizes: Sizes) -> dict[str, Contest]:
    return {
        "growth.workers": Contest(
            "handlers that wait 5 ms, default concurrency",
            "more jobs/s, less µs",
            {
                f"processes: {count}": partial(grown, jobs=count * sizes.scaled(JOBS_A_PROCESS), processes=count)
                for count in PROCESSES
            },
        ),
        "growth.idle": Contest(
            "a node of one worker process with nothing to do; % of a core", "less", {"v7 worker": migrated(idle)}, ()
        ),
    }


def grown(database: Database, jobs: int, processes: int) -> dict[str, float]:
    """Jobs a second, and what each costs of a core: in Postgres, and in the node.

    All processes are there before any may begin: their type is paused until then.
    """
    fill(database, 0)
    with working(database, WAITING, V7_WORKER_PROCESSES=processes) as node:
        wait_for_workers(database, processes)
        tell(database, "types", "pause", "1")
        time.sleep(SETTLING_SECONDS)
        queue(database, jobs)
        database.settle()
        marks = [database.value("select min(id) from v7.jobs"), database.value("select max(id) from v7.jobs")]
        used = usage.of_both(database, node.pid)
        with ThreadPoolExecutor(1) as beside:  # the first claims are made before the command has ended
            beside.submit(tell, database, "types", "resume", "1")
            seconds = passed(database, marks)[-1]
        server, program = (now - before for now, before in zip(usage.of_both(database, node.pid), used, strict=True))
        return {"jobs/s": jobs / seconds, "Postgres µs/job": 1e6 * server / jobs, "node µs/job": 1e6 * program / jobs}


def idle(database: Database) -> dict[str, float]:
    """What a node uses in a while without a single job, once it is up."""
    with working(database, WAITING, V7_WORKER_PROCESSES=1) as node:
        wait_for_workers(database)
        time.sleep(TOLD_SECONDS)
        transactions, (server, program) = committed(database), usage.of_both(database, node.pid)
        time.sleep(IDLE_SECONDS)
        server_after, program_after = usage.of_both(database, node.pid)
        return {
            "node %": 100 * (program_after - program) / IDLE_SECONDS,
            "Postgres %": 100 * (server_after - server) / IDLE_SECONDS,
            "transactions/s": (committed(database) - transactions) / IDLE_SECONDS,
            "connections": len(usage.of_database(database)),
        }


def committed(database: Database) -> int:
    """Transactions so far; each statement of an idle node is one."""
    count: int = database.value(
        "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()"
    )
    return count
