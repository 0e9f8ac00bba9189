"""What others send breaks no page: it is escaped, bounded, and keeps to itself."""

from collections.abc import Iterator

import httpx
import psycopg
import pytest

from v7_task_processor.web.dashboard.answer import POLICY
from v7_task_processor.web.dashboard.templating import DIGESTS

from ...conftest import fresh
from ..support import ApiProcess, process
from .hostile import EVENTS, LARGE, LINES, SCRIPT, TRACE, TRACED, spoil

BYTES_MAX = 100_000
SCREENS = ["", "/jobs", "/jobs?status=dead", "/dead", "/types", "/workers", *(f"/jobs/{each}" for each in EVENTS)]


@pytest.fixture(scope="module")
def spoilt_url(server_url: str, template: str) -> Iterator[str]:
    for url in fresh(server_url, template):
        spoil(url)
        yield url


@pytest.fixture(scope="module")
def spoilt(spoilt_url: str) -> Iterator[ApiProcess]:
    with process(spoilt_url) as api:
        yield api


def get(api: ApiProcess, path: str) -> httpx.Response:
    return api.client.get(f"/dashboard{path}")


@pytest.mark.parametrize("path", SCREENS)
def test_a_page_shows_it_escaped_and_cut(spoilt: ApiProcess, path: str) -> None:
    answer = get(spoilt, path)
    assert answer.status_code == 200
    assert len(answer.content) < BYTES_MAX
    assert SCRIPT not in answer.text and "<script>" not in answer.text and "<img" not in answer.text
    assert not {"\x1b", "\u202e", "\x9b"} & set(answer.text)
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY


def test_what_is_cut_is_there_as_it_was_sent(spoilt: ApiProcess) -> None:
    for path, whole in ((f"/jobs/{LARGE}/event", EVENTS[LARGE]), (f"/jobs/{TRACED}/attempts/1", TRACE)):
        answer = get(spoilt, path)
        assert answer.text == whole
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
    assert f"/dashboard/jobs/{TRACED}/attempts/1" in get(spoilt, f"/jobs/{TRACED}").text
    assert TRACE.count("\n") > LINES


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/jobs/x", 404),
        ("/jobs/99999999999999999999", 404),
        ("/jobs/5000", 404),
        ("/jobs/5000/event", 404),
        ("/jobs/101/attempts/9", 404),
        ("/jobs/101/attempts/9223372036854775807", 404),
        ("/jobs?status=%3Cscript%3E", 400),
        ("/jobs?user_id=%3Cscript%3E", 400),
        ("/jobs?after=x", 400),
        ("/types?after=%00", 400),
        ("/dead?event_type_id=1x", 400),
        ("/act?act=%3Cscript%3E&id=1", 404),
        ("/act?act=cancel", 400),
        ("/act?act=pause&type=x", 404),
        ("/act?act=drain&node=x", 404),
        ("/act?act=limit&type=1&concurrency_limit=0", 400),
        ("/act?act=limit&type=1&concurrency_limit=%3Cscript%3E", 400),
        ("/static/../application.py", 404),
        ("/static/%2e%2e%2fapplication.py", 404),
        ("/nothing", 404),
    ],
)
def test_what_is_not_there_is_said_on_a_page(spoilt: ApiProcess, path: str, status: int) -> None:
    answer = get(spoilt, path)
    assert answer.status_code == status
    assert "<script>" not in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("query", ["", "?0123456789ab", "?{0}0", "?v={0}"])
def test_only_under_the_address_of_its_content_a_file_is_kept(spoilt: ApiProcess, query: str) -> None:
    """In a rolling release a page of one node asks another for its files."""
    name, digest = "dashboard.js", DIGESTS["dashboard.js"][:12]
    asked = get(spoilt, f"/static/{name}{query.format(digest)}")
    assert (asked.status_code, asked.headers["cache-control"]) == (200, "no-store")
    assert f'src="/dashboard/static/{name}?{digest}"' in get(spoilt, "").text
    kept = get(spoilt, f"/static/{name}?{digest}")
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.slow
def test_a_million_types(spoilt: ApiProcess, spoilt_url: str) -> None:
    with psycopg.connect(spoilt_url) as connection:
        connection.execute("insert into v7.event_types (event_type_id) select generate_series(1, 1000000)")
    for path in ("", "/types", "/types?after=999000", "/dead"):
        answer = get(spoilt, path)
        assert (answer.status_code, len(answer.content) < BYTES_MAX) == (200, True)
