"""Events that Postgres cannot take apart, and texts that would be commands if anybody took them for such."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from v7_task_processor import listing
from v7_task_processor.cli import root
from v7_task_processor.listing import Filter
from v7_task_processor.overview import glance

from ..conftest import fresh
from ..nodes import check_books, jobs, node, wait_for_end
from ..web.support import PATH, ApiProcess, body, process, rows

HOSTILE_EVENTS = [
    '{"order_id": "\\u0000", "n": 1}',
    '{"order_id": "\\ud800"}',
    '"\\u0000"',
    '{"\\u0000": 1}',
    '["\\udfff\\ud800"]',
]
GUARDED = """
select event_data->>'order_id' from (
    select case when pg_input_is_valid(event_data::text, 'jsonb') then event_data end as event_data from v7.all_jobs) j
"""
VIEWS = "select table_name from information_schema.views where table_schema = 'v7'"

STRINGS = [
    "' or '1'='1",
    "1; drop table v7.jobs; --",
    "1) union select usename, passwd from pg_shadow --",
    "'; select pg_sleep(60); --",
    "$1",
    "%s %(x)s {x}",
    "$$; delete from v7.jobs; $$",
    "\\'; truncate v7.jobs cascade; --",
    "../../../etc/passwd",
    "%00",
    "1\u0000",
    "\u202e1 --",
    "9" * 400,
]
SQL_WORDS = ("syntax error", "psycopg", "traceback", "pg_shadow where", "select ", "LINE 1")


@pytest.fixture
def url(server_url: str, template: str) -> Iterator[str]:
    yield from fresh(server_url, template)


@pytest.fixture(scope="module")
def api_url(server_url: str, template: str) -> Iterator[str]:
    yield from fresh(server_url, template)


@pytest.fixture(scope="module")
def api(api_url: str) -> Iterator[ApiProcess]:
    with process(api_url) as made:
        yield made


def add_thousand(url: str) -> int:
    """Ordinary events with hostile ones among them; how many."""
    ordinary = [json.dumps({"order_id": n}) for n in range(1000)]
    events = [*ordinary[:500], *HOSTILE_EVENTS, *ordinary[500:]]
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany("select v7.enqueue(%s, 7, 0, %s)", [(n % 3, event) for n, event in enumerate(events)])
    return len(events)


@pytest.mark.slow
@pytest.mark.fault(62)
def test_events_that_postgres_cannot_take_apart_among_a_thousand(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are stored, shown, filtered, counted and handled like all others, before and after they ran."""
    count = add_thousand(url)
    monkeypatch.setenv("DATABASE_URL", url)
    with node(tmp_path / "node", url, handlers="\n@handler()\ndef f(job): note('start', job), job.event_data\n") as one:
        wait_for_end(url)
    check_books(url, one)
    assert {row[1:] for row in jobs(url)} == {("succeeded", 0)}
    stored = [row[0] for row in rows(url, "select event_data::text from v7.all_jobs order by id")]
    assert [each for each in stored if "order_id" not in each or "u" in each] == HOSTILE_EVENTS
    assert add_thousand(url) == count  # and as many that wait
    with psycopg.connect(url) as connection:
        connection.execute("update v7.jobs set status = 'dead', dead_at = now(), dead_reason = 'x' where id % 2 = 0")
    with listing.reading(url) as reading:
        for which in (
            Filter(),
            Filter(status="succeeded"),
            Filter(status="queued"),
            Filter(user_id=7, event_type_id=1),
        ):
            assert seen(reading, which) == rows(url, counted(which))[0][0]
        dead = listing.matching(reading, Filter(), ["dead"])
        assert (len(listing.dead_page(reading, limit=1000).jobs), False) == (dead.jobs, dead.at_least)
        glance(reading.exec_driver_sql)
        listing.types_page(reading)
    for (view,) in rows(url, VIEWS):
        rows(url, f"select * from v7.{view}")
    assert len(rows(url, GUARDED)) == 2 * count
    with pytest.raises(psycopg.DataError):  # and that is why it is guarded
        rows(url, GUARDED.replace("pg_input_is_valid(event_data::text, 'jsonb')", "true"))
    for arguments in COMMANDS:
        assert root.run([*arguments]) == 0, capsys.readouterr().err
        assert root.run([*arguments, "--json"]) == 0
    capsys.readouterr()


