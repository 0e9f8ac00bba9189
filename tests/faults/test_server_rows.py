"""One row that Postgres refuses, and a queue of notifications that is full."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from v7_task_processor import database, queue
from v7_task_processor.counting import Account
from v7_task_processor.maintenance import Chores
from v7_task_processor.observability.counts import Counts
from v7_task_processor.queue import Connection
from v7_task_processor.settings import Settings
from v7_task_processor.worker.node import Member
from v7_task_processor.worker.slots import NodeMap

from ..nodes import check_books, jobs, node, post, wait_for_end
from ..support import add, one, rows, take, worker
from ..test_maintenance import days, old_day
from .cluster import Cluster, cluster_from

REFUSE = """
create function refuse() returns trigger language plpgsql as $$
    begin if old.user_id = 13 then raise 'not this one'; end if; return new; end $$;
create trigger refuse before update on v7.jobs for each row execute function refuse()"""


def refuse(url: str) -> None:
    """From now on, all changes to user 13's jobs."""
    with psycopg.connect(url) as connection:
        connection.execute(REFUSE)


async def schedule(connection: Connection, user_id: int, count: int) -> list[int]:
    """Jobs that are due, in this order and after those that are there."""
    statement = """insert into v7.jobs (event_type_id, user_id, priority, event_data, status, run_at)
        select 1, %s, 0, '{}', 'scheduled', clock_timestamp() - interval '1 second' from generate_series(1, %s)
        returning id"""
    return [job_id for (job_id,) in await rows(connection, statement, user_id, count)]


@pytest.mark.fault(48)
async def test_a_job_that_cannot_be_queued_holds_up_no_other_and_is_tried_again(database_url: str) -> None:
    """Somebody's trigger, here. It is passed over, and queued once its hindrance is gone."""
    async with await database.connect(database_url) as connection:
        refuse(database_url)
        await schedule(connection, 1, 30)
        bad = await schedule(connection, 13, 2)
        await schedule(connection, 1, 2000)
        chores = Chores(database.Link(database_url), 7, Account(Counts()))
        left = "select id from v7.jobs where status = 'scheduled' order by id"
        for _ in range(200):
            await chores.round()
            if (found := await rows(connection, left)) == [(job_id,) for job_id in bad]:
                break
        assert found == [(job_id,) for job_id in bad]
        assert chores.refused == set(bad)
        later = await schedule(connection, 1, 1)
        await chores.round()
        assert await one(connection, "status", later[0]) == ("queued",)
        await connection.execute("drop trigger refuse on v7.jobs")
        chores.due.clear()
        await chores.round()
        assert await rows(connection, left) == []
        await chores.link.close()


@pytest.mark.fault(48)
async def test_a_chore_that_fails_keeps_no_other_from_being_done(database_url: str) -> None:
    """Nobody's queueing, giving back and pruning waits for what cannot be dropped or forgotten."""
    async with await database.connect(database_url) as connection:
        old = await old_day(connection, 9)
        await connection.execute(f"create view report as select count(*) from v7.{old}".encode())
        refuse(database_url)
        (bad,) = await schedule(connection, 13, 1)
        (orphan,) = await add(connection, event_type_id=3)
        worker_id = await worker(connection)
        await take(connection, worker_id)
        await connection.execute("delete from v7.workers")
        await connection.execute(
            "insert into v7.idempotency_keys (key, body_sha256, job_id, created_at)"
            " values ('k', '', 1, now() - interval '8 days')"
        )
        chores = Chores(database.Link(database_url), 7, Account(Counts()))
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            await chores.round()
        assert await one(connection, "status", orphan) == ("queued",)
        assert await one(connection, "status", bad) == ("scheduled",)
        assert await rows(connection, "select event_type_id from v7.event_types") == [(3,)]
        assert await rows(connection, "select key from v7.idempotency_keys") == []
        assert old in await days(connection)
        await chores.round()  # not at once again
        chores.due.clear()
        await connection.execute("drop view report")
        await chores.round()
        assert old not in await days(connection)
        await chores.link.close()


@pytest.fixture
def deaf(cluster_template: Path, tmp_path: Path) -> Iterator[Cluster]:
    with cluster_from(cluster_template, tmp_path / "deaf", {"max_notify_queue_pages": "64"}) as made:
        yield made


@contextlib.contextmanager
def full_queue(cluster: Cluster) -> Iterator[psycopg.Connection[Any]]:
    """A listener in an open transaction hears nothing, and what it has not heard is kept for it."""
    with psycopg.connect(cluster.url, autocommit=True) as listener:
        listener.execute("listen v7")
        listener.execute("begin")
        with pytest.raises(psycopg.OperationalError, match="NOTIFY queue"):
            for number in range(10_000):
                cluster.sql("select pg_notify('v7', %s::text || repeat('x', 7000))", number)
        yield listener
        listener.execute("rollback")


@pytest.mark.fault(49)
@pytest.mark.slow
def test_the_queue_of_notifications_is_full(deaf: Cluster, tmp_path: Path) -> None:
    """Events are taken, retried, rescued and handled as ever, if up to a second later: each worker polls."""
    with full_queue(deaf), node(tmp_path / "node", deaf.url, "run", V7_RETRY_SECONDS=0.5, V7_MAX_RETRIES=2) as one_node:
        address = one_node.address()
        for do in [*[{}] * 20, {"do": "fail"}, {"do": "die"}]:
            status, text = post(address, {"user_id": 1, "priority": 1, "event_data": do, "event_type_id": 1})
            assert status == 200, text
        wait_for_end(deaf.url)
        check_books(deaf.url, one_node)
        assert one_node.stop() == 0
    assert [row[1:] for row in jobs(deaf.url)] == [("succeeded", 0)] * 20 + [("dead", 2)] * 2


@pytest.mark.fault(49)
async def test_a_lost_node_is_rescued_from_while_nobody_can_be_notified(deaf: Cluster, tmp_path: Path) -> None:
    async with await database.connect(deaf.url) as connection:
        (job_id,) = await add(connection)
        await take(connection, await worker(connection))
        (lost,) = await queue.nodes(connection)
        member = Member(Settings(), deaf.url, NodeMap.create(tmp_path / "node.map", 1, 10))
        with full_queue(deaf):
            with pytest.raises(psycopg.OperationalError):  # of the waking, which was to come last
                await member.rescue(lost)
            assert await one(connection, "status, suspect, retry_count", job_id) == ("queued", True, 0)
        await member.link.close()
        await member.watch_link.close()
