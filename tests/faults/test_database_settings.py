"""F29 and F31: a role or a database with settings that others like, and that would break us."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from v7_task_processor.web.hints import Hints

from ..nodes import enqueue, jobs, node, post, wait_for_end, wait_until
from .books import check_ledger, work_on
from .cluster import Cluster, cluster_from
from .lab import Lab
from .looks import RECORDING

HOSTILE = {
    "statement_timeout": "100ms",
    "lock_timeout": "100ms",
    "idle_in_transaction_session_timeout": "100ms",
    "idle_session_timeout": "2s",  # a session has it until its first statement, which a busy machine may put off
    "transaction_timeout": "100ms",
    "datestyle": "German, DMY",
    "timezone": "Asia/Kathmandu",
    "client_encoding": "LATIN1",
}
SLOW = """
create function public.slow() returns trigger language plpgsql as
    $$ begin perform pg_sleep(0.3); return null; end $$;
create trigger slow before insert or update or delete on v7.jobs execute function public.slow();
create trigger slow before insert or update or delete on v7.workers execute function public.slow();
create trigger slow before insert on v7.event_types execute function public.slow();
create trigger slow before insert on v7.failures execute function public.slow();
"""
EVENT = {"user_id": 1, "priority": 1, "event_data": {"do": "sleep", "seconds": 0.01}, "event_type_id": 1}


@pytest.fixture
def hostile(cluster: Cluster) -> str:
    """The address of a database for a role with hostile timeouts, where each statement takes longer than they allow."""
    cluster.sql("create role app superuser login")
    for name, value in HOSTILE.items():
        cluster.sql(f"alter role app set {name} = '{value}'")
    cluster.sql(SLOW)
    return cluster.url.replace("postgres@", "app@")


@pytest.mark.fault(29)
@pytest.mark.slow
def test_a_role_with_timeouts_that_all_our_statements_exceed(hostile: str, cluster: Cluster, tmp_path: Path) -> None:
    identities = "select id from v7.workers order by id"
    beat = "select heartbeat_at from v7.workers where node_id is null"
    with node(tmp_path / "node", hostile, "run", V7_MAX_RETRIES=2, V7_RETRY_SECONDS=0.1) as one:
        address = one.address()
        before = wait_until(lambda: len(found := cluster.sql(identities)) == 2 and found, "node and worker are there")
        answers = [post(address, {**EVENT, "event_type_id": number}) for number in range(1, 6)]
        assert {status for status, _ in answers} == {200}, answers
        enqueue(cluster.socket_url, {"do": "fail"})
        wait_for_end(cluster.socket_url)
        for _ in range(3):  # idle for longer than a session may be
            [(last,)] = cluster.sql(beat)
            wait_until(partial(cluster.sql, f"{beat} and heartbeat_at > %s", last), "the node beats")
        assert post(address, EVENT)[0] == 200
        wait_for_end(cluster.socket_url)
        assert cluster.sql(identities) == before
        said = one.said()
        assert one.stop() == 0
    assert [row[1:] for row in jobs(cluster.socket_url)] == [*[("succeeded", 0)] * 5, ("dead", 2), ("succeeded", 0)]
    assert cluster.sql("select count(*) from v7.event_types") == [(5,)]
    assert "timeout" not in said
    assert "cannot" not in said


@pytest.mark.fault(29)
@pytest.mark.slow
def test_a_role_that_may_not_wait_for_a_lock(hostile: str, cluster: Cluster, tmp_path: Path) -> None:
    """An event that waits its turn behind somebody's lock is added, and what has ended is written."""
    slow = enqueue(cluster.socket_url, {"do": "sleep", "seconds": 5})
    with node(tmp_path / "node", hostile, "run") as one:
        address = one.address()
        wait_until(one.starts, "it runs")
        with psycopg.connect(cluster.socket_url) as connection:
            connection.execute("lock v7.jobs in share mode")
            waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like %s"
            wait_until(lambda: cluster.sql(waiting, RECORDING), "its end waits to be written")
            answer = asyncio.run(posted_while(connection, cluster, address))
        assert answer[0] == 200, answer
        wait_for_end(cluster.socket_url)
        assert one.stop() == 0
    assert jobs(cluster.socket_url, "id, retry_count")[0] == (*slow, 0)
    assert len(one.starts()) == 2


async def posted_while(connection: psycopg.Connection, cluster: Cluster, address: tuple[str, int]) -> tuple[int, str]:
    """Post, and give up the lock a second after two wait for it."""
    answer = asyncio.create_task(asyncio.to_thread(post, address, EVENT))
    blocked = "select count(*) from pg_locks where not granted and now() - waitstart > interval '1 s'"
    while cluster.sql(blocked) < [(2,)] and not answer.done():
        await asyncio.sleep(0.05)
    connection.rollback()
    return await answer


strict = pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])


@pytest.mark.fault(31)
@pytest.mark.slow
@strict
def test_a_database_of_another_isolation_under_load(cluster: Cluster, tmp_path: Path, isolation: str) -> None:
    cluster.sql(f"alter database v7 set default_transaction_isolation = '{isolation}'")
    with Lab(tmp_path / "lab", cluster, 31) as lab:
        for name in ("a", "b"):
            lab.add(name, "run")
        lab.ready()
        clients = lab.send()
        work_on(lab, 300)
        lab.settle()
        check_ledger(lab)
        said = "".join(place.node.said() for place in lab.places.values())
    assert "could not serialize" not in said
    assert set(clients.answers) == {200}


@pytest.fixture
def strict_url(cluster_template: Path, tmp_path: Path) -> Iterator[str]:
    with cluster_from(cluster_template, tmp_path / "strict", {"default_transaction_isolation": "serializable"}) as made:
        yield made.url


@pytest.mark.fault(31)
async def test_two_meet_a_type_where_transactions_are_serializable(strict_url: str) -> None:
    """The row that another makes at the same time is no error."""
    hints = Hints(strict_url)
    async with await psycopg.AsyncConnection.connect(strict_url) as other:
        await other.execute("insert into v7.event_types (event_type_id) values (7)")
        meeting = asyncio.create_task(hints.round([7, 8]))
        waiting = "select count(*) from pg_locks where not granted"
        async with await psycopg.AsyncConnection.connect(strict_url, autocommit=True) as observer:
            while await (await observer.execute(waiting)).fetchone() == (0,):
                await asyncio.sleep(0.01)
            await other.commit()
            await meeting
            known = await observer.execute("select event_type_id from v7.event_types order by 1")
            assert await known.fetchall() == [(7,), (8,)]
    await hints.link.close()