COMMANDS = [
    ["status"],
    ["jobs", "list", "--limit", "1000"],
    ["dead", "list", "--limit", "1000"],
    ["types", "list"],
    ["workers"],
]


def counted(which: Filter) -> str:
    terms = {
        "status": which.status and f"'{which.status}'",
        "user_id": which.user_id,
        "event_type_id": which.event_type_id,
    }
    conditions = [f"{name} = {value}" for name, value in terms.items() if value is not None]
    return f"select count(*) from v7.all_jobs where {' and '.join(conditions) or 'true'}"


def seen(reading: object, which: Filter) -> int:
    """How many jobs there are by the page."""
    found, after = 0, None
    while True:
        page = listing.jobs_page(reading, which, after=after, limit=300)  # type: ignore[arg-type]
        found += len(page.jobs)
        after = page.next_after
        if after is None:
            return found


def says_nothing_of_sql(text: str, given: str) -> bool:
    """What comes back may hold what was given, but no word of a statement."""
    own = text.replace(given, "").lower()
    return not any(word.lower() in own for word in SQL_WORDS)


ARGUMENTS = [
    *[["jobs", "list", flag, "@"] for flag in ("--type", "--user", "--priority-min", "--priority-max", "--after")],
    *[["jobs", "list", flag, "@"] for flag in ("--status", "--order", "--limit")],
    *[["jobs", "show", "@"], ["dead", "list", "--type", "@"], ["dead", "show", "@"], ["dead", "redrive", "@"]],
    *[["dead", "redrive", "--type", "@", "--yes"], ["types", "pause", "@"], ["types", "resume", "@"]],
    *[["send", "--type", "@", "--user", "1", "1"], ["send", "--type", "1", "--user", "@", "1"]],
    *[["send", "--type", "1", "--user", "1", "--url", "http://127.0.0.1:1", "@"], ["@"], ["jobs", "@"]],
]


@pytest.mark.fault(66)
@pytest.mark.parametrize("given", STRINGS)
def test_sql_in_arguments_of_commands(
    given: str, api_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", api_url)
    with psycopg.connect(api_url) as connection:
        connection.execute("select v7.enqueue(1, 1, 1, '{}')")
    before = rows(api_url, "select * from v7.jobs")
    for arguments in ARGUMENTS:
        code = root.run([given if each == "@" else each.replace("@", given) for each in arguments])
        said = "".join(capsys.readouterr())
        assert code in (1, 2), (arguments, code, said)
        assert says_nothing_of_sql(said, given), said
    assert rows(api_url, "select * from v7.jobs") == before


@pytest.mark.fault(66)
@pytest.mark.parametrize("given", [each for each in STRINGS if "\0" not in each])
def test_sql_in_paths_headers_and_events(given: str, api: ApiProcess, api_url: str) -> None:
    quoted = given.encode()
    for path in (f"/{given}", f"{PATH}/{given}", f"/..%2f{given}", f"/api/%00{given}"):
        answer = api.client.get(path)
        assert answer.status_code in (400, 404, 405), (path, answer.text)
        assert says_nothing_of_sql(answer.text, given)
    assert api.client.post(f"{PATH}?{given}", content=body()).status_code == 200
    names = ("x-request-id", "idempotency-key", "x-api-key", "authorization", "host", "user-agent", "x-forwarded-for")
    for name in names:
        answer = api.client.post(PATH, content=body(), headers={name.encode(): quoted})
        assert answer.status_code in (200, 400), (name, answer.text)
        assert says_nothing_of_sql(answer.text, given)
    event = json.dumps({"user_id": 1, "priority": 1, "event_data": {given: given}, "event_type_id": 1}).encode()
    job_id = api.post(event).json()["id"]
    assert rows(api_url, "select event_data from v7.jobs where id = %s", job_id) == [({given: given},)]
    for field in ("user_id", "priority", "event_type_id", given):
        answer = api.post(json.dumps({"user_id": 1, "event_data": 1, "event_type_id": 1, field: given}).encode())
        assert answer.status_code == 400
        assert says_nothing_of_sql(answer.text, given)
