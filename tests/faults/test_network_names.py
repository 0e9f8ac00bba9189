"""The names of hosts cannot be resolved any more: at once with an error, or by servers that never answer."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..nodes import EVENT, check_books, get, jobs, node, post, wait_for_end, wait_until
from .cluster import Cluster
from .namespaces import Network, cable, inside, listen_on

__all__ = ["cable"]
HOST = "database.test"


class Names:
    """A server that knows one name. `mode`: it answers, fails, or is silent."""

    def __init__(self, at: str, address: str) -> None:
        self.mode, self.address = "answers", address
        self.asked = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((at, 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                query, sender = self.socket.recvfrom(512)
                if not query:
                    return
                self.asked += 1
                if self.mode != "silent":
                    self.socket.sendto(self.answer(query), sender)

    def answer(self, query: bytes) -> bytes:
        """An A record for whatever is asked; nothing for other types. Or SERVFAIL (RFC 1035, 4.1)."""
        end = query.index(b"\0", 12) + 5
        question = query[12:end]
        failed, known = self.mode == "fails", question[-4:-2] == b"\0\x01"
        flags = b"\x81\x82" if failed else b"\x81\x80"
        found = known and not failed
        record = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04" + socket.inet_aton(self.address) if found else b""
        return query[:2] + flags + b"\0\x01" + (b"\0\x01" if found else b"\0\0") + b"\0\0\0\0" + question + record

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@pytest.fixture
def names(cable: Network) -> Iterator[Names]:
    made = Names(cable.outside, cable.outside)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.fault(56)
@pytest.mark.parametrize("mode", ["fails", "silent"])
def test_the_name_of_the_database_cannot_be_resolved(
    mode: str,
    cluster: Cluster,
    cable: Network,
    names: Names,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Nothing blocks: whoever asks is answered. By itself it comes back with the names."""
    listen_on(cluster, cable.outside)
    resolver = tmp_path / "resolv.conf"
    resolver.write_text(f"nameserver {cable.outside}\n")
    url = f"postgresql://postgres@{HOST}:{cluster.port}/v7"
    address = (cable.inside, 4000)
    with node(tmp_path / "node", url, "run", program=inside(cable, resolver), HOST=address[0], PORT=address[1]) as one:
        wait_until(lambda: get(address, "/readyz") == 200, "it is ready")
        assert post(address, EVENT)[0] == 200
        names.mode, asked = mode, names.asked
        cluster.sql("select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name like 'v7%'")
        gone_at = time.monotonic()
        while time.monotonic() - gone_at < 15:
            assert any(lives_at_once(address) for _ in range(3))  # the node, or this, may stand still for a moment
            sent_at = time.monotonic()
            status, text = post(address, EVENT)
            assert (status, text.partition(",")[0]) == (500, "The event could not be added")
            assert time.monotonic() - sent_at < 15
        assert names.asked > asked
        wait_until(lambda: get(address, "/readyz") == 503, "it says that it cannot take events")
        names.mode = "answers"
        back_at = time.monotonic()
        wait_until(lambda: post(address, EVENT)[0] == 200, "events are taken again")
        wait_for_end(cluster.socket_url)
        record_property("recovery_seconds", time.monotonic() - back_at)
        assert one.stop() == 0
    check_books(cluster.socket_url, one)
    assert {row[1:] for row in jobs(cluster.socket_url)} == {("succeeded", 0)}


def lives_at_once(address: tuple[str, int]) -> bool:
    asked_at = time.monotonic()
    assert get(address, "/livez") == 200
    return time.monotonic() - asked_at < 2
