"""What stands where, since when, and who works: the state of the whole, in few queries that are bounded.

In plain SQL by psycopg alone, or on the connection of a listing: `v7 status` would need twice as long with SQLAlchemy,
which takes longer to import than all of this to ask.
"""

from .counts import COUNT_MAX, Depth, depth, depth_by_type, elsewhere, in_line, queue_head, totals
from .look import Ask
from .rates import Ended
from .session import STATEMENT_SECONDS_MAX, now, seeing
from .waits import Oldest, oldest_by_type, queued_types
from .whole import Overview, glance
from .workers import RUNNING_MAX, NodeRow, RunningRow, WorkerRow, node_serves, nodes, serves, takers

__all__ = [
    "COUNT_MAX",
    "RUNNING_MAX",
    "STATEMENT_SECONDS_MAX",
    "Ask",
    "Depth",
    "Ended",
    "NodeRow",
    "Oldest",
    "Overview",
    "RunningRow",
    "WorkerRow",
    "depth",
    "depth_by_type",
    "elsewhere",
    "glance",
    "in_line",
    "node_serves",
    "nodes",
    "now",
    "oldest_by_type",
    "queue_head",
    "queued_types",
    "seeing",
    "serves",
    "takers",
    "totals",
]
