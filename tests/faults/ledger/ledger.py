"""All records of one run, and the ways into them that the checks need."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec

from . import audit
from .audit import Clock
from .records import (
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

Attempt = tuple[int, int]
"""(job id, attempt)"""


class Finding(NamedTuple):
    """Something that must not be. `key` is a job's id, or the n of an event where there is none."""

    check: str
    key: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.check} {self.key}: {self.sentence}"


class Event(msgspec.Struct):
    """What clients know of one event: each time it was sent, each answer."""

    sent: Sent
    sends: int = 0
    refused: int = 0
    ids: list[int] = []
    """One for each 200."""

    @property
    def unknown(self) -> int:
        """Sends that may have had their effect or not."""
        return self.sends - self.refused - len(self.ids)


class Run(msgspec.Struct, frozen=True, gc=False):
    """One execution of a handler.

    `ended` and `outcome` are None where it fell with its process. `left` is when its attempt was over for the
    database too, or its job ran again (never: infinite): until then a fault may waste it, though its handler is
    through.
    """

    id: int
    attempt: int
    n: int
    sha: str
    pid: int
    began: float
    ended: float | None
    outcome: str | None
    left: float


class Ledger:
    """The four records. `paused_or_unserved` are types whose jobs rightly wait for ever."""

    def __init__(
        self,
        clients: Iterable[Sent | Done],
        handled: Iterable[Start | End],
        tables: Tables,
        faults: Iterable[Fault] = (),
        orphans: Iterable[Orphans] = (),
        *,
        clock: Clock = Clock(),  # noqa: B008 (immutable)
        paused_or_unserved: Iterable[int] = (),
        orphan_seconds: float = 20.0,
        drained_seconds: float | None = None,
    ) -> None:
        self.clock, self.paused_or_unserved = clock, frozenset(paused_or_unserved)
        self.orphan_seconds, self.drained_seconds = orphan_seconds, drained_seconds
        self.faults = sorted(faults, key=lambda fault: fault.begin)
        self.orphans = sorted(orphans, key=lambda sample: sample.mono)
        self.tables, self.rows, self.changes = tables, tables.rows, tables.changes
        self.events = events(clients)
        self.history: dict[int, list[Change]] = grouped(self.changes, "id")
        self.failures: dict[int, list[Failure]] = grouped(tables.failures, "job_id")
        self.claims: dict[Attempt, list[Change]] = defaultdict(list)
        self.exits: dict[Attempt, list[Change]] = defaultdict(list)
        for change in self.changes:
            if change.status == "running" != change.old_status:
                self.claims[change.id, change.attempt or 0].append(change)
            if change.old_status == "running" != change.status:
                self.exits[change.id, change.old_attempt or 0].append(change)
        self.runs = self.paired(handled)
        self.attempts: dict[Attempt, list[Run]] = defaultdict(list)
        for run in self.runs:
            self.attempts[run.id, run.attempt].append(run)

    @classmethod
    def load(
        cls,
        folder: Path,
        url: str,
        *,
        clock: Clock | None = None,
        paused_or_unserved: Iterable[int] = (),
        orphan_seconds: float = 20.0,
        drained_seconds: float | None = None,
    ) -> "Ledger":
        """From clients*.jsonl, handled*.jsonl, faults.jsonl and orphans.jsonl in a folder, and from the database."""
        return cls(
            read_clients(sorted(folder.glob("clients*.jsonl"))),
            read_handled(sorted(folder.glob("handled*.jsonl"))),
            audit.read(url),
            [each for path in folder.glob("faults.jsonl") for each in read_lines(path, Fault)],
            [each for path in folder.glob("orphans.jsonl") for each in read_lines(path, Orphans)],
            clock=clock or Clock.measured(),
            paused_or_unserved=paused_or_unserved,
            orphan_seconds=orphan_seconds,
            drained_seconds=drained_seconds,
        )

    def at(self, change: Change) -> float:
        """When it was, on the clock of the processes."""
        return self.clock.mono(change.wall)

    def paired(self, handled: Iterable[Start | End]) -> list[Run]:
        """Starts with their ends, in the order of starts."""
        starts, ends = [], {}
        for record in handled:
            if isinstance(record, Start):
                starts.append(record)
            else:
                ends[record.nonce] = record
        following: dict[int, float] = {}
        runs = []
        for start in sorted(starts, key=lambda start: start.mono, reverse=True):
            runs.append(self.run(start, ends.get(start.nonce), following.get(start.id, math.inf)))
            following[start.id] = start.mono
        return runs[::-1]

    def run(self, start: Start, end: End | None, following: float) -> Run:
        slack = self.clock.tolerance_seconds
        exits = (self.at(change) + slack for change in self.exits.get((start.id, start.attempt), ()))
        left = min((when for when in exits if when > start.mono), default=math.inf)
        ended, outcome = (end.mono, end.outcome) if end else (None, None)
        left = min(left, following)
        return Run(start.id, start.attempt, start.n, start.sha, start.pid, start.mono, ended, outcome, left)

    def claim_of(self, run: Run) -> Change | None:
        """The claim that it came from; None: a crash took it back."""
        before = run.began + self.clock.tolerance_seconds
        claims = [claim for claim in self.claims.get((run.id, run.attempt), ()) if self.at(claim) <= before]
        return claims[-1] if claims else None

    @cached_property
    def rows_by_id(self) -> dict[int, Row]:
        return {row.id: row for row in self.rows}

    @cached_property
    def runs_by_id(self) -> dict[int, list[Run]]:
        return grouped(self.runs, "id")

    @cached_property
    def fallen_by_pid(self) -> dict[int, list[Run]]:
        """Runs without an end: each fell with its process."""
        return grouped([run for run in self.runs if run.ended is None], "pid")

    def do(self, n: int | None) -> str:
        """What the handler was told to do with an event."""
        event = self.events.get(-1 if n is None else n)
        return event.sent.do if event else ""

    def wasted(self, attempt: Attempt) -> int:
        """How many runs of an attempt came to nothing: a completion, a charge, a snooze or a cancel is worth one.

        So is that it still runs, by the database: that is L2's.
        """
        row = self.rows_by_id.get(attempt[0])
        running = row is not None and row.status == "running" and row.attempt == attempt[1]
        earned = running or any(kind(change) != "released" for change in self.exits.get(attempt, ()))
        return max(0, len(self.attempts.get(attempt, ())) - earned)

    @cached_property
    def extra_runs(self) -> Counter[int]:
        """Of each job that ran: how many runs it had beyond those that count."""
        extra = Counter(dict.fromkeys(self.runs_by_id, 0))
        for attempt in self.attempts:
            extra[attempt[0]] += self.wasted(attempt)
        return extra

    @property
    def unknown_share(self) -> float:
        """The part of all sends of which it is not known whether they had their effect."""
        sends = sum(event.sends for event in self.events.values())
        return sum(max(0, event.unknown) for event in self.events.values()) / sends if sends else 0.0


def kind(change: Change) -> str:
    """What a change out of `running` means."""
    if change.status in ("succeeded", "cancelled"):
        return change.status
    if change.status is None:
        return "vanished"
    if (change.retry_count or 0) > (change.old_retry_count or 0):
        return "charged"
    return "snoozed" if change.status == "scheduled" else "released"


def events(clients: Iterable[Sent | Done]) -> dict[int, Event]:
    """By n. An answer may stand before its question where several files were read."""
    records = list(clients)
    found: dict[int, Event] = {}
    for record in records:
        if isinstance(record, Sent):
            found.setdefault(record.n, Event(record)).sends += 1
    for record in records:
        event = found.get(record.n)
        if isinstance(record, Done) and record.status is not None and event is not None:
            if record.status == 200 and record.id is not None:
                event.ids.append(record.id)
            event.refused += 400 <= record.status < 500
    return found


def grouped(records: Iterable[object], name: str) -> dict[int, list]:  # type: ignore[type-arg]
    groups: dict[int, list] = defaultdict(list)  # type: ignore[type-arg]
    for record in records:
        groups[getattr(record, name)].append(record)
    return dict(groups)
