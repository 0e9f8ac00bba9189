"""Who may look and who may act, and which forms are refused."""

import hashlib
import hmac
import re
import time
from collections.abc import Iterator

import httpx
import psycopg
import pytest

from v7_task_processor.settings import Settings
from v7_task_processor.web.dashboard.access import Guard
from v7_task_processor.web.problem import Problem

from ..support import ApiProcess, process
from .conftest import TOKEN

PAGES = ["", "/jobs", "/jobs/42", "/jobs/42/event", "/jobs/42/attempts/2", "/dead", "/types", "/workers"]
SCREENS = [*PAGES, "/operations"]
PAUSE = {"act": "pause", "type": "77", "then": "/dashboard/types"}


class Browser(httpx.Client):
    """A client with cookies that sends forms as browsers do."""

    def __init__(self, api: ApiProcess) -> None:
        super().__init__(base_url=f"http://127.0.0.1:{api.port}", timeout=60)
        self.origin = f"http://127.0.0.1:{api.port}"

    def key(self, path: str = "/dashboard/act?act=pause&type=77") -> str:
        """The number that stands in the forms of our pages."""
        found = re.search(r'name="form_key" value="([0-9a-f]{32})"', self.get(path).text)
        assert found
        return found[1]

    def submit(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        named = {"origin": self.origin, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.post(path, data=fields, headers={name: value for name, value in named.items() if value})

    def log_in(self, token: str = TOKEN) -> httpx.Response:
        return self.submit("/dashboard/login", {"form_key": self.key("/dashboard/login"), "token": token})


@pytest.fixture
def browser(here: ApiProcess) -> Iterator[Browser]:
    with Browser(here) as browser:
        yield browser


@pytest.fixture
def guarded_browser(guarded: ApiProcess) -> Iterator[Browser]:
    with Browser(guarded) as browser:
        yield browser


def is_paused(url: str, event_type_id: int = 77) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select paused_at is not null from v7.event_types where event_type_id = %s", [event_type_id]
        ).fetchone()
        connection.execute("delete from v7.event_types where event_type_id = %s", [event_type_id])
        return row == (True,)


@pytest.mark.parametrize("path", SCREENS)
def test_without_a_key_anyone_here_may_look(browser: Browser, path: str) -> None:
    assert browser.get(f"/dashboard{path}").status_code == 200


@pytest.mark.parametrize("where", ["guarded", "everywhere"])
@pytest.mark.parametrize("path", SCREENS)
def test_where_there_is_a_key_one_logs_in_first(where: str, path: str, request: pytest.FixtureRequest) -> None:
    """On this machine too: a proxy there that adds no header of its own would let in the whole world."""
    with Browser(request.getfixturevalue(where)) as browser:
        refused = browser.get(f"/dashboard{path}")
        assert refused.status_code == 303
        assert refused.headers["location"].startswith("/dashboard/login?then=%2Fdashboard")
        again = browser.get(f"/dashboard{path}", headers={"hx-request": "true"})
        assert (again.status_code, again.text) == (401, ""), "what a page asks for by itself shows nothing either"
        assert browser.get(f"/dashboard{path}", headers={b"authorization": b"Bearer " + TOKEN.encode()}).is_success
        assert browser.log_in().headers["location"] == "/dashboard"
        assert browser.get(f"/dashboard{path}").status_code == 200


@pytest.mark.parametrize(("right", "status"), [("send", 200), ("read", 303), ("manage", 303)])
def test_a_key_that_may_only_send_guards_no_page(populated_url: str, right: str, status: int) -> None:
    with process(populated_url, api_keys=f"one {right} s3cret") as api, Browser(api) as browser:
        assert browser.get("/dashboard").status_code == status


def test_a_key_that_may_read_looks_and_does_not_act(populated_url: str) -> None:
    with process(populated_url, api_keys="eyes read s3cret, hands manage 0ther") as api, Browser(api) as browser:
        browser.log_in("s3cret")
        page = browser.get("/dashboard")
        assert page.status_code == 200
        assert "Log out" in page.text
        assert browser.get("/dashboard/act?act=pause&type=77").status_code == 403
        key = browser.key("/dashboard/login")
        refused = browser.submit("/dashboard/act", {**PAUSE, "form_key": key})
        assert "The key eyes may only look" in refused.text
    assert not is_paused(populated_url)


def test_without_a_token_nobody_looks_from_elsewhere(populated_url: str) -> None:
    with process(populated_url, host="0.0.0.0") as api, Browser(api) as browser:
        refused = browser.get("/dashboard")
        assert refused.status_code == 403
        assert "Set V7_ADMIN_TOKEN" in refused.text


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "["},
        {"host": "evil.example"},
        {"host": "evil.example:4000"},
        {"x-forwarded-for": "192.0.2.1"},
        {"via": "1.1 proxy"},
    ],
)
def test_a_name_that_was_rebound_and_a_proxy_are_not_here(
    browser: Browser, guarded_browser: Browser, headers: dict[str, str]
) -> None:
    assert browser.get("/dashboard", headers=headers).status_code == 403
    assert guarded_browser.get("/dashboard", headers=headers).status_code == 303


