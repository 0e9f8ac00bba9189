"""What `/metrics` tells: each family by its name, its kind, what it means and where its numbers come from.

`python -m v7_task_processor.observability.families > docs/metrics.md` writes the reference.
"""

import sys
from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]

TYPES_MAX = 50
"""So many event types have a label of their own: those that came first. All others are `other`."""
OTHER = "other"
TYPE = "event_type_id"
OUTCOMES = ("succeeded", "failed", "discarded", "snoozed", "crashed")
FAILED = ("failed", "discarded", "crashed")
"""Those that count against a job."""
ROLES = ("api", "worker", "lone worker")
PARTS = ("counters", "depth", "oldest", "nodes", "connections")
"""What a scrape asks the database for, each by itself."""

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
LONG = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0)


class Family(NamedTuple):
    """A metric. `values` are those of its label that are known beforehand; they are shown from the start, as 0."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Of a histogram's buckets, in seconds, without the last, which has none."""

    @property
    def by_type(self) -> bool:
        return TYPE in self.labels

    def key(self, event_type_id: object = "", label: str = "") -> str:
        """Under which one series of it is kept in v7.metrics."""
        return f"{self.name}|{event_type_id}|{label}"

    def nothing(self) -> list[float]:
        """The numbers of a series that saw nothing: a histogram's buckets, what is beyond them, and the sum."""
        return [0.0] * (len(self.bounds) + 2 if self.kind == "histogram" else 1)


BUILD_INFO = Family(
    "v7_build_info", "gauge", "1; the release that answers, its schema and its Python.", ("version", "schema", "python")
)
SCRAPE_ERRORS = Family(
    "v7_scrape_errors",
    "gauge",
    "1 where this part of the scrape failed, so that its metrics are missing: the database was away or too slow.",
    ("part",),
    PARTS,
)
SCRAPE_DURATION = Family("v7_scrape_duration_seconds", "gauge", "How long it took to gather what this scrape answers.")

JOBS = Family(
    "v7_jobs",
    "gauge",
    "Jobs in each status: exact up to 10,000, beyond that estimated from the size of the status's index.",
    ("status",),
)
QUEUE_DEPTH = Family(
    "v7_queue_depth",
    "gauge",
    "Scheduled, queued and running jobs of a type. Queued: exact up to 10,000, and 1,000 where there are fifty types, "
    "beyond it a floor. Scheduled: among the 10,000 of all types that are due first. v7_jobs estimates the whole.",
    (TYPE, "status"),
)
OLDEST_AGE = Family(
    "v7_oldest_queued_age_seconds",
    "gauge",
    "How long the queued job of a type that waits longest has waited; 0 where none waits. A floor where the type has "
    "more than 100 priorities, 20 where there are fifty types, and of `other` where there are 1,000 types.",
    (TYPE,),
)
DEAD_LETTERS = Family(
    "v7_dead_letters",
    "gauge",
    "Dead letters of a type, among the 10,000 that died first; v7_jobs estimates the whole.",
    (TYPE,),
)
PAUSED = Family("v7_event_type_paused", "gauge", "1 while the type is paused: its jobs wait.", (TYPE,))
UNSERVED = Family(
    "v7_event_types_unserved",
    "gauge",
    "Event types with queued jobs for which no node that lives has a handler; of those without a label of their own "
    "1,000 are looked at.",
)
NODES = Family(
    "v7_nodes",
    "gauge",
    "Nodes in the register: alive, or lost (no heartbeat for 15 seconds, and not rescued yet).",
    ("state",),
)
WORKERS = Family("v7_workers", "gauge", "Worker processes of nodes that live.")
CONNECTIONS = Family("v7_database_connections", "gauge", "Connections to this database, others' among them.")
CONNECTIONS_MAX = Family(
    "v7_database_connections_max", "gauge", "Connections that the server takes in all: max_connections."
)

