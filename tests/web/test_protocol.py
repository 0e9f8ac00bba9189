"""HTTP as no client library would send it: broken, too large, too slow, two requests in one."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from v7_task_processor.queue import Connection
from v7_task_processor.web.protocol import Protocol
from v7_task_processor.web.server import Server

from .support import ApiProcess, body, rows, serving
from .test_ingest import LOCK, blocked

EVENT = body()
COUNT = "select count(*) from v7.jobs"
HEAD = b"POST /api/event/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(EVENT), EVENT)
CLOSING = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(EVENT), EVENT)


def sent(api: ApiProcess, *pieces: bytes) -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as client:
        with contextlib.suppress(OSError):
            for piece in pieces:
                client.sendall(piece)
        return everything(client)


def everything(client: socket.socket) -> bytes:
    answers = b""
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(65536):
            answers += data
    return answers


@pytest.fixture
def client(api: ApiProcess) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as client:
        yield client


def chunked(*headers: bytes) -> bytes:
    lines = b"".join(each + b"\r\n" for each in headers)
    return HEAD + lines + b"\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(EVENT), EVENT)


@pytest.mark.fault(64)
@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT example.org:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/event/v1 HTTP/9.9\r\n\r\n",
        chunked(b"Transfer-Encoding: chunked", b"Content-Length: 5"),
        chunked(b"Transfer-Encoding: xchunked"),
        chunked(b"Transfer-Encoding: chunked, identity"),
        HEAD + b"Content-Length: %d\r\nContent-Length: 1\r\n\r\n%s" % (len(EVENT), EVENT),
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n",
        HEAD + b"X-Request-Id: a\x00b\r\nContent-Length: 0\r\n\r\n",
        HEAD + b"Bad Name: x\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_not_http(api: ApiProcess, database_url: str, request_: bytes) -> None:
    answer = sent(api, request_, REQUEST)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b"\r\nconnection: close\r\n\r\nThe request is not valid HTTP.")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert rows(database_url, COUNT) == [(0,)]


@pytest.mark.fault(64)
@pytest.mark.parametrize("hosts", [b"", b"Host: x\r\nHost: y\r\n"], ids=["none", "two"])
def test_a_request_names_one_host(api: ApiProcess, database_url: str, hosts: bytes) -> None:
    """RFC 9112, 3.2: of two, whoever stands before us may have read the other."""
    request = REQUEST.replace(b"Host: x\r\n", hosts)
    assert request != REQUEST
    answer = sent(api, request)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b"A request of HTTP/1.1 must have one Host header.")
    assert sent(api, request.replace(b"HTTP/1.1", b"HTTP/1.0")).startswith(
        b"HTTP/1.1 400 " if hosts else b"HTTP/1.1 200 "
    )
    assert rows(database_url, COUNT) == [(int(not hosts),)]


def test_a_request_in_pieces(api: ApiProcess, database_url: str, client: socket.socket) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for place in range(len(CLOSING)):
        client.sendall(CLOSING[place : place + 1])
    assert everything(client).startswith(b"HTTP/1.1 200 OK")
    assert rows(database_url, COUNT) == [(1,)]


def test_requests_behind_each_other_are_answered_in_order(api: ApiProcess, database_url: str) -> None:
    answers = sent(api, REQUEST * 2 + CLOSING)
    ids = [int(part.partition(b"}")[0]) for part in answers.split(b'{"id": ')[1:]]
    assert [(each,) for each in ids] == rows(database_url, "select id from v7.jobs order by position")
    assert len(ids) == 3


@pytest.mark.fault(64)
def test_garbage_behind_a_request_does_not_stand_for_its_answer(
    api: ApiProcess, database_url: str, client: socket.socket
) -> None:
    client.sendall(REQUEST + b"\x00garbage\r\n\r\n")
    answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert rows(database_url, COUNT) == [(1,)]


def test_a_client_that_offers_http_2(api: ApiProcess, database_url: str) -> None:
    """As Java's does with each request: it is answered by HTTP/1.1, and the connection goes on."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
    request = HEAD + offer + b"Content-Length: %d\r\n\r\n%s" % (len(EVENT), EVENT)
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as client:
        client.sendall(request)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
        client.sendall(CLOSING)
        assert everything(client).startswith(b"HTTP/1.1 200 OK")
    assert rows(database_url, COUNT) == [(2,)]


