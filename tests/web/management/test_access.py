"""Who may manage: with a token, without one, and who seems to be here and is not."""

from collections.abc import Iterator

import pytest
from starlette.requests import Request

from v7_task_processor.settings import Settings
from v7_task_processor.web.management.access import Access
from v7_task_processor.web.management.table import ROUTES
from v7_task_processor.web.problem import Problem

from ..support import ApiProcess, body, process, rows
from .support import answer, problem

TOKEN = "s3cret-é"
PATHS = [(route.method, route.path.replace("{id}", "1")) for route in ROUTES]


def request(headers: dict[str, str], client: str) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw, "client": (client, 1) if client else None})


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
    right = "read" if method == "GET" else "manage"
    said = f"A key that may {right} is needed: send it as Authorization: Bearer <key> or as X-API-Key."
    assert problem(response, 401) == said
    assert response.headers["www-authenticate"] == "Bearer"
    assert rows(database_url, "select count(*) from v7.event_types") == [(0,)]
    found = guarded.client.request(method, path, headers={b"authorization": b"bearer " + TOKEN.encode()})
    assert found.status_code not in (401, 403, 405, 500)


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer S3cret-é", "Bearer s3cret", f"Basic {TOKEN}", TOKEN])
def test_another_token_is_none(guarded: ApiProcess, given: str) -> None:
    problem(guarded.client.get("/api/stats/v1", headers={b"authorization": given.encode()}), 401)


def test_what_there_is_not_is_told_to_those_who_may_know(guarded: ApiProcess) -> None:
    problem(guarded.client.get("/api/jobs/v1/1/x"), 401)
    headers = {b"authorization": b"Bearer " + TOKEN.encode()}
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
        ({"X-Forwarded-Proto": "https"}, "this came through a proxy"),
        ({"X-Forwarded-Server": "front"}, "this came through a proxy"),
        ({"CF-Connecting-IP": "192.0.2.1"}, "this came through a proxy"),
        ({"True-Client-IP": "192.0.2.1"}, "this came through a proxy"),
        ({"X-Envoy-External-Address": "192.0.2.1"}, "this came through a proxy"),
    ],
)
def test_what_only_seems_to_be_here(api: ApiProcess, headers: dict[str, str], says: str) -> None:
    for method, path in PATHS:
        assert says in problem(api.client.request(method, path, headers=headers), 403)


@pytest.mark.parametrize("client", ["192.0.2.1", "::ffff:192.0.2.1", "fe80::1%eth0", "", "2001:db8::1"])
def test_a_connection_from_elsewhere(client: str) -> None:
    """As where the machine forwards a port of its loopback address."""
    with pytest.raises(Problem, match="this connection comes from elsewhere"):
        Access(Settings()).check(request({"host": "localhost"}, client))


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_connection_from_here(client: str, host: str) -> None:
    caller = Access(Settings(host=host)).check(request({"host": "localhost:4000"}, client))
    assert caller.who == f"from {client}"


KEYS = "shop send s3nd, grafana read r3ad, ops manage m4nage"
PAUSE = "/api/event-types/v1/1/pause"


@pytest.fixture(scope="module")
def keyed(shared_database_url: str) -> Iterator[ApiProcess]:
    with process(shared_database_url, api_keys=KEYS, admin_token=TOKEN, host="0.0.0.0") as api:
        yield api


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_each_endpoint_takes_the_keys_that_may(keyed: ApiProcess, database_url: str, method: str, path: str) -> None:
    right = "read" if method == "GET" else "manage"
    keys = {b"wr0ng": 401, b"s3nd": 403, b"r3ad": 403 if right == "manage" else 200, b"m4nage": 200}
    for key, expected in {**keys, TOKEN.encode(): 200}.items():
        for headers in ({b"x-api-key": key}, {b"authorization": b"Bearer " + key}):
            response = keyed.client.request(method, path, headers=headers)
            if expected == 200:
                assert response.status_code not in (401, 403, 405, 500)
            else:
                assert key.decode() not in problem(response, expected)
    assert problem(keyed.client.request(method, path, headers={"x-api-key": "s3nd"}), 403) == (
        f"The key shop may send only; a key that may {right} is needed here."
    )


def test_what_is_done_by_a_key_is_kept_under_its_name(keyed: ApiProcess, database_url: str) -> None:
    answer(keyed.client.post(PAUSE, headers={"x-api-key": "m4nage"}))
    by = "select paused_by from v7.event_types where event_type_id = 1"
    assert rows(database_url, by) == [("the management API, ops, from 127.0.0.1",)]


def test_a_key_that_may_read_alone_leaves_managing_to_nobody(shared_database_url: str, database_url: str) -> None:
    """Not even to a program on this machine: who sets keys wants them to be asked for."""
    with process(shared_database_url, api_keys="grafana read r3ad") as api:
        problem(api.client.post(PAUSE), 401)
        assert "may read only" in problem(api.client.post(PAUSE, headers={"x-api-key": "r3ad"}), 403)
        answer(api.client.get("/api/stats/v1", headers={"x-api-key": "r3ad"}))


def test_keys_that_may_only_send_leave_managing_to_this_machine(shared_database_url: str, database_url: str) -> None:
    with process(shared_database_url, api_keys="s3nd") as api:
        answer(api.client.get("/api/stats/v1"))
        problem(api.client.get("/api/stats/v1", headers={"host": "evil.example"}), 403)
        assert api.client.get("/metrics").status_code == 200
    with process(shared_database_url, api_keys="s3nd", host="0.0.0.0") as api:
        problem(api.client.get("/api/stats/v1", headers={"x-api-key": "s3nd"}), 403)
        assert api.client.get("/metrics").status_code == 200


def test_metrics_are_for_everybody_until_a_key_may_read(keyed: ApiProcess, open_to_all: ApiProcess) -> None:
    assert open_to_all.client.get("/metrics", headers={"host": "prometheus.example"}).status_code == 200
    refused = keyed.client.get("/metrics")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert (
        problem(refused, 401)
        == "A key that may read is needed: send it as Authorization: Bearer <key> or as X-API-Key."
    )
    for key, status in {"s3nd": 403, "r3ad": 200, "m4nage": 200}.items():
        assert keyed.client.get("/metrics", headers={"authorization": f"Bearer {key}"}).status_code == status


def test_no_key_is_logged_or_told(shared_database_url: str, database_url: str) -> None:
    with process(shared_database_url, api_keys=KEYS, admin_token=TOKEN, log_level="debug") as api:
        for key in (b"s3nd", b"r3ad", b"m4nage", TOKEN.encode(), b"wr0ng"):
            for path in ("/api/jobs/v1", "/api/jobs/v1/1/cancel", "/metrics", "/api/event/v1", "/nowhere"):
                for method in ("GET", "POST", "PUT"):
                    response = api.client.request(method, path, headers={b"authorization": b"Bearer " + key})
                    assert key.decode() not in response.text
        api.stop()
        assert api.process.stderr is not None
        logged = api.process.stderr.read().decode()
    assert not [key for key in ("s3nd", "r3ad", "m4nage", TOKEN, "wr0ng") if key in logged]
