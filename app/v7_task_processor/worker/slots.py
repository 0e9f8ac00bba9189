"""Memory that a node's processes share: who has started what, so that a death can be told from a crime.

A worker notes each attempt just before its handler starts and just after it ended; the supervisor reads the notes
when the worker is dead. The memory is a file, so that the next supervisor on this host can read them too when all
of a node died at once. Integers of 64 bits, in this machine's order:

    header      MAGIC, sections, slots, beat, look, missed, draining
    section     tick, then its slots of: job id, attempt, deadline, state
"""

import errno
import fcntl
import mmap
import os
import struct
import time
from array import array
from pathlib import Path
from typing import NamedTuple

MAGIC = 0x7637_0001
HEADER, SECTION_HEADER, SLOT = 8, 8, 4
NOTE = struct.Struct("4q")
FREE, STARTED, SUCCEEDED, ENDED = range(4)
"""States of a slot. SUCCEEDED and ENDED (else, but for a Release): the handler is through, the database not told."""
CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
LOOK_GAP_SECONDS_MAX = 5.0
"""A supervisor that did not look for so long stood still, and most likely all of its node."""


def now() -> float:
    """Seconds of the machine's own clock, which no one sets, and which counts a suspended laptop's sleep."""
    return time.clock_gettime(CLOCK)


def ns(seconds: float) -> int:
    return int(seconds * 1e9)


class Noted(NamedTuple):
    """What a slot says. `deadline` is on the clock of `NodeMap.awake()`."""

    job_id: int
    attempt: int
    deadline: float
    state: int


class NodeMap:
    """The shared memory of a node. Made by its supervisor, inherited by its workers as a file descriptor."""

    def __init__(self, fd: int, path: Path | None = None) -> None:
        self.fd, self.path = fd, path
        self.memory = mmap.mmap(fd, 0)
        self.view = memoryview(self.memory).cast("q")
        self.sections, self.slots = self.view[1], self.view[2]
        self.known: dict[int, Section] = {}

    @classmethod
    def create(cls, path: Path, sections: int, slots: int) -> "NodeMap":
        """Make the file, and lock it for as long as this process lives: a lock that is free means a dead node.

        Raises OSError, and then leaves no file. All of its room is taken now: to write into a hole of a mapped file
        when the disk is full ends the process (SIGBUS), the supervisor's too.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            header = array("q", [MAGIC, sections, slots, 0, ns(now())]).tobytes()
            size = 8 * (HEADER + sections * (SECTION_HEADER + slots * SLOT))
            os.pwrite(fd, header + bytes(size - len(header)), 0)
            if os.fstat(fd).st_size < size:  # a write is cut short where the disk ends
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        return cls(fd, path)

    def drop(self) -> None:
        """Leave no file: nobody will need what is noted."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    @classmethod
    def inherited(cls, fd: int) -> "NodeMap":
        """A worker's view of it, opened anew so that the supervisor alone has the lock: what a handler leaves behind
        (a daemon) would otherwise hold it when all of the node is dead."""
        try:
            own = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # not Linux
            os.set_inheritable(fd, False)
            return cls(fd)
        os.close(fd)
        return cls(own)

    @classmethod
    def of_dead_node(cls, path: Path) -> "NodeMap | None":
        """The notes of a node that is dead; None: it lives, or its file is no map."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # another was faster, or it is somebody else's
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_size >= 8 * HEADER:
                found = cls(fd)
                if found.view[0] == MAGIC:
                    return found
                found.close()
                return None
        except OSError:
            pass
        os.close(fd)
        return None

    def close(self) -> None:
        for section in self.known.values():
            section.view.release()
        self.view.release()
        self.memory.close()
        os.close(self.fd)

    def beat(self, sent_at: float) -> None:
        """The supervisor's: the heartbeat that was sent then is in the database."""
        self.view[3] = ns(sent_at)

    def beat_age_seconds(self) -> float:
        """How long ago that was."""
        return now() - self.view[3] / 1e9

    def look(self) -> bool:
        """The supervisor's, twice a second: whether it had looked a moment ago.

        Where it had not, a container was paused or a laptop slept, and no limit of a handler goes on meanwhile.
        """
        time = ns(now())
        gap = time - self.view[4]
        missed = gap > ns(LOOK_GAP_SECONDS_MAX)
        if missed:
            self.view[5] += gap
        self.view[4] = time  # last: who sees that it looked must see what it missed
        return not missed

    def awake(self) -> float:
        """Seconds, on a clock that stands while the node does: time limits are kept on it."""
        return now() - self.missed_seconds

    @property
    def missed_seconds(self) -> float:
        return self.view[5] / 1e9

    def looked_lately(self) -> bool:
        """Whether `awake` can be trusted: not when the node has only just woken up."""
        return now() - self.view[4] / 1e9 <= LOOK_GAP_SECONDS_MAX

    def drain(self) -> None:
        """The supervisor's: from now on workers end since it wants it."""
        self.view[6] = 1

    @property
    def draining(self) -> bool:
        return bool(self.view[6])

    def section(self, index: int) -> "Section":
        if index not in self.known:
            self.known[index] = Section(self, index)
        return self.known[index]


class Section:
    """One worker's part of the memory."""

    def __init__(self, node: NodeMap, index: int) -> None:
        self.node = node
        size = SECTION_HEADER + node.slots * SLOT
        self.base = HEADER + index * size
        self.view = node.view[self.base : self.base + size]
        self.free = list(range(SECTION_HEADER, size, SLOT))

    def tick(self) -> None:
        """The worker's event loop turns."""
        self.view[0] = ns(now())

    def tick_age_seconds(self) -> float:
        return now() - self.view[0] / 1e9

    def start(self, job_id: int, attempt: int, deadline: float) -> int:
        """Note that an attempt starts now; the slot that it has until `clear`. One must be free."""
        slot = self.free.pop()
        # In this order: the state comes last, so what is read beside it is whole.
        NOTE.pack_into(self.node.memory, 8 * (self.base + slot), job_id, attempt, int(deadline * 1e9), STARTED)
        return slot

    def end(self, slot: int, *, succeeded: bool) -> None:
        """Note that its handler is through."""
        self.view[slot + 3] = SUCCEEDED if succeeded else ENDED

    def unstart(self, slot: int) -> None:
        """Note that it goes back as if it had not started. It keeps its slot until `clear`."""
        self.view[slot + 3] = FREE

    def doubt(self, slot: int) -> None:
        """Note that it seems to be through only since this process ends, perhaps by its doing."""
        self.view[slot + 3] = STARTED

    def clear(self, slot: int) -> None:
        """The database knows: forget it."""
        self.view[slot + 3] = FREE
        self.free.append(slot)

    def noted(self) -> list[Noted]:
        """All that is noted; the supervisor's."""
        view = self.view
        return [
            Noted(view[slot], view[slot + 1], view[slot + 2] / 1e9, view[slot + 3])
            for slot in range(SECTION_HEADER, len(view), SLOT)
            if view[slot + 3] != FREE
        ]

    def reset(self) -> None:
        """Forget everything; the supervisor's, before a new worker has this section."""
        for slot in range(SECTION_HEADER, len(self.view), SLOT):
            self.view[slot + 3] = FREE
        self.tick()
