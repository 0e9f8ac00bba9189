"""What processes have counted, for metrics."""

from ..deadline import PROMPT_SECONDS_MAX, Connection
from .statement import Statement

_write_counts = Statement("write_counts", PROMPT_SECONDS_MAX)
_fold_counts = Statement("fold_counts")


async def write_counts(connection: Connection, source: str, counts: str, *, first: bool) -> bool:
    """Keep a process's counts, a JSON object. False: its row was folded away meanwhile, and these are not kept."""
    return bool(await _write_counts(connection, source=source, counts=counts, first=first))


async def fold_counts(connection: Connection, idle_seconds: float, types_max: int) -> int:
    """Add up the counts of processes that have written nothing for so long. How many they were."""
    rows = await _fold_counts(connection, idle_seconds=idle_seconds, types_max=types_max)
    return rows[0][0] if rows else 0
