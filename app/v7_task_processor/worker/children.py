"""The processes that a supervisor keeps: each is started again when it ends, sooner or later by how it ended."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import msgspec

from ..child import Assignment, Report, Role

READY_SECONDS_MAX = 60.0
"""A child that says nothing for so long hangs."""
LIVED_SECONDS = 5.0
"""A child that lived so long, and then ended, is started again at once."""
OOM_SCORE = 300
"""How much likelier than the supervisor a worker is to be killed for memory, in thousandths of all there is."""
RESTART_SECONDS_MAX, WORKED_RESTART_SECONDS_MAX = 30.0, 1.0
MODULES: dict[Role, str] = {
    "worker": "v7_task_processor.worker",
    "lone worker": "v7_task_processor.worker",
    "api": "v7_task_processor.web",
}


class Child:
    """One process, and its successors."""

    def __init__(self, role: Role, section: int = 0) -> None:
        self.role, self.section = role, section
        self.process: asyncio.subprocess.Process | None = None
        self.ours: socket.socket | None = None
        self.ready = False
        self.resting = False
        """It has ended, and waits for its next start."""
        self.stuck = False
        self.overdue: frozenset[tuple[int, int]] = frozenset()
        """It was ended because of attempts past their limit; those that are to blame, where one can tell."""
        self.quick_deaths = 0
        self.started_at = 0.0
        self.handlers: str | None = None
        """What of the user's it imports at its start."""

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self, assignment: Assignment) -> None:
        """Start it, in a process group of its own: Ctrl-C is for the supervisor."""
        self.ours, theirs = socket.socketpair()
        self.ready, self.stuck, self.overdue = False, False, frozenset()
        self.handlers = None if self.role == "api" else assignment.settings.handlers
        inherited = [fd for fd in (theirs.fileno(), assignment.map_fd, assignment.listen_fd) if fd >= 0]
        with theirs:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", MODULES[self.role], str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=inherited,
                process_group=0,
            )
        if self.role != "api":
            dies_before_others(self.process.pid)
        with contextlib.suppress(OSError):  # it may be dead already; whoever waits for it will see
            self.ours.sendall(msgspec.json.encode(assignment) + b"\n")
        self.started_at = asyncio.get_running_loop().time()

    async def first_report(self) -> Report:
        """What it says first: that it works, or why it cannot. A report of our own where it ends or hangs."""
        assert self.ours is not None
        loop = asyncio.get_running_loop()
        self.ours.setblocking(False)
        said = b""
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                while b"\n" not in said:
                    more = await loop.sock_recv(self.ours, 65536)
                    if not more:
                        return Report(ready=False, error=f"it ended before it was ready{self.suspicion()}")
                    said += more
        except TimeoutError:
            self.kill()
            error = f"it was ended: not ready after {READY_SECONDS_MAX:g} seconds{self.suspicion()}"
            return Report(ready=False, error=error)
        except OSError as error:
            return Report(ready=False, error=str(error))
        report = msgspec.json.decode(said.partition(b"\n")[0], type=Report)  # another may have come with it
        self.ready = report.ready
        return report

    def suspicion(self) -> str:
        """Where to look: what ends or holds a process at its start is most likely the user's code, which can do both
        without a word."""
        return f": look at what {self.handlers!r} (V7_HANDLERS) does when it is imported" if self.handlers else ""

    async def wait(self) -> int:
        """Its exit code, when it has ended; negative ones are signals."""
        assert self.process is not None
        code = await self.process.wait()
        if self.ours is not None:
            self.ours.close()
        return code

    def restart_seconds(self) -> float:
        """How long to wait before the next start, now that it has ended."""
        lived = asyncio.get_running_loop().time() - self.started_at
        self.quick_deaths = 0 if self.ready and lived >= LIVED_SECONDS else self.quick_deaths + 1
        if self.quick_deaths <= 1:
            return 0.0
        # What worked was ended by something that ran in it: to rest for long would hold up all others for that.
        longest = WORKED_RESTART_SECONDS_MAX if self.ready else RESTART_SECONDS_MAX
        return float(min(longest, 0.1 * 2.0 ** min(self.quick_deaths, 20)))

    def drain(self) -> None:
        self.signal(signal.SIGTERM)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def dies_before_others(pid: int) -> None:
    """Where memory runs out, have the kernel take a worker, whose handlers eat it, before supervisor, API and Postgres.

    Before it can do it for itself: a large one that was just killed is not all given back yet when its successor
    starts, and the largest that there is then is the supervisor, with which the whole node would go.
    """
    with contextlib.suppress(OSError):  # not Linux, or dead already
        ours = int(Path("/proc/self/oom_score_adj").read_text())
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(min(1000, ours + OOM_SCORE)))
