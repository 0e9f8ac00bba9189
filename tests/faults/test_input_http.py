"""Bodies without end, heads that lie, and requests hidden in others; alone and behind a balancer."""

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
import pytest

from ..conftest import fresh
from ..nodes import get, wait_until
from ..web.support import ApiProcess, body, process, rows
from .cluster import free_port

EVENT, HIDDEN = body(), body(user_id=666)
COUNT = "select count(*) from v7.jobs"
HEAD = b"POST /api/event/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(EVENT), EVENT)
SMUGGLED = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(HIDDEN), HIDDEN)
LIMIT_BYTES = 8 * 2**20
PIECE = b"10000\r\n" + b" " * 65536 + b"\r\n"


@pytest.fixture(scope="module")
def url(server_url: str, template: str) -> Iterator[str]:
    yield from fresh(server_url, template)


@pytest.fixture(scope="module")
def api(url: str) -> Iterator[ApiProcess]:
    with process(url, body_bytes_max=LIMIT_BYTES) as made:
        yield made


def exchange(port: int, head: bytes, piece: bytes, pieces: int) -> bytes:
    """Send a head and so many pieces, or until the server has closed; all that came back."""
    answers: list[bytes] = []
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:

        def read() -> None:
            with contextlib.suppress(OSError):
                while data := client.recv(65536):
                    answers.append(data)

        reader = threading.Thread(target=read)
        reader.start()
        with contextlib.suppress(OSError):
            client.sendall(head)
            for _ in range(pieces):
                if not reader.is_alive():
                    break
                client.sendall(piece)
        reader.join()
    return b"".join(answers)


class Memory:
    """How much a process grows at most, looked at all the time."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)
        self.before: int = self.process.memory_info().rss
        self.most: int = self.before
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self) -> None:
        while not self.stopped.wait(0.005):
            self.most = max(self.most, self.process.memory_info().rss)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()

    @property
    def grown(self) -> int:
        return self.most - self.before


@pytest.mark.fault(60)
@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", PIECE),
        (HEAD + b"Content-Length: 1073741824\r\n\r\n", b" " * 65536),
        (HEAD.replace(b"application/json", b"text/plain") + b"Transfer-Encoding: chunked\r\n\r\n", PIECE),
    ],
    ids=["in chunks", "of a known length", "of another type"],
)
def test_a_body_of_a_gigabyte(api: ApiProcess, url: str, head: bytes, piece: bytes) -> None:
    """The answer comes at the limit, and soon after it the end."""
    status = b"415" if b"text/plain" in head else b"413"
    before, began = rows(url, COUNT), time.monotonic()
    with Memory(api.process.pid) as memory:
        answer = exchange(api.port, head, piece, 2**14)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert memory.grown < 2 * LIMIT_BYTES
    assert time.monotonic() - began < 20
    assert rows(url, COUNT) == before
    assert api.post(EVENT).status_code == 200


@pytest.mark.fault(60, 64)
def test_a_body_is_longer_than_it_was_said_to_be(api: ApiProcess, url: str) -> None:
    """What follows is no request."""
    assert api.post(EVENT).status_code == 200  # what the first one takes, once, is not its
    [(before,)] = rows(url, COUNT)
    with Memory(api.process.pid) as memory:
        answer = exchange(api.port, REQUEST, b"x" * 65536, 2**10)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert answer.count(b"HTTP/1.1 ") <= 2
    assert memory.grown < LIMIT_BYTES
    assert rows(url, COUNT) == [(before + 1,)]


def chunked(*headers: bytes, chunk: bytes = b"", end: bytes = b"0\r\n\r\n") -> bytes:
    lines = b"".join(each + b"\r\n" for each in headers)
    return HEAD + lines + b"\r\n" + (chunk or b"%x\r\n%s\r\n" % (len(EVENT), EVENT)) + end


TE = b"Transfer-Encoding: chunked"
REFUSED = {
    "both lengths": chunked(TE, b"Content-Length: 4"),
    "both lengths, the other way round": chunked(b"Content-Length: 4", TE),
    "two lengths": HEAD + b"Content-Length: %d\r\nContent-Length: 0\r\n\r\n%s" % (len(EVENT), EVENT),
    "two lengths in one": HEAD + b"Content-Length: %d, 0\r\n\r\n%s" % (len(EVENT), EVENT),
    "a length with a sign": HEAD + b"Content-Length: +%d\r\n\r\n%s" % (len(EVENT), EVENT),
    "a length in hexadecimal": HEAD + b"Content-Length: 0x%x\r\n\r\n%s" % (len(EVENT), EVENT),
    "xchunked": chunked(b"Transfer-Encoding: xchunked"),
    "chunked in quotes": chunked(b'Transfer-Encoding: "chunked"'),
    "chunked, then not": chunked(b"Transfer-Encoding: chunked, identity"),
    "chunked twice": chunked(TE, b"Transfer-Encoding: identity"),
    "a space before the colon": chunked(b"Transfer-Encoding : chunked"),
    "a vertical tab": chunked(b"Transfer-Encoding: \x0bchunked"),
    "a tab in the name": chunked(b"Transfer-Encoding\t: chunked"),
    "a folded header": chunked(b"X: y\r\n Transfer-Encoding: chunked"),
    "a bare line feed in the head": HEAD.replace(b"\r\n", b"\n") + b"Content-Length: %d\n\n%s" % (len(EVENT), EVENT),
    "a bare carriage return": chunked(b"X: y\rTransfer-Encoding: chunked"),
    "a bare line feed behind a size": chunked(TE, chunk=b"%x\n%s\r\n" % (len(EVENT), EVENT)),
    "a bare line feed behind a chunk": chunked(TE, chunk=b"%x\r\n%s\n" % (len(EVENT), EVENT)),
    "a chunk that is longer than it says": chunked(TE, chunk=b"%x\r\n%s\r\n" % (len(EVENT) - 5, EVENT)),
    "a size with a sign": chunked(TE, chunk=b"+%x\r\n%s\r\n" % (len(EVENT), EVENT)),
    "a size in hexadecimal notation": chunked(TE, chunk=b"0x%x\r\n%s\r\n" % (len(EVENT), EVENT)),
    "a size beyond 64 bits": chunked(TE, chunk=b"1%016x\r\n%s\r\n" % (len(EVENT), EVENT)),
    "a line feed in an extension": chunked(TE, chunk=b"%x;a\nb\r\n%s\r\n" % (len(EVENT), EVENT)),
}


def sent(port: int, *pieces: bytes) -> bytes:
    answers = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        with contextlib.suppress(OSError):
            client.sendall(b"".join(pieces))
        with contextlib.suppress(ConnectionResetError):
            while data := client.recv(65536):
                answers += data
    return answers


def hidden(url: str) -> list[tuple[int]]:
    return rows(url, "select id from v7.jobs where user_id = 666")


@pytest.mark.fault(64)
@pytest.mark.parametrize("name", REFUSED)
def test_a_request_whose_end_is_a_matter_of_opinion(name: str, api: ApiProcess, url: str) -> None:
    before = rows(url, COUNT)
    answer = sent(api.port, REFUSED[name], SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert rows(url, COUNT) == before


@pytest.mark.fault(64)
def test_extensions_of_chunks_say_nothing(api: ApiProcess, url: str) -> None:
    """They are valid HTTP: the request is one, and the one behind it another."""
    [(before,)] = rows(url, COUNT)
    request = chunked(TE, b"Connection: close", chunk=b'%x;a="b;c"\r\n%s\r\n' % (len(EVENT), EVENT))
    assert sent(api.port, request).startswith(b"HTTP/1.1 200 ")
    assert rows(url, COUNT) == [(before + 1,)]


@pytest.fixture(scope="module")
def balancer(api: ApiProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Its port."""
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    folder: Path = tmp_path_factory.mktemp("haproxy", numbered=True)
    port = free_port()
    (folder / "haproxy.cfg").write_text(
        "defaults\n mode http\n timeout connect 5s\n timeout client 10s\n timeout server 10s\n option http-keep-alive\n"
        " http-reuse always\n"
        f"frontend f\n bind 127.0.0.1:{port}\n default_backend b\n"
        f"backend b\n server s 127.0.0.1:{api.port}\n"
    )
    running = subprocess.Popen(["haproxy", "-db", "-f", folder / "haproxy.cfg"], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: get(("127.0.0.1", port), "/livez") == 200, "it balances", 20)
        yield port
    finally:
        running.kill()
        running.wait()


