"""HTTP/1.1 with the limits that uvicorn does not have: how long a request may take to come, and how large its head.

Time is looked at in a sweep over all connections, once a second: a timer for each request would cost more than all
the rest of this.
"""

import math
from collections.abc import Sized
from typing import Any

import httptools
from starlette.types import Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

Headers = list[tuple[bytes, bytes]]

HEAD_BYTES_MAX = 65_536
HEADERS_MAX = 100
BODY_BYTES_PER_SECOND_MIN = 65_536
PIPELINED_MAX = 2000
"""A read of uvloop's holds no more events, at 130 bytes each: only what is smaller is refused, and never an event."""
ONE_HOST = 400, "A request of HTTP/1.1 must have one Host header."
HEAD_TOO_LARGE = 431, f"The head of the request is larger than {HEADERS_MAX} headers or {HEAD_BYTES_MAX} bytes."


class State(ServerState):
    """What the connections of a server share."""

    draining = False
    """Set: every connection is closed after its answer."""


class Refused(Exception):
    """Passes through the parser, which then ends."""


class Flow(FlowControl):
    """Reads no further while requests wait: uvicorn would with each answer, and so take in more than it answers."""

    def __init__(self, transport: Any, waiting: Sized) -> None:
        super().__init__(transport)
        self.waiting = waiting

    def resume_reading(self) -> None:
        if not self.waiting:
            super().resume_reading()


class Protocol(HttpToolsProtocol):
    """One connection."""

    server_state: State
    request_seconds_max = 15.0
    """From a connection's or request's first byte to its last; more for what comes faster than the minimum."""
    answer_seconds_max = 30.0
    """For a client to take what waits to be sent; more for what is large."""

    due = math.inf
    """When the request must be complete; infinite while none is coming in."""
    answer_due = math.inf
    """When the client must have taken what waits to be sent; infinite while that is little."""
    in_head = False
    head_bytes = 0
    first_bytes = 0
    chunk_bytes = 0
    bodiless_bytes = 0
    """So many came in a row, after the head, of which none was of the body: lengths of chunks, trailers."""
    declines = False
    before: RequestResponseCycle
    """The request before the last, while that waits for it."""
    refusal = (400, "The request is not valid HTTP.")

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)
        self.due = self.loop.time() + self.request_seconds_max

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self.chunk_bytes = len(data)
        head = self.scope if self.in_head else None
        self.bodiless_bytes += len(data)
        try:
            self.feed(data)
        except httptools.HttpParserError:
            self.refuse(*self.refusal)
        if self.in_head and self.scope is head:  # a segment may end one, hold a body, and begin the next
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_BYTES_MAX:
                self.refuse(*HEAD_TOO_LARGE)
        elif self.due < math.inf and self.bodiless_bytes > self.chunk_bytes + HEAD_BYTES_MAX:
            self.refuse(*HEAD_TOO_LARGE)

    def feed(self, data: bytes) -> None:
        rest = data
        while rest:
            try:
                self.parser.feed_data(rest)
                rest = b""
            except httptools.HttpParserUpgrade as upgrade:
                rest = self.head_without_upgrade() + rest[upgrade.args[0] :]
                self.declines = False
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does

    def head_without_upgrade(self) -> bytes:
        """An offer of another protocol need not be taken, but the parser stops at one, before the body.

        Java's HTTP client makes it with the first request of each connection.
        """
        version = self.parser.get_http_version().encode()
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() in (b"close", b"keep-alive")]
                lines.append(b"connection:" + b",".join(kept))
            elif name not in (b"upgrade", b"http2-settings"):
                lines.append(name + b": " + value)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.in_head = True
        self.head_bytes = 0
        self.bodiless_bytes = 0
        self.first_bytes = self.chunk_bytes
        self.due = self.loop.time() + self.request_seconds_max

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head:  # what follows a body in chunks must not pass for what a proxy saw before it
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.in_head = False
        self.bodiless_bytes = 0
        if len(self.pipeline) >= PIPELINED_MAX:  # one read holds thousands of small ones
            raise Refused
        if len(self.headers) > HEADERS_MAX or self.head_is_large():
            self.refusal = HEAD_TOO_LARGE
            raise Refused
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            self.refusal = ONE_HOST
            raise Refused
        self.declines = self.parser.should_upgrade()
        if self.declines:
            if self.parser.get_method() == b"CONNECT":
                raise Refused
            return
        before = self.cycle
        super().on_headers_complete()
        if self.pipeline:
            self.before = before
        if self.server_state.draining:
            self.cycle.keep_alive = False

    def head_is_large(self) -> bool:
        if self.first_bytes + self.head_bytes + self.chunk_bytes <= HEAD_BYTES_MAX:
            return False
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES_MAX

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self.bodiless_bytes = 0
        if len(body) > BODY_BYTES_PER_SECOND_MIN // 64:  # what comes byte by byte gets no more time
            self.due += len(body) / BODY_BYTES_PER_SECOND_MIN

    def on_message_complete(self) -> None:
        if not self.declines:
            super().on_message_complete()
            self.due = math.inf

    def resume_writing(self) -> None:
        super().resume_writing()
        self.answer_due = math.inf

    def expire(self, now: float) -> None:
        """Close the connection if its request is overdue, which is told if it was begun, or its answer is not taken."""
        if self.is_unread(now):
            self.transport.abort()  # close() would wait for the client
        if self.pipeline:  # its rest is not read before its turn
            self.due = now + self.request_seconds_max
        if now < self.due or self.transport.is_closing():
            return
        if self.in_head or self.is_busy():
            self.refuse(408, f"The request was not complete after {self.request_seconds_max:g} seconds.")
        else:
            self.transport.close()

    def is_unread(self, now: float) -> bool:
        unsent_bytes = self.transport.get_write_buffer_size()
        if not self.flow.write_paused and not (unsent_bytes and self.transport.is_closing()):
            self.answer_due = math.inf
        elif self.answer_due == math.inf:
            self.answer_due = now + self.answer_seconds_max + unsent_bytes / BODY_BYTES_PER_SECOND_MIN
        return now >= self.answer_due

    def is_busy(self) -> bool:
        """Whether a request waits for its answer."""
        began = self.cycle is not None
        return began and not self.cycle.response_complete

    def refuse(self, status: int, sentence: str) -> None:
        """Answer in place of the application, and close. A request before this one still gets its own answer."""
        self.due = math.inf
        if self.pipeline and self.cycle.more_body:
            self.pipeline.popleft()
            self.cycle = self.before
        if self.is_busy() and not self.cycle.more_body:
            self.cycle.keep_alive = False
            return
        if not (self.is_busy() and self.cycle.response_started):
            body = sentence.encode()
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
            self.transport.write(written(status, [*headers, (b"connection", b"close")], body))
        self.transport.close()


def answer_at_once(send: Send, status: int, headers: Headers, body: bytes) -> bool:
    """Send a whole answer in one system call instead of two, in a third of the time. False: nothing was sent.

    For headers that are known to be well-formed and hold a content-length.
    """
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle) or cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
        return False
    if not cycle.disconnected:
        headers = [*cycle.default_headers, *headers]
        if not cycle.keep_alive:
            headers.append((b"connection", b"close"))
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(written(status, headers, body))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
    return True


def written(status: int, headers: Headers, body: bytes) -> bytes:
    return b"".join([STATUS_LINE[status], *[b"%b: %b\r\n" % header for header in headers], b"\r\n", body])
