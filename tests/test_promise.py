"""What a 200 is worth, as a sentence for each kind of server, and on real ones of each kind."""

from pathlib import Path

import httpx
import psycopg
import pytest

from v7_task_processor import database, maintenance
from v7_task_processor.cli import root
from v7_task_processor.promise import RISKS, SETTINGS, Promise, promise, standbys_needed
from v7_task_processor.server import Server, Standby, describe

from .nodes import wait_until
from .standbys import primary, set_up, standby, value
from .web.support import body, serving

SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "max_wal_senders": "10"}
A, B = Standby("a", "sync"), Standby("b", "sync")
LATE = "what was acknowledged last is lost when"
TWO = "durable on 2 nodes (this one and 1 synchronous standby, a)"
WAIT = "commits wait, and no event is acknowledged, until"


def on(names: str = "", *standbys: Standby, is_standby: bool = False, **settings: str) -> Promise:
    given = SAFE | {"synchronous_standby_names": names} | settings
    return promise(Server("18.6", 180006, "db", "v7", given, is_standby=is_standby, standbys=standbys))


@pytest.mark.parametrize(
    ("found", "sentence", "state"),
    [
        (on(), "durable on this server", "holds"),
        (on("a", A), TWO, "holds"),
        (
            on("ANY 1 (a, b)", Standby("a", "quorum"), Standby("b", "quorum")),
            "durable on 2 nodes (this one and 1 of the synchronous standbys a, b)",
            "holds",
        ),
        (on("FIRST 2 (a, b)", A, B), "durable on 3 nodes (this one and 2 synchronous standbys, a, b)", "holds"),
        (
            on("a, b", A, Standby("b", "potential")),
            TWO,
            "holds",
        ),
        (
            on("a", A, synchronous_commit="remote_apply"),
            "durable on 2 nodes (this one and 1 synchronous standby, a, and visible there)",
            "holds",
        ),
        (
            on("", Standby("a", "async")),
            f"durable on this server; its standby (a) is asynchronous: {LATE} it takes over",
            "note",
        ),
        (
            on("", Standby("a", "async"), Standby("b", "async")),
            f"durable on this server; its standbys (a, b) are asynchronous: {LATE} one of them takes over",
            "note",
        ),
        (
            on("a", A, Standby("c", "async")),
            f"{TWO}; 1 standby (c) is asynchronous: {LATE} it takes over",
            "note",
        ),
        (
            on("", Standby(None, None), Standby(None, None)),
            f"durable on this server; 2 standbys are asynchronous: {LATE} one of them takes over",
            "note",
        ),
        (
            on("a", Standby(None, None)),
            "durable on this server and on 1 of its synchronous standbys, as far as this user may see",
            "note",
        ),
        (on(fsync="off"), "degraded: fsync is off, so a crash of this machine can lose what was answered 200", "fails"),
        (
            on(full_page_writes="off"),
            f"degraded: full_page_writes is off, so {RISKS['full_page_writes']}",
            "fails",
        ),
        (on("a", max_wal_senders="0"), "durable on this server", "holds"),
    ],
)
def test_the_sentence(found: Promise, sentence: str, state: str) -> None:
    assert (found.sentence, found.state, found.acknowledges) == (sentence, state, True)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            on("FIRST 2 (a, b)", A),
            f"{WAIT} 1 more synchronous standby is connected (FIRST 2 (a, b) asks for 2, 1 is there)",
        ),
        (
            on("2 (a, b)", Standby("c", "async"), Standby("a", "potential")),
            f"{WAIT} 2 more synchronous standbys are connected (2 (a, b) asks for 2, 0 are there)",
        ),
        (
            on("ANY 2 (a, b)", Standby(None, None)),
            f"{WAIT} 1 more synchronous standby is connected (ANY 2 (a, b) asks for 2, 1 is there)",
        ),
        (
            on("*", fsync="off"),
            f"{WAIT} 1 more synchronous standby is connected (* asks for 1, 0 are there)",
        ),
        (on(is_standby=True), "no event is acknowledged: the server is a standby (read-only)"),
    ],
)
def test_nothing_is_acknowledged(found: Promise, sentence: str) -> None:
    assert (found.sentence, found.state, found.acknowledges) == (sentence, "fails", False)
    assert found.todo


