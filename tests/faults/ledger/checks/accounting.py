"""L1 to L7: every event is there, once, as it was sent, and has come to its end by a handler's word."""

from collections import Counter

from ..ledger import Finding, Ledger

LATE_SECONDS = 0.05
"""The audit's clock stands at the commit; a start within this of it may have been on its way."""


def lost(ledger: Ledger) -> list[Finding]:
    """L1: what was acknowledged is there. (Nothing may be pruned in the run.)"""
    return [
        Finding("L1", job_id, f"the event {n} was acknowledged with this id, and is nowhere")
        for n, event in ledger.events.items()
        for job_id in event.ids
        if job_id not in ledger.rows_by_id
    ]


def unfinished(ledger: Ledger) -> list[Finding]:
    """L2: it has come to its end, or waits with a reason. Acknowledged or not: what is there is there."""
    return [
        Finding("L2", row.id, f"it is still {row.status}")
        for row in ledger.rows
        if row.status not in ("succeeded", "dead", "cancelled") and row.event_type_id not in ledger.paused_or_unserved
    ]


def phantoms(ledger: Ledger) -> list[Finding]:
    """L3: nothing is there that was not sent, or that was refused each time."""
    found = []
    for row in ledger.rows:
        event = ledger.events.get(-1 if row.n is None else row.n)
        if event is None:
            found.append(Finding("L3", row.id, f"nobody sent its event ({row.n})"))
        elif event.refused >= event.sends:
            found.append(Finding("L3", row.id, f"its event {row.n} was refused"))
    return found


def copies(ledger: Ledger) -> list[Finding]:
    """L4: with a key once, without one at most as often as it was sent and not refused."""
    found = [
        Finding("L4", job_id, "its id stands in two rows")
        for job_id, count in Counter(row.id for row in ledger.rows).items()
        if count > 1
    ]
    counts = Counter(row.n for row in ledger.rows if row.n is not None)
    for n, event in ledger.events.items():
        # One that was refused each time is L3's.
        allowed = 1 if event.sent.key is not None else max(1, event.sends - event.refused)
        if counts[n] > allowed:
            found.append(Finding("L4", n, f"{counts[n]} jobs for {allowed} events"))
        if event.sent.key is not None and len(set(event.ids)) > 1:
            found.append(Finding("L4", n, f"its key was answered with the ids {sorted(set(event.ids))}"))
    return found


def changed(ledger: Ledger) -> list[Finding]:
    """L5: what is stored, and what each handler saw, is what was sent."""
    found = []
    for row in ledger.rows:
        event = ledger.events.get(-1 if row.n is None else row.n)
        if event is None:
            continue
        sent = event.sent
        if row.sha != sent.sha:
            found.append(Finding("L5", row.id, "its event_data is not what was sent"))
        if (row.event_type_id, row.priority) != (sent.type, sent.priority):
            found.append(Finding("L5", row.id, "its type or priority is not what was sent"))
        if any((run.sha, run.n) != (sent.sha, sent.n) for run in ledger.runs_by_id.get(row.id, ())):
            found.append(Finding("L5", row.id, "a handler saw something else than was sent"))
    answered = ((job_id, n) for n, event in ledger.events.items() for job_id in event.ids)
    for job_id, n in answered:
        row_n = ledger.rows_by_id[job_id].n if job_id in ledger.rows_by_id else n
        if row_n != n:
            found.append(Finding("L5", job_id, f"the event {n} was answered with this id, which is that of {row_n}"))
    return found


def unearned(ledger: Ledger) -> list[Finding]:
    """L6: what succeeded did so by the word of a handler, in the attempt that the audit shows completing."""
    found = []
    for row in ledger.rows:
        if row.status == "succeeded":
            done = [c for c in ledger.history.get(row.id, ()) if c.status == "succeeded"]
            attempts = [ledger.attempts.get((row.id, change.old_attempt or 0), []) for change in done]
            if not any(run.outcome == "ok" for runs in attempts for run in runs):
                found.append(Finding("L6", row.id, "it succeeded, and no handler of that attempt said so"))
    return found


def started_after_completion(ledger: Ledger) -> list[Finding]:
    """L7: nothing starts after its durable completion."""
    late = LATE_SECONDS + ledger.clock.tolerance_seconds
    completed = {change.id: ledger.at(change) for change in ledger.changes if change.status == "succeeded"}
    return [
        Finding("L7", run.id, f"attempt {run.attempt} started {run.began - completed[run.id]:.3f} s after completion")
        for run in ledger.runs
        if run.id in completed and run.began > completed[run.id] + late
    ]
