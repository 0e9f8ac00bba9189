"""Output for programs: one JSON document."""

import contextlib
import sys
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from ..listing import Detail, JobRow


def document(value: object) -> None:
    """Print one JSON document: UTF-8, whatever the terminal's encoding."""
    text = msgspec.json.encode(value)
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        text = msgspec.json.format(text, indent=2)
    sys.stdout.flush()
    sys.stdout.buffer.write(text + b"\n")


def job_document(job: "JobRow") -> dict[str, object]:
    """A job as JSON. `event_data` is what was sent, to the letter, or a text where strict readers would refuse it."""
    event: object = job.event_json
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        event = msgspec.json.decode(job.event_json, type=msgspec.Raw)
    return msgspec.structs.asdict(job) | {"event_data": event}


def detail_document(found: "Detail") -> dict[str, object]:
    """The same with its history."""
    history = msgspec.structs.asdict(found)
    return job_document(history.pop("job")) | history
