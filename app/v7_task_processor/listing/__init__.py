"""Read-only queries for people: jobs, dead letters, types, operations, rates, and why a job does not run.

Each is bounded, however many jobs there are: a page goes on from the last id that was seen, a count stops at
10,000. `event_data` is read as text and never taken apart: one row with \\u0000 in it would fail the whole query.
"""

from .counted import Matching, matching
from .dead import DeadGroup, DeadGroups, dead_groups, died_since, statuses
from .event_types import TypePage, TypeRow, types_page
from .failures import EARLIER_MAX, FailureRow, failure, last_failures
from .jobs import (
    LOOKED_MAX,
    Detail,
    Filter,
    JobRow,
    Page,
    dead_page,
    detail,
    jobs_page,
    listed_page,
    queue_page,
)
from .operations import ActPage, ActRow, Given, OperationPage, OperationRow, acts_page, operation, operations_page
from .series import HOURS_MAX, Minute, TypeRate, event_type_rates, series
from .server import Transaction, missing_days, oldest_transaction, sees_transactions
from .session import now, reading
from .why import Why, why

__all__ = [
    "EARLIER_MAX",
    "HOURS_MAX",
    "LOOKED_MAX",
    "ActPage",
    "ActRow",
    "DeadGroup",
    "DeadGroups",
    "Detail",
    "FailureRow",
    "Filter",
    "Given",
    "JobRow",
    "Matching",
    "Minute",
    "OperationPage",
    "OperationRow",
    "Page",
    "Transaction",
    "TypePage",
    "TypeRate",
    "TypeRow",
    "Why",
    "acts_page",
    "dead_groups",
    "dead_page",
    "detail",
    "died_since",
    "event_type_rates",
    "failure",
    "jobs_page",
    "last_failures",
    "listed_page",
    "matching",
    "missing_days",
    "now",
    "oldest_transaction",
    "operation",
    "operations_page",
    "queue_page",
    "reading",
    "sees_transactions",
    "series",
    "statuses",
    "types_page",
    "why",
]
