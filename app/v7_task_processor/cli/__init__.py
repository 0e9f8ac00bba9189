"""The command `v7`: one file for each command or group of commands."""

from .root import main

__all__ = ["main"]
