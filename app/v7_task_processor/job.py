"""Words of the queue, without I/O: a job as its handler sees it, what a handler may answer, the back-off."""

import datetime as dt
import json
import random
from typing import Any

import msgspec

LIVE = ("scheduled", "queued", "running", "dead")
FINISHED = ("succeeded", "cancelled")
"""A job's statuses, and where it stands in them: in `jobs`, and in `finished_jobs`."""

RETRY_SECONDS_MAX = 3600.0
RETRY_JITTER = 0.1


class Job(msgspec.Struct, frozen=True, weakref=True):
    """One attempt at an event. Handlers read it; to set a field of it raises AttributeError, since by what it says the
    word about its end finds its row."""

    id: int
    attempt: int
    """Counts claims, from 1. With `id` it names this execution, as an idempotency key towards others does."""
    event_type_id: int
    user_id: int
    priority: int
    event_json: str
    """`event_data` to the letter as it was sent: big integers, 1E5, repeated keys and all."""
    retry_count: int
    """Failures that were charged so far."""
    max_retries: int
    """At this many failures the job is dead."""
    correlation_id: str
    _created: float = 0.0
    """Seconds since 1970."""
    _position: int = 0
    """Where it stands among those of its priority, for whoever gives it back."""
    _waited_seconds: float = 0.0
    """In the queue, since it last became runnable, until it was claimed."""
    traceparent: str | None = None
    """The trace context that its sender gave, for those who pass it on."""
    tracestate: str | None = None
    _decoded: Any = msgspec.UNSET

    @property
    def event_data(self) -> Any:
        """`event_json` decoded, once, when it is first read.

        Raises ValueError where Python has no value for it (an integer of over 4,300 digits).
        """
        if self._decoded is msgspec.UNSET:
            msgspec.structs.force_setattr(self, "_decoded", decode(self.event_json))
        return self._decoded

    @property
    def created_at(self) -> dt.datetime:
        """When it was sent, UTC.

        Made when it is read: of what a claim's row costs, it was half. Raises ValueError or OverflowError where Python
        has no such time (somebody wrote 'infinity' by SQL).
        """
        return dt.datetime.fromtimestamp(self._created, dt.UTC)

    def __hash__(self) -> int:
        # Of all fields, as a frozen struct has it, it would be another once event_data is read, or none.
        return hash((self.id, self.attempt))


def decode(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:  # lone surrogates and 1e400 are JSON, and the standard library takes them
        return json.loads(text)


class Discard(msgspec.Struct, frozen=True):
    """A handler's answer: this event cannot be handled, ever; to the dead letters, with the reason."""

    reason: str


class Snooze(msgspec.Struct, frozen=True):
    """A handler's answer: not now, again in `seconds`; not charged as a failure."""

    seconds: float


def retry_delay_seconds(retry_count: int, first_seconds: float) -> float:
    """How long a job waits after its `retry_count`-th failure: doubling, at most an hour, ± 10 %.

    The spread keeps jobs that failed together (a service was down) from coming back together.
    """
    if first_seconds == 0:
        return 0.0
    # Python's floats overflow past 2**1023; the ceiling is reached long before.
    delay = min(RETRY_SECONDS_MAX, first_seconds * 2.0 ** min(retry_count - 1, 60))
    return delay * random.uniform(1 - RETRY_JITTER, 1 + RETRY_JITTER)  # noqa: S311 (not a secret)
