"""A real browser for the tests of the pages, and jobs for it to look at."""

import re
import shutil
from collections.abc import Iterator

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from ..support import ApiProcess

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 30_000
LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 400, "height": 800}},
    "plain": {"java_script_enabled": False, "viewport": {"width": 400, "height": 800}},
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Of one module alone: while it is there an event loop runs, beside which no test may have its own."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


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
