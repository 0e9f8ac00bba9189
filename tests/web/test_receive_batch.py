"""`POST /api/event/v1/batch` from the outside: what is stored, what is refused, and with which words."""

import asyncio
import json

import httpx
import psycopg
import pytest
from starlette.types import Message

from v7_task_processor.settings import Settings
from v7_task_processor.web.batch import Batch
from v7_task_processor.web.ingest import Ingest
from v7_task_processor.web.outcome import BUSY, of_batch
from v7_task_processor.web.receive import Answer
from v7_task_processor.web.receive_batch import BatchReceiver

from ..nodes import wait_until
from .management.support import problem
from .support import Api, ApiProcess, body, rows, serving

PATH = "/api/event/v1/batch"
NDJSON = {"content-type": "application/x-ndjson"}
COUNT = "select count(*) from v7.jobs"
STORED = "select user_id, priority, event_data::text, event_type_id, correlation_id from v7.jobs order by position"
DATA = "select event_data::text from v7.jobs order by position"
AS_SENT = [
    "null",
    "1E5",
    "-0.0",
    r'"\u0000"',
    r'"\ud800"',
    '{"a":1, "a" :2}',
    '"日本語 \u2028 😀"',
    "[" * 512 + "]" * 512,
]


def lines(*event_data: str, **fields: object) -> bytes:
    return b"\n".join(body(each, **fields) for each in event_data)


