"""Keeps an outage from flooding the log: what is said again and again would hide its cause."""

import time

LOG_SECONDS = 1.0
LINES_MAX = 10
CAUSES_MAX = 1000


class Seldom:
    """Allows each cause at most once a second."""

    def __init__(self) -> None:
        self.logged: dict[str, float] = {}

    def allows(self, error: Exception) -> bool:
        """Whether to log this error now. Errors of one SQLSTATE, or of one type, have one cause."""
        now = time.monotonic()
        cause = getattr(error, "sqlstate", None) or type(error).__name__
        if now - self.logged.get(cause, -LOG_SECONDS) < LOG_SECONDS:
            return False
        self.logged[cause] = now
        return True


class Flood:
    """Lets through the first LINES_MAX lines of each cause in a second. The next one says how many were left out."""

    def __init__(self) -> None:
        self.causes: dict[tuple[object, ...], tuple[float, int]] = {}
        """When its second began, and how many lines it has had since."""

    def lets(self, line: dict[str, object], *cause: object) -> bool:
        """Whether this line is to be logged now."""
        now = time.monotonic()
        began, count = self.causes.get(cause, (now, 0))
        left_out = max(0, count - LINES_MAX)
        if now - began >= LOG_SECONDS:
            began, count = now, 0
            if left_out:
                line["left_out"] = left_out
        if len(self.causes) >= CAUSES_MAX and cause not in self.causes:
            self.causes.clear()
        self.causes[cause] = began, count + 1
        return count < LINES_MAX
