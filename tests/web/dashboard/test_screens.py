"""What the screens say of what was counted."""

import datetime as dt
import html
import json
import re
import shlex

import pytest

from v7_task_processor import queue
from v7_task_processor.counting import Account
from v7_task_processor.database import connect
from v7_task_processor.listing import Minute
from v7_task_processor.observability import families
from v7_task_processor.observability.counts import Counts
from v7_task_processor.web.dashboard.chart import Chart

from ...population import KEYS, fail_often, note_minutes
from ...support import add
from ..support import ApiProcess, process


def text(api: ApiProcess, path: str, **query: str) -> str:
    """A page without its tags."""
    answer = api.client.get(f"/dashboard{path}", params=query or None)
    assert answer.status_code == 200, answer.text
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", answer.text))


def test_an_hour_and_a_day(here: ApiProcess, populated_url: str) -> None:
    note_minutes(populated_url)
    for address, says in (("", "In the last hour: 10 received"), ("?hours=24", "In the last 24 hours: 10 received")):
        page = here.client.get(f"/dashboard{address}").text
        assert says in page
        found = re.search('data-chart="([^"]*)"', page)
        assert found
        _, received, succeeded, failed = json.loads(html.unescape(found[1]))
        assert (received, succeeded, failed) == ([10], [8], [2])
        assert page.count('aria-current="true"') == 1
        assert 'href="/dashboard?hours=24"' in page
    assert here.client.get("/dashboard?hours=25").status_code == 400


def test_a_day_is_a_point_for_ten_minutes() -> None:
    begin = dt.datetime(2030, 1, 31, 12, 5, tzinfo=dt.UTC)
    numbers = {"succeeded": 0, "failed": 0, "dead": 0, "retried": 0}
    minutes = [Minute(minute=begin + dt.timedelta(minutes=n), received=n, **numbers) for n in range(24 * 60)]
    chart = Chart(minutes, 24)
    times, received, *_ = json.loads(chart.data())
    assert times[:2] == [int(begin.timestamp()) - 300, int(begin.timestamp()) + 300]
    assert received[:2] == [2, 9.5], "per minute, also of the first five"
    assert len(times) == 145
    assert len(chart.data()) + sum(len(points) for _, points in chart.lines()) < 20_000
    assert f"{sum(range(24 * 60)):,} received" in chart.said()


async def test_a_type_s_last_hour(here: ApiProcess, populated_url: str) -> None:
    async with await connect(populated_url) as connection:
        await queue.note_minute(connection, 50)
        await connection.execute(
            "update v7.minutes set minute = minute - interval '30 min', noted_at = noted_at - interval '30 min'"
        )
        account = Account(Counts())
        account.counts.add(families.ATTEMPTS, 3 * 1800, 5, "succeeded")
        account.counts.add(families.ATTEMPTS, 1800, 5, "failed")
        account.counts.observe(families.HANDLER_DURATION, [0.02] * 100, 5)
        await account.write(connection)
    page = text(here, "/types")
    row = re.search(r"(\S+) 25\.0 % (\S+ \S+) (\S+ \S+) ", page)
    assert row, page
    rate, *durations = row.groups()
    assert 3.5 < float(rate) <= 4
    assert all(each.endswith(" ms") for each in durations)


async def test_none_of_a_type_is_a_floor_where_not_all_were_looked_at(here: ApiProcess, populated_url: str) -> None:
    async with await connect(populated_url) as connection:
        await connection.execute(
            "insert into v7.jobs (event_type_id, user_id, priority, event_data, status, dead_at, dead_reason) "
            "select 1, 1, 1, '{}', 'dead', now() - interval '1 day', 'old' from generate_series(1, 10001)"
        )
        page = here.client.get("/dashboard/types").text
        await connection.execute("delete from v7.jobs where dead_reason = 'old'")
    assert '<a href="/dashboard/dead?event_type_id=5">0+</a>' in page
    assert '<a href="/dashboard/dead?event_type_id=1">10,000+</a>' in page


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("paused", "Job 3 waits because its type, 5, is paused since"),
        ("scheduled", "Job 5 waits for its time,"),
        ("running", "Job 6 runs on alpha:101 for"),
        ("dead", "It runs again only when it is redriven."),
        ("succeeded", "Job 20 succeeded at"),
    ],
)
def test_a_job_says_why_it_does_not_run(here: ApiProcess, name: str, says: str) -> None:
    page = text(here, f"/jobs/{KEYS[name]}")
    assert says in page
    assert f"v7 why {KEYS[name]}" in page


