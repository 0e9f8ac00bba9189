"""A server for the tests of what is sent by the command line."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest


class Answering(http.server.BaseHTTPRequestHandler):
    """A server that notes what it is sent, and answers as told."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []
    answers: ClassVar[list[tuple[int, bytes]]] = []
    retry_after = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, dict(self.headers), body))
        status, answer = self.answers.pop(0) if self.answers else (200, b'{"id": 17}')
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        if self.retry_after:
            self.send_header("Retry-After", self.retry_after)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    Answering.seen.clear()
    Answering.answers.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()
