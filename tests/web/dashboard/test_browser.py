"""The pages in a real browser: each screen, each act, live, light and dark, narrow, and without JavaScript."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from ..support import ApiProcess
from .hostile import SCRIPTED, TURNED, spoil

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
SCREENS = {
    "": "Overview",
    "/jobs": "Jobs",
    "/jobs/42": "Job 42",
    f"/jobs/{SCRIPTED}": f"Job {SCRIPTED}",
    f"/jobs/{TURNED}": f"Job {TURNED}",
    "/dead": "Dead letters",
    "/types": "Types",
    "/workers": "Workers",
    "/operations": "Operations",
    "/act?act=cancel&id=1&id=20&id=5000": "Cancel: 3 jobs",
    "/act?act=edit&id=42": "Redrive with another event: job 42",
    "/login": "Who are you?",
    "/nothing": "There is no such page",
}
PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Of this module alone: while it is there an event loop runs, beside which no test may have its own."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module", autouse=True)
def hostile_jobs(populated_url: str) -> None:
    spoil(populated_url)


class Tab:
    """A page, and what it complained of."""

    def __init__(self, context: BrowserContext, api: ApiProcess) -> None:
        context.set_default_timeout(PATIENCE_MS)
        self.page: Page = context.new_page()
        self.base = f"http://127.0.0.1:{api.port}/dashboard"
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self.stays_here)

    def hear(self, kind: str, text: str) -> None:
        if kind != "verbose" and not re.search("responded with a status of (404|409)", text):
            self.complaints.append(f"{kind}: {text}")

    def stays_here(self, request: object) -> None:
        url = str(getattr(request, "url", ""))
        if not url.startswith(self.base):
            self.complaints.append(f"asked elsewhere: {url}")

    def open(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page

    def width(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth"))


@pytest.fixture
def tab(chromium: Browser, here: ApiProcess, request: pytest.FixtureRequest) -> Iterator[Tab]:
    """By a marker's arguments, those of a browser context."""
    context = chromium.new_context(**getattr(request, "param", {}))
    tab = Tab(context, here)
    yield tab
    context.close()
    assert tab.complaints == []


LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 400, "height": 800}},
    "plain": {"java_script_enabled": False, "viewport": {"width": 400, "height": 800}},
}


@pytest.mark.parametrize("tab", LOOKS.values(), ids=LOOKS, indirect=True)
def test_every_screen(tab: Tab, request: pytest.FixtureRequest) -> None:
    """Nothing wider than the window, nothing that axe finds serious, no complaint of the browser.

    In the dark only the colours are others."""
    with_script, is_light = "plain" not in request.node.name, "light" in request.node.name
    for path, title in SCREENS.items():
        page = tab.open(path)
        assert page.locator("h1").first.inner_text() == title
        assert page.title() == f"{title} · v7"
        if with_script:
            assert tab.width() <= page.viewport_size["width"], path  # type: ignore[index]
            assert serious(page, "" if is_light else "color-contrast") == [], path
            expect(page.locator("#pause")).to_be_visible(visible=page.locator("#live").count() > 0)


def serious(page: Page, rule: str) -> list[str]:
    """By one of axe's rules, or by all."""
    page.evaluate(AXE)
    run_only = f", runOnly: ['{rule}']" if rule else ""
    found = page.evaluate(f"axe.run(document, {{resultTypes: ['violations']{run_only}}})")
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


def test_dark_is_dark(chromium: Browser, here: ApiProcess) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        context = chromium.new_context(color_scheme=scheme)
        page = Tab(context, here).open("")
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    light, dark = ([int(part) for part in re.findall(r"\d+", ground)] for ground in grounds)
    assert min(light) > 200 and max(dark) < 60


def test_the_overview_says_what_is_wrong_and_leads_there(tab: Tab) -> None:
    page = tab.open("")
    expect(page.locator(".headline")).to_have_text("Type 9: events wait, and no running node has a handler for them.")
    assert page.locator(".chart canvas").count() == 1
    page.get_by_role("link", name="no running node has a handler").click()
    expect(page.locator("h1")).to_have_text("Types")


def test_it_changes_by_itself_and_waits_while_somebody_ticks(tab: Tab, populated_url: str) -> None:
    page = tab.open("/jobs?user_id=4711")
    expect(page.locator("#live")).to_contain_text("No such jobs.")
    add(populated_url, "live one")
    expect(page.locator("#live")).to_contain_text("live one")
    page.get_by_role("checkbox", name="Job").first.check()
    expect(page.locator("#pause")).to_have_text("Paused")
    with page.expect_event("console", lambda message: message.text == "asked", timeout=PATIENCE_MS):
        page.evaluate("document.addEventListener('htmx:beforeRequest', () => console.log('asked'), {once: true})")
    add(populated_url, "live two")
    page.wait_for_function("document.querySelector('#pause').title.includes('ticked')")
    assert "live two" not in page.locator("#live").inner_text()
    page.get_by_role("checkbox", name="Job").first.uncheck()
    page.evaluate("document.activeElement.blur()")
    expect(page.locator("#live")).to_contain_text("live two")
    page.locator("#pause").click()
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    tab.complaints = [each for each in tab.complaints if each != "log: asked"]


def add(url: str, text: str, status: str = "dead") -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            """insert into v7.jobs (event_type_id, user_id, priority, event_data, status, dead_at, dead_reason,
               last_error, queued_at, run_at) values (8, 4711, 3, '{}', %(status)s,
               case when %(status)s = 'dead' then now() end, case when %(status)s = 'dead' then 'discarded' end,
               %(text)s, now(), case when %(status)s = 'scheduled' then now() + interval '1 day' end) returning id""",
            {"status": status, "text": text},
        ).fetchone()
    assert row is not None
    return int(row[0])


def state(url: str, job_id: int) -> tuple[object, ...]:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select status, priority, run_at::text from v7.all_jobs where id = %s", [job_id]
        ).fetchone()
    assert row is not None
    return row


DUE = "2030-01-31T12:00:00"
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