def test_a_job_that_failed_for_weeks(here: ApiProcess, populated_url: str) -> None:
    fail_often(populated_url, KEYS["suspect"], 30)
    page = text(here, f"/jobs/{KEYS['suspect']}")
    assert "Attempt 30 failed" in page
    assert "Attempt 6 failed" in page
    assert "And 5 earlier ones: select * from v7.failures where job_id = 7 order by attempt" in page


def test_the_same_is_sent_again_with_a_key_where_one_is_needed(here: ApiProcess, populated_url: str) -> None:
    key = "-H &#39;Authorization: Bearer …&#39; "
    assert key not in here.client.get("/dashboard/jobs/42").text
    with process(populated_url, api_keys="s3cret") as api:
        page = api.client.get("/dashboard/jobs/42").text
    assert f"/api/event/v1 {key}-H &#39;Content-Type: application/json&#39; -d" in page


@pytest.mark.parametrize(
    ("event", "is_shown"), [("x" * 5000, True), ("'" * 900, True), ("'" * 1500, False), ("x" * 6001, False)]
)
async def test_a_command_that_is_too_long_is_not_cut(
    here: ApiProcess, populated_url: str, event: str, is_shown: bool
) -> None:
    """In the middle of what is quoted a shell would go on with whatever comes next."""
    async with await connect(populated_url) as connection:
        (job_id,) = await add(connection, 1)
        await connection.execute("update v7.jobs set event_data = to_json(%s::text) where id = %s", [event, job_id])
    page = here.client.get(f"/dashboard/jobs/{job_id}").text
    async with await connect(populated_url) as connection:
        await connection.execute("delete from v7.jobs where id = %s", [job_id])
    assert ("Send the same again" in page) is is_shown
    found = re.search("(curl [^ ]*/api/event/v1 [^<]*)<", page)
    assert (found is not None) is is_shown
    if found:
        body = json.loads(shlex.split(html.unescape(found[1]))[-1])
        assert body["event_data"] == event


def all_that_match(api: ApiProcess, **query: str) -> tuple[str, dict[str, str]]:
    """What an act says that it will do, where one ticks "all that match" on such a page; and the filter that it got."""
    page = api.client.get("/dashboard/jobs", params=query).text
    found = re.search('name="all" value="1">(.*?)</div>', page, re.DOTALL)
    assert found, page
    hidden = re.findall('<input type="hidden" name="([^"]*)" value="([^"]*)">', found[1])
    chosen = {name: html.unescape(value) for name, value in hidden}
    return text(api, "/act", act="priority", all="1", **chosen), chosen


def test_all_that_match_are_those_that_the_page_shows(here: ApiProcess) -> None:
    """In the order in which they will be taken stand queued jobs alone; an act on all of them met the others too."""
    says, chosen = all_that_match(here, order="queue")
    assert chosen == {"status": "queued"}
    assert "It will be done with 5 jobs that match now" in says
    assert "all that match (all queued)" in text(here, "/jobs", order="queue")
    says, chosen = all_that_match(here, order="newest")
    assert chosen == {}
    assert "It will be done with 8 jobs that match now" in says
    assert "all that match (all unfinished)" in text(here, "/jobs")


def test_a_filter_of_all_that_match_is_as_it_was_given(here: ApiProcess) -> None:
    """A text keeps its spaces, a time its form."""
    times = {"created_from": "2001-02-03T04:05", "created_until": "2130-01-31T12:00:00.5+02:00"}
    says, chosen = all_that_match(here, error="valueerror: SECOND", **times)
    assert chosen == {
        "error": "valueerror: SECOND",
        "created_from": "2001-02-03T04:05:00+00:00",
        "created_until": "2130-01-31T10:00:00.500000+00:00",
    }
    assert "It will be done with 1 job that matches now" in says