def test_an_act_from_a_page_of_ours(browser: Browser, populated_url: str) -> None:
    done = browser.submit("/dashboard/act", {**PAUSE, "form_key": browser.key()})
    assert (done.status_code, done.headers["location"]) == (303, "/dashboard/types?did=pause&with=1")
    assert is_paused(populated_url)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "http://evil.example", "host": "evil.example"},
    ],
)
def test_a_form_of_another_origin_is_refused(browser: Browser, populated_url: str, headers: dict[str, str]) -> None:
    assert browser.submit("/dashboard/act", {**PAUSE, "form_key": browser.key()}, **headers).status_code == 403
    assert not is_paused(populated_url)


@pytest.mark.parametrize("form_key", ["", "0" * 32, "x"])
def test_a_form_without_our_number_is_refused(browser: Browser, populated_url: str, form_key: str) -> None:
    browser.key()
    assert browser.submit("/dashboard/act", {**PAUSE, "form_key": form_key}).status_code == 403
    browser.cookies.clear()
    assert browser.submit("/dashboard/act", {**PAUSE, "form_key": form_key}).status_code == 403
    assert not is_paused(populated_url)


def test_acting_takes_the_token_where_one_is_set(guarded_browser: Browser, populated_url: str) -> None:
    asked = guarded_browser.get("/dashboard/act?act=pause&type=77")
    assert asked.headers["location"] == "/dashboard/login?then=%2Fdashboard%2Fact%3Fact%3Dpause%26type%3D77"
    key = guarded_browser.key("/dashboard/login")
    assert guarded_browser.submit("/dashboard/act", {**PAUSE, "form_key": key}).status_code == 303
    assert not is_paused(populated_url)
    assert guarded_browser.log_in("s3cret-e").status_code == 401
    cookie = guarded_browser.log_in().headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/dashboard" in cookie
    guarded_browser.submit("/dashboard/act", {**PAUSE, "form_key": guarded_browser.key()})
    assert is_paused(populated_url)


@pytest.mark.parametrize(
    ("headers", "is_secure"),
    [
        ({}, False),
        ({"x_forwarded_proto": "http"}, False),
        ({"x_forwarded_proto": "https, http"}, False),
        ({"x_forwarded_proto": "https"}, True),
        ({"origin": "https://127.0.0.1:{port}"}, True),
    ],
)
def test_behind_a_proxy_that_speaks_https_a_session_goes_no_other_way(
    guarded: ApiProcess, guarded_browser: Browser, headers: dict[str, str], is_secure: bool
) -> None:
    named = {name: value.format(port=guarded.port) for name, value in headers.items()}
    fields = {"form_key": guarded_browser.key("/dashboard/login"), "token": TOKEN}
    entered = guarded_browser.submit("/dashboard/login", fields, **named)
    assert entered.status_code == 303
    assert ("; Secure" in entered.headers["set-cookie"]) is is_secure


@pytest.mark.parametrize(
    ("said", "scheme"),
    [("https", "https"), ("http", "http"), ("HTTPS", "http"), ("https, http", "http"), ("ftp", "http")],
)
@pytest.mark.parametrize("path", ["/dashboard/jobs/42", "/docs", "/"])
def test_commands_name_the_scheme_by_which_a_proxy_was_asked(
    guarded: ApiProcess, path: str, said: str, scheme: str
) -> None:
    """One that is copied would send a key in clear."""
    key = {b"authorization": b"Bearer " + TOKEN.encode()}
    headers = {**key, b"x-forwarded-proto": said.encode(), b"host": b"v7.example"}
    page = httpx.get(f"http://127.0.0.1:{guarded.port}{path}", headers=headers, timeout=60).text
    assert set(re.findall("(https?)://v7.example", page)) == {scheme}


