"""Clients that hold connections for as long as they can, and what the others notice of them."""

import selectors
import socket
import threading
import time
from collections.abc import Callable

import pytest

from ..web.support import ApiProcess, body, process

TRIES_MAX = 3
EVENT = body()
HEAD = b"POST /api/event/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(EVENT), EVENT)


class Slow:
    """Sockets that send a byte a second: half of them of a head that never ends, half of a body."""

    def __init__(self, port: int, count: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.began_at = time.monotonic()
        self.seconds: list[float] = []
        """After how long each was closed."""
        self.answers: list[bytes] = []
        for number in range(count):
            begun = HEAD + b"Content-Length: 1000\r\n\r\n" if number % 2 else HEAD + b"X-Slow: "
            each = socket.create_connection(("127.0.0.1", port))
            each.sendall(begun)
            each.setblocking(False)
            self.selector.register(each, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        next_byte = time.monotonic()
        while self.selector.get_map() and time.monotonic() - self.began_at < 60:
            if time.monotonic() >= next_byte:
                next_byte += 1
                for key in list(self.selector.get_map().values()):
                    self.act(key.fileobj, lambda each: each.send(b"x"))
            for key, _ in self.selector.select(0.05):
                self.act(key.fileobj, self.read)

    def act(self, each: object, what: Callable[[socket.socket], object]) -> None:
        assert isinstance(each, socket.socket)
        try:
            if what(each) != 0:
                return
        except OSError:
            pass
        self.seconds.append(time.monotonic() - self.began_at)
        self.selector.unregister(each)
        each.close()

    def read(self, each: socket.socket) -> int:
        data = each.recv(65536)
        if data:
            self.answers.append(data)
        return len(data)


def slowest_of_most(api: ApiProcess, count: int) -> float:
    """Within how many seconds 99 % of so many requests are answered, one after the other."""
    seconds = []
    for _ in range(count):
        sent_at = time.monotonic()
        assert api.post(EVENT).status_code == 200
        seconds.append(time.monotonic() - sent_at)
    return sorted(seconds)[int(count * 0.99)]


@pytest.mark.slow
@pytest.mark.fault(57)
def test_five_hundred_sockets_that_send_a_byte_a_second(
    database_url: str, record_property: Callable[[str, object], None]
) -> None:
    with process(database_url) as api:
        slowest_of_most(api, 200)
        for _ in range(TRIES_MAX):
            before = slowest_of_most(api, 500)
            slow = Slow(api.port, 500)
            during = slowest_of_most(api, 500)
            slow.thread.join()
            assert len(slow.seconds) == 500
            assert min(slow.seconds) >= 13
            assert all(each.startswith(b"HTTP/1.1 408 ") for each in slow.answers)
            assert len(slow.answers) == 500
            assert api.post(EVENT).status_code == 200
            if during < max(2 * before, 0.25) and max(slow.seconds) < 20:
                break  # else others may have taken the cores meanwhile
        record_property("p99_seconds_before_and_during", (before, during))
        record_property("closed_seconds", max(slow.seconds))
    assert during < max(2 * before, 0.25)
    assert max(slow.seconds) < 20