def post(api: ApiProcess, content: bytes, query: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.client.post(PATH + query, content=content, headers=NDJSON | named)


async def sent(api: Api, content: bytes, query: str = "", **headers: str) -> httpx.Response:
    """On a connection of its own."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with api.client() as client:
        return await client.post(PATH + query, content=content, headers=NDJSON | named)


def is_refusal(answer: httpx.Response, status: int, sentence: str) -> bool:
    assert problem(answer, status) == sentence
    assert answer.headers["x-request-id"]
    return True


@pytest.mark.parametrize(
    "content_type", ["application/x-ndjson", "application/json", "Application/X-NDJSON; charset=utf-8"]
)
def test_a_batch_is_stored_to_the_letter_and_in_order(api: ApiProcess, database_url: str, content_type: str) -> None:
    content = lines(*AS_SENT, user_id=-5)
    if content_type == "application/json":
        content = b"[%b]" % content.replace(b"\n", b", ")
    answer = post(api, content, content_type=content_type, x_request_id="import-7")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["x-request-id"] == "import-7"
    assert list(answer.json()) == ["ids"]
    assert rows(database_url, STORED) == [(-5, 2, each, 3, "import-7") for each in AS_SENT]
    ids = [row[0] for row in rows(database_url, "select id from v7.jobs order by position")]
    assert answer.json()["ids"] == ids == sorted(ids)


def test_a_batch_of_many_is_one_transaction_and_makes_its_types(api: ApiProcess, database_url: str) -> None:
    content = b"\n".join(body(str(n), event_type_id=700 + n % 3) for n in range(2_000))
    answer = post(api, content)
    assert len(answer.json()["ids"]) == 2_000
    # Each statement is a subtransaction: xmin differs, the commit's time does not.
    assert rows(database_url, "select count(*), count(distinct created_at) from v7.jobs") == [(2_000, 1)]
    assert rows(database_url, DATA) == [(str(n),) for n in range(2_000)]
    types = "select event_type_id from v7.event_types where event_type_id >= 700 order by 1"
    wait_until(lambda: rows(database_url, types) == [(700,), (701,), (702,)], "its types have rows")


def test_one_line_that_is_no_event_keeps_all_out(api: ApiProcess, database_url: str) -> None:
    content = lines("1", "2") + b"\n{}\n" + lines("3")
    assert is_refusal(post(api, content), 400, "Failed to parse event: line 3: the field user_id is missing.")
    array = b"[%b, {}]" % body()
    answer = post(api, array, "?partial=false", content_type="application/json")
    assert is_refusal(answer, 400, "Failed to parse event: element 2: the field user_id is missing.")
    assert rows(database_url, COUNT) == [(0,)]


def test_partial_tells_of_each_line(api: ApiProcess, database_url: str) -> None:
    content = lines("1", "2") + b"\n{}\n" + lines("3") + b"\nno"
    answer = post(api, content, "?partial=true")
    ids = [row[0] for row in rows(database_url, "select id from v7.jobs order by position")]
    assert (answer.status_code, len(ids)) == (200, 3)
    *results, last = answer.json()["results"]
    missing = {"error": "Failed to parse event: the field user_id is missing."}
    assert results == [{"id": ids[0]}, {"id": ids[1]}, missing, {"id": ids[2]}]
    assert last["error"].startswith("Failed to parse event: not JSON: ")
    assert post(api, b"{}", "?partial=true").json() == {"results": [missing]}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?partial=yes", "partial must be true or false, not yes."),
        ("?partial=", "partial must be true or false, not nothing."),
        ("?partial=true&partial=false", "partial is given more than once."),
        ("?partial=true&skip=1", 'Unknown parameter "skip"; /api/event/v1/batch takes partial only.'),
    ],
)
def test_another_parameter(api: ApiProcess, query: str, sentence: str) -> None:
    assert is_refusal(post(api, body(), query), 400, sentence)


@pytest.mark.parametrize(
    ("content_type", "found"),
    [("text/plain", "not text/plain"), ("", "and there is none"), ("application/csv", "not a")],
)
def test_another_format(api: ApiProcess, content_type: str, found: str) -> None:
    answer = post(api, body(), content_type=content_type)
    assert problem(answer, 415).startswith(f"Content-Type must be application/x-ndjson or application/json, {found}")


def test_other_methods_and_paths(api: ApiProcess) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = api.client.request(method, PATH)
        assert is_refusal(answer, 405, f"{PATH} takes POST only, not {method}.")
        assert answer.headers["allow"] == "POST"
    assert api.client.post(PATH + "/", content=b"").status_code == 404


def test_limits(api: ApiProcess, database_url: str) -> None:
    many = b"\n".join([body()] * 10_001)
    assert is_refusal(post(api, many), 413, "The batch has more than 10000 events, which is the limit; send several.")
    large = lines("1", '"%s"' % ("x" * 2**20))
    sentence = "The event in line 2 is larger than 1048576 bytes, which is the limit of each (V7_BODY_BYTES_MAX)."
    assert is_refusal(post(api, large), 413, sentence)
    answer = post(api, b" " * (2**24 + 1))
    sentence = (
        "The batch is larger than 16777216 bytes, which is the limit; each of its events may have 1048576 "
        "(V7_BODY_BYTES_MAX)."
    )
    assert is_refusal(answer, 413, sentence)
    assert answer.headers["connection"] == "close"
    assert rows(database_url, COUNT) == [(0,)]
    nearly = lines(*['"%s"' % ("x" * (2**20 - 200))] * 15)
    assert len(post(api, nearly).json()["ids"]) == 15


async def test_api_keys(database_url: str) -> None:
    async with serving(database_url, api_keys="one") as api:
        assert (await sent(api, body())).status_code == 401
        assert (await sent(api, body(), x_api_key="two")).status_code == 401
        assert (await sent(api, body(), x_api_key="one")).status_code == 200
    assert rows(database_url, COUNT) == [(1,)]


def test_a_key_makes_sending_again_safe(api: ApiProcess, database_url: str) -> None:
    content = lines(*map(str, range(1_200)))
    first = post(api, content, idempotency_key="k").json()
    assert post(api, content, idempotency_key="k").json() == first
    array = b"[%b]" % content.replace(b"\n", b",")
    assert post(api, array, content_type="application/json", idempotency_key="k").json() == first
    results = post(api, content, "?partial=true", idempotency_key="k").json()["results"]
    assert [each["id"] for each in results] == first["ids"]
    assert rows(database_url, COUNT) == [(1_200,)]


def test_a_key_that_was_used_for_something_else(api: ApiProcess, database_url: str) -> None:
    first = post(api, lines("1", "2"), idempotency_key="k").json()["ids"][0]
    sentence = f'The Idempotency-Key "k" was used for another request, which added the job {first}.'
    for other in (lines("1"), lines("1", "2", "3"), lines("2", "1")):
        for query in ("", "?partial=true"):
            assert is_refusal(post(api, other, query, idempotency_key="k"), 409, sentence)
    assert api.post(body("1"), idempotency_key="k").status_code == 409
    single = api.post(body("1"), idempotency_key="single").json()["id"]
    sentence = f'The Idempotency-Key "single" was used for another request, which added the job {single}.'
    assert is_refusal(post(api, lines("1"), idempotency_key="single"), 409, sentence)
    assert rows(database_url, COUNT) == [(3,)]
    answer = post(api, body(), idempotency_key="x" * 256)
    assert is_refusal(answer, 400, "Idempotency-Key must be 1 to 255 printable ASCII characters.")
    two = [*NDJSON.items(), ("idempotency-key", "k"), ("idempotency-key", "l")]
    answer = api.client.post(PATH, content=lines("1", "2"), headers=two)
    assert is_refusal(answer, 400, "Idempotency-Key is given more than once.")


async def test_many_at_once_under_one_key_at_two_processes_are_one_batch(database_url: str) -> None:
    async with serving(database_url) as one, serving(database_url) as two:
        content = lines(*map(str, range(700)))
        answers = await asyncio.gather(
            *(sent(api, content, idempotency_key="k") for _ in range(3) for api in (one, two))
        )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert rows(database_url, COUNT) == [(700,)]


async def test_two_batches_at_once_are_both_whole(database_url: str) -> None:
    async with serving(database_url) as api:
        contents = [lines(*map(str, range(600)), user_id=user) for user in (1, 2, 3)]
        answers = await asyncio.gather(*(sent(api, content) for content in contents))
    for user, answer in zip((1, 2, 3), answers, strict=True):
        query = "select id from v7.jobs where user_id = %s order by event_data::text::int"
        assert answer.json()["ids"] == [row[0] for row in rows(database_url, query, user)]


def test_workers_are_woken_and_answers_are_json(api: ApiProcess, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as listening:
        listening.execute("listen v7")
        answer = post(api, lines("1", "2"))
        assert [note.payload for note in listening.notifies(timeout=60, stop_after=1)] == ["jobs"]
    assert json.loads(answer.content)["ids"]


async def test_bodies_that_are_read_are_bounded_together() -> None:
    """Others have their turn while one is read, and may bring more."""
    receiver = BatchReceiver(Settings(), Ingest())
    content = lines(*["1"] * 500)
    receiver.bodies_bytes_max = len(content) + 100
    scope = {"type": "http", "query_string": b""}

    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    async def reading() -> Batch | Answer:
        return await receiver.read(scope, {b"content-type": b"application/x-ndjson"}, receive, "c")

    first = asyncio.create_task(reading())
    await asyncio.sleep(0)
    assert receiver.bodies_bytes == len(content)
    refused = await reading()
    assert isinstance(refused, Answer)
    assert (refused.status, refused.body.decode()) == (503, of_batch(BUSY).sentence)
    assert isinstance(await first, Batch)
    assert receiver.bodies_bytes == 0
    assert isinstance(await reading(), Batch)
