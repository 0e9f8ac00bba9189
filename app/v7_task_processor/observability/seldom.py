"""Keeps an outage from flooding the log."""

import time

LOG_SECONDS = 1.0


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
