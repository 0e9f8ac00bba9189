"""L8 and L9: no job runs more often than faults can explain, nor twice at a time."""

from itertools import combinations

from ..faults import excused, lost_claim, lost_node, stopped
from ..ledger import Finding, Ledger


def extra_runs(ledger: Ledger) -> list[Finding]:
    """L8: each run that came to nothing was hit by a fault that may have brought it there: never on average."""
    found = []
    for attempt, runs in ledger.attempts.items():
        wasted = ledger.wasted(attempt)
        if wasted and wasted > (allowed := sum(excused(ledger, run) for run in runs)):
            sentence = f"{wasted} of {len(runs)} runs of attempt {attempt[1]} came to nothing, faults explain {allowed}"
            found.append(Finding("L8", attempt[0], sentence))
    return found


def overlaps(ledger: Ledger) -> list[Finding]:
    """L9: no two runs of a job at a time, unless the first one's node was given up, or its claim was lost."""
    found = []
    for job_id, runs in ledger.runs_by_id.items():
        for first, second in combinations(runs, 2):
            if second.began < stopped(ledger, first) and not any(
                lost_node(fault, first) or lost_claim(fault, first) for fault in ledger.faults
            ):
                where = f"in {first.pid} and {second.pid}"
                sentence = f"attempts {first.attempt} and {second.attempt} ran at once, {where}"
                found.append(Finding("L9", job_id, sentence))
    return found
