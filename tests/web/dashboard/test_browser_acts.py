"""Acts in a real browser: each of them, on one, on those that are ticked, on all that match."""

import re

import psycopg
import pytest
from playwright.sync_api import expect

from .browsing import CHROMIUM, LOOKS, Tab, add, state
from .browsing import chromium as chromium
from .browsing import tab as tab

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
ACTS = [
    ("Cancel", "queued", {}, "cancelled", ("cancelled", 3, None)),
    ("Retry now", "scheduled", {}, "retried", ("queued", 3, None)),
    ("Redrive", "dead", {}, "redriven", ("queued", 3, None)),
    ("Set priority", "dead", {"Priority": "-7"}, "given another priority", ("dead", -7, None)),
    (
        "Reschedule",
        "queued",
        {"Until": "2030-01-31T12:00:00"},
        "rescheduled",
        ("scheduled", 3, "2030-01-31 12:00:00+00"),
    ),
]


@pytest.mark.parametrize("tab", [LOOKS["light"], LOOKS["plain"]], ids=["script", "plain"], indirect=True)
def test_each_act_on_one_job(tab: Tab, populated_url: str, request: pytest.FixtureRequest) -> None:
    with_script = "plain" not in request.node.name
    for label, status, fields, done, becomes in ACTS if with_script else ACTS[-1:]:
        job_id = add(populated_url, "to act on", status)
        page = tab.open(f"/jobs/{job_id}")
        page.locator(".acts").get_by_role("link", name=label, exact=True).click()
        expect(page.locator("main")).to_contain_text("It will be done with 1 job.")
        expect(page.locator(".command").first).to_contain_text(f" {job_id}")
        for name, value in fields.items():
            page.get_by_label(name).fill(value)
        page.get_by_role("button", name=label, exact=True).click()
        expect(page.locator(".said").first).to_have_text(f"Done: 1 job {done}.")
        assert state(populated_url, job_id) == becomes


def test_redrive_with_another_event(tab: Tab, populated_url: str) -> None:
    job_id = add(populated_url, "edited")
    page = tab.open(f"/jobs/{job_id}")
    page.get_by_role("link", name="Redrive with another event").click()
    page.get_by_label("Event").fill('{"amount": 1}')
    page.get_by_role("button", name="Redrive with another event").click()
    expect(page.locator("dl").first).to_contain_text(f"Redriven from{job_id}", use_inner_text=False)
    assert state(populated_url, job_id)[0] == "cancelled"


def test_those_that_are_ticked(tab: Tab, populated_url: str) -> None:
    mine = [add(populated_url, "ticked", status) for status in ("dead", "dead", "queued")]
    page = tab.open("/jobs?error=ticked")
    page.get_by_label("All here").check()
    page.get_by_role("button", name="Redrive").click()
    expect(page.locator("main")).to_contain_text("2 of 3 jobs")
    page.get_by_role("button", name="Redrive").click()
    expect(page.locator(".refused")).to_contain_text(f"Job {mine[2]} is queued, and cannot be redriven")
    page.get_by_role("link", name="Go on").click()
    expect(page).to_have_url(re.compile(r"/jobs\?error=ticked"))
    assert [state(populated_url, each)[0] for each in mine] == ["queued"] * 3


def test_a_type_is_paused_and_resumed(tab: Tab) -> None:
    page = tab.open("/types")
    page.get_by_role("link", name="Pause type 6").click()
    expect(page.locator(".command").first).to_contain_text("v7 types pause 6")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".said")).to_have_text("Done: the type is paused.")
    page.get_by_role("link", name="Resume type 6").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("link", name="Pause type 6")).to_be_visible()


