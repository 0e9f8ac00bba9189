"""The queue's transitions: one function for each statement in sql/.

Every function takes a psycopg connection in autocommit mode, runs one statement in a transaction of its own (or
in the caller's, where the caller has begun one) and returns what changed. Whatever leaves `running` is guarded by
id, attempt and worker: what is missing from the answer was taken away meanwhile, and its word is void.
"""

from ..deadline import Connection
from .acts import (
    MAY,
    Mine,
    cancel,
    redrive_edited,
    redrive_one,
    reschedule,
    retry,
    set_priority,
    status_of,
    taken_away,
    why_not,
)
from .claiming import BEGINNING, FIRST, LAST, Claim, Frontier, Served, claim, claim_suspect, last_position
from .counts import fold_counts, write_counts
from .ending import Failure, Held, Running, complete, fail, held_by, orphans, release, snooze
from .event_types import (
    discover_event_types,
    ensure_event_types,
    pause_event_type,
    paused_event_types,
    resume_event_type,
)
from .history import add_days, drop_oldest_day, has_tomorrow, prune_failures, prune_idempotency_keys
from .intake import Enqueued, enqueue, enqueue_once, wake
from .refusal import is_refusal, lacks_partition, left_running, write_past
from .server import Change, recognise
from .statement import Statement, literal
from .waiting import first_due, next_due_seconds, promote, redrive
from .workers import Lost, Node, beat, give_up_node, nodes, register, serve, suspects_wait, unregister, workers_of

__all__ = [
    "BEGINNING",
    "FIRST",
    "LAST",
    "MAY",
    "Change",
    "Claim",
    "Connection",
    "Enqueued",
    "Failure",
    "Frontier",
    "Held",
    "Lost",
    "Mine",
    "Node",
    "Running",
    "Served",
    "Statement",
    "add_days",
    "beat",
    "cancel",
    "claim",
    "claim_suspect",
    "complete",
    "discover_event_types",
    "drop_oldest_day",
    "enqueue",
    "enqueue_once",
    "ensure_event_types",
    "fail",
    "first_due",
    "fold_counts",
    "give_up_node",
    "has_tomorrow",
    "held_by",
    "is_refusal",
    "lacks_partition",
    "last_position",
    "left_running",
    "literal",
    "next_due_seconds",
    "nodes",
    "orphans",
    "pause_event_type",
    "paused_event_types",
    "promote",
    "prune_failures",
    "prune_idempotency_keys",
    "recognise",
    "redrive",
    "redrive_edited",
    "redrive_one",
    "register",
    "release",
    "reschedule",
    "resume_event_type",
    "retry",
    "serve",
    "set_priority",
    "snooze",
    "status_of",
    "suspects_wait",
    "taken_away",
    "unregister",
    "wake",
    "why_not",
    "workers_of",
    "write_counts",
    "write_past",
]
