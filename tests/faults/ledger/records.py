"""The records that a run leaves behind: what clients were told, what handlers did, what was broken and when.

Each is a file of JSON lines, and each line was written by one write, so only the last one may be a half. The rows of
the database have their shapes here too. Times named `mono` are of `time.monotonic()`, which all processes share.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

Outcome = Literal["ok", "failed", "snooze", "discard", "cancelled"]


class BrokenRecord(Exception):
    """A line that is no record, and is not the last: names its file and its place."""


class Sent(msgspec.Struct, tag_field="what", tag="sent", frozen=True, gc=False):
    """A client is about to send an event. `do` is what its handler shall do, `sha` the sha256 of its text."""

    n: int
    key: str | None
    type: int
    priority: int
    sha: str
    do: str
    mono: float


class Done(msgspec.Struct, tag_field="what", tag="done", frozen=True, gc=False):
    """A client has its answer, or knows that it gets none (no status)."""

    n: int
    status: int | None
    id: int | None
    mono: float


class Start(msgspec.Struct, tag_field="what", tag="start", frozen=True, gc=False):
    """A handler starts. The nonce is random: after a crash of the database (id, attempt) is not unique."""

    nonce: str
    id: int
    attempt: int
    n: int
    sha: str
    pid: int
    mono: float


class End(msgspec.Struct, tag_field="what", tag="end", frozen=True, gc=False):
    """A handler is through."""

    nonce: str
    outcome: Outcome
    mono: float


class Fault(msgspec.Struct, frozen=True):
    """Something was broken. `pids` are all processes that it reaches: of a node, its workers too."""

    fault: str
    target: str
    pids: list[int]
    begin: float
    end: float | None = None
    node: str | None = None


class Orphans(msgspec.Struct, frozen=True):
    """Jobs that ran, by the database, and that no live worker had."""

    mono: float
    ids: list[int]


class Row(msgspec.Struct, frozen=True, gc=False):
    """A job as it stands at the end. `n` is None where its event has none."""

    id: int
    n: int | None
    do: str | None
    sha: str
    event_type_id: int
    priority: int
    position: int
    status: str
    attempt: int
    retry_count: int
    max_retries: int | None
    suspect: bool


class Failure(msgspec.Struct, frozen=True, gc=False):
    """A charge."""

    job_id: int
    attempt: int
    error_type: str
    worker_id: int


class Change(msgspec.Struct, frozen=True, gc=False):
    """One change of one row. Without an old status it was inserted, without a new one deleted.

    `wall` is when its transaction committed, `began` when that transaction began, by the database's clock.
    """

    seq: int
    xid: str
    wall: float
    began: float
    id: int
    old_status: str | None
    old_attempt: int | None
    old_worker: int | None
    old_retry_count: int | None
    old_priority: int | None
    old_position: int | None
    status: str | None
    attempt: int | None
    worker: int | None
    retry_count: int | None
    priority: int | None
    position: int | None
    suspect: bool | None
    """Of the new row."""


class Tables(msgspec.Struct, frozen=True):
    """All that the database says. Read twice and equal: it has come to rest."""

    rows: list[Row]
    failures: list[Failure]
    changes: list[Change]


def read_clients(paths: Iterable[Path]) -> list[Sent | Done]:
    return [record for path in paths for record in read_lines(path, Sent | Done)]


def read_handled(paths: Iterable[Path]) -> list[Start | End]:
    return [record for path in paths for record in read_lines(path, Start | End)]


def read_lines(path: Path, kind: Any) -> list[Any]:
    """The records of a file, of a msgspec type. Raises BrokenRecord."""
    whole = path.read_bytes().rpartition(b"\n")[0]
    decoder = msgspec.json.Decoder(kind)
    try:
        return decoder.decode_lines(whole)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # it does not say where: look for the line
        return [decoded(decoder, line, f"{path}:{number}") for number, line in enumerate(whole.split(b"\n"), 1)]


def decoded(decoder: "msgspec.json.Decoder[Any]", line: bytes, place: str) -> Any:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BrokenRecord(f"{place}: {error}: {line[:120]!r}") from None
