"""Acts by forms, without a browser: what becomes of each job, whatever stands in the way of one."""

import html
import re
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from v7_task_processor import database, queue
from v7_task_processor.operations import drive
from v7_task_processor.queue import Connection
from v7_task_processor.web.management import store

from ...support import add, one
from ..support import Api, rows, serving
from .conftest import TOKEN

LETTERS = """
insert into v7.jobs (event_type_id, user_id, priority, event_data, status, dead_at, dead_reason, last_error)
select 5, 1, 1, '{}', 'dead', now(), 'x', %s from generate_series(1, %s)
"""
DEAD = "update v7.jobs set status = 'dead', dead_at = now(), dead_reason = 'x' where id = any(%s)"


async def submit(api: Api, **fields: object) -> httpx.Response:
    """By a key in the header, which needs no number of a form."""
    given = {name: str(value) for name, value in fields.items()}
    headers = {b"authorization": b"Bearer " + TOKEN.encode(), b"content-type": b"application/x-www-form-urlencoded"}
    async with api.client() as client:
        return await client.post("/dashboard/act", data=given, headers=headers)


async def test_a_job_that_another_holds_keeps_no_other(
    database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those before it were done, and nobody was told so; those after it were not."""
    monkeypatch.setitem(store.SESSION, "lock_timeout", "100ms")
    first, held, last = ids = await add(connection, 3)
    with psycopg.connect(database_url) as holder:
        holder.execute("select from v7.jobs where id = %s for update", [held])
        async with serving(database_url, admin_token=TOKEN) as api:
            told = await submit(api, act="priority", id=",".join(map(str, ids)), priority=7)
            assert told.status_code == 409
            assert "<p>2 jobs given another priority.</p>" in told.text
            assert f"<li>Job {held} was left as it is: canceling statement due to lock timeout.</li>" in told.text
            alone = await submit(api, act="priority", id=held, priority=7)
            assert (alone.status_code, queue.LOCKED in alone.text) == (503, True)
    assert [await one(connection, "priority", each) for each in ids] == [(7,), (0,), (7,)]
    assert rows(database_url, "select job_id from v7.audit order by job_id") == [(first,), (last,)]


@pytest.fixture
def unseeing_url(own_database_url: str) -> Iterator[str]:
    """As a role that may do all that a node does, but not see which server it is on."""
    role = f"{conninfo_to_dict(own_database_url)['dbname']}_unseeing"
    named = sql.Identifier(role)
    with psycopg.connect(own_database_url, autocommit=True) as admin:
        admin.execute("revoke execute on function pg_control_system() from public")
        admin.execute(sql.SQL("create role {} login").format(named))
        admin.execute(sql.SQL("grant usage on schema v7 to {}").format(named))
        for kind in ("tables", "sequences", "functions"):
            admin.execute(sql.SQL(f"grant all on all {kind} in schema v7 to {{}}").format(named))
        yield make_conninfo(own_database_url, user=role)
        admin.execute(sql.SQL("drop owned by {}").format(named))
        admin.execute(sql.SQL("drop role {}").format(named))


async def test_redrive_with_another_event_where_the_server_cannot_be_recognised(unseeing_url: str) -> None:
    """To look at it is no part of the act: what fails in a transaction ends it."""
    async with await database.connect(unseeing_url) as connection:
        (job_id,) = await add(connection)
        await connection.execute(DEAD, [[job_id]])
        async with serving(unseeing_url, admin_token=TOKEN) as api:
            done = await submit(api, act="edit", id=job_id, event_data='{"amount": 1}')
        assert done.status_code == 303, done.text
        new_id = int(done.headers["location"].partition("?")[0].rpartition("/")[2])
        assert await one(connection, "status, redriven_from", new_id) == ("queued", job_id)
        assert await one(connection, "status", job_id) == ("cancelled",)


async def group(api: Api, kind: str) -> str:
    """The card of a group of dead letters."""
    async with api.client() as client:
        page = await client.get("/dashboard/dead", headers={b"authorization": b"Bearer " + TOKEN.encode()})
    (card,) = [each for each in page.text.split("<article")[1:] if f"<h2><bdi>{kind}</bdi></h2>" in each]
    return html.unescape(card.partition("</article>")[0])


async def test_an_act_on_a_group_of_dead_letters_meets_no_other(database_url: str, connection: Connection) -> None:
    """The kind of one may stand within that of another, or in what another says."""
    for error, count in [("TimeoutError: a", 3), ("ReadTimeoutError: b", 5), ("RuntimeError: after TimeoutError", 2)]:
        await connection.execute(LETTERS, [error, count])
    async with serving(database_url, admin_token=TOKEN) as api, api.client() as client:
        card = await group(api, "TimeoutError")
        addresses = re.findall('href="([^"]*)"[^>]*>(3 jobs|Cancel)<', card)
        key = {b"authorization": b"Bearer " + TOKEN.encode()}
        listed, asked = [(await client.get(address, headers=key)).text for address, _ in addresses]
        assert listed.count('name="id"') == 3
        assert "<title>Cancel: 3 jobs ·" in asked
        assert "--error-kind TimeoutError" in asked
        hidden = dict(re.findall('<input type="hidden" name="([^"]*)" value="([^"]*)">', asked))
        done = await submit(api, **hidden)
    end = await drive(connection, int(done.headers["location"].rpartition("/")[2]), "me", lambda _: None)
    assert end is not None
    assert (end.status, end.done) == ("done", 3)
    left = rows(database_url, "select split_part(last_error, ':', 1), count(*) from v7.jobs group by 1 order by 1")
    assert left == [("ReadTimeoutError", 5), ("RuntimeError", 2)]


@pytest.mark.parametrize("kind", ["", " ", "TimeoutError ", "two  words"])
async def test_a_group_without_a_kind_offers_no_act(database_url: str, connection: Connection, kind: str) -> None:
    """No filter names it: an act would meet all dead letters of the type, or another group."""
    await connection.execute(LETTERS, [f"{kind}: by hand", 2])
    async with serving(database_url, admin_token=TOKEN) as api:
        card = await group(api, kind)
    assert "/dashboard/act" not in card
    assert "Its error names no kind: tick its jobs in the list." in card
