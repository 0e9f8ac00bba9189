"""A node that is drained takes no more jobs until it is resumed, or started anew: with real processes."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from v7_task_processor import listing

from .command import answer, v7
from .nodes import Node, enqueue, get, jobs, node, wait_for_end, wait_until

HANDLERS = """
@handler()
async def handle(job):
    note("start", job)
    while job.event_data == "held" and not os.path.exists("go"):
        await asyncio.sleep(0.01)
    note("end", job)
"""


def value(url: str, query: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row and row[0]


def node_id(url: str) -> int:
    found: int = wait_until(
        lambda: value(url, "select node_id from v7.workers where node_id is not null"), "a worker is registered"
    )
    return found


def drained(url: str, started: Node, name: object) -> None:
    """Until the supervisor has heard of it; its workers have by then."""
    assert v7("workers", "drain", name, url=url).returncode == 0
    wait_until(lambda: "this node is drained" in started.said(), "the supervisor knows")


def state(url: str) -> str:
    """As `v7 workers` shows it, of the only node."""
    return str(v7("workers", url=url).stdout.splitlines()[1])


def beat(url: str) -> None:
    """Until the node has said twice more that it lives."""
    for _ in range(2):
        last = value(url, "select heartbeat_at from v7.workers where node_id is null")
        wait_until(lambda: value(url, "select heartbeat_at from v7.workers where node_id is null") != last, "a beat")  # noqa: B023


@pytest.mark.slow
def test_a_drained_node_finishes_what_it_runs_and_takes_nothing(database_url: str, tmp_path: Path) -> None:
    with node(tmp_path / "node", database_url, "run", handlers=HANDLERS) as started:
        address = started.address()
        (held,) = enqueue(database_url, "held")
        wait_until(started.starts, "it runs")
        name = value(database_url, "select name from v7.workers where node_id is null")
        drained(database_url, started, name)
        assert "draining" in state(database_url)
        assert f" {held} for " in v7("workers", url=database_url).stdout
        waiting = enqueue(database_url, "later", count=5)
        (suspect,) = enqueue(database_url, "later")
        assert value(database_url, f"update v7.jobs set suspect = true where id = {suspect} returning id")
        (started.folder / "go").touch()
        wait_until(lambda: jobs(database_url, "id, status")[0] == (held, "succeeded"), "what ran has ended well")
        beat(database_url)  # time enough for a lone worker, and for the others to take what is there
        assert [job_id for job_id, _, _ in started.starts()] == [held]
        assert {status for _, status, _ in jobs(database_url)[1:]} == {"queued"}
        assert "drained" in state(database_url)
        assert get(address, "/readyz") == 200
        with listing.reading(database_url) as connection:
            why = listing.why(connection, waiting[0])
        assert why is not None
        assert (why.cause, str(why.by).partition(" by ")[0]) == ("drained", "v7 workers drain")
        assert answer("workers", "resume", node_id(database_url), url=database_url)["drained_at"] is None
        wait_for_end(database_url)
        assert sorted(job_id for job_id, _, _ in started.starts()) == [held, *waiting, suspect]
        assert "takes jobs" in state(database_url)
        acts = answer("audit", "--json", url=database_url)["acts"]
        noted = [(act["act"], act["given"]["node_id"]) for act in acts]
        assert noted == [("resume", node_id(database_url)), ("drain", node_id(database_url))]
        assert started.stop() == 0


@pytest.mark.slow
def test_given_up_it_stays_drained_and_started_anew_it_does_not(database_url: str, tmp_path: Path) -> None:
    with node(tmp_path / "node", database_url, handlers=HANDLERS) as started:
        first = node_id(database_url)
        drained(database_url, started, first)
        value(database_url, f"delete from v7.workers where id = {first} returning id")
        again = "select id from v7.workers where node_id is null and drained_by like 'v7 workers drain by %'"
        wait_until(lambda: value(database_url, again) not in (None, first), "it began anew, drained")
        assert started.stop() == 0
        (job_id,) = enqueue(database_url, "later")
        started.start()
        wait_for_end(database_url)
        assert [each for each, _, _ in started.starts()] == [job_id]
        assert started.stop() == 0


def test_what_is_no_node(database_url: str) -> None:
    for act in ("drain", "resume"):
        done = v7("workers", act, "nobody", url=database_url)
        assert (done.returncode, done.stderr) == (
            1, "v7: There is no node nobody: v7 workers shows those that there are. A worker goes with its node.\n"
        )  # fmt: skip
