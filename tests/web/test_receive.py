"""`POST /api/event/v1` from the outside: what is stored, what is refused, and with which words."""

import asyncio
import hashlib
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive

from v7_task_processor.settings import Settings
from v7_task_processor.web.ingest import Ingest
from v7_task_processor.web.outcome import BUSY
from v7_task_processor.web.receive import Answer, Receiver, cleaned

from .support import PATH, TEXT, ApiProcess, body, rows, serving

STORED = "select user_id, priority, event_data::text, event_type_id, correlation_id from v7.jobs where id = %s"
COUNT = "select count(*) from v7.jobs"
TOO_LARGE = "The body is larger than 1048576 bytes, which is the limit (V7_BODY_BYTES_MAX)."
AS_SENT = [
    *["null", "1E5", "-0.0", "9" * 5000, '{"a":1, "a" :2}', r'"\u0000"', r'"\ud800"', '"日本語 \u2028 😀"', '" \\" "'],
    "[" * 512 + "]" * 512,
]


def is_refusal(answer: httpx.Response, status: int, sentence: str) -> bool:
    assert (answer.status_code, answer.text) == (status, sentence)
    assert answer.headers["content-type"] == TEXT
    assert answer.headers["x-request-id"]
    return True


def test_an_event_is_stored_before_its_answer(api: ApiProcess, database_url: str) -> None:
    answer = api.post(body('{"b": 1}', user_id=-5, priority=2**63 - 1, event_type_id=9), x_request_id="order-7")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == "order-7"
    assert list(answer.json()) == ["id"]
    assert rows(database_url, STORED, answer.json()["id"]) == [(-5, 2**63 - 1, '{"b": 1}', 9, "order-7")]


@pytest.mark.fault(59, 61, 62)
@pytest.mark.parametrize("event_data", AS_SENT)
def test_event_data_is_stored_to_the_letter(api: ApiProcess, database_url: str, event_data: str) -> None:
    answer = api.post(body(event_data))
    assert answer.status_code == 200
    assert rows(database_url, STORED, answer.json()["id"])[0][2] == event_data


def test_what_cannot_be_parsed(api: ApiProcess, database_url: str) -> None:
    """The sentences have their tests in test_event.py."""
    assert is_refusal(api.post(b"{}"), 400, "Failed to parse event: the field user_id is missing.")
    assert is_refusal(api.post(b"\xff"), 400, "Failed to parse event: not UTF-8: invalid start byte (byte 0).")
    assert rows(database_url, COUNT) == [(0,)]


@pytest.mark.fault(65)
@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"content-type": "text/plain"}, "Content-Type must be application/json, not text/plain."),
        ({"content-type": ""}, "Content-Type must be application/json, and there is none."),
        (
            {"content-type": "application/json; charset=latin-1"},
            "The charset of Content-Type must be utf-8, not latin-1.",
        ),
        ({"content-encoding": "gzip"}, "Content-Encoding must be identity, that is none, not gzip."),
    ],
)
def test_another_format(api: ApiProcess, headers: dict[str, str], sentence: str) -> None:
    assert is_refusal(api.client.post(PATH, content=body(), headers=headers), 415, sentence)


@pytest.mark.parametrize("content_type", ['Application/JSON ; Charset="UTF-8"', "application/json;charset=utf-8"])
def test_the_same_format_in_other_spellings(api: ApiProcess, content_type: str) -> None:
    headers = {"content-type": content_type, "content-encoding": "identity"}
    assert api.client.post(PATH, content=body(), headers=headers).status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method(api: ApiProcess, method: str) -> None:
    answer = api.client.request(method, PATH, headers={"x-request-id": "m"})
    assert is_refusal(answer, 405, f"{PATH} takes POST only, not {method}.")
    assert (answer.headers["allow"], answer.headers["x-request-id"]) == ("POST", "m")


def test_head(api: ApiProcess) -> None:
    answer = api.client.head(PATH)
    assert (answer.status_code, answer.content, answer.headers["allow"]) == (405, b"", "POST")


