"""A job that is broken on disk holds up no other."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from v7_task_processor import queue
from v7_task_processor.queue import Connection

from ..support import rows
from .refusing import BAD, GOOD, MODES, add, at, by_hand, claiming, of_user
from .refusing import mended as mended


@pytest.mark.fault(48)
@pytest.mark.parametrize("stored", ["in pieces", "compressed"])
@pytest.mark.parametrize("mode", MODES)
async def test_an_event_that_is_broken_on_disk_is_passed_over(
    database_url: str, connection: Connection, tmp_path: Path, mode: str, stored: str
) -> None:
    """One is found broken as its length is asked for, the other as it is given out."""
    storage = "external" if stored == "in pieces" else "extended"
    await connection.execute(f"alter table v7.jobs alter event_data set storage {storage}".encode())
    users = at(0, 1, 17, 39)
    ids = []
    for user in users:
        ids += await add(connection, [user], event_data=f'"{"x" * 1_000_000}"' if user == BAD else "{}")
    await damage(connection)
    async with claiming(mode, database_url, connection, tmp_path) as one:
        assert await one.claim_all() == of_user(ids, users, GOOD)
        assert one.blamed() == of_user(ids, users, BAD)
        assert {line["error"][:13] for line in one.logged if line["log_level"] == "error"} == {"missing chunk"}


@pytest.mark.fault(48)
@pytest.mark.parametrize("mode", MODES)
async def test_a_text_that_is_broken_on_disk_is_passed_over(
    database_url: str, connection: Connection, tmp_path: Path, mode: str
) -> None:
    """Postgres does not see it, and gives out the job: it is given back as where an answer is lost."""
    users = at(0, 17)
    ids = await add(connection, users)
    broken = r"create cast (bytea as text) without function; update v7.jobs set correlation_id = '\xff'::bytea::text"
    async with claiming(mode, database_url, connection, tmp_path) as one:
        by_hand(database_url, f"{broken} where user_id = 13; drop cast (bytea as text)")
        assert sorted(await one.claim_all()) == of_user(ids, users, GOOD)
        assert one.blamed() == of_user(ids, users, BAD)
        left = "select id, retry_count, suspect from v7.jobs where status = 'queued' order by id"
        assert await rows(connection, left) == [(job_id, 0, mode == "suspects") for job_id in one.blamed()]


async def damage(connection: Connection) -> None:
    """The pieces of the events that are stored beside the table are gone."""
    try:
        await connection.execute("create extension if not exists pg_surgery")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this Postgres has no pg_surgery")
    ((toast,),) = await rows(
        connection, "select reltoastrelid::regclass::text from pg_class where oid = 'v7.jobs'::regclass"
    )
    killed = f"select heap_force_kill('{toast}', array(select ctid from {toast}))"
    await connection.execute(killed.encode())


@pytest.mark.fault(48)
@pytest.mark.parametrize("code", ["P0001", "XX002"])
async def test_what_is_no_jobs_fault_is_waited_for_and_ends_no_worker(
    database_url: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """An index that is broken, say: each job by itself would do."""
    broken = 10
    claim = queue.claim

    async def failing(*given: Any) -> queue.Claim:
        nonlocal broken
        broken -= 1
        if broken > 0:
            raise psycopg.errors.lookup(code)("broken")
        return await claim(*given)

    monkeypatch.setattr(queue, "claim", failing)
    ids = await add(connection, at(of=3))
    async with claiming("plain", database_url, connection, tmp_path) as one:
        assert await one.claim_all() == ids
        assert one.blamed() == []
        assert {line["error"] for line in one.logged} == {"broken"}
