"""How a supervisor and the processes that it starts talk: one socket pair each, a line of JSON a message.

The supervisor sends the assignment first and nothing after it; its end closes when it dies, however it dies, and
then the child ends at once: nobody would rescue from it any more.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
from typing import Literal

import msgspec

from .settings import Settings

PR_SET_PDEATHSIG = 1
EXIT_TERMINATED = 143
"""Exit code of a worker with attempts that did not end in time, when somebody else than its supervisor sent SIGTERM."""
EXIT_CANCELLED = 70
"""Exit code of a worker whose own tasks somebody cancelled, together with all others of its loop (EX_SOFTWARE)."""
Role = Literal["worker", "lone worker", "api"]


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """What a child is to be. File descriptors are inherited."""

    settings: Settings
    role: Role
    node_id: int = 0
    token: str = ""
    map_fd: int = -1
    """Shared memory of the node, where a worker notes what it has started (worker/slots.py)."""
    section: int = 0
    """Which part of that memory is this worker's."""
    listen_fd: int = -1


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a child says: that it works, or why it cannot."""

    ready: bool
    error: str = ""
    serves_all: bool = False
    event_type_ids: list[int] = []
    timeouts: dict[str, float] = {}
    """Seconds that an attempt may take, by event type; `other`: of types without a handler of their own."""


class Parent:
    """A child's line to its supervisor."""

    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(fileno=fd)
        die_with_parent()
        with self.socket.makefile("rb") as lines:
            line = lines.readline()
        if not line:
            sys.exit(1)  # the supervisor died before it said anything
        self.assignment = msgspec.json.decode(line, type=Assignment)
        threading.Thread(target=self.watch, name="parent", daemon=True).start()

    def watch(self) -> None:
        """Ends the process when the supervisor is gone; without PDEATHSIG (not Linux) this alone does it."""
        with contextlib.suppress(OSError):
            self.socket.recv(1)
        os._exit(1)

    def report(self, report: Report) -> None:
        self.socket.sendall(msgspec.json.encode(report) + b"\n")


def die_with_parent() -> None:
    """Have the kernel kill us when our parent dies, even where a handler holds the interpreter for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