RECEIVED = Family(
    "v7_events_received_total",
    "counter",
    "Events that the API acknowledged as durable. Those that v7.enqueue adds in SQL are not among them.",
)
NOT_ADDED = Family(
    "v7_events_not_added_total",
    "counter",
    "Events that were understood and not acknowledged, by the HTTP status that their senders got.",
    ("status",),
    ("500", "503"),
)
COMMIT_DURATION = Family(
    "v7_ingest_commit_duration_seconds",
    "histogram",
    "How long the API's group commits took; each is for all events that waited.",
    bounds=QUICK,
)
CLAIM_DURATION = Family(
    "v7_claim_duration_seconds", "histogram", "How long claims took, those that found nothing among them.", bounds=QUICK
)
CLAIMED = Family("v7_jobs_claimed_total", "counter", "Jobs that workers claimed.")
QUEUE_WAIT = Family(
    "v7_queue_wait_seconds",
    "histogram",
    "How long jobs had waited when their handlers started, since they last became runnable.",
    bounds=LONG,
)
ATTEMPTS = Family(
    "v7_attempts_total",
    "counter",
    "Attempts by how they ended. Crashed: charged for the end of its process. What was given back uncharged is none.",
    (TYPE, "outcome"),
    OUTCOMES,
)
HANDLER_DURATION = Family(
    "v7_handler_duration_seconds",
    "histogram",
    "How long handlers ran, whatever the outcome but a crash.",
    (TYPE,),
    bounds=LONG,
)
RETRIES = Family("v7_retries_total", "counter", "Failures after which the job is tried again.", (TYPE,))
DEAD_LETTERED = Family("v7_dead_lettered_total", "counter", "Jobs that became dead letters.", (TYPE,))
RELEASED = Family(
    "v7_jobs_released_total", "counter", "Jobs that a worker gave back uncharged, most of them unstarted."
)
TAKEN_AWAY = Family(
    "v7_jobs_taken_away_total",
    "counter",
    "Ends of attempts that changed nothing, since the job had been taken from the worker meanwhile.",
)
RESCUED = Family("v7_jobs_rescued_total", "counter", "Jobs that were taken from dead workers and lost nodes.")
WORKERS_CRASHED = Family(
    "v7_workers_crashed_total", "counter", "Processes that ended and should not have.", ("role",), ROLES
)
WORKERS_STUCK = Family(
    "v7_workers_stuck_total", "counter", "Workers that were ended since an attempt went on past its limit."
)
NODES_LOST = Family("v7_nodes_lost_total", "counter", "Nodes that others gave up, and rescued from.")

FAMILIES = tuple(each for each in list(globals().values()) if isinstance(each, Family))
COUNTED = {each.name: each for each in FAMILIES if each.kind != "gauge"}
"""What processes count; v7.metrics keeps it. All else is read from the tables at each scrape."""

PREFACE = f"""\
# Metrics

`GET /metrics` of any API process answers for all nodes that work on its database, in Prometheus' text format. This
page is made from the code (`python -m v7_task_processor.observability.families > docs/metrics.md`).

- **Gauges** are read from the tables at each scrape, by indexes and up to bounds, whatever the size of the queue.
- **Counters and histograms** are counted in each process and written every 3 seconds, and when it ends, to a row of
  its own in `v7.metrics`; those of ended processes are folded into one. So they sum over all processes of all nodes,
  `v7 worker` nodes without a port among them, and go on after restarts. What a process that is killed (`kill -9`) had
  counted in its last 3 seconds is lost; no job is. After a failover that lost the end of the log, or a restore, they
  may fall once; Prometheus takes that for a restart.
- Scrape one API process, or all: each says the same. Never sum them over `instance`; `max without (instance)` is right.
- Labels are bounded: the {TYPES_MAX} event types that came first have their number in `{TYPE}`, all others are
  `{OTHER}` together.
- `v7_scrape_errors{{part="…"}}` is 1 where a part could not be had: its metrics are missing then, and the rest is
  served. A scrape never answers 500 for the sake of the database.

[deploy/grafana/v7.json](../deploy/grafana/v7.json) is a dashboard,
[deploy/prometheus/alerts.yml](../deploy/prometheus/alerts.yml) has alert rules, each with what to do.

| metric | kind | labels | |
|---|---|---|---|
"""


def reference() -> str:
    """docs/metrics.md."""
    rows = [
        f"| `{each.name}` | {each.kind} | {', '.join(f'`{label}`' for label in each.labels)} | {each.help} |"
        for each in FAMILIES
    ]
    buckets = [f"`{each.name}`: {', '.join(f'{bound:g}' for bound in each.bounds)}" for each in FAMILIES if each.bounds]
    return PREFACE + "\n".join(rows) + "\n\nThe bounds of the buckets, in seconds:\n\n- " + "\n- ".join(buckets) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
