"""What handlers print: seen at once, and no failure of theirs where it cannot be written."""

import io
import os
import sys
from typing import Any


class Printed(io.RawIOBase):
    """Writes to a file descriptor. On a full disk, or after its reader left, what is written is gone; that is all."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self.fd = fd

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.fd

    def isatty(self) -> bool:
        return os.isatty(self.fd)

    def write(self, data: Any, /) -> int:
        try:
            return os.write(self.fd, data)
        except OSError:
            return len(data)


def redirect_prints() -> None:
    """Have `print` write so, a line at a time."""
    writer = io.BufferedWriter(Printed(1))
    sys.stdout = io.TextIOWrapper(writer, encoding="utf-8", errors="backslashreplace", line_buffering=True)
