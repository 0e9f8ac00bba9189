"""The one route `POST /api/event/v1`, as plain ASGI: Starlette's Request and Response would cost half as much again."""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from ..observability import logs
from ..queue import Enqueued
from ..settings import Settings
from . import trace
from .callers import Refusal, let_in
from .event import Refused, parse, shown
from .ingest import Ingest
from .outcome import BUSY, Added, Failed, not_known
from .protocol import answer_at_once

log = logs.get(__name__)

PATH = "/api/event/v1"
REQUEST_ID_CHARS_MAX = 128
KEY_CHARS_MAX = 255
BODIES_BYTES_MAX = 64 * 2**20
"""Of all bodies that are coming in, in pieces."""
LINGER_SECONDS_MAX = 2.0
RETRY_AFTER_SECONDS = b"1"
JSON, TEXT = b"application/json", b"text/plain; charset=utf-8"

Headers = Mapping[bytes, bytes]


class Answer(NamedTuple):
    """What the client is told. `close`: its body was not read to the end, and will not be. `known`: what became of
    what it sent."""

    status: int
    body: bytes
    content_type: bytes = TEXT
    headers: tuple[tuple[bytes, bytes], ...] = ()
    close: bool = False
    known: bool = True


class ClientLeft(Exception):
    """Before its request was complete: there is nothing to add and nobody to tell."""


class Receiver:
    """Takes events in."""

    path = PATH
    media_types: tuple[bytes, ...] = (JSON,)
    busy = BUSY

    def __init__(self, settings: Settings, ingest: Ingest) -> None:
        self.ingest = ingest
        self.body_bytes_max = settings.body_bytes_max
        self.bodies_bytes_max = max(BODIES_BYTES_MAX, 4 * settings.body_bytes_max)
        self.bodies_bytes = 0
        self.keys = None if settings.api_keys is None else settings.keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        request_id = cleaned(headers.get(b"x-request-id", b"")) or f"{random.getrandbits(128):032x}"
        try:
            answer = self.refusal(scope, headers) or await self.answer(scope, headers, receive, request_id)
        except ClientLeft:
            return
        await respond(send, self.worded(answer), request_id)
        if answer.close:
            await linger(receive)
            await send({"type": "http.response.body"})

    def worded(self, answer: Answer) -> Answer:
        """As it is sent: here what is refused is a plain sentence."""
        return answer

    def refusal(self, scope: Scope, headers: Headers) -> Answer | None:
        """What can be refused by the head alone."""
        method, close = scope["method"], self.must_close(headers)
        if method != "POST":
            sentence = f"{self.path} takes POST only, not {shown(method)}."
            return Answer(405, sentence.encode(), headers=((b"allow", b"POST"),), close=close)
        if refused := self.unknown(headers):
            return refused._replace(close=close)
        if close and b"content-length" in headers:
            return self.too_large()
        if why := media_refusal(headers, self.media_types):
            return Answer(415, why.encode(), close=close)
        key = headers.get(b"idempotency-key")
        if key is not None and (why := key_refusal(key, scope)):
            return Answer(400, why.encode(), close=close)
        return None

    def must_close(self, headers: Headers) -> bool:
        """Whether the body is not read to its end where the request is refused: it is too long, or may be."""
        length = headers.get(b"content-length")
        return int(length) > self.body_bytes_max if length else b"transfer-encoding" in headers

    def unknown(self, headers: Headers) -> Answer | None:
        """The refusal of who may not send."""
        found = None if self.keys is None else let_in(self.keys, "send", headers)
        if not isinstance(found, Refusal):
            return None
        challenge = ((b"www-authenticate", b"Bearer"),) if found.status == 401 else ()
        return Answer(found.status, found.sentence.encode(), headers=challenge)

    async def answer(self, _scope: Scope, headers: Headers, receive: Receive, request_id: str) -> Answer:
        body = await self.body(receive)
        if isinstance(body, Answer):
            return body
        try:
            event = parse(body)
        except Refused as refused:
            return Answer(400, str(refused).encode())
        key = headers.get(b"idempotency-key")
        traceparent, tracestate = trace.given(headers)
        return await self.add(
            Enqueued(
                event.event_type_id,
                event.user_id,
                event.priority,
                event.event_data,
                request_id,
                None if key is None else key.decode("ascii"),
                traceparent=traceparent,
                tracestate=tracestate,
            )
        )

    async def add(self, event: Enqueued) -> Answer:
        try:
            outcome = await self.ingest.add(event)
        except Exception:
            log.exception("an event was not taken as it should be", correlation_id=event.correlation_id)
            outcome = not_known(event)
        if isinstance(outcome, Added):
            return Answer(200, b'{"id": %d}' % outcome.id, JSON)
        return failure(outcome)

    async def body(self, receive: Receive) -> bytes | Answer:
        """The whole body, or the refusal of one that is too large. Raises ClientLeft."""
        part, more = await next_part(receive)
        if not more:
            return part if len(part) <= self.body_bytes_max else self.too_large()
        parts = [part]
        size = len(part)
        self.bodies_bytes += size
        try:
            while more:
                if size > self.body_bytes_max:
                    return self.too_large()
                if self.bodies_bytes > self.bodies_bytes_max:
                    return failure(self.busy)._replace(close=True)
                part, more = await next_part(receive)
                parts.append(part)
                size += len(part)
                self.bodies_bytes += len(part)
        finally:
            self.bodies_bytes -= size
        return b"".join(parts) if size <= self.body_bytes_max else self.too_large()

    def too_large(self) -> Answer:
        sentence = f"The body is larger than {self.body_bytes_max} bytes, which is the limit (V7_BODY_BYTES_MAX)."
        return Answer(413, sentence.encode(), close=True)


