"""What people and scrapers look at, over HTTP and by the command, while the tables are full: milliseconds, and what
the looking costs those that work.

With `--scale 1` ten million jobs are queued, three million finished, one million dead.
"""

import http.client
import random
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

from contest import Contest, Filled, Sizes
from database import Database
from node import command, environment, running
from product import drained, fill, queue
from start import command as timed_command

QUEUED, DEAD, FINISHED = 10_000_000, 1_000_000, 3_000_000
DRAINED = 100_000
TYPES, USERS, PRIORITIES, KINDS = 50, 10_000, 10, 20
TIMES = 20
GAP_SECONDS = 0.25
KILOBYTE = 1000
PORT = 4790
JOBS = "/api/jobs/v1"
LOOKS = {
    "jobs": JOBS,
    "jobs, 1,000": f"{JOBS}?limit=1000",
    "jobs in the queue's order": f"{JOBS}?order=queue",
    "queued": f"{JOBS}?status=queued",
    "scheduled": f"{JOBS}?status=scheduled",
    "running": f"{JOBS}?status=running",
    "dead": f"{JOBS}?status=dead",
    "succeeded": f"{JOBS}?status=succeeded",
    "of a type": f"{JOBS}?event_type_id=7",
    "of a user": f"{JOBS}?user_id=77",
    "of a user, dead": f"{JOBS}?user_id=77&status=dead",
    "of a user that has none": f"{JOBS}?user_id=-1",
    "by priority": f"{JOBS}?priority_min=4&priority_max=4",
    "by error": f"{JOBS}?status=dead&error=kind%2011",
    "by error that none has": f"{JOBS}?status=dead&error=nothing",
    "by correlation": f"{JOBS}?correlation_id=nobody",
    "attempted twice": f"{JOBS}?attempt_min=2",
    "one job": JOBS + "/{id}",
    "why one does not run": JOBS + "/{id}/why",
    "event types": "/api/event-types/v1",
    "workers": "/api/workers/v1",
    "stats": "/api/stats/v1",
    "a day by the minute": "/api/stats/v1/series?hours=24",
    "metrics": "/metrics",
    "dashboard": "/dashboard",
    "dashboard, jobs": "/dashboard/jobs",
    "dashboard, dead jobs": "/dashboard/jobs?status=dead",
    "dashboard, one job": "/dashboard/jobs/{id}",
    "dashboard, dead letters": "/dashboard/dead",
    "dashboard, types": "/dashboard/types",
    "dashboard, workers": "/dashboard/workers",
    "dashboard, operations": "/dashboard/operations",
}


def contests(sizes: Sizes) -> dict[str, Contest]:
    full = partial(fill_all, sizes=sizes)
    return {
        "looks.answers": Contest(f"ms, of {TIMES} each", "less", {"v7": Filled(full, looked_at)}),
        "looks.bytes": Contest("kB that a screen transfers", "less", {"v7": Filled(full, transferred)}),
        "looks.drain": Contest(
            "jobs/s",
            "more",
            {
                "nobody looks": Filled(full, partial(drain, sizes=sizes)),
                "all is looked at in turn": Filled(full, partial(drain_in_sight, sizes=sizes)),
            },
        ),
    }


