"""L12: the best event next."""

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from ..ledger import Finding, Ledger, Run
from ..records import Change

WAIT_SECONDS = 0.25
"""A claim may be so old when its job starts: what was queued since is no reason against it."""
LATE_SECONDS = 5.0
"""The same for what committed late, or was put back to where it stood, behind the places where claims look first."""

Place = tuple[int, int]
"""(priority, position): the order itself."""


class Wait(NamedTuple):
    """A job stood in the queue. `counts` is from when on nothing worse may start before it."""

    counts: float
    until: float
    place: Place
    id: int


def order(ledger: Ledger) -> list[Finding]:
    """L12: nothing starts while something better has waited for longer than the claim may be old.

    Suspects have a lane of their own and count on neither side.
    """
    waits = sorted(waiting(ledger))
    queue: list[tuple[Place, float, int]] = []
    found, next_wait = [], 0
    for began, ended, place, run in sorted(taken(ledger), key=lambda each: each[:2]):
        while next_wait < len(waits) and waits[next_wait].counts <= began:
            wait = waits[next_wait]
            heapq.heappush(queue, (wait.place, wait.until, wait.id))
            next_wait += 1
        while queue and queue[0][1] <= ended:  # it waits no more: another took it, perhaps beside this one
            heapq.heappop(queue)
        if queue and queue[0][0] < place:
            sentence = f"started from {place} while {queue[0][2]} waited at {queue[0][0]}"
            found.append(Finding("L12", run.id, sentence))
    return found


def taken(ledger: Ledger) -> Iterator[tuple[float, float, Place, Run]]:
    """Each run, from where it was taken, and when (from, to) it was decided that it comes next.

    That is its start; or in a run with faults its claim, since those hold up the answers to claims, and what starts
    then was taken long before.
    """
    for run in ledger.runs:
        claim = ledger.claim_of(run)
        if claim is None or claim.suspect:
            continue
        if ledger.faults:
            yield ledger.clock.mono(claim.began), ledger.at(claim), place_of(claim), run
        else:
            yield run.began, run.began, place_of(claim), run


def place_of(change: Change) -> Place:
    return change.priority or 0, change.position or 0


def waiting(ledger: Ledger) -> Iterator[Wait]:
    """Each stay of a job in the queue. It ends with its claim, or with a start: a crash may have taken the claim."""
    slack = ledger.clock.tolerance_seconds
    for job_id, history in ledger.history.items():
        for change, following in zip(history, [*history[1:], None], strict=True):
            if change.status != "queued" or change.suspect or following is None:
                continue  # what waits at the end is L2's
            row = ledger.rows_by_id.get(job_id)
            if row is not None and row.event_type_id in ledger.paused_or_unserved:
                continue
            queued, claimed = ledger.at(change), ledger.clock.mono(following.began)
            starts = (run.began for run in ledger.runs_by_id.get(job_id, ()) if run.began > queued - slack)
            put_back = change.old_status == "running" and change.position == change.old_position
            late = put_back or change.wall - change.began > WAIT_SECONDS
            counts = queued + (LATE_SECONDS if late else WAIT_SECONDS) + slack
            until = min(claimed - slack, min(starts, default=claimed))
            if counts < until:
                yield Wait(counts, until, place_of(change), job_id)


def strict_order(ledger: Ledger) -> list[Finding]:
    """L12 for one worker that runs one at a time, without faults, all queued before: exactly in order."""
    claims = [ledger.claims[run.id, run.attempt][0] for run in ledger.runs]
    places = [((claim.priority or 0, claim.position or 0), run) for claim, run in zip(claims, ledger.runs, strict=True)]
    ordered = sorted(places, key=lambda each: each[0])
    for (_, run), (place, expected) in zip(places, ordered, strict=True):
        if run is not expected:
            return [Finding("L12", run.id, f"it started where {expected.id} should have, from {place}")]
    return []