def test_a_type_is_limited(tab: Tab, populated_url: str) -> None:
    page = tab.open("/types")
    for given, becomes in (("3", "3"), ("", "none")):
        page.get_by_role("link", name="limit type 6").click()
        expect(page.locator(".command").first).to_contain_text("v7 types limit 6 3")
        page.get_by_label("At once").fill(given)
        page.get_by_role("button", name="Limit").click()
        expect(page.locator(".said")).to_have_text("Done: the type has another limit.")
        expect(page.get_by_role("link", name="limit type 6")).to_have_text(f"{becomes}, limit type 6")
    with psycopg.connect(populated_url) as connection:
        acts = connection.execute("select act, event_type_id, given from v7.audit order by id desc limit 2").fetchall()
    assert acts == [("limit", 6, {"concurrency_limit": None}), ("limit", 6, {"concurrency_limit": 3})]
    page = tab.open("/operations")
    expect(page.locator("table").last.locator("tbody tr").nth(1)).to_contain_text("type 6 to 3")


def test_a_node_is_drained_and_resumed(tab: Tab, populated_url: str) -> None:
    page = tab.open("/workers")
    node = page.locator(".node", has_text="alpha:100")
    expect(node.locator(".status")).to_have_text("takes jobs")
    node.get_by_role("link", name="Drain node 1").click()
    expect(page.locator(".command").first).to_contain_text("v7 workers drain 1")
    page.get_by_role("button", name="Drain").click()
    expect(page.locator(".said")).to_have_text("Done: the node takes no more jobs.")
    expect(node.locator(".status")).to_have_text("draining")
    expect(node).to_contain_text("by the dashboard, from 127.0.0.1")
    node.get_by_role("link", name="Resume node 1").click()
    expect(page.locator(".command").first).to_contain_text("v7 workers resume 1")
    page.get_by_role("button", name="Resume").click()
    expect(node.locator(".status")).to_have_text("takes jobs")
    with psycopg.connect(populated_url) as connection:
        acts = connection.execute("select act, given ->> 'node_id' from v7.audit order by id desc limit 2").fetchall()
    assert acts == [("resume", "1"), ("drain", "1")]
    page = tab.open("/operations")
    expect(page.locator("table").last.locator("tbody tr").first).to_contain_text("node 1")


@pytest.mark.parametrize("tab", [LOOKS["light"], LOOKS["plain"]], ids=["script", "plain"], indirect=True)
def test_all_that_match_become_an_operation(tab: Tab, populated_url: str) -> None:
    for _ in range(3):
        add(populated_url, "OperationError: many")
    page = tab.open("/jobs?status=dead&error=OperationError")
    page.get_by_label("all that match").check()
    page.get_by_role("button", name="Set priority").click()
    expect(page.locator("main")).to_contain_text("It will be done with 3 jobs that match now")
    expect(page.locator(".command").first).to_contain_text("v7 jobs priority --status dead --error OperationError --to")
    page.get_by_label("Priority").fill("5")
    page.get_by_role("button", name="Set priority").click()
    expect(page.locator(".subject")).to_contain_text("waiting")  # no node runs here that would carry it out
    page.get_by_role("link", name="Stop").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".subject")).to_contain_text("stopped")
    page = tab.open("/operations")
    expect(page.locator("table").last.locator("tbody tr").first).to_contain_text("stop")
    with psycopg.connect(populated_url) as connection:
        acts = connection.execute("select act, who, through from v7.audit order by id desc limit 2").fetchall()
        connection.execute("delete from v7.jobs where last_error like 'OperationError%'")
    assert acts == [("stop", "from 127.0.0.1", "dashboard"), ("priority", "from 127.0.0.1", "dashboard")]


def test_a_group_of_dead_letters_is_redriven(tab: Tab, populated_url: str) -> None:
    job_id = add(populated_url, "GroupError: one")
    page = tab.open("/dead")
    group = page.locator(".group", has_text="GroupError")
    expect(group).to_contain_text(f"job {job_id}")
    group.get_by_role("link", name="Redrive").click()
    expect(page.locator("main")).to_contain_text("It will be done with 1 job that matches now")
    page.get_by_role("button", name="Redrive").click()
    expect(page.locator(".subject")).to_contain_text("Operation")