def test_offers_behind_each_other(api: ApiProcess, database_url: str) -> None:
    offer = b"Connection: close, Upgrade\r\nUpgrade: websocket\r\nContent-Length: "
    keeping = offer.replace(b"close", b"keep-alive")
    answers = sent(api, REQUEST.replace(b"Content-Length: ", keeping) * 3 + REQUEST.replace(b"Content-Length: ", offer))
    assert answers.count(b"HTTP/1.1 200 OK") == 4
    assert rows(database_url, COUNT) == [(4,)]


def test_http_1_0(api: ApiProcess) -> None:
    assert sent(api, REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0")).startswith(b"HTTP/1.1 200 OK")


def test_a_client_that_asks_before_it_sends(api: ApiProcess, client: socket.socket) -> None:
    client.sendall(CLOSING.removesuffix(EVENT).replace(b"Host: x", b"Host: x\r\nExpect: 100-continue"))
    assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(EVENT)
    assert everything(client).startswith(b"HTTP/1.1 200 OK")


def test_a_client_that_asks_whether_it_may_send_too_much(api: ApiProcess, client: socket.socket) -> None:
    client.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 2000000000\r\n\r\n")
    assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.fault(63)
@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"X-A: b\r\n" * 1000 + b"\r\n",
        HEAD + b"X-Long: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        HEAD + b"X-Endless: " + b"x" * 4_000_000,
    ],
    ids=["many headers", "a long header", "a long path", "a header without end"],
)
def test_a_head_that_is_too_large(api: ApiProcess, head: bytes) -> None:
    pieces = [head[place : place + 10_000] for place in range(0, len(head), 10_000)]
    answer = sent(api, *pieces)
    assert not answer or answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.fault(58)
def test_a_client_that_leaves_in_the_middle(api: ApiProcess, database_url: str) -> None:
    """Nothing of it is added, wherever it was cut, even where what came is JSON."""
    padded = HEAD + b"Content-Length: %d\r\n\r\n%s  " % (len(EVENT) + 10, EVENT)
    for request in [REQUEST[:-1], padded, *(REQUEST[:place] for place in range(1, len(REQUEST), 20))]:
        with socket.create_connection(("127.0.0.1", api.port), timeout=60) as client:
            client.sendall(request)
    unfinished = chunked(b"Transfer-Encoding: chunked").removesuffix(b"0\r\n\r\n")
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as client:
        client.sendall(unfinished)
        client.shutdown(socket.SHUT_WR)
        assert everything(client) == b""
    assert api.post(EVENT).status_code == 200
    assert rows(database_url, COUNT) == [(1,)]


ENDING = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)


def test_what_trails_a_body_is_no_header_of_its_request(api: ApiProcess, database_url: str) -> None:
    """It comes behind all that a proxy looked at. In one segment with the rest it is there before the request is read.

    The last header before the body counts, though the parser tells it only as the head ends."""
    trailed = HEAD + b"Transfer-Encoding: chunked\r\nIdempotency-Key: head\r\n\r\n" + CHUNK + b"0\r\n"
    trailers = b"Idempotency-Key: trailer\r\nX-API-Key: a\r\nX-API-Key: b\r\nHost: y\r\n\r\n"
    answers = sent(api, trailed + trailers + CLOSING)
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert rows(database_url, "select key from v7.idempotency_keys") == [("head",)]
    assert rows(database_url, COUNT) == [(2,)], "the next request has none of it either"


async def test_a_key_in_a_trailer_lets_nobody_in(database_url: str) -> None:
    async with serving(database_url, api_keys="one send s3cret") as api:
        for place, status in ((b"", b"401"), (b"X-API-Key: s3cret\r\n", b"200")):
            reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
            writer.write(ENDING[:-2] + place + b"\r\n" + CHUNK + b"0\r\nX-API-Key: s3cret\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 " + status)
            writer.close()
    assert rows(database_url, COUNT) == [(1,)]


