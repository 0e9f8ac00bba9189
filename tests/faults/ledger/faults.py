"""Which fault reached which run, and what it may have done to it."""

import math

from .ledger import Ledger, Run
from .records import Fault

KILLS = {"worker-killed", "node-killed", "supervisor-killed"}
LOSSES = {"node-frozen", "node-cut", "supervisor-frozen"}
CRASHES = {"database-crashed", "backend-killed"}
DRAIN = "drain"
DEADLY = {"die", "exit"}
"""What handlers do that ends their process at once; `block` ends it too, at its limit."""
ENDING = {*DEADLY, "block"}

LOST_SECONDS = 12.0
"""A node is given up after 15 s of watching, which may have begun 3 s before the fault: its beat was due then."""
KILLED_SECONDS = 1.0
"""A kill is noted before it is done, and what dies with its parent dies within this."""
CRASH_SECONDS = 1.0
"""How young a claim or completion may be for a crash of the database to take it back: 3 times wal_writer_delay, and
the time between a claim and its start."""


def window(fault: Fault) -> tuple[float, float]:
    """From when to when it may have reached something."""
    if fault.fault in LOSSES | {DRAIN}:
        return fault.begin, math.inf if fault.end is None else fault.end
    return fault.begin, max(fault.begin, fault.end or 0.0) + KILLED_SECONDS


def lost_claim(fault: Fault, run: Run) -> bool:
    """Whether a crash of the database may have taken back its claim, or its completion."""
    begin, end = fault.begin - CRASH_SECONDS, max(fault.begin, fault.end or 0.0) + CRASH_SECONDS
    if fault.fault not in CRASHES or run.left < begin:
        return False
    return any(when is not None and begin <= when <= end for when in (run.began, run.ended, run.left))


def reached(fault: Fault, run: Run) -> bool:
    """Whether it hit the run's process while the run was open."""
    begin, end = window(fault)
    return run.pid in fault.pids and run.began <= end and run.left >= begin


def lost_node(fault: Fault, run: Run) -> bool:
    """Whether it kept the run's node from beating for so long that others took the run for lost."""
    begin, end = window(fault)
    return fault.fault in LOSSES and end - begin >= LOST_SECONDS and reached(fault, run)


def killed(fault: Fault, run: Run) -> bool:
    return fault.fault in KILLS and reached(fault, run)


def killer(ledger: Ledger, run: Run) -> Run | None:
    """The run, perhaps itself, whose handler ended the process in which this run was open."""
    for fallen in ledger.fallen_by_pid.get(run.pid, ()):
        if ledger.do(fallen.n) in ENDING and fallen.began <= run.left and run.began <= fallen.left:
            return fallen
    return None


def excused(ledger: Ledger, run: Run) -> bool:
    """Whether something hit the run that may have brought it to nothing."""
    return killer(ledger, run) is not None or any(
        killed(fault, run)
        or lost_node(fault, run)
        or lost_claim(fault, run)
        or (fault.fault == DRAIN and reached(fault, run))
        for fault in ledger.faults
    )


def stopped(ledger: Ledger, run: Run) -> float:
    """When its handler was through, or fell."""
    if run.ended is not None:
        return run.ended
    deaths = [max(run.began, fault.begin) for fault in ledger.faults if killed(fault, run)]
    guilty = killer(ledger, run)
    if guilty is not None and ledger.do(guilty.n) in DEADLY:
        deaths.append(max(run.began, guilty.began))
    return min(deaths, default=run.left)


def alone(ledger: Ledger, run: Run) -> bool:
    """Whether no other run fell with it."""
    neighbours = ledger.fallen_by_pid.get(run.pid, ())
    return not any(other is not run and other.began <= run.left and run.began <= other.left for other in neighbours)
