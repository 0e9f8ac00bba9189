"""deploy/haproxy/haproxy.cfg: nodes are replaced one after the other, each as soon as the one before is ready again."""

import contextlib
import http.server
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .faults.cluster import free_port
from .nodes import get, wait_until

CONFIGURATION = Path(__file__).parents[1] / "deploy" / "haproxy" / "haproxy.cfg"
GRACE_SECONDS = 8
"""What the file wants of nodes."""
CHANGES = 6

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="no haproxy (Debian: package haproxy)")


class Stub:
    """A node that serves always, and says in /readyz what it is told to."""

    def __init__(self) -> None:
        self.ready = True

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(inner) -> None:  # noqa: N805
                inner.send_response(200 if self.ready or inner.path != "/readyz" else 503)
                inner.send_header("Content-Length", "0")
                inner.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@contextlib.contextmanager
def balanced(folder: Path, one: Stub, two: Stub) -> Iterator[tuple[str, int]]:
    port = free_port()
    text = CONFIGURATION.read_text().replace("bind :4000", f"bind 127.0.0.1:{port}")
    for place, node in (("one 127.0.0.1:4001", one), ("two 127.0.0.1:4002", two)):
        assert place in text
        text = text.replace(place, f"{place[:3]} 127.0.0.1:{node.port}")
    (folder / "haproxy.cfg").write_text(text)
    process = subprocess.Popen(["haproxy", "-db", "-f", folder / "haproxy.cfg"], stderr=subprocess.DEVNULL)
    try:
        address = ("127.0.0.1", port)
        wait_until(lambda: get(address, "/livez") == 200, "it balances")
        yield address
    finally:
        process.kill()
        process.wait()
        for node in (one, two):
            node.server.shutdown()
            node.server.server_close()


@pytest.mark.slow
def test_one_is_sent_to_again_before_the_next_is_not(tmp_path: Path) -> None:
    """The next is told to end in the moment in which the one before is ready, wherever the checks stand."""
    one, two = Stub(), Stub()
    with balanced(tmp_path, one, two) as address:
        one.ready = False
        time.sleep(GRACE_SECONDS)  # that it notices within this is what the file says
        for change in range(CHANGES):
            one.ready, two.ready = two.ready, one.ready
            end = time.monotonic() + GRACE_SECONDS + change / CHANGES
            answers = set()
            while time.monotonic() < end:
                answers.add(get(address, "/livez"))
                time.sleep(0.02)
            assert answers == {200}