@pytest.mark.fault(60)
def test_a_body_of_the_largest_size_and_one_byte_more(api: ApiProcess, database_url: str) -> None:
    largest = body('"%s"' % ("x" * (2**20 - len(body('""')))))
    assert api.post(largest).status_code == 200
    answer = api.post(largest + b" ")
    assert is_refusal(answer, 413, TOO_LARGE)
    assert answer.headers["connection"] == "close"
    chunks = [largest[:1000], largest[1000:], b" "]
    assert is_refusal(api.client.post(PATH, content=iter(chunks)), 413, TOO_LARGE)
    assert api.client.post(PATH, content=iter(chunks[:2])).status_code == 200
    assert rows(database_url, COUNT) == [(2,)]


@pytest.mark.fault(60)
def test_a_body_far_over_the_limit_is_answered(api: ApiProcess) -> None:
    """Closed on a client that still sends, a connection would lose it the answer."""
    assert is_refusal(api.post(b" " * 20 * 2**20), 413, TOO_LARGE)


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"a\tb", "é".encode()])
def test_a_key_that_is_none(api: ApiProcess, key: bytes) -> None:
    answer = api.client.post(PATH, content=body(), headers={b"idempotency-key": key})
    assert is_refusal(answer, 400, "Idempotency-Key must be 1 to 255 printable ASCII characters.")


def test_of_two_keys_none_is_taken(api: ApiProcess, database_url: str) -> None:
    for second in ("a", "b"):
        answer = api.client.post(PATH, content=body(), headers=[("Idempotency-Key", "a"), ("idempotency-key", second)])
        assert is_refusal(answer, 400, "Idempotency-Key is given more than once.")
    assert rows(database_url, COUNT) == [(0,)]


def test_a_key_makes_sending_again_safe(api: ApiProcess, database_url: str) -> None:
    first = api.post(body("[1]"), idempotency_key="k" * 255)
    again = api.post(body(" [1] "), idempotency_key="k" * 255)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    other = api.post(body("[2]"), idempotency_key="k" * 255)
    shown = "k" * 80 + "…"
    job_id = first.json()["id"]
    sentence = f'The Idempotency-Key "{shown}" was used for another event, whose id is {job_id}.'
    assert is_refusal(other, 409, sentence)
    assert rows(database_url, COUNT) == [(1,)]


async def test_twenty_at_once_under_one_key_are_one_event(database_url: str) -> None:
    async with serving(database_url) as api, api.client() as client:
        headers = {"idempotency-key": "k"}
        posts = [client.post(PATH, content=body(), headers=headers) for _ in range(20)]
        answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert rows(database_url, COUNT) == [(1,)]


async def test_one_key_at_two_processes_is_one_event(database_url: str) -> None:
    async with serving(database_url) as one, serving(database_url) as two:
        posts = [api.post(body(), idempotency_key=f"k{n % 5}") for n in range(20) for api in (one, two)]
        answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 5
    assert rows(database_url, COUNT) == [(5,)]


def test_sql_and_http_agree_on_what_a_key_stands_for(api: ApiProcess, database_url: str) -> None:
    event_data = '{"a" : 1E2, "é": "\\u0000"}'
    enqueue = "select v7.enqueue(3, 1, 2, %s, idempotency_key => %s)"
    by_sql = rows(database_url, enqueue, event_data, "sql first")[0][0]
    assert api.post(body(event_data), idempotency_key="sql first").json() == {"id": by_sql}
    by_http = api.post(body(event_data), idempotency_key="http first").json()["id"]
    assert rows(database_url, enqueue, event_data, "http first") == [(by_http,)]
    text = f"3,1,2,{event_data}".encode()
    digests = rows(database_url, "select distinct body_sha256 from v7.idempotency_keys")
    assert digests == [(hashlib.sha256(text).digest(),)]


async def test_api_keys(database_url: str) -> None:
    sentence = "A key that may send is needed: send it as Authorization: Bearer <key> or as X-API-Key."
    keys = f"one, two, shop send three3, app read+send four, five send sha256:{hashlib.sha256(b'5').hexdigest()}"
    async with serving(database_url, api_keys=keys, admin_token="admin") as api:
        for headers in (
            {},
            {"x-api-key": "three"},
            {"x-api-key": "shop send three3"},
            {"x-api-key": keys[-71:]},
            {"x-api-key": ""},
            {"authorization": "Bearer"},
            {"authorization": "Basic one"},
        ):
            answer = await api.post(body(), **headers)
            assert is_refusal(answer, 401, sentence)
            assert answer.headers["www-authenticate"] == "Bearer"
        for headers in ({"x-api-key": "one"}, {"authorization": "bearer two"}, {"x-api-key": "two"}):
            assert (await api.post(body(), **headers)).status_code == 200
        for key in ("three3", "four", "5", "admin"):
            assert (await api.post(body(), x_api_key=key)).status_code == 200
    assert rows(database_url, COUNT) == [(7,)]


