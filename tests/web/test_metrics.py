"""GET /metrics: what it says of what happened, and what it still says when the database does not."""

import asyncio
import platform
import time

import httpx
import psycopg
import pytest

from v7_task_processor import __version__, database
from v7_task_processor.observability.exposition import CONTENT_TYPE
from v7_task_processor.observability.families import FAMILIES, PARTS
from v7_task_processor.web import metrics, scrape

from ..population import populate
from ..prometheus import Scrape, promtool
from .support import ApiProcess, body, process, proxied, serving

CUT = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()"""


def scraped(answer: httpx.Response) -> Scrape:
    assert (answer.status_code, answer.headers["content-type"]) == (200, CONTENT_TYPE)
    return Scrape(answer.text)


def errors(found: Scrape) -> dict[str, float | None]:
    return {part: found.get("v7_scrape_errors", part=part) for part in PARTS}


NO_ERRORS = dict.fromkeys(PARTS, 0)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape in this process has as long as this machine stalls: its limits are tested by name."""
    for module, name in (
        (scrape, "STATEMENT_SECONDS_MAX"),
        (scrape, "PARTS_SECONDS_MAX"),
        (metrics, "SCRAPE_SECONDS_MAX"),
        (metrics, "KEEP_SECONDS_MAX"),
    ):
        monkeypatch.setattr(module, name, 60.0)


def test_it_says_what_happened_and_how_the_tables_stand(own_database_url: str) -> None:
    populate(own_database_url)
    with process(own_database_url) as api:
        for _ in range(3):
            assert api.post(body(event_type_id=1)).status_code == 200
        assert api.post(b"{").status_code == 400
        answer = api.client.get("/metrics")
    found = scraped(answer)
    assert errors(found) == NO_ERRORS
    build = {"version": __version__, "schema": database.SCHEMA_VERSION, "python": platform.python_version()}
    assert found.get("v7_build_info", **build) == 1
    assert found.get("v7_events_received_total") == 3
    assert found.get("v7_ingest_commit_duration_seconds_count") in (1, 2, 3)
    assert found.get("v7_jobs", status="queued") == 8
    assert found.get("v7_queue_depth", event_type_id=1, status="queued") == 6
    assert found.get("v7_dead_letters", event_type_id=5) == 1
    assert found.get("v7_event_type_paused", event_type_id=5) == 1
    assert found.get("v7_event_type_paused", event_type_id=1) == 0
    assert (found.get("v7_nodes", state="alive"), found.get("v7_nodes", state="lost")) == (1, 1)
    assert found.get("v7_workers") == 1
    assert (found.get("v7_database_connections") or 0) >= 1
    promtool("check", "metrics", given=answer.text)


def test_every_family_is_there_before_anything_happened(api: ApiProcess) -> None:
    """All but those of types, while there are none."""
    found = scraped(api.client.get("/metrics"))
    assert {family.name for family in FAMILIES if not family.by_type} <= found.kinds.keys()
    assert found.get("v7_nodes_lost_total") == 0
    assert found.get("v7_workers_crashed_total", role="lone worker") == 0
    assert found.get("v7_claim_duration_seconds_bucket", le="+Inf") == 0


@pytest.mark.slow
def test_two_processes_say_the_same_and_what_they_counted_outlives_them(own_database_url: str) -> None:
    with process(own_database_url) as one, process(own_database_url) as other:
        for api, count in ((one, 2), (other, 3)):
            for _ in range(count):
                assert api.post(body()).status_code == 200
        # Each writes what it has before it answers; what the other has not been asked for yet, it writes by itself.
        expected = (5.0, 5.0)
        deadline = time.monotonic() + 60
        while (said := tuple(received(api) for api in (one, other))) != expected:
            assert time.monotonic() < deadline, said
        assert one.stop() == 0
        assert other.post(body()).status_code == 200
    with process(own_database_url) as third:
        # The other was killed, and so the last event may be counted or not; none of the others is lost.
        assert received(third) in (5, 6)


def received(api: ApiProcess) -> float | None:
    return scraped(api.client.get("/metrics")).get("v7_events_received_total")


def test_what_was_answered_just_before_the_end_is_counted(own_database_url: str) -> None:
    with process(own_database_url) as api:
        for _ in range(4):
            assert api.post(body()).status_code == 200
        assert api.stop() == 0
    with process(own_database_url) as next_one:
        assert received(next_one) == 4


async def test_without_a_database_what_needs_none_is_served(database_url: str) -> None:
    async with proxied(database_url) as (proxy, through), serving(through) as api, api.client() as client:
        assert errors(scraped(await client.get("/metrics"))) == NO_ERRORS
        await proxy.stop()
        found = scraped(await client.get("/metrics"))
        assert errors(found) == dict.fromkeys(PARTS, 1)
        assert found.kinds.keys() == {"v7_build_info", "v7_scrape_errors", "v7_scrape_duration_seconds"}
        await proxy.start_again()
        assert errors(scraped(await client.get("/metrics"))) == NO_ERRORS


async def test_a_part_that_is_too_slow_is_missing_and_says_so(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(database_url) as api, api.client() as client, await database.connect(database_url) as holder:
        async with holder.transaction():
            await holder.execute("lock table v7.jobs in access exclusive mode")
            with monkeypatch.context() as hurried:
                hurried.setattr(scrape, "STATEMENT_SECONDS_MAX", 0.5)
                found = scraped(await client.get("/metrics"))
        assert errors(found) == {"counters": 0, "depth": 1, "oldest": 1, "nodes": 1, "connections": 0}
        assert "v7_queue_depth" not in found.kinds
        assert found.get("v7_events_received_total") == 0
        assert errors(scraped(await client.get("/metrics"))) == NO_ERRORS


async def test_what_is_not_begun_in_time_is_not_done(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "PARTS_SECONDS_MAX", 0.0)
    async with serving(database_url) as api, api.client() as client:
        assert errors(scraped(await client.get("/metrics"))) == dict.fromkeys(PARTS, 1)


async def test_a_database_that_never_answers_is_waited_for_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "SCRAPE_SECONDS_MAX", 0.5)
    begun = 0
    own_look = metrics.look

    def counted(url: str) -> object:
        nonlocal begun
        begun += 1
        return own_look(url)

    monkeypatch.setattr(metrics, "look", counted)
    async with proxied(database_url, "hold") as (proxy, through), serving(through) as api, api.client() as client:
        proxy.release.clear()
        for _ in range(3):
            assert errors(scraped(await client.get("/metrics"))) == dict.fromkeys(PARTS, 1)
        assert begun == 1
        proxy.release.set()
        while errors(scraped(await client.get("/metrics"))) != NO_ERRORS:
            pass


async def test_many_who_ask_at_once_are_few_looks(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    own_look = metrics.look

    def counted(url: str) -> object:
        looks.append(url)
        return own_look(url)

    monkeypatch.setattr(metrics, "look", counted)
    async with serving(database_url) as api, api.client() as client:
        answers = await asyncio.gather(*(client.get("/metrics") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == len(looks) < 50


async def test_a_cut_connection_costs_no_count(own_database_url: str) -> None:
    with process(own_database_url) as api:
        assert api.post(body()).status_code == 200
        assert received(api) == 1
        with psycopg.connect(own_database_url, autocommit=True) as admin:
            admin.execute(CUT)
        while api.post(body()).status_code != 200:
            pass
        while (found := received(api)) != 2:
            assert found in (None, 1)


def test_only_get(api: ApiProcess) -> None:
    assert api.client.head("/metrics").status_code == 200
    assert api.client.post("/metrics").status_code == 405
