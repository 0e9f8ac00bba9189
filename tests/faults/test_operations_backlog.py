"""A long queue, many types, many of them unknown: what a claim costs, in pages that it visits."""

from pathlib import Path

import pytest

from v7_task_processor.queue import BEGINNING

from ..command import answer
from ..nodes import check_books, jobs, node, post, wait_for_end
from .cluster import Cluster
from .test_server_snapshots import fill, line

BACKLOG = 200_000
TYPES = """insert into v7.jobs (event_type_id, user_id, priority, event_data, queued_at)
    select {types}, 1, 0, '{{}}', now() from generate_series(1, 20000) n"""


@pytest.mark.slow
@pytest.mark.fault(68)
async def test_a_claim_costs_no_more_the_longer_the_queue_is(cluster: Cluster) -> None:
    """Neither one that looks from its frontier nor one that looks everywhere."""
    async with line(cluster) as one:
        pages: list[tuple[int, int]] = []
        for count in (2000, BACKLOG):
            fill(cluster, count, priority="n % 7")
            await one.step()
            pages.append((await one.pages(), await one.pages(BEGINNING)))
        # An index grows by a level for each some hundred times, and a claim of ten visits it a few times for each.
        assert pages[1][0] <= 2 * pages[0][0]
        assert pages[1][1] <= 2 * pages[0][1]
    counted = answer("status", url=cluster.url)["jobs"]
    assert (counted["queued"], counted["capped"]) == (10_000, ["queued"])


@pytest.mark.slow
@pytest.mark.fault(69)
async def test_of_a_thousand_types_a_claim_visits_no_more_than_of_one(cluster: Cluster) -> None:
    pages = []
    async with line(cluster) as one:
        for types in ("1", "n % 1000"):
            cluster.sql(TYPES.format(types=types))
            cluster.sql("analyze v7.jobs")
            for _ in range(3):
                await one.step()
            pages.append(await one.pages())
            while await one.step():
                pass
    assert pages[1] <= 1.25 * pages[0]


@pytest.mark.slow
@pytest.mark.fault(69)
def test_a_client_makes_types_up(cluster: Cluster, tmp_path: Path) -> None:
    """Each event is of a type that nobody has met. All are handled, and the next client is answered as ever."""
    with node(tmp_path / "node", cluster.url, "run") as one:
        address = one.address()
        cluster.sql(TYPES.format(types="-n").replace("20000", "10000"))
        for number in range(50):
            body = {"user_id": 1, "priority": 1, "event_data": {}, "event_type_id": 2**62 + number}
            assert post(address, body)[0] == 200
        wait_for_end(cluster.url, 120)
        check_books(cluster.url, one)
        assert one.stop() == 0
    assert [row[1:] for row in jobs(cluster.url)] == [("succeeded", 0)] * 10_050
