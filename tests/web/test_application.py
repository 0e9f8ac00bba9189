"""Everything beside the one hot route."""

import asyncio

import httpx
import pytest

from v7_task_processor import __version__, database
from v7_task_processor.counting import Account
from v7_task_processor.observability.counts import Counts
from v7_task_processor.settings import Settings
from v7_task_processor.web.application import application
from v7_task_processor.web.ingest import Ingest
from v7_task_processor.web.metrics import Metrics
from v7_task_processor.web.ready import Readiness

from .management.support import problem
from .support import TEXT, ApiProcess, proxied, serving

PAGES = "events go to POST /api/event/v1."


def test_alive_and_ready(api: ApiProcess) -> None:
    for path, text in (("/livez", "alive"), ("/readyz", "ready; ")):
        answer = api.client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, TEXT)
        assert answer.text.startswith(text)
        assert api.client.head(path).status_code == 200


def test_the_front_page_shows_a_request_that_works(api: ApiProcess) -> None:
    page = api.client.get("/")
    assert page.headers["content-type"] == TEXT
    assert page.text.startswith(f"v7 task processor {__version__}: ")
    assert f"curl http://127.0.0.1:{api.port}/api/event/v1 " in page.text
    shown = page.text.partition("-d '")[2].partition("'")[0]
    assert api.post(shown.encode()).status_code == 200


@pytest.mark.parametrize("host", ["[", "a:b:c", "<script>", "", "x" * 300])
def test_a_host_that_is_none(api: ApiProcess, host: str) -> None:
    for path, status in (("/", 200), ("/readyz", 200), ("/nope", 404), ("/livez/", 404)):
        assert api.client.get(path, headers={"host": host}).status_code == status
    assert api.client.post("/", headers={"host": host}).status_code == 405


async def test_a_fault_of_ours_is_one_sentence() -> None:
    class Broken(Readiness):
        async def reasons(self) -> list[str]:
            raise RuntimeError("secret")

    ingest = Ingest()
    app = httpx.ASGITransport(
        application(Settings(), ingest, Broken("", ingest), Metrics("", Account(Counts()))), raise_app_exceptions=False
    )
    async with httpx.AsyncClient(transport=app, base_url="http://x") as client:
        answer = await client.get("/readyz")
    sentence = "This could not be answered because of an error in the program, which is logged."
    assert problem(answer, 500) == sentence


@pytest.mark.parametrize("path", ["/api/event/v2", "/api/event/v1/", "/..%2f..%2fetc/passwd", "/%00", "/<script>"])
def test_unknown_paths(api: ApiProcess, path: str) -> None:
    answer = api.client.get(path)
    said = problem(answer, 404)
    assert said.startswith("There is nothing at /")
    assert said.endswith(PAGES)
    assert said.isprintable()


def test_another_method(api: ApiProcess) -> None:
    answer = api.client.post("/livez")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert problem(answer, 405) == "/livez takes GET, HEAD only, not POST."


async def reasons(api_port: int) -> object:
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(f"http://127.0.0.1:{api_port}/readyz")
        assert answer.status_code == 503
        return answer.json()


async def test_not_ready_while_draining(database_url: str) -> None:
    async with serving(database_url) as api:
        api.readiness.draining = True
        assert await reasons(api.port) == {"reasons": ["draining"]}


async def test_not_ready_without_a_database(database_url: str) -> None:
    async with proxied(database_url) as (proxy, through):
        await proxy.stop()
        async with serving(through) as api:
            assert await reasons(api.port) == {"reasons": ["the database cannot be reached"]}


async def test_not_ready_with_another_schema(own_database_url: str) -> None:
    async with serving(own_database_url) as api, await database.connect(own_database_url) as connection:
        await connection.execute("update v7.alembic_version set version_num = '9999'")
        await connection.execute("update v7.server set oldest_schema = '9999'")
        assert await reasons(api.port) == {"reasons": [database.mismatch("9999")]}


async def test_not_ready_without_a_day_to_complete_jobs_in(own_database_url: str) -> None:
    tomorrow = "select 'v7.finished_jobs_' || to_char((now() at time zone 'UTC')::date + 1, 'YYYYMMDD')"
    async with serving(own_database_url) as api, await database.connect(own_database_url) as connection:
        row = await (await connection.execute(tomorrow)).fetchone()
        assert row is not None
        await connection.execute(f"drop table {row[0]}")
        assert await reasons(api.port) == {"reasons": ["the history has no partition for tomorrow"]}


async def test_many_who_ask_are_one_question_to_the_database(database_url: str) -> None:
    async with serving(database_url) as api, httpx.AsyncClient(timeout=60) as client:
        asked = [client.get(f"http://127.0.0.1:{api.port}/readyz") for _ in range(50)]
        looks = 0
        look = api.readiness.look

        async def counted() -> list[str]:
            nonlocal looks
            looks += 1
            return await look()

        api.readiness.look = counted  # type: ignore[method-assign]
        answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    assert 1 <= looks < 50