@pytest.mark.fault(64)
def test_a_balancer_passes_requests_on(balancer: int, api: ApiProcess) -> None:
    assert sent(balancer, REQUEST.replace(b"Host: x", b"Connection: close\r\nHost: x")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.fault(64)
@pytest.mark.parametrize("name", REFUSED)
def test_a_balancer_of_another_opinion(name: str, balancer: int, api: ApiProcess, url: str) -> None:
    """What is a body for one of the two must not be a request for the other."""
    within = SMUGGLED + b"0\r\n\r\n"
    inner = REFUSED[name].replace(EVENT, b" " * len(EVENT)) + within
    sent(balancer, HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(inner), inner))
    answers = sent(balancer, REFUSED[name].replace(b"Host: x", b"Connection: close\r\nHost: x"), SMUGGLED)
    assert answers.count(b"HTTP/1.1 ") <= 1
    assert hidden(url) == []


@pytest.mark.fault(63)
@pytest.mark.parametrize(
    "given", [b"\x1b[2Ja", b"a\x00b", b"a\rX-Evil: 1", b"a\n b", b"a\tb", b"\xc3\xa9", b"x" * 10_000]
)
def test_a_request_id_that_is_made_to_harm(given: bytes, api: ApiProcess, url: str) -> None:
    """It goes into headers, log lines and tables: there it is one line of printable ASCII, and short."""
    request = REQUEST.replace(b"Host: x", b"Connection: close\r\nX-Request-Id: " + given)
    answer = sent(api.port, request)
    assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 400 "))
    assert b"\nX-Evil" not in answer
    head = answer.partition(b"\r\n\r\n")[0]
    assert all(line.decode("ascii").isprintable() and len(line) < 200 for line in head.split(b"\r\n"))
    stored = [row[0] for row in rows(url, "select correlation_id from v7.jobs order by id desc limit 1")]
    assert stored or b" 400 " in head
    for each in stored:
        assert each.isascii()
        assert each.isprintable()
        assert len(each) <= 128
