"""What the checks say about a run, for people and for tests."""

from collections import Counter
from typing import NamedTuple

from .checks import CHECKS
from .ledger import Finding, Ledger

SHOWN = 5
"""Findings of each check that are printed; one cause may have thousands."""
UNKNOWN_SHARE_MAX = 0.2
"""With more unknown than this a run proves nothing."""


class Report(NamedTuple):
    findings: dict[str, list[Finding]]
    """By check; all are named, those that passed with none."""
    extra_runs: dict[int, int]
    """How many jobs had so many runs beyond those that count: {0: 996, 1: 4}."""
    unknown_share: float
    counts: dict[str, int]

    @property
    def proves_something(self) -> bool:
        return self.unknown_share <= UNKNOWN_SHARE_MAX

    @property
    def passed(self) -> bool:
        return self.proves_something and not any(self.findings.values())

    def __str__(self) -> str:
        lines = [", ".join(f"{count} {what}" for what, count in self.counts.items())]
        lines.append(f"extra runs: {self.extra_runs}; unknown: {self.unknown_share:.1%} of all sends")
        if not self.proves_something:
            lines.append(f"over {UNKNOWN_SHARE_MAX:.0%} unknown: this run proves nothing")
        for check, found in self.findings.items():
            lines += [str(finding) for finding in found[:SHOWN]]
            if len(found) > SHOWN:
                lines.append(f"{check} and {len(found) - SHOWN} more")
        if self.passed:
            lines.append("all checks passed")
        return "\n".join(lines)


def report(ledger: Ledger) -> Report:
    """Run all checks."""
    statuses = Counter(row.status for row in ledger.rows)
    counts = {
        "sends": sum(event.sends for event in ledger.events.values()),
        "acknowledged": sum(len(event.ids) for event in ledger.events.values()),
        "refused": sum(event.refused for event in ledger.events.values()),
        "jobs": len(ledger.rows),
        **dict(sorted(statuses.items())),
        "runs": len(ledger.runs),
        "failures": len(ledger.tables.failures),
        "changes": len(ledger.changes),
        "faults": len(ledger.faults),
    }
    return Report(
        findings={name: check(ledger) for name, check in CHECKS.items()},
        extra_runs=dict(sorted(Counter(ledger.extra_runs.values()).items())),
        unknown_share=ledger.unknown_share,
        counts=counts,
    )
