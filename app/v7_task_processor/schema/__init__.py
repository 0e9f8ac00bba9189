"""The tables, as SQLAlchemy Core. A migration makes them; `make check` proves that the two agree."""

from .acts import audit, operations
from .base import SCHEMA, Time, metadata
from .counts import metrics, minutes
from .nodes import server, workers
from .queue import QUEUED, event_types, failures, finished_jobs, idempotency_keys, jobs, position

__all__ = [
    "QUEUED",
    "SCHEMA",
    "Time",
    "audit",
    "event_types",
    "failures",
    "finished_jobs",
    "idempotency_keys",
    "jobs",
    "metadata",
    "metrics",
    "minutes",
    "operations",
    "position",
    "server",
    "workers",
]
