"""L11: each charge has its cause, and each killer all its charges."""

from ..faults import DEADLY, ENDING, KILLS, LOSSES, alone, killed, lost_node, window
from ..ledger import Attempt, Finding, Ledger, Run
from ..records import Failure


def charges(ledger: Ledger) -> list[Finding]:
    """L11. That an innocent is never charged follows: a charge that has no cause is found, and one too many too."""
    return [*miscounted(ledger), *causeless(ledger), *unpunished(ledger), *put_off(ledger)]


def miscounted(ledger: Ledger) -> list[Finding]:
    """Where the count is not that of the recorded failures since the last redrive, which forgives them."""
    found = []
    for row in ledger.rows:
        redriven = [c.attempt or 0 for c in ledger.history.get(row.id, ()) if c.old_status == "dead"]
        forgiven = max(redriven, default=0)
        recorded = sum(failure.attempt > forgiven for failure in ledger.failures.get(row.id, ()))
        if row.retry_count != recorded:
            found.append(Finding("L11", row.id, f"retry_count is {row.retry_count}, its failures are {recorded}"))
    return found


def causeless(ledger: Ledger) -> list[Finding]:
    return [
        Finding("L11", job_id, f"attempt {each.attempt} was charged as {each.error_type} without a cause")
        for job_id, failures in ledger.failures.items()
        for each in failures
        if not caused(ledger, each)
    ]


def caused(ledger: Ledger, failure: Failure) -> bool:
    attempt = (failure.job_id, failure.attempt)
    runs = ledger.attempts.get(attempt, [])
    row = ledger.rows_by_id.get(failure.job_id)
    said = {run.outcome for run in runs}
    if said & {"failed", "discard"} or ("cancelled" in said and failure.error_type == "Timeout"):
        return True
    if row is not None and ledger.do(row.n) in ENDING:
        return True
    return any(crashed(ledger, run) for run in runs) if runs else fell_unstarted(ledger, attempt)


def crashed(ledger: Ledger, run: Run) -> bool:
    """Whether a fault took the run's process, in which it ran alone or as a suspect."""
    claim = ledger.claim_of(run)
    hit = any(killed(fault, run) or lost_node(fault, run) for fault in ledger.faults)
    return hit and ((claim is not None and bool(claim.suspect)) or alone(ledger, run))


def fell_unstarted(ledger: Ledger, attempt: Attempt) -> bool:
    """Whether a fault may have taken it between its claim and its handler's first word. Whose process it was in is
    not known then; of a lost node nobody knows what had started."""
    claims, exits = ledger.claims.get(attempt), ledger.exits.get(attempt)
    if not claims or not exits:
        return False
    begun, over = ledger.at(claims[0]), ledger.at(exits[-1])
    faults = (fault for fault in ledger.faults if fault.fault in KILLS | LOSSES)
    return any(begun <= window(fault)[1] and over >= fault.begin for fault in faults)


def unpunished(ledger: Ledger) -> list[Finding]:
    """Killers that are through, and not dead after exactly max_retries."""
    return [
        Finding("L11", row.id, f"it kills its process, and is {row.status} after {row.retry_count}/{row.max_retries}")
        for row in ledger.rows
        if ledger.do(row.n) in DEADLY
        and (row.status == "succeeded" or (row.status == "dead" and row.retry_count != row.max_retries))
    ]


def put_off(ledger: Ledger) -> list[Finding]:
    """Attempts that were put off uncharged, and no handler asked for it."""
    return [
        Finding("L11", change.id, f"attempt {change.old_attempt} was put off uncharged, unasked")
        for change in ledger.changes
        if (change.old_status, change.status) == ("running", "scheduled")
        and change.retry_count == change.old_retry_count
        and all(run.outcome != "snooze" for run in ledger.attempts.get((change.id, change.old_attempt or 0), ()))
    ]
