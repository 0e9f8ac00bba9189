"""What can go wrong for the person who runs the program, each with the exit code that a script sees."""

from typing import ClassVar


class V7Error(Exception):
    """A failure with a message for people: what is wrong, and what to do about it."""

    exit_code: ClassVar[int] = 1


class DatabaseUnavailable(V7Error):
    """No connection to Postgres (sysexits.h: EX_UNAVAILABLE)."""

    exit_code = 69


class ConfigurationError(V7Error):
    """Settings, handlers, schema or data folder do not fit (sysexits.h: EX_CONFIG)."""

    exit_code = 78