@pytest.mark.fault(63)
@pytest.mark.parametrize(
    ("begun", "endless"),
    [
        (CHUNK + b"0\r\n", b"X-A: b\r\n" * 1250),
        (CHUNK + b"0\r\nX-Endless: ", b"x" * 10_000),
        (CHUNK + b"1;", b"x" * 10_000),
    ],
    ids=["trailers", "a trailer", "an extension of a chunk"],
)
async def test_what_is_neither_head_nor_body_is_bounded_too(database_url: str, begun: bytes, endless: bytes) -> None:
    """All of it would be kept, and a line without end be copied anew with each segment."""
    async with serving(database_url) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        answer = asyncio.create_task(reader.readuntil(b"bytes."))  # what was not read when it closes makes a reset
        writer.write(ENDING + begun)
        written = 0
        with contextlib.suppress(ConnectionError):
            while not answer.done() and written < 1_000_000:
                writer.write(endless)
                await writer.drain()
                await asyncio.sleep(0.002)  # a segment of its own
                written += len(endless)
        assert (await answer).startswith(b"HTTP/1.1 431 ")
        assert 60_000 < written < 200_000
        writer.close()
    assert rows(database_url, COUNT) == [(0,)]


def test_a_body_in_many_tiny_chunks(api: ApiProcess, database_url: str) -> None:
    """With far more bytes between than in them: in one piece, in large ones, and each line of a length by itself."""
    event = body('"' + "x" * 20_000 + '"')
    chunks = [b"%x;name=value\r\n%c\r\n" % (1, byte) for byte in event]
    whole = b"".join(chunks) + b"0\r\n\r\n"
    assert len(whole) > 4 * 65_536
    assert sent(api, ENDING + whole).startswith(b"HTTP/1.1 200 OK")
    pieces = [whole[place : place + 1000] for place in range(0, len(whole), 1000)]
    assert sent(api, ENDING, *pieces).startswith(b"HTTP/1.1 200 OK")
    assert rows(database_url, "select length(event_data::text) from v7.jobs") == [(20_002,)] * 2


async def test_a_body_whose_lengths_come_by_themselves(database_url: str) -> None:
    async with serving(database_url) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(ENDING)
        for byte in EVENT:
            for piece in (b"1;%s\r\n" % (b"x" * 2000), b"%c" % byte, b"\r\n"):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.001)
        writer.write(b"0\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        writer.close()
    assert rows(database_url, COUNT) == [(1,)]


async def test_what_trailed_one_request_is_not_counted_to_the_next(database_url: str) -> None:
    """On a connection that is kept."""
    trailers = b"X-A: %s\r\n" % (b"x" * 9_000) * 8  # more than may be, in the segment that ends it
    async with serving(database_url) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        for piece in (ENDING.replace(b"Connection: close\r\n", b"") + CHUNK, b"0\r\n", trailers + b"\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 OK")
        for piece in (CLOSING[:20], CLOSING[20:]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        assert b"HTTP/1.1 200 OK" in await reader.read()
        writer.close()


class Impatient(Protocol):
    request_seconds_max = 0.2


@pytest.mark.fault(57)
@pytest.mark.parametrize("begun", [b"P", HEAD, REQUEST[:-1], chunked(b"Transfer-Encoding: chunked")[:-5]])
async def test_a_request_that_comes_too_slowly(
    database_url: str, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("v7_task_processor.web.server.SWEEP_TICKS", 1)
    async with serving(database_url, protocol=Impatient) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(begun)
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert answer.endswith(b"The request was not complete after 0.2 seconds.")
    assert rows(database_url, COUNT) == [(0,)]


@pytest.mark.fault(57)
async def test_a_connection_on_which_nothing_comes(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("v7_task_processor.web.server.SWEEP_TICKS", 1)
    async with serving(database_url, protocol=Impatient) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        assert await reader.read() == b""
        writer.close()


@pytest.mark.fault(57)
@pytest.mark.parametrize(("then", "answered"), [(CLOSING, 2), (HEAD, 1), (REQUEST[:-1], 1)])
async def test_an_answer_may_take_longer_than_a_request(
    then: bytes, answered: int, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("v7_task_processor.web.server.SWEEP_TICKS", 1)
    async with serving(database_url, protocol=Impatient) as api:
        async with connection.transaction():
            await connection.execute(LOCK)
            reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
            writer.write(REQUEST + then)
            await blocked(connection)
            await overdue(api.server)
        answers = await reader.read()
        writer.close()
    assert answers.startswith(b"HTTP/1.1 200 OK")
    assert answers.count(b"HTTP/1.1 200 OK") == answered


async def overdue(server: Server) -> None:
    """Until a request that came now would have been late."""
    (connection,) = server.server_state.connections
    assert isinstance(connection, Protocol)
    deadline = connection.loop.time() + 2 * connection.request_seconds_max
    while connection.loop.time() < deadline:
        await asyncio.sleep(0.02)