async def test_a_key_that_may_not_send(database_url: str) -> None:
    async with serving(database_url, api_keys="grafana read one, ops manage two") as api:
        answer = await api.post(body(), x_api_key="one")
        assert is_refusal(answer, 403, "The key grafana may read only; a key that may send is needed here.")
        answer = await api.post(body(), x_api_key="two")
        assert is_refusal(answer, 403, "The key ops may read and manage only; a key that may send is needed here.")
        assert (await api.post(body())).status_code == 401, "keys are set, so nobody sends without one"
    assert rows(database_url, COUNT) == [(0,)]


def test_a_request_id_is_made_where_none_came(api: ApiProcess, database_url: str) -> None:
    answers = [api.post(body()), api.post(body(), x_request_id="")]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == 2
    assert all(len(each) == 32 and int(each, 16) for each in ids)
    assert rows(database_url, "select correlation_id from v7.jobs order by id") == [(each,) for each in ids]


@pytest.mark.fault(63)
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"a-1", "a-1"),
        (b" a b ", "a b"),
        (b"x" * 10_000, "x" * 128),
        (b"a\x00\r\n\x1b[2Jb\x7f\xc3\xa9c", "a[2Jbc"),
        (b"", ""),
        (b"\x1b", ""),
    ],
)
def test_a_request_id_is_cleaned(given: bytes, kept: str) -> None:
    assert cleaned(given) == kept


@pytest.mark.fault(63)
def test_a_request_id_comes_back_with_refusals(api: ApiProcess) -> None:
    assert api.post(b"", x_request_id="r").headers["x-request-id"] == "r"
    answer = api.client.post(PATH, headers={"content-type": "x", "x-request-id": "y" * 200})
    assert answer.headers["x-request-id"] == "y" * 128


@pytest.mark.fault(60)
async def test_all_bodies_together_are_bounded() -> None:
    """Each is small enough, but the many that are sent slowly would fill the memory."""
    receiver = Receiver(Settings(), Ingest())
    receiver.bodies_bytes_max = 100
    last = asyncio.Event()

    def sender() -> Receive:
        parts = iter([b"x" * 60, b"y"])

        async def receive() -> Message:
            part = next(parts)
            if part == b"y":
                await last.wait()
            return {"type": "http.request", "body": part, "more_body": part != b"y"}

        return receive

    slow = asyncio.ensure_future(receiver.body(sender()))
    await asyncio.sleep(0)
    refused = await receiver.body(sender())
    assert isinstance(refused, Answer)
    assert (refused.status, refused.body.decode()) == (503, BUSY.sentence)
    last.set()
    assert await slow == b"x" * 60 + b"y"
    assert receiver.bodies_bytes == 0
    assert await receiver.body(sender()) == b"x" * 60 + b"y"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.fault(59)
def test_arbitrary_json_comes_back_as_it_was_sent(api: ApiProcess, database_url: str) -> None:
    @given(JSON_VALUES, st.booleans(), st.sampled_from([None, (",", ":"), (" , ", " :")]))
    def holds(value: Any, ascii_only: bool, separators: tuple[str, str] | None) -> None:
        text = json.dumps(value, ensure_ascii=ascii_only, separators=separators)
        answer = api.post(body(text))
        assert answer.status_code == 200
        assert rows(database_url, STORED, answer.json()["id"])[0][2] == text

    holds()


@pytest.mark.fault(59)
def test_no_arbitrary_bytes_are_an_error_of_ours(api: ApiProcess, database_url: str) -> None:
    @given(st.binary() | st.text(alphabet='[]{}",:\\ue0123d8.-+ntrfals\n').map(lambda text: body(text)))
    def holds(content: bytes) -> None:
        answer = api.post(content)
        if answer.status_code == 200:
            stored = rows(database_url, STORED, answer.json()["id"])[0]
            assert stored[2].encode() in content
        else:
            assert answer.status_code == 400
            assert answer.text.startswith("Failed to parse event")

    holds()
