"""A batch of events as a client sends it: the body of one request, taken apart. No I/O.

It is taken apart piece by piece, so that who reads it can let others go on in between.
"""

import asyncio
import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..queue import Enqueued
from .event import Refused, parse
from .trace import NONE, Trace

EVENTS_MAX = 10_000
BODIES = 16
"""A batch may be as large as so many events of the largest size."""
TURN_EVENTS, TURN_BYTES = 200, 128 * 1024
"""Read between two turns of the event loop: a few milliseconds."""
STEPS = 2_000
"""Over brackets, between two turns, in an element that has many."""

Pieces = Iterator[bytes | None]
"""Each event's text; None where it takes long, and others should have their turn."""


class TooLarge(Exception):
    """More than the limits allow. Its text is one sentence for the client."""


class Batch(NamedTuple):
    """What was sent. `places` are the numbers of the events' lines or elements (`noun` says which), from 1;
    `failures` say of the others why they are no events. `digest` tells it from another batch under the same key."""

    noun: str
    events: list[Enqueued]
    places: list[int]
    failures: dict[int, str]
    partial: bool
    key: str | None = None
    digest: bytes = b""

    @property
    def size(self) -> int:
        """What its events take here."""
        return sum(sys.getsizeof(event.event_data) for event in self.events)

    def cut(self, start: int, end: int) -> list[Enqueued]:
        """Some of the events. Under a key each has one of its own, made of the batch's: the first that one itself, so
        that a key that was used for another request is known by it. No header can hold the others."""
        events = self.events[start:end]
        if self.key is None:
            return events
        keys = (f"{self.key}\n{place}" if place != self.places[0] else self.key for place in self.places[start:end])
        return [event._replace(key=key, digest=self.digest) for event, key in zip(events, keys, strict=True)]


class Format(NamedTuple):
    """How a body holds events."""

    noun: str
    pieces: Callable[[bytes, int], Pieces]


async def read(
    body: bytes,
    form: Format,
    bytes_max: int,
    correlation_id: str,
    *,
    partial: bool,
    key: str | None,
    trace: Trace = NONE,
) -> Batch:
    """The batch in a request's body. Raises Refused, of the first event that is none if not `partial`, and TooLarge."""
    batch = Batch(form.noun, [], [], {}, partial, key)
    digest = hashlib.sha256()
    turn_events = turn_bytes = number = 0
    for piece in form.pieces(body, bytes_max):
        if piece is None or turn_events >= TURN_EVENTS or turn_bytes >= TURN_BYTES:
            turn_events = turn_bytes = 0
            await asyncio.sleep(0)
        if piece is None:
            continue
        number += 1
        turn_events += 1
        turn_bytes += len(piece)
        if number > EVENTS_MAX:
            raise TooLarge(f"The batch has more than {EVENTS_MAX} events, which is the limit; send several.")
        if len(piece) > bytes_max:
            raise TooLarge(too_large(form.noun, number, bytes_max))
        try:
            event = parse(piece, "it")
        except Refused as refused:
            if not partial:
                raise Refused(f"{form.noun} {number}: {refused.what}") from None
            batch.failures[number] = str(refused)
            continue
        if key is not None:
            text = f"{number},{event.event_type_id},{event.user_id},{event.priority},{event.event_data}\n"
            digest.update(text.encode())
        batch.places.append(number)
        batch.events.append(
            Enqueued(
                event.event_type_id,
                event.user_id,
                event.priority,
                event.event_data,
                correlation_id,
                traceparent=trace.traceparent,
                tracestate=trace.tracestate,
            )
        )
    if number == 0:
        raise Refused(f"the body holds no event; send at least one {form.noun}")
    return batch if key is None else batch._replace(digest=digest.digest())


def too_large(noun: str, number: int, bytes_max: int) -> str:
    return (
        f"The event in {noun} {number} is larger than {bytes_max} bytes, which is the limit of each "
        "(V7_BODY_BYTES_MAX)."
    )


def lines(body: bytes, _bytes_max: int) -> Pieces:
    """Of NDJSON: each line is an event. The last need not have an end, and is none if it is empty."""
    at = 0
    while at < len(body):
        end = body.find(b"\n", at)
        if end < 0:
            end = len(body)
        line = body[at:end]
        at = end + 1
        if at < len(body) or line.strip(SPACE):
            yield line


SPACE = b" \t\n\r"
TEXT = rb'"(?:[^"\\]++|\\.)*+"'
FLAT = rb'[\[{](?:[^"\[\]{}]++|' + TEXT + rb")*+[\]}]"
BETWEEN = re.compile(rb'(?:[^"\[\]{},]++|' + TEXT + rb"|" + FLAT + rb")*+", re.DOTALL)
INSIDE = re.compile(rb'(?:[^"\[\]{}]++|' + TEXT + rb"|" + FLAT + rb")*+", re.DOTALL)
"""Up to what matters between elements, or inside of one: in a few steps over an event."""


def elements(body: bytes, bytes_max: int) -> Pieces:
    """Of a JSON array: each element is an event, whatever is in it. Raises Refused where the array does not end."""
    start = at = beginning(body)
    depth, number, steps = 0, 1, 0
    mark = b""
    while depth or mark != b"]":
        steps += 1
        if steps % STEPS == 0:
            yield None
        limit = start + bytes_max + 1
        found = (INSIDE if depth else BETWEEN).match(body, at, limit)
        at = found.end() if found else at
        if is_beyond(body, at, limit):
            raise TooLarge(too_large("element", number, bytes_max))
        mark = body[at : at + 1]
        at += 1
        if mark == b"," and not depth:
            yield body[start : at - 1]
            start, number = at, number + 1
        elif depth or mark != b"]":
            depth += deeper(mark, at)
            mark = b""
    if number > 1 or body[start : at - 1].strip(SPACE):
        yield body[start : at - 1]
    if body[at:].strip(SPACE):
        raise Refused(f"not JSON: something follows the end of the array (byte {at})")


def beginning(body: bytes) -> int:
    """Where the first element begins."""
    start = len(body) - len(body.lstrip(SPACE))
    if not body.startswith(b"[", start):
        raise Refused(
            "the body must be a JSON array of events, since its Content-Type is application/json; "
            "one event a line is application/x-ndjson"
        )
    return start + 1


def is_beyond(body: bytes, at: int, limit: int) -> bool:
    """Whether an element that was looked through up to here does not end before the limit."""
    return at >= limit or (body.startswith(b'"', at) and limit < len(body))


def deeper(mark: bytes, at: int) -> int:
    """By how many levels a bracket changes the depth."""
    if mark in (b"[", b"{"):
        return 1
    if mark in (b"]", b"}"):
        return -1
    raise Refused(f"not JSON: the array of events does not end (byte {at - 1})")


NDJSON = Format("line", lines)
ARRAY = Format("element", elements)
