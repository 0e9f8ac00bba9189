"""Writes log lines from a thread of its own: a pipe that nobody reads must stop neither jobs nor the end."""

import contextlib
import logging
import os
import queue
import threading

LINES_MAX = 10_000
CHARS_MAX = 8_000_000
FLUSH_SECONDS_MAX = 0.5


class Lines(logging.Handler):
    """Hands each line to a thread that writes it to a file descriptor. What finds no room is dropped, and counted."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self.fd = fd
        self.waiting: queue.SimpleQueue[str | threading.Event] = queue.SimpleQueue()
        self.dropped = 0
        self.chars_in = self.chars_out = 0
        """What was ever put in, and what was taken out: each has one writer, so that neither needs a lock."""
        threading.Thread(target=self.run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.say(self.format(record))
        except Exception as error:  # a log line that cannot be made must not become an error of what it tells about
            said = {"msg": "a log line of %s could not be made: %s", "args": (record.name, type(error).__name__)}
            self.say(self.format(logging.makeLogRecord({"levelno": logging.WARNING, "levelname": "WARNING", **said})))

    def say(self, text: str) -> None:
        if self.waiting.qsize() >= LINES_MAX or self.chars_in - self.chars_out >= CHARS_MAX:
            self.dropped += 1
            return
        self.chars_in += len(text) + 1
        self.waiting.put(text + "\n")

    def run(self) -> None:
        while True:
            item = self.waiting.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            self.chars_out += len(item)
            if self.dropped:
                item, self.dropped = f"({self.dropped} log lines were dropped: nobody read them)\n{item}", 0
            with contextlib.suppress(OSError):  # closed, full, or on a full disk: nowhere else to say so
                write_all(self.fd, item.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Wait until what is logged is written, but not for ever."""
        written = threading.Event()
        self.waiting.put(written)
        written.wait(FLUSH_SECONDS_MAX)


def write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
