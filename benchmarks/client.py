"""A lean HTTP client for load: each connection sends the next request when the last one is answered."""

import asyncio
import time
from functools import partial
from typing import cast

import uvloop


class Connection(asyncio.Protocol):
    """One keep-alive connection. Answers are small enough to come whole."""

    def __init__(self, request: bytes, until: float, latencies: list[float], done: asyncio.Future[None]) -> None:
        self.request, self.until, self.latencies, self.done = request, until, latencies, done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own are no subclasses of it
        self.send()

    def send(self) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not data.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(f"not a 200: {data[:300]!r}"))
            return
        self.latencies.append(now - self.sent_at)
        if now < self.until:
            self.send()
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or RuntimeError("the server closed the connection"))


def post(port: int, body: str, connections: int, seconds: float) -> dict[str, float]:
    """Post for so long on so many connections: {rate: answers a second, p50, p99: milliseconds}."""
    return uvloop.run(posted(port, body, connections, seconds))


async def posted(port: int, body: str, connections: int, seconds: float) -> dict[str, float]:
    request = (
        "POST /api/event/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body.encode())}\r\n\r\n{body}"
    ).encode()
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    began = time.perf_counter()
    ends = [loop.create_future() for _ in range(connections)]
    opened = [
        await loop.create_connection(partial(Connection, request, began + seconds, latencies, end), "127.0.0.1", port)
        for end in ends
    ]
    await asyncio.gather(*ends)
    elapsed = time.perf_counter() - began
    for transport, _ in opened:
        transport.close()
    latencies.sort()
    return {
        "rate": len(latencies) / elapsed,
        "p50": 1000 * latencies[len(latencies) // 2],
        "p99": 1000 * latencies[int(len(latencies) * 0.99) - 1],
    }