def failure(failed: Failed) -> Answer:
    again = ((b"retry-after", RETRY_AFTER_SECONDS),) if failed.status == 503 else ()
    return Answer(failed.status, failed.sentence.encode(), headers=again, known=failed.known)


async def next_part(receive: Receive) -> tuple[bytes, bool]:
    """The next piece of the body, and whether more comes. Raises ClientLeft."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    return message.get("body", b""), message.get("more_body", False)


async def respond(send: Send, answer: Answer, request_id: str) -> None:
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", request_id.encode()),
        *answer.headers,
    ]
    if not answer.close and answer_at_once(send, answer.status, headers, answer.body):
        return
    if answer.close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": answer.close})


async def linger(receive: Receive) -> None:
    """Read on for a moment: a connection that is closed on a client that still sends loses it our answer."""
    with contextlib.suppress(TimeoutError, ClientLeft):
        async with asyncio.timeout(LINGER_SECONDS_MAX):
            more = True
            while more:
                _, more = await next_part(receive)


def cleaned(request_id: bytes) -> str:
    """Printable ASCII only, and cut: it goes into log lines, headers and tables."""
    text = request_id[: 4 * REQUEST_ID_CHARS_MAX].decode("latin-1")
    if not (text.isascii() and text.isprintable()):
        text = "".join(c for c in text if c.isascii() and c.isprintable())
    return text.strip()[:REQUEST_ID_CHARS_MAX].rstrip()


def key_refusal(key: bytes, scope: Scope) -> str | None:
    """Why this is no key; None: it is. Of two that were given either may be the one that its sender goes by."""
    if not (1 <= len(key) <= KEY_CHARS_MAX and all(0x20 <= byte <= 0x7E for byte in key)):
        return f"Idempotency-Key must be 1 to {KEY_CHARS_MAX} printable ASCII characters."
    if sum(name == b"idempotency-key" for name, _ in scope["headers"]) > 1:
        return "Idempotency-Key is given more than once."
    return None


def media_type(headers: Headers) -> bytes:
    """Without parameters, in small letters."""
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def media_refusal(headers: Headers, accepted: tuple[bytes, ...]) -> str | None:
    """Why this is none of what is accepted, in UTF-8 as it stands; None: it is."""
    given = headers.get(b"content-type", b"")
    if given not in accepted:
        name, _, parameters = given.decode("latin-1").partition(";")
        if media_type(headers) not in accepted:
            found = f"not {shown(name.strip())}" if given else "and there is none"
            return f"Content-Type must be {b' or '.join(accepted).decode()}, {found}."
        for parameter in parameters.split(";"):
            name, _, value = parameter.strip().lower().partition("=")
            if name == "charset" and value.strip('"') not in ("utf-8", "utf8"):
                return f"The charset of Content-Type must be utf-8, not {shown(value)}."
    encoding = headers.get(b"content-encoding", b"identity").decode("latin-1")
    if encoding.strip().lower() not in ("", "identity"):
        return f"Content-Encoding must be identity, that is none, not {shown(encoding)}."
    return None
