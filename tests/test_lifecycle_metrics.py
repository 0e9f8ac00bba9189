"""Metrics of real nodes: the sum over all processes of all of them, never less than it was, whoever ends."""

import http.client
from pathlib import Path
from typing import Any

import psycopg
import pytest

from v7_task_processor.observability.counts import TYPES_MAX
from v7_task_processor.observability.families import COUNTED, PARTS

from .nodes import EVENT, EVERYTHING, enqueue, failures, node, post, wait_for_end, wait_until
from .prometheus import Labels, Scrape


def scrape(address: tuple[str, int]) -> Scrape:
    connection = http.client.HTTPConnection(*address, timeout=20)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.status == 200
        return Scrape(answer.read().decode())
    finally:
        connection.close()


def counters(found: Scrape) -> dict[tuple[str, Labels], float]:
    """All that must never fall."""
    families = tuple(COUNTED)
    return {sample: value for sample, value in found.values.items() if sample[0].startswith(families)}


class Watch:
    """Scrapes, and sees that no counter falls from one answer to the next, whichever process gave it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.seen: dict[tuple[str, Labels], float] = {}

    def look(self) -> Scrape:
        found = scrape(self.address)
        if all(found.get("v7_scrape_errors", part=part) == 0 for part in PARTS):
            now = counters(found)
            fallen = {sample: (was, now.get(sample)) for sample, was in self.seen.items() if now.get(sample, 0) < was}
            assert not fallen
            self.seen = now
        return found


def outcomes(found: Scrape) -> dict[str, float]:
    """Attempts of all types by outcome."""
    sums: dict[str, float] = {}
    for (name, labels), value in found.values.items():
        if name == "v7_attempts_total":
            outcome = dict(labels)["outcome"]
            sums[outcome] = sums.get(outcome, 0) + value
    return sums


@pytest.mark.slow
def test_all_processes_of_all_nodes_are_one_sum_and_it_outlives_them(database_url: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "V7_API_PROCESSES": 2,
        "V7_WORKER_PROCESSES": 2,
        "V7_RETRY_SECONDS": 0,
        "V7_MAX_RETRIES": 2,
    }
    with (
        node(tmp_path / "one", database_url, "run", **settings) as one,
        node(tmp_path / "two", database_url, "worker", **settings) as two,
    ):
        watch = Watch(one.address())
        wait_until(lambda: watch.look().get("v7_workers") == 4, "four workers are registered")
        for number in range(60):
            event = {
                **EVENT,
                "event_data": {"do": "fail" if number % 6 == 0 else None},
                "event_type_id": number % 3 + 1,
            }
            assert post(watch.address, event)[0] == 200
            if number % 10 == 0:
                watch.look()
        enqueue(database_url, {"do": None}, count=40, event_type_id=4)
        wait_for_end(database_url)
        nodes = (one, two)
        ran, ended = (sum(len(each.noted(what)) for each in nodes) for what in ("start", "end"))
        assert (ran, ended, len(failures(database_url))) == (110, 90, 20)

        expected = {"succeeded": 90.0, "failed": 20.0, "discarded": 0.0, "snoozed": 0.0, "crashed": 0.0}
        wait_until(lambda: outcomes(watch.look()) == expected, "all of them have written what they counted")
        wait_until(lambda: watch.look().get("v7_queue_wait_seconds_count") == 110, "their waits too")
        found = watch.look()
        assert found.get("v7_events_received_total") == 60
        assert (found.sum("v7_retries_total"), found.sum("v7_dead_lettered_total")) == (10, 10)
        assert found.sum("v7_handler_duration_seconds_count") == 110
        assert (found.get("v7_jobs_claimed_total") or 0) >= 110
        assert found.get("v7_attempts_total", event_type_id=4, outcome="succeeded") == 40
        assert (found.get("v7_jobs", status="dead"), found.get("v7_jobs", status="queued")) == (10, 0)
        assert found.get("v7_nodes", state="alive") == 2
        assert [each.stop() for each in nodes] == [0, 0]
        last = watch.seen
    with psycopg.connect(database_url) as connection:
        connection.execute("update v7.metrics set written_at = now() - interval '1 hour'")
    with node(tmp_path / "three", database_url, "run", **settings) as three:
        watch = Watch(three.address())
        watch.seen = last
        found = watch.look()
        assert outcomes(found) == expected
        assert found.get("v7_events_received_total") == 60
        folded = "select count(*) from v7.metrics where written_at < now() - interval '30 minutes'"
        with psycopg.connect(database_url, autocommit=True) as connection:
            wait_until(lambda: connection.execute(folded).fetchone() == (0,), "the rows of the ended are folded")
        assert outcomes(watch.look()) == expected


@pytest.mark.slow
def test_crashes_and_who_was_charged_for_them_are_counted(database_url: str, tmp_path: Path) -> None:
    """By the supervisor, which outlives what it counts."""
    with node(tmp_path / "node", database_url, "run", V7_RETRY_SECONDS=0, V7_MAX_RETRIES=2) as one:
        watch = Watch(one.address())
        assert post(watch.address, {**EVENT, "event_data": {"do": "die"}, "event_type_id": 7})[0] == 200
        wait_for_end(database_url)
        wait_until(lambda: outcomes(watch.look()).get("crashed") == 2, "both crashes were counted")
        found = watch.look()
        assert found.get("v7_attempts_total", event_type_id=7, outcome="crashed") == 2
        assert found.get("v7_retries_total", event_type_id=7) == 1
        assert found.get("v7_dead_lettered_total", event_type_id=7) == 1
        assert found.get("v7_dead_letters", event_type_id=7) == 1
        assert found.get("v7_jobs_rescued_total") == 2
        crashed = {role: found.get("v7_workers_crashed_total", role=role) for role in ("worker", "lone worker", "api")}
        assert crashed == {"worker": 1, "lone worker": 1, "api": 0}


def test_a_type_with_a_handler_of_its_own_is_counted_as_such_among_made_up_types(
    database_url: str, tmp_path: Path
) -> None:
    """Also in the first seconds, in which it is not known which types have a label."""
    with psycopg.connect(database_url) as connection:
        connection.execute("select v7.enqueue(1000 + n, 1, 0, '{}') from generate_series(1, %s) n", [TYPES_MAX])
        connection.execute("select v7.enqueue(5, 1, 1, '{}')")
    own = EVERYTHING + "\nhandler(event_type_id=5)(handle)\n"
    with node(tmp_path / "node", database_url, "worker", handlers=own) as one:
        wait_for_end(database_url)
        assert one.stop() == 0
    with psycopg.connect(database_url) as connection:
        kept = connection.execute("select counts -> 'v7_attempts_total|5|succeeded' from v7.metrics").fetchall()
    assert ([1],) in kept


@pytest.mark.slow
def test_an_api_node_counts_the_processes_that_it_lost(database_url: str, tmp_path: Path) -> None:
    with node(tmp_path / "node", database_url, "api") as one:
        watch = Watch(one.address())
        assert post(watch.address, EVENT)[0] == 200
        wait_until(lambda: watch.look().get("v7_events_received_total") == 1, "the event was counted")
        for each in one.tree():
            if "v7_task_processor.web" in each.cmdline():
                each.kill()
        one.address()  # ready again
        wait_until(lambda: watch.look().get("v7_workers_crashed_total", role="api") == 1, "its end was counted")
        assert watch.look().get("v7_events_received_total") == 1