def fill_all(database: Database, sizes: Sizes) -> None:
    fill(database, 0)
    common = "event_type_id, user_id, priority, event_data, correlation_id, created_at, queued_at, claimed_at"
    values = (
        f"1 + i %% {TYPES}, i %% {USERS}, i %% {PRIORITIES}, json_build_object('i', i), gen_random_uuid(), "
        "now() - i * interval '10 ms', now() - i * interval '10 ms', now() - i * interval '10 ms'"
    )
    database.connection.execute(
        f"insert into v7.finished_jobs (id, {common}, status, position, retry_count, max_retries, attempt, suspect, "
        f"finished_at) select nextval('v7.jobs_id_seq'), {values}, 'succeeded', nextval('v7.position'), 0, 5, 1, "
        "false, now() from generate_series(1, %s) i",
        [sizes.scaled(FINISHED)],
    )
    database.connection.execute(
        f"insert into v7.jobs ({common}, status, retry_count, max_retries, attempt, last_error, dead_at, dead_reason) "
        f"select {values}, 'dead', 5, 5, 5, 'ValueError: kind ' || i %% {KINDS}, now() - i * interval '10 ms', "
        "'max_retries reached' from generate_series(1, %s) i",
        [sizes.scaled(DEAD)],
    )
    database.connection.execute(
        "insert into v7.failures (job_id, attempt, event_type_id, error_type, message, worker_id, worker, claimed_at) "
        "select id, 5, event_type_id, 'ValueError', last_error, 1, 'host:1', now() from v7.jobs"
    )
    queue(database, sizes.scaled(QUEUED), PRIORITIES, TYPES)


def looked_at(database: Database) -> dict[str, float]:
    """The median and the 95th percentile of each look, through an API process of its own; and `v7 status` whole."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running("api", database, folder, PORT=PORT):
            connection = wait_for_api()
            for what, path in LOOKS.items():
                figures |= percentiles(what, [look(connection, database, path) for _ in range(TIMES)])
        figures |= percentiles("v7 status, with its start", [status(database, folder) for _ in range(TIMES)])
    return figures


def percentiles(what: str, seconds: list[float]) -> dict[str, float]:
    seconds.sort()
    return {
        f"{what}, p50": 1000 * seconds[len(seconds) // 2],
        f"{what}, p95": 1000 * seconds[int(len(seconds) * 0.95)],
    }


def transferred(database: Database) -> dict[str, float]:
    """The largest body of each screen of the dashboard, without what browsers keep (scripts, style); not compressed."""
    screens = {what: path for what, path in LOOKS.items() if path.startswith("/dashboard")}
    with tempfile.TemporaryDirectory() as name, running("api", database, Path(name), PORT=PORT):
        connection = wait_for_api()
        return {
            what: max(len(body_of(connection, of_some_job(database, path))) for _ in range(TIMES)) / KILOBYTE
            for what, path in screens.items()
        }


def wait_for_api() -> http.client.HTTPConnection:
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", PORT)
        try:
            connection.request("GET", "/livez")
            connection.getresponse().read()
            return connection
        except OSError:
            time.sleep(0.05)


def look(connection: http.client.HTTPConnection, database: Database, path: str) -> float:
    """Seconds until it is answered."""
    path = of_some_job(database, path)
    began = time.perf_counter()
    body_of(connection, path)
    return time.perf_counter() - began


def of_some_job(database: Database, path: str) -> str:
    return path.format(id=random.randint(1, database.value("select last_value from v7.jobs_id_seq")))


def body_of(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status in (200, 404), (path, answer.status, body)
    return body


def status(database: Database, folder: Path) -> float:
    return timed_command(*command("status"), env=environment(database, folder), cwd=folder)


def drain(database: Database, sizes: Sizes) -> dict[str, float]:
    jobs = sizes.scaled(DRAINED)
    return {"jobs/s": jobs / drained(database, [jobs], whole=False)[-1]}


def drain_in_sight(database: Database, sizes: Sizes) -> dict[str, float]:
    """While each look is taken in turn, four a second, as by a dashboard and a few people."""
    ended = threading.Event()
    with tempfile.TemporaryDirectory() as name, running("api", database, Path(name), PORT=PORT):
        connection = wait_for_api()

        def keep_looking() -> None:
            while True:
                for path in LOOKS.values():
                    look(connection, database, path)
                    if ended.wait(GAP_SECONDS):
                        return

        thread = threading.Thread(target=keep_looking)
        thread.start()
        try:
            return drain(database, sizes)
        finally:
            ended.set()
            thread.join()
