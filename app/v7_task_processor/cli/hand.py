"""Who gives the commands, for the audit."""

import getpass
import os
import platform

from ..queue import Hand


def hand() -> Hand:
    """The system's user, and on which machine."""
    return Hand(f"{user()}@{platform.node()}", "cli")


def user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container a number may have no name
        return f"user {os.getuid()}"
