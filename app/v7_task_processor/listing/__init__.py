"""Read-only queries for people: what waits, what runs, what died, which types there are, who works.

Each is bounded, however many jobs there are: a page goes on from the last id that was seen, a count stops at
10,000. `event_data` is read as text and never taken apart: one row with \\u0000 in it would fail the whole query.
"""

from .depth import Depth, Ended, Oldest, Overview, TypePage, TypeRow, overview, types_page
from .jobs import (
    FINISHED,
    LIVE,
    LOOKED_MAX,
    Detail,
    FailureRow,
    Filter,
    JobRow,
    Page,
    dead_count,
    dead_page,
    detail,
    jobs_page,
    last_failures,
    queue_page,
)
from .nodes import NodeRow, RunningRow, WorkerRow, nodes
from .server import Transaction, missing_days, oldest_transaction
from .session import now, reading

__all__ = [
    "FINISHED",
    "LIVE",
    "LOOKED_MAX",
    "Depth",
    "Detail",
    "Ended",
    "FailureRow",
    "Filter",
    "JobRow",
    "NodeRow",
    "Oldest",
    "Overview",
    "Page",
    "RunningRow",
    "Transaction",
    "TypePage",
    "TypeRow",
    "WorkerRow",
    "dead_count",
    "dead_page",
    "detail",
    "jobs_page",
    "last_failures",
    "missing_days",
    "nodes",
    "now",
    "oldest_transaction",
    "overview",
    "queue_page",
    "reading",
    "types_page",
]