@pytest.mark.parametrize(
    ("names", "needed"),
    [
        ("", 0),
        ("a", 1),
        ("a, b, c", 1),
        ("*", 1),
        ('"FIRST", b', 1),
        ("1, 2", 1),
        ("2 (a, b)", 2),
        ("3(a,b,c)", 3),
        ("first 2 (a, b)", 2),
        (" ANY  12 ( * )", 12),
    ],
)
def test_how_many_standbys_a_commit_waits_for(names: str, needed: int) -> None:
    server = Server("18.6", 180006, "db", "v7", SAFE | {"synchronous_standby_names": names})
    assert standbys_needed(server) == needed


def said(url: str) -> str:
    return promise(describe(url, SETTINGS)).sentence


async def ready(url: str) -> tuple[int, str]:
    async with serving(url) as api, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{api.port}/readyz")
        return answer.status_code, answer.text


def doctor(url: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What it says of the promise. No worker runs, so it fails in any case."""
    assert root.run(["doctor", "--database-url", url]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line[2:].startswith("promise ")]
    return line


@pytest.mark.slow
async def test_real_servers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alone; lonely; with an asynchronous standby; with a synchronous one; and when that is lost."""
    with primary(tmp_path / "a") as server:
        assert await ready(server.url) == (200, "ready; an answer 200 means: durable on this server")
        assert doctor(server.url, capsys) == "✓ promise            durable on this server"

        set_up(server, synchronous_standby_names="FIRST 1 (b)")
        lonely = f"{WAIT} 1 more synchronous standby is connected (FIRST 1 (b) asks for 1, 0 are there)"
        assert doctor(server.url, capsys) == f"✗ promise            {lonely}"
        assert await ready(server.url) == (503, f'{{"reasons":["{lonely}"]}}')
        async with serving(server.url, commit_seconds_max=0.3) as api:
            assert (await api.post(body())).status_code == 500
        set_up(server, synchronous_standby_names="")

        with standby(server, tmp_path / "b", "b"):
            late = f"durable on this server; its standby (b) is asynchronous: {LATE} it takes over"
            assert await ready(server.url) == (200, f"ready; an answer 200 means: {late}")
            assert doctor(server.url, capsys) == f"! promise            {late}"
            set_up(server, synchronous_standby_names="b")
            wait_until(
                lambda: value(server, "select sync_state from pg_stat_replication") == "sync", "it is waited for"
            )
            both = "durable on 2 nodes (this one and 1 synchronous standby, b)"
            assert await ready(server.url) == (200, f"ready; an answer 200 means: {both}")
            assert doctor(server.url, capsys) == f"✓ promise            {both}"
            async with serving(server.url) as api:
                assert (await api.post(body())).status_code == 200
            assert said(as_nobody(server.url)) == (
                "durable on this server and on 1 of its synchronous standbys, as far as this user may see"
            )
        wait_until(lambda: value(server, "select count(*) from pg_stat_replication") == 0, "it is gone")
        assert said(as_nobody(server.url)).startswith("commits wait")
        assert (await ready(server.url))[0] == 503


def as_nobody(url: str) -> str:
    """The same server, for a user who may only look at our schema."""
    with psycopg.connect(url, autocommit=True) as admin:
        if not admin.execute("select from pg_roles where rolname = 'nobody'").rowcount:
            with admin.transaction():
                admin.execute("set local synchronous_commit = local")  # its standby may be gone
                admin.execute("create role nobody login")
                admin.execute("grant usage on schema v7 to nobody")
                admin.execute("grant select on all tables in schema v7 to nobody")
    return database.conninfo(url, user="nobody")


async def test_a_new_timeline_is_dealt_with_while_the_standby_is_missing(tmp_path: Path) -> None:
    """As it is after each failover: workers and listings go on, though no event can be acknowledged."""
    with primary(tmp_path / "a") as server:
        async with await database.connect(server.url) as connection:
            await maintenance.recognise(connection)
            await connection.execute("update v7.server set timeline = timeline + 1")
        set_up(server, synchronous_standby_names="nobody")
        async with await database.connect(server.url) as connection:
            await maintenance.recognise(connection)
        last = value(server, "select last_value from v7.jobs_id_seq")
        assert isinstance(last, int)
        assert last > 1_000_000


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
async def test_a_real_degraded_server(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with primary(tmp_path / "a", **{name: "off"}) as server:
        status, text = await ready(server.url)
        assert status == 200
        assert text.startswith(f"ready; degraded: {name} is off, so a crash of this machine can ")
        assert doctor(server.url, capsys).startswith(f"✗ promise            degraded: {name} is off, so ")
