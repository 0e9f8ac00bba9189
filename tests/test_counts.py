"""What a process counts of the events that telemetry publishes."""

import itertools

import pytest

from v7_task_processor.observability import counts as module
from v7_task_processor.observability import families, logs, telemetry
from v7_task_processor.observability.counts import TYPES_MAX, Counts, collect


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    monkeypatch.setattr(telemetry, "_subscribers", [])
    return collect()


def told(counts: Counts) -> dict[str, float]:
    """Counters, and the number of what histograms saw."""
    return {key: sum(numbers[:-1]) if len(numbers) > 1 else numbers[0] for key, numbers in counts.numbers.items()}


def test_each_transition_is_counted_under_its_name(counts: Counts) -> None:
    telemetry.publish("events.committed", seconds=0.1, statuses={200: 3, 500: 1, 409: 2})
    telemetry.publish("events.answered", statuses={503: 4})
    telemetry.publish("jobs.claimed", count=5, seconds=0.1)
    telemetry.publish("jobs.started", waits=[0.1, 0.2])
    telemetry.publish("attempts.ended", outcome="succeeded", ended=[(7, 0.1), (8, 0.2), (7, 0.3)])
    telemetry.publish("attempts.rescued", charged=[(7, "dead"), (7, "queued"), (8, "scheduled")], completed=[8, 8])
    telemetry.publish("job.failed", event_type_id=7, job_id=1)
    telemetry.publish("job.dead", event_type_id=8, job_id=1)
    telemetry.publish("job.released", count=2, why="so")
    telemetry.publish("job.taken_away", count=1)
    telemetry.publish("job.rescued", count=6, charged=[])
    telemetry.publish("worker.crashed", role="lone worker", pid=1)
    telemetry.publish("worker.stuck", pid=1)
    telemetry.publish("node.lost", node_id=1)
    telemetry.publish("server.changed", jump=1)
    assert told(counts) == {
        "v7_ingest_commit_duration_seconds||": 1,
        "v7_events_received_total||": 3,
        "v7_events_not_added_total||500": 1,
        "v7_events_not_added_total||409": 2,
        "v7_events_not_added_total||503": 4,
        "v7_jobs_claimed_total||": 5,
        "v7_claim_duration_seconds||": 1,
        "v7_queue_wait_seconds||": 2,
        "v7_attempts_total|7|succeeded": 2,
        "v7_attempts_total|8|succeeded": 3,
        "v7_handler_duration_seconds|7|": 2,
        "v7_handler_duration_seconds|8|": 1,
        "v7_attempts_total|7|crashed": 2,
        "v7_attempts_total|8|crashed": 1,
        "v7_dead_lettered_total|7|": 1,
        "v7_retries_total|7|": 2,
        "v7_retries_total|8|": 1,
        "v7_dead_lettered_total|8|": 1,
        "v7_jobs_released_total||": 2,
        "v7_jobs_taken_away_total||": 1,
        "v7_jobs_rescued_total||": 6,
        "v7_workers_crashed_total||lone worker": 1,
        "v7_workers_stuck_total||": 1,
        "v7_nodes_lost_total||": 1,
    }


def test_types_without_end_are_other(counts: Counts) -> None:
    for number in range(3 * TYPES_MAX):
        telemetry.publish("job.dead", event_type_id=number)
    telemetry.publish("job.dead", event_type_id=0)
    found = told(counts)
    assert len(found) == TYPES_MAX + 1
    assert found["v7_dead_lettered_total|other|"] == 2 * TYPES_MAX
    assert found["v7_dead_lettered_total|0|"] == 2


def test_types_that_were_made_up_make_no_other_of_one_that_is_told_apart(counts: Counts) -> None:
    """Whether they came before or after it was heard of."""
    counts.tell_apart([-1])
    for number in range(2 * TYPES_MAX):
        telemetry.publish("job.dead", event_type_id=number)
    counts.tell_apart([-2, 0])
    for number in (-2, -1, 0, 2 * TYPES_MAX, 2 * TYPES_MAX + 1):
        telemetry.publish("job.dead", event_type_id=number)
    found = told(counts)
    assert [found[f"v7_dead_lettered_total|{number}|"] for number in (-2, -1, 0)] == [1, 1, 2]
    assert found[f"v7_dead_lettered_total|{2 * TYPES_MAX}|"] == 1, "0 has made room for one more"
    assert found["v7_dead_lettered_total|other|"] == TYPES_MAX + 1


def test_each_event_that_is_counted_only_is_not_logged() -> None:
    transitions = {event for event in module.EVENTS if event.partition(".")[0] in ("job", "node", "worker")}
    assert module.EVENTS.keys() - transitions == set(logs.MEASURED)


def test_what_is_kept_elsewhere_is_subtracted(counts: Counts) -> None:
    telemetry.publish("jobs.claimed", count=5, seconds=0.5)
    kept = counts.copy()
    telemetry.publish("jobs.claimed", count=2, seconds=0.25)
    assert kept["v7_jobs_claimed_total||"] == [5]
    counts.subtract(kept)
    assert counts.numbers["v7_jobs_claimed_total||"] == [2]
    assert counts.numbers["v7_claim_duration_seconds||"][-1] == 0.25
    assert told(counts)["v7_claim_duration_seconds||"] == 1


def test_a_sum_is_the_same_in_whatever_order_its_parts_are_added() -> None:
    """Processes and statements add them in orders of their own, and a scrape must not see a sum that fell."""
    parts = []
    for seconds in ([0.1], [0.2] * 7, [0.3, 1e-7, 12.7], [86_399.9], [3e-6]):
        counts = Counts()
        counts.observe(families.CLAIM_DURATION, seconds)
        parts.append(counts.numbers["v7_claim_duration_seconds||"][-1])
        assert parts[-1] == pytest.approx(sum(seconds), abs=1e-6)
        assert (parts[-1] * 2**20).is_integer()
    year = 365 * 86_400 * 200.0  # of two hundred handlers at once
    sums = {sum(order, start) for order in itertools.permutations([*parts, year]) for start in (0.0, parts[0])}
    assert len(sums) == 2, "one for each start"
