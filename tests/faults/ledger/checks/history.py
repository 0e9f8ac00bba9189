"""L10 and L14: the audit of each job is a path through the states, and each claim has one exit, by its own fence."""

from ..ledger import Finding, Ledger, kind
from ..records import Change

ARROWS = {
    (None, "scheduled"),
    (None, "queued"),
    ("scheduled", "queued"),
    ("queued", "running"),
    ("running", "queued"),
    ("running", "scheduled"),
    ("running", "dead"),
    ("running", "succeeded"),
    ("dead", "queued"),
    *((status, "cancelled") for status in ("scheduled", "queued", "running", "dead")),
}


def fences(ledger: Ledger) -> list[Finding]:
    """L10: a claim draws a new attempt; what leaves `running` carries the fence of the last claim; none comes twice.

    An asynchronous claim that a crash took back is not in the audit, and its fence may be drawn again.
    """
    return [Finding("L10", job_id, said) for job_id, history in ledger.history.items() for said in unfenced(history)]


def unfenced(history: list[Change]) -> list[str]:
    said, used, held = [], set(), None
    for change in history:
        old, new = (change.old_attempt, change.old_worker), (change.attempt, change.worker)
        if change.old_status == "running" and old != held:
            said.append(f"attempt and worker {old} left it, held was {held}")
        if change.status == "running" and change.old_status == "running" and new != old:
            said.append(f"it went from attempt and worker {old} to {new} without a claim")
        if change.status == "running" != change.old_status:
            if new in used:
                said.append(f"attempt and worker {new} were given out twice")
            if change.attempt != (change.old_attempt or 0) + 1:
                said.append(f"a claim made attempt {change.attempt} of {change.old_attempt}")
            used.add(new)
        held = new if change.status == "running" else None
    return said


def arrows(ledger: Ledger) -> list[Finding]:
    """L14: changes along the arrows only, without a gap, each queueing at a fresh position or at its old one."""
    found, last, at = [], dict[int, Change](), dict[int, int]()
    for change in ledger.changes:
        wrong = [*astray(change, last.get(change.id)), *misplaced(change)]
        holder = at.get(change.position or 0, change.id)
        if holder != change.id:
            wrong.append(f"its position {change.position} is that of {holder}")
        found += [Finding("L14", change.id, sentence) for sentence in wrong]
        last[change.id] = change
        if at.get(change.old_position or 0) == change.id:
            del at[change.old_position or 0]
        if change.status not in (None, "succeeded", "cancelled"):
            at[change.position or 0] = change.id
    return found


def astray(change: Change, last: Change | None) -> list[str]:
    """What is wrong with where it comes from and goes to."""
    said = []
    if change.status != change.old_status and (change.old_status, change.status) not in ARROWS:
        said.append(f"it went from {change.old_status} to {change.status}")
    before = (last.status, last.attempt, last.position, last.retry_count) if last else (None,) * 4
    if before != (change.old_status, change.old_attempt, change.old_position, change.old_retry_count):
        said.append(f"it was changed unseen before it became {change.status}")
    return said


def misplaced(change: Change) -> list[str]:
    """What is wrong with its position: fresh at promote, retry and redrive, kept at all else.

    Fresh means another than before, and no living job's: larger than all before it need not be, since transactions
    overlap and a crash takes back what was drawn.
    """
    if change.status is None or change.old_status is None:
        return []
    retried = change.old_status == "running" and kind(change) == "charged"
    fresh = change.status == "queued" and (change.old_status in ("scheduled", "dead") or retried)
    if fresh and change.position == change.old_position:
        return [f"it was queued from {change.old_status} without a fresh position"]
    if not fresh and change.position != change.old_position:
        return [f"its position changed from {change.old_status} to {change.status}"]
    return []
