"""The pages in a real browser: each screen, live, light and dark, narrow, and without JavaScript."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ..support import ApiProcess
from .browsing import CHROMIUM, LOOKS, Tab, add
from .browsing import chromium as chromium
from .browsing import tab as tab
from .hostile import SCRIPTED, TURNED, spoil

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
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


@pytest.fixture(scope="module", autouse=True)
def hostile_jobs(populated_url: str) -> None:
    spoil(populated_url)


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
    add(populated_url, "live two")
    assert is_held(page)
    page.wait_for_function("document.querySelector('#pause').title.includes('ticked')")
    assert "live two" not in page.locator("#live").inner_text()
    page.get_by_role("checkbox", name="Job").first.uncheck()
    page.evaluate("document.activeElement.blur()")
    expect(page.locator("#live")).to_contain_text("live two")
    page.locator("#pause").click()
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")


HOLDS = {
    "the tab is hidden": "Object.defineProperty(document, 'hidden', {value: true})",
    "you scroll": "(function scroll() { window.dispatchEvent(new Event('scroll')); setTimeout(scroll, 100); })()",
    "text is selected": "document.getSelection().selectAllChildren(document.getElementById('live'))",
    "paused": "document.getElementById('pause').click()",
}


@pytest.mark.parametrize("why", HOLDS)
def test_it_waits_while_nobody_looks_or_somebody_reads(tab: Tab, why: str) -> None:
    page = tab.open("/types")
    page.evaluate(f"{{ {HOLDS[why]} }}")
    assert is_held(page)
    expect(page.locator("#pause")).to_have_attribute("title", re.compile(f"^Paused: {why}[.]"))


def is_held(page: Page) -> bool:
    """Whether the page does not ask again when it is time to."""
    return bool(
        page.evaluate("""new Promise((tell) => {
        document.addEventListener('htmx:beforeRequest', (event) => tell(event.defaultPrevented), {once: true});
        htmx.trigger(document.getElementById('live'), 'again');
    })""")
    )
