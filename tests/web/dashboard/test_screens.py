"""What the screens say of what was counted."""

import re

import pytest

from v7_task_processor import queue
from v7_task_processor.counting import Account
from v7_task_processor.database import connect
from v7_task_processor.observability import families
from v7_task_processor.observability.counts import Counts

from ...population import KEYS
from ..support import ApiProcess


def text(api: ApiProcess, path: str) -> str:
    """A page without its tags."""
    answer = api.client.get(f"/dashboard{path}")
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", answer.text))


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
