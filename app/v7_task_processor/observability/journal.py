"""What is logged while an attempt runs, kept with it: the last lines of each."""

import logging
from collections import deque
from contextvars import ContextVar
from typing import Protocol

from ..job import Job

LINES_MAX = 100
LINE_CHARS_MAX = 4_000
CHARS_MAX = 16_000
"""Of an attempt. What is older goes."""


class Journal:
    """The last lines that one attempt logged."""

    __slots__ = ("chars", "left_out", "lines")

    def __init__(self) -> None:
        self.lines: deque[str] = deque()
        self.chars = self.left_out = 0

    def add(self, line: str) -> None:
        if len(line) > LINE_CHARS_MAX:
            line = f"{line[:LINE_CHARS_MAX]}… {len(line) - LINE_CHARS_MAX} characters more"
        self.lines.append(line)
        self.chars += len(line) + 1
        while len(self.lines) > LINES_MAX or self.chars > CHARS_MAX:
            self.chars -= len(self.lines.popleft()) + 1
            self.left_out += 1

    def text(self) -> str:
        """All of it; it says what is not in it. Others may go on to log meanwhile: a copy is taken in one step."""
        head = [f"… {self.left_out} lines before these were not kept …"] if self.left_out else []
        return "\n".join(head + list(self.lines))


class Traced(Protocol):
    """What makes an attempt part of a trace."""

    @property
    def trace_id(self) -> str: ...


class Running(Protocol):
    """An attempt, as what is logged during it sees it."""

    job: Job
    journal: Journal | None
    ended: bool

    @property
    def span(self) -> Traced | None: ...


running: ContextVar[Running | None] = ContextVar("running", default=None)
"""The attempt that runs here: in its handler, in the tasks that this made, and in what it gave to
`asyncio.to_thread`."""


class Journals(logging.Handler):
    """Puts what is logged during an attempt into its journal, which its first line makes: silence costs nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        attempt = running.get()
        if attempt is None or attempt.ended:
            return
        try:
            line = self.format(record)
        except Exception:  # somebody's __repr__; `Lines` counts it
            return
        if attempt.journal is None:
            attempt.journal = Journal()
        attempt.journal.add(line)
