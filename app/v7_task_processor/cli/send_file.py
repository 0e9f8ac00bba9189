"""`v7 send --file`: a file of events, a batch of lines at a time, so that it can be sent again without harm."""

import itertools
import re
import secrets
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import click

from ..errors import V7Error
from ..text import number, plural
from .output import document
from .posting import Server

BATCH_PATH = "/api/event/v1/batch"
LINES_MAX = 1_000
BYTES_MAX = 2**20
"""As much as the smallest limit that a server has by default; a line alone may be larger."""
TRIES_MAX = 5
"""Of a batch that the server has no room for now."""
LINE = re.compile(r"\bline (\d+)")
BUSY, TOO_LARGE = 503, 413


class Batch(NamedTuple):
    """Lines of the file, `first` being the number of the first of them, from 1."""

    first: int
    lines: list[bytes]

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


@dataclass
class Sending:
    """A file on its way, and how far it is. No line is sent twice under one key."""

    key: str
    skip: int
    sent: int = 0

    @property
    def done(self) -> int:
        """The last line that is there."""
        return self.skip + self.sent

    def advice(self) -> str:
        """How to go on where it ended before its time."""
        options = f"--skip {self.done} --idempotency-key {shlex.quote(self.key)}"
        return f"{self.progress()} To go on without sending any twice, give the same command with {options}"

    def progress(self) -> str:
        return f"Lines up to {number(self.done)} are sent." if self.done else "Nothing is sent yet."


def send_file(server: Server, name: str, skip: int, key: str | None, as_json: bool) -> None:
    """Send the lines of a file behind the first `skip`. Raises V7Error that says how to go on."""
    sending = Sending(key or f"v7-send-{secrets.token_hex(8)}", skip)
    try:
        with opened(name) as file:
            for batch in batches(file, skip):
                post(server, batch, sending)
                sending.sent += len(batch.lines)
                if sys.stderr.isatty():
                    click.echo(f"\r{plural(sending.sent, 'event')} sent", err=True, nl=False)
    except KeyboardInterrupt:
        click.echo(f"\n{sending.advice()}", err=True)
        raise
    finally:
        if sending.sent and sys.stderr.isatty():
            click.echo(err=True)
    if as_json:
        document({"sent": sending.sent, "lines": sending.done, "idempotency_key": sending.key})
    else:
        click.echo(f"{plural(sending.sent, 'event')} sent from {name if name != '-' else 'stdin'}.")


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 (closed below; errors of what runs in between are not ours)
    except OSError as error:
        raise click.BadParameter(f"{name} cannot be read: {error.strerror}.", param_hint="--file") from None
    with file:
        yield file


def batches(file: IO[bytes], skip: int) -> Iterator[Batch]:
    """The lines behind the first `skip`, by batches. Cut alike in each run that begins at an end of one.

    The last line is none if it is empty, as for the server: it would be counted, or be a batch of its own.
    """
    lines = itertools.islice(file, skip, None)
    first, batch, size = skip + 1, list[bytes](), 0
    for line in lines:
        if batch and (len(batch) == LINES_MAX or size + len(line) > BYTES_MAX):
            yield Batch(first, batch)
            first, batch, size = first + len(batch), [], 0
        batch.append(line)
        size += len(line)
    if batch and not batch[-1].strip():
        batch.pop()
    if batch:
        yield Batch(first, batch)


def post(server: Server, batch: Batch, sending: Sending) -> None:
    """Send a batch, all of it or nothing, again while the server is busy. Raises V7Error."""
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": f"{sending.key}:{batch.first}"}
    body = b"".join(batch.lines)
    for tries in range(1, TRIES_MAX + 1):
        try:
            answer = server.post(BATCH_PATH, body, headers)
        except V7Error as error:
            raise V7Error(f"{error} {sending.advice()}") from None
        if answer.status != BUSY or tries == TRIES_MAX:
            break
        time.sleep(answer.retry_after_seconds)
    if not answer.is_ok:
        said = LINE.sub(lambda match: f"line {int(match[1]) + batch.first - 1}", answer.said(), count=1)
        if answer.status == TOO_LARGE and len(batch.lines) == 1:  # who reads "batch" would look for fewer events
            said = f"Line {batch.first}, one event of {number(len(body))} bytes, is too long. {said}"
        lines = f"lines {batch.first} to {batch.last}" if len(batch.lines) > 1 else f"line {batch.first}"
        raise V7Error(f"{said} It came with {lines}. {sending.advice()}")
