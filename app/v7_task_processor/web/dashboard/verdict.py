"""What is wrong, in a sentence each, the worst first; or that nothing is. Pure."""

from typing import Literal, NamedTuple

from ...overview import Overview
from ...promise import Promise
from ...text import age, number, plain, plural, types
from .access import PATH
from .visit import link

OLD_SECONDS = 60.0
NAMED_MAX = 3
Level = Literal["good", "note", "warn", "bad"]
ORDER: tuple[Level, ...] = ("bad", "warn", "note", "good")


class Finding(NamedTuple):
    """A sentence, and where it leads."""

    level: Level
    says: str
    link: str


class Lately(NamedTuple):
    """How many died in the last hour, and in the hour before it."""

    last_hour: int
    hour_before: int


def verdict(found: Overview, lately: Lately, promise: Promise) -> list[Finding]:
    """At least one; the first is the verdict."""
    findings = [*workers(found), *waiting(found), *dead(found, lately), *durability(promise)]
    return sorted(findings, key=lambda each: ORDER.index(each.level)) or [healthy(found)]


def healthy(found: Overview) -> Finding:
    count = plural(found.workers, "worker")
    takes = f"{count} {'takes' if found.workers == 1 else 'take'} what comes"
    if found.oldest is not None and found.oldest.age_seconds >= 1:
        return Finding(
            "good", f"Healthy: {takes}, and the oldest event has waited {age(found.oldest.age_seconds)}.", ""
        )
    return Finding("good", f"Healthy: {takes}, and nothing waits.", "")


def workers(found: Overview) -> list[Finding]:
    findings = []
    if not found.workers:
        waits = (
            f" {number(found.jobs.queued, at_least='queued' in found.jobs.capped)} wait." if found.jobs.queued else ""
        )
        says = f"No worker lives, so nothing is handled: start v7 run.{waits}"
        findings.append(Finding("bad", says, f"{PATH}/workers"))
    if found.nodes_lost:
        says = f"{plural(found.nodes_lost, 'node')} gave no heartbeat for 15 seconds."
        findings.append(Finding("warn", says, f"{PATH}/workers"))
    return findings


def waiting(found: Overview) -> list[Finding]:
    findings = []
    if found.unserved and found.workers:
        named = types(found.unserved, NAMED_MAX).capitalize()
        says = f"{named}: events wait, and no running node has a handler for them."
        findings.append(Finding("bad", says, f"{PATH}/types"))
    if found.paused:
        named = types(found.paused, NAMED_MAX).capitalize()
        findings.append(Finding("note", f"{named}: paused, so events of it wait.", f"{PATH}/types"))
    stuck = set(found.unserved) | set(found.paused)
    oldest = found.oldest
    if oldest is not None and oldest.age_seconds >= OLD_SECONDS and found.workers and not stuck:
        least = "at least " if oldest.at_least else ""
        says = f"The oldest queued event has waited {least}{age(oldest.age_seconds)}: more comes in than is handled."
        findings.append(Finding("warn", says, link(f"{PATH}/jobs", order="queue")))
    return findings


def dead(found: Overview, lately: Lately) -> list[Finding]:
    if lately.last_hour > lately.hour_before:
        before = f"after {lately.hour_before:,} in the one before"
        says = f"{plural(lately.last_hour, 'event')} died in the last hour, {before}."
        return [Finding("warn", says, f"{PATH}/dead")]
    if found.jobs.dead:
        count = number(found.jobs.dead, at_least="dead" in found.jobs.capped)
        says = f"{count} dead {'letter waits' if found.jobs.dead == 1 else 'letters wait'} for somebody to look at."
        return [Finding("note", says, f"{PATH}/dead")]
    return []


def durability(promise: Promise) -> list[Finding]:
    if promise.state != "fails":
        return []
    says = plain(promise.sentence)
    return [Finding("bad", f"{says[:1].upper()}{says[1:]}.", "")]
