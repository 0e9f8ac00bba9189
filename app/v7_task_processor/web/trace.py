"""The trace context that a sender gives (W3C Trace Context): kept with the job, and never a reason to refuse one."""

import re
from collections.abc import Mapping
from typing import NamedTuple

TRACESTATE_CHARS_MAX = 512
PARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Trace(NamedTuple):
    """The headers of these names, as they are kept."""

    traceparent: str | None
    tracestate: str | None


NONE = Trace(None, None)


def given(headers: Mapping[bytes, bytes]) -> Trace:
    """What a request's headers say. What is no traceparent, or comes without one, is left out."""
    parent = headers.get(b"traceparent")
    if parent is None or not PARENT.fullmatch(parent):
        return NONE
    state = headers.get(b"tracestate", b"")
    fits = 0 < len(state) <= TRACESTATE_CHARS_MAX and state.isascii() and state.decode("ascii").isprintable()
    return Trace(parent.decode("ascii"), state.decode("ascii") if fits else None)
