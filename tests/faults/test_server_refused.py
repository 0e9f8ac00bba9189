"""Jobs that Postgres does not let be claimed: somebody's trigger, and events that are broken on disk."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ..nodes import Node, enqueue, failures, jobs, node, wait_for_end, wait_until
from .cluster import Cluster

REFUSE = """create function refuse() returns trigger language plpgsql as $$
    begin if new.user_id = 13 and new.status = 'running' then raise 'not this one'; end if; return new; end $$"""
TRIGGER = "create trigger refuse before update on v7.jobs for each row execute function refuse()"
LARGE = {"text": "x" * 1_000_000}


def queue_all(url: str, refused: list[int], suspects: list[int]) -> None:
    """What is scheduled, at once, so that no claim sees a part of it."""
    with psycopg.connect(url) as connection:
        connection.execute("update v7.jobs set user_id = 13 where id = any(%s)", [refused])
        connection.execute("update v7.jobs set suspect = true where id = any(%s)", [suspects])
        connection.execute(REFUSE)
        connection.execute(TRIGGER)
        connection.execute("update v7.jobs set status = 'queued', run_at = null where status = 'scheduled'")


def damage(cluster: Cluster) -> None:
    """The large events, and no others, are stored beside the table; what is there is lost."""
    cluster.sql("create extension pg_surgery")
    ((toast,),) = cluster.sql("select reltoastrelid::regclass::text from pg_class where oid = 'v7.jobs'::regclass")
    cluster.sql(f"select heap_force_kill('{toast}', array(select ctid from {toast}))")


def blamed(one: Node) -> list[tuple[int, str]]:
    lines: list[dict[str, Any]] = [json.loads(line) for line in one.said().splitlines() if line.startswith("{")]
    return sorted((line["job_id"], line["error"]) for line in lines if line["event"].startswith("Postgres refuses"))


def started(one: Node) -> list[int]:
    return [job_id for job_id, _, _ in one.starts()]


@pytest.mark.fault(48)
@pytest.mark.slow
@pytest.mark.parametrize("limited", [False, True])
def test_jobs_that_cannot_be_claimed_hold_up_no_other_and_run_when_they_can(
    cluster: Cluster, tmp_path: Path, limited: bool
) -> None:
    """At the head, in the middle, several, and suspects; beside a job that runs alone in the process then."""
    if limited:
        cluster.sql("insert into v7.event_types (event_type_id, concurrency_limit) values (1, 5)")
    with node(tmp_path / "node", cluster.url, LOG_FORMAT="json", V7_CONCURRENCY=10) as one:
        (beside,) = enqueue(cluster.url, {"do": "sleep", "seconds": 20}, event_type_id=2)
        wait_until(one.starts, "it runs")
        processes = {each.pid for each in one.workers()}
        later = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
        ids = enqueue(cluster.url, {}, count=200, run_at=later)
        suspects = enqueue(cluster.url, {}, count=3, run_at=later)
        broken = enqueue(cluster.url, LARGE, priority=-1, run_at=later) + enqueue(cluster.url, LARGE, run_at=later)
        bad = [ids[0], ids[1], ids[100], *suspects[:2]]
        damage(cluster)
        queue_all(cluster.url, bad, suspects)

        good = [each for each in ids if each not in bad]
        wait_until(lambda: {*good, suspects[2]} <= set(started(one)), "all others have run")
        assert [each for each in started(one) if each in good] == good, "in order"
        wait_until(lambda: {job_id for job_id, _ in blamed(one)} == {*bad, *broken}, "each is named")
        assert [job_id for job_id, _ in blamed(one)] == sorted([*bad, *broken]), "once"
        assert all(said == "not this one" or said.startswith("missing chunk") for _, said in blamed(one))
        wait_until(lambda: beside in [job_id for job_id, _, _ in one.noted("end")], "what ran beside them has ended")
        assert processes <= {each.pid for each in one.workers()}, "nothing was ended for them"
        assert started(one).count(beside) == 1

        cluster.sql("drop trigger refuse on v7.jobs")
        cluster.sql("delete from v7.jobs where id = any(%s)", broken)
        wait_for_end(cluster.url, 120)
        assert len(started(one)) == len(set(started(one))) == 1 + len(ids) + len(suspects)
        assert failures(cluster.url) == []
        assert {row[1:] for row in jobs(cluster.url)} == {("succeeded", 0)}
        assert one.stop() == 0
