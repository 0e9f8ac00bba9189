"""An independent ledger: what was promised, checked from records that the product neither writes nor reads."""

from .audit import Clock, install, read
from .checks import CHECKS, strict_order
from .ledger import Finding, Ledger
from .records import (
    BrokenRecord,
    Change,
    Done,
    End,
    Failure,
    Fault,
    Orphans,
    Row,
    Sent,
    Start,
    Tables,
    read_clients,
    read_handled,
    read_lines,
)
from .report import Report, report

__all__ = [
    "CHECKS",
    "BrokenRecord",
    "Change",
    "Clock",
    "Done",
    "End",
    "Failure",
    "Fault",
    "Finding",
    "Ledger",
    "Orphans",
    "Report",
    "Row",
    "Sent",
    "Start",
    "Tables",
    "install",
    "read",
    "read_clients",
    "read_handled",
    "read_lines",
    "report",
    "strict_order",
]
