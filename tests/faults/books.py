"""A lab at work, and its books: whether what clients were told, what handlers did and the tables go together."""

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..nodes import wait_until
from .cluster import Cluster
from .lab import Lab

HALF_DURABLE_SECONDS = 0.6
"""What was committed asynchronously is on the disk after three wal_writer_delay."""


def lines(path: Path) -> list[dict[str, Any]]:
    """Records of a file of which the last line may be half."""
    return [json.loads(line) for line in path.read_text().rpartition("\n")[0].splitlines()]


def handled(lab: Lab) -> list[dict[str, Any]]:
    return [line for path in lab.folder.glob("handled*.jsonl") for line in lines(path)]


def answered(lab: Lab) -> list[dict[str, Any]]:
    return [line for line in lines(lab.sent.path) if line["what"] == "done" and line["status"] == 200]


def seconds_until_it_works(lab: Lab, since: float, seconds: float = 60) -> float:
    """From `since` until an event that was sent after it was accepted, and has been handled."""

    def works() -> bool:
        sent = {line["n"] for line in lines(lab.sent.path) if line["what"] == "sent" and line["mono"] > since}
        told = {line["id"] for line in answered(lab) if line["n"] in sent}
        return any(line["what"] == "start" and line["id"] in told for line in handled(lab))

    wait_until(works, "a new event is accepted and handled", seconds)
    return time.monotonic() - since


def check_ledger(lab: Lab, extra_runs: Callable[[list[dict[str, Any]]], int] = lambda runs: 0) -> None:
    """What clients were told, what handlers did and what the tables say go together.

    `extra_runs` is how many runs too many the runs of one job may be.
    """
    sends, acknowledged = Counter[int](), dict[int, int]()
    keyed = set()
    for line in lines(lab.sent.path):
        if line["what"] == "sent":
            sends[line["n"]] += 1
            keyed |= {line["n"]} if line["key"] else set()
        elif line["status"] == 200:
            assert acknowledged.setdefault(line["n"], line["id"]) == line["id"]
    clock = time.time() - time.monotonic()
    rows = lab.cluster.sql(
        "select id, (event_data->>'n')::int, status, retry_count, extract(epoch from finished_at)::float8"
        " from v7.all_jobs"
    )
    charges = dict(lab.cluster.sql("select job_id, count(*) from v7.failures group by 1"))
    table = {row[0]: row[1:] for row in rows}
    runs: dict[int, list[dict[str, Any]]] = {}
    outcomes = {line["nonce"]: line for line in handled(lab) if line["what"] == "end"}
    for line in handled(lab):
        if line["what"] == "start":
            runs.setdefault(line["id"], []).append(line | {"end": outcomes.get(line["nonce"], {})})

    assert {job_id: n for n, job_id in acknowledged.items() if table.get(job_id, (None,))[0] != n} == {}
    assert {row[1] for row in table.values()} <= {"succeeded", "dead"}
    copies = Counter(row[0] for row in table.values())
    assert {n: many for n, many in copies.items() if many > (1 if n in keyed else sends[n])} == {}
    assert {job_id: row[2] for job_id, row in table.items() if row[2] != charges.get(job_id, 0)} == {}
    for job_id, (_, status, retry_count, finished_at) in table.items():
        own = runs.get(job_id, [])
        ends = Counter(run["end"].get("outcome") for run in own)
        allowed = extra_runs(own)
        assert status == "dead" or ends["ok"] >= 1, (job_id, own)
        assert len(own) - (status == "succeeded") - retry_count - ends["snooze"] <= allowed, (job_id, own)
        assert retry_count <= ends["failed"] + ends["discard"] <= retry_count + allowed, (job_id, own)
        assert all(run["mono"] + clock <= finished_at + 0.05 for run in own if finished_at), (job_id, own)


def busy(lab: Lab) -> None:
    """A node at work, with clients."""
    lab.add("node", "run", V7_WORKER_PROCESSES=2)
    lab.ready()
    lab.send()
    work_on(lab)


def work_on(lab: Lab, events: int = 150) -> None:
    told, done = len(answered(lab)) + events, len(handled(lab)) + 2 * events
    wait_until(lambda: len(answered(lab)) > told and len(handled(lab)) > done, "events come and are handled")


def may_be_lost(*crashes: tuple[float, float]) -> Callable[[list[dict[str, Any]]], int]:
    """How many runs of a job may be one too many: those begun or ended just before a crash (its begin and end), or
    in it."""

    def extra(runs: list[dict[str, Any]]) -> int:
        return sum(
            any(
                run["mono"] < end + 0.1 and run["end"].get("mono", end) > begin - HALF_DURABLE_SECONDS - 0.1
                for run in runs
            )
            for begin, end in crashes
        )

    return extra


def killed(cluster: Cluster) -> tuple[float, float]:
    """SIGKILL for all of it; when that began and when it was done."""
    began = time.monotonic()
    cluster.kill()
    return began, time.monotonic()
