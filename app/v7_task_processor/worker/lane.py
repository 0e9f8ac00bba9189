"""Words about jobs on their way to the database."""

import asyncio
from collections import deque
from collections.abc import Iterable

from .outcome import Ended, Failed

BATCH = 500
CHARS_MAX = 1_000_000
"""What handlers said, in one batch: up to four megabytes, which a slow line too must bring through in ten seconds."""


class Lane:
    """Words that wait for their turn, and those that are being written."""

    def __init__(self) -> None:
        self.waiting: deque[Ended] = deque()
        self.writing: list[Ended] = []
        self.news = asyncio.Event()

    def add(self, *ended: Ended) -> None:
        self.waiting.extend(ended)
        self.news.set()

    def next(self) -> list[Ended]:
        """The first of those that wait: so many as may go together."""
        self.writing, chars = [], 0
        while self.waiting and len(self.writing) < BATCH and (not self.writing or chars < CHARS_MAX):
            ended = self.waiting.popleft()
            self.writing.append(ended)
            chars += chars_of(ended)
        return self.writing

    def words(self) -> list[Ended]:
        return [*self.waiting, *self.writing]


def chars_of(ended: Ended) -> int:
    """What its handler said, as far as it can be long."""
    logged = 0 if ended.log is None else len(ended.log)
    if not isinstance(ended.outcome, Failed):
        return logged
    _, message, traceback = ended.outcome.error
    return logged + len(message) + len(traceback)


def ids_of(words: Iterable[Ended]) -> list[int]:
    return [ended.job.id for ended in words]
