"""Who may manage: with a token, without one, and who seems to be here and is not."""

from collections.abc import Iterator

import pytest
from starlette.datastructures import Headers

from v7_task_processor.settings import Settings
from v7_task_processor.web.management.access import Access
from v7_task_processor.web.management.problem import Problem
from v7_task_processor.web.management.table import ROUTES

from ..support import ApiProcess, body, process, rows
from .support import answer, problem

TOKEN = "s3cret-é"
PATHS = [(route.method, route.path.replace("{id}", "1")) for route in ROUTES]


@pytest.fixture(scope="module")
def guarded(shared_database_url: str) -> Iterator[ApiProcess]:
    with process(shared_database_url, admin_token=TOKEN, host="0.0.0.0") as api:
        yield api


@pytest.fixture(scope="module")
def open_to_all(shared_database_url: str) -> Iterator[ApiProcess]:
    with process(shared_database_url, host="0.0.0.0") as api:
        yield api


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_every_endpoint_needs_the_token_that_is_set(
    guarded: ApiProcess, database_url: str, method: str, path: str
) -> None:
    response = guarded.client.request(method, path)
    assert problem(response, 401) == "Send the token that V7_ADMIN_TOKEN is set to, as Authorization: Bearer <token>."
    assert response.headers["www-authenticate"] == "Bearer"
    assert rows(database_url, "select count(*) from v7.event_types") == [(0,)]
    found = guarded.client.request(method, path, headers={"authorization": b"bearer " + TOKEN.encode()})
    assert found.status_code not in (401, 403, 405, 500)


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer S3cret-é", "Bearer s3cret", f"Basic {TOKEN}", TOKEN])
def test_another_token_is_none(guarded: ApiProcess, given: str) -> None:
    problem(guarded.client.get("/api/stats/v1", headers={"authorization": given.encode()}), 401)


def test_what_there_is_not_is_told_to_those_who_may_know(guarded: ApiProcess) -> None:
    problem(guarded.client.get("/api/jobs/v1/1/x"), 401)
    headers = {"authorization": b"Bearer " + TOKEN.encode()}
    problem(guarded.client.get("/api/jobs/v1/1/x", headers=headers), 404)


def test_events_are_taken_all_the_same(guarded: ApiProcess, open_to_all: ApiProcess, database_url: str) -> None:
    assert guarded.post(body()).status_code == 200
    assert open_to_all.post(body()).status_code == 200


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_without_a_token_nothing_is_managed_where_others_can_reach_it(
    open_to_all: ApiProcess, database_url: str, method: str, path: str
) -> None:
    detail = problem(open_to_all.client.request(method, path), 403)
    assert "HOST is not a loopback address. Set V7_ADMIN_TOKEN" in detail
    assert rows(database_url, "select count(*) from v7.event_types") == [(0,)]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:4000", "127.0.0.1", "[::1]", "[::1]:4000"])
def test_here_by_its_own_names(api: ApiProcess, host: str) -> None:
    answer(api.client.get("/api/stats/v1", headers={"host": host, "origin": f"http://{host}"}))


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"host": "evil.example"}, "the Host header must be localhost, 127.0.0.1 or [::1]"),
        ({"host": "evil.example:4000"}, "the Host header"),
        ({"host": "127.0.0.1.evil.example"}, "the Host header"),
        ({"host": "localhost@evil.example"}, "the Host header"),
        ({"host": "localhost:4000:80"}, "the Host header"),
        ({"host": ""}, "the Host header"),
        ({"origin": "http://evil.example"}, "a page of another origin sent this"),
        ({"origin": "null"}, "a page of another origin"),
        ({"origin": "http://localhost:1"}, "a page of another origin"),
        ({"x-forwarded-for": "192.0.2.1"}, "this came through a proxy"),
        ({"forwarded": "for=192.0.2.1"}, "this came through a proxy"),
    ],
)
def test_what_only_seems_to_be_here(api: ApiProcess, headers: dict[str, str], says: str) -> None:
    for method, path in PATHS:
        assert says in problem(api.client.request(method, path, headers=headers), 403)


@pytest.mark.parametrize("client", ["192.0.2.1", "::ffff:192.0.2.1", "fe80::1%eth0", "", "2001:db8::1"])
def test_a_connection_from_elsewhere(client: str) -> None:
    """As where the machine forwards a port of its loopback address."""
    with pytest.raises(Problem, match="this connection comes from elsewhere"):
        Access(Settings()).check(Headers({"host": "localhost"}), client)


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_connection_from_here(client: str, host: str) -> None:
    Access(Settings(host=host)).check(Headers({"host": "localhost:4000"}), client)
