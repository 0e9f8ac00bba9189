"""Many requests in one segment, and answers that nobody reads."""

import asyncio
import socket
from typing import Any

import pytest

from v7_task_processor.queue import Connection
from v7_task_processor.web.protocol import PIPELINED_MAX, Protocol

from .support import ApiProcess, body, rows, serving
from .test_ingest import LOCK, blocked
from .test_protocol import CLOSING, COUNT, HEAD, REQUEST, sent

LOOK = b"GET /livez HTTP/1.1\r\nHost:\r\n\r\n"


@pytest.mark.fault(67)
def test_no_more_wait_than_may(api: ApiProcess) -> None:
    """Each that waits takes memory, without a key: those that came first are answered, and the connection closed."""
    answers = sent(api, LOOK * 10_000 + LOOK.replace(b"Host:", b"Host:\r\nConnection: close"))
    assert 0 < answers.count(b"HTTP/1.1 200 OK") <= PIPELINED_MAX + 1
    assert answers.count(b"HTTP/1.1 ") == answers.count(b"HTTP/1.1 200 OK")
    assert answers.count(b"connection: close") <= 1


def test_thousands_behind_each_other(api: ApiProcess, database_url: str) -> None:
    assert sent(api, REQUEST * 2999 + CLOSING).count(b"HTTP/1.1 200 OK") == 3000
    assert rows(database_url, COUNT) == [(3000,)]


def test_large_ones_wait_in_the_socket(api: ApiProcess, database_url: str) -> None:
    """Of which one read holds no more than may wait."""
    event = body('"' + "x" * 6_000 + '"')
    request = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(event), event)
    assert sent(api, request * 300 + CLOSING).count(b"HTTP/1.1 200 OK") == 301
    assert rows(database_url, COUNT) == [(301,)]


async def test_a_segment_that_begins_and_ends_within_heads(database_url: str) -> None:
    """What is between belongs to neither, and may be larger than a head."""
    event = body('"' + "x" * 70_000 + '"')
    requests = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(event), event) + CLOSING
    cuts = 20, len(requests) - len(CLOSING) + 20
    async with serving(database_url) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        for piece in (requests[: cuts[0]], requests[cuts[0] : cuts[1]], requests[cuts[1] :]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        answers = await reader.read()
        writer.close()
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert rows(database_url, COUNT) == [(2,)]


@pytest.mark.fault(64)
@pytest.mark.parametrize("before", [1, 3])
async def test_a_broken_body_does_not_stand_for_the_answer_before_it(
    before: int, database_url: str, connection: Connection
) -> None:
    """The client would take for refused what is added."""
    async with serving(database_url) as api:
        async with connection.transaction():
            await connection.execute(LOCK)
            reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
            writer.write(REQUEST * before + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
            await blocked(connection)
        answers = await reader.read()
        writer.close()
    assert answers.count(b"HTTP/1.1 200 OK") == answers.count(b"HTTP/1.1 ") == before
    assert answers.count(b"connection: close") == 1
    assert rows(database_url, COUNT) == [(before,)]


class Unheard(Protocol):
    answer_seconds_max = 0.2

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)


@pytest.mark.fault(57)
@pytest.mark.parametrize("ending", [b"", b"Connection: close\r\n"], ids=["kept", "closing"])
async def test_an_answer_that_nobody_reads(ending: bytes, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection would stay for ever, and each drain wait for it."""
    monkeypatch.setattr("v7_task_processor.web.server.SWEEP_TICKS", 1)
    async with serving(database_url, protocol=Unheard) as api:
        connections = api.server.server_state.connections
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect(("127.0.0.1", api.port))
            client.sendall(b"GET /openapi.json HTTP/1.1\r\n" + ending + b"Host: x\r\n\r\n")
            async with asyncio.timeout(60):
                while not any(each.transport.get_write_buffer_size() for each in connections):
                    await asyncio.sleep(0)
                while connections:
                    await asyncio.sleep(0.02)
