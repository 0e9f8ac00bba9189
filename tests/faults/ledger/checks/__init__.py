"""What must be true after every run. Each check is a function of a ledger that answers with what it found, L1 to L14;
an empty list is a pass. Unknown outcomes only widen what is allowed; they are never taken for a pass."""

from collections.abc import Callable

from ..ledger import Finding, Ledger
from .accounting import changed, copies, lost, phantoms, started_after_completion, unearned, unfinished
from .charges import charges
from .history import arrows, fences
from .live import live
from .order import order, strict_order
from .runs import extra_runs, overlaps

CHECKS: dict[str, Callable[[Ledger], list[Finding]]] = {
    "L1": lost,
    "L2": unfinished,
    "L3": phantoms,
    "L4": copies,
    "L5": changed,
    "L6": unearned,
    "L7": started_after_completion,
    "L8": extra_runs,
    "L9": overlaps,
    "L10": fences,
    "L11": charges,
    "L12": order,
    "L13": live,
    "L14": arrows,
}

__all__ = ["CHECKS", "strict_order"]