def test_who_put_a_proxy_before_it_that_changes_the_host_is_told_so(guarded_browser: Browser) -> None:
    fields = {"form_key": guarded_browser.key("/dashboard/login"), "token": TOKEN}
    refused = guarded_browser.submit("/dashboard/login", fields, host="upstream")
    assert refused.status_code == 403
    assert "proxy_set_header Host $http_host;" in refused.text


def test_a_token_in_the_header_needs_no_form(guarded: ApiProcess, populated_url: str) -> None:
    headers = {b"authorization": b"Bearer " + TOKEN.encode()}
    assert (
        httpx.post(
            f"http://127.0.0.1:{guarded.port}/dashboard/act", data=PAUSE, headers=headers, timeout=60
        ).status_code
        == 303
    )
    assert is_paused(populated_url)
    wrong = {"authorization": "Bearer guess"}
    assert (
        httpx.post(f"http://127.0.0.1:{guarded.port}/dashboard/act", data=PAUSE, headers=wrong, timeout=60).status_code
        == 401
    )


def test_logging_out_ends_it(guarded_browser: Browser) -> None:
    guarded_browser.log_in()
    key = guarded_browser.key()
    refused = guarded_browser.submit("/dashboard/logout", {"form_key": key}, origin="http://evil.example")
    assert refused.status_code == 403
    guarded_browser.submit("/dashboard/logout", {"form_key": key})
    assert guarded_browser.get("/dashboard/act?act=pause&type=77").status_code == 303


def test_a_session_ends_and_is_bound_to_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Guard(Settings(admin_token="one"))
    value = guard.open_session("one")
    assert value is not None and guard.session(value)
    assert not Guard(Settings(admin_token="two")).session(value)
    until, _, signature = value.partition(".")
    assert not guard.session(f"{int(until) + 1}.{signature}")
    assert not any(guard.session(each) for each in ("", ".", until, f"{until}.", "é.é", f"{'9' * 5000}.x"))
    monkeypatch.setattr("time.time", lambda: int(until))
    assert not guard.session(value)


def test_a_digest_makes_no_session() -> None:
    """It stands in the settings for all who may read them, and is no key."""
    digest = hashlib.sha256(b"one").hexdigest()
    guard = Guard(Settings(api_keys=f"ops manage sha256:{digest}"))
    with pytest.raises(Problem, match="only"):
        guard.open_session("one")
    until = str(int(time.time()) + 60)
    signature = hmac.new(bytes.fromhex(digest), f"v7 dashboard session {until}".encode(), hashlib.sha256).hexdigest()
    assert not guard.session(f"{until}.{signature}")


@pytest.mark.parametrize("path", ["login", "logout"])
def test_a_stranger_s_form_is_small(guarded_browser: Browser, path: str) -> None:
    """Anyone may send it, and it is held whole before anybody is known: the limit is not that of a form that acts."""
    fields = {"form_key": guarded_browser.key("/dashboard/login"), "token": "wrong"}
    length = len(str(httpx.QueryParams(fields)))
    assert guarded_browser.submit(f"/dashboard/{path}", {**fields, "x": "x" * (16_384 - length - 3)}).status_code < 413
    refused = guarded_browser.submit(f"/dashboard/{path}", {**fields, "x": "x" * (16_384 - length - 2)})
    assert refused.status_code == 413
    assert "16384 bytes" in refused.text
    assert "V7_BODY_BYTES_MAX" not in refused.text, "which does not change it"


ELSEWHERE = ("//evil.example", "https://evil.example", "/dashboard\\evil", "/dashboardx", "/api")
NO_HEADER = ("/dashboard/€", "/dashboard/\x7f")


@pytest.mark.parametrize("then", [*ELSEWHERE, *NO_HEADER])
def test_nobody_is_sent_elsewhere(guarded_browser: Browser, then: str) -> None:
    fields = {"form_key": guarded_browser.key("/dashboard/login"), "token": TOKEN, "then": then}
    assert guarded_browser.submit("/dashboard/login", fields).headers["location"] == "/dashboard"
