"""L13: nothing is left lying, and all is done soon after the last fault is healed."""

from ..ledger import Finding, Ledger

SAMPLE_GAP_SECONDS_MAX = 5.0
"""Where nobody looked for longer (the database was away, and with it the rescuers) an orphan's age begins anew."""


def live(ledger: Ledger) -> list[Finding]:
    """L13: no orphan gets old; where the ledger has a limit for it, the queue is empty in time."""
    return [*left_lying(ledger), *undrained(ledger)]


def left_lying(ledger: Ledger) -> list[Finding]:
    found: dict[int, Finding] = {}
    since: dict[int, float] = {}
    looked = float("-inf")
    for sample in ledger.orphans:
        known = since if sample.mono - looked <= SAMPLE_GAP_SECONDS_MAX else {}
        since = {job_id: known.get(job_id, sample.mono) for job_id in sample.ids}
        looked = sample.mono
        for job_id, begun in since.items():
            if looked - begun > ledger.orphan_seconds:
                found[job_id] = Finding("L13", job_id, f"it was an orphan for {looked - begun:.1f} s")
    return list(found.values())


def undrained(ledger: Ledger) -> list[Finding]:
    """By the last change of all, counted from the last fault's end and the last event."""
    if ledger.drained_seconds is None or not ledger.changes:
        return []
    healed = max((max(fault.begin, fault.end or 0.0) for fault in ledger.faults), default=0.0)
    sent = max((event.sent.mono for event in ledger.events.values()), default=0.0)
    last = max(ledger.changes, key=lambda change: change.wall)
    took = ledger.at(last) - max(healed, sent)
    if took <= ledger.drained_seconds:
        return []
    return [Finding("L13", last.id, f"the last change came {took:.1f} s after the last fault and event")]
