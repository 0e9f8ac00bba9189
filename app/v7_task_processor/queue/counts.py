"""What processes have counted, for metrics."""

from ..deadline import PROMPT_SECONDS_MAX, Connection
from ..observability import families
from .statement import Statement

_write_counts = Statement("write_counts", PROMPT_SECONDS_MAX)
_named_types = Statement("named_types", PROMPT_SECONDS_MAX)
_fold_counts = Statement("fold_counts")
_note_minute = Statement("note_minute", PROMPT_SECONDS_MAX)

OF_MINUTES = (families.RECEIVED, families.ATTEMPTS, families.HANDLER_DURATION, families.RETRIES, families.DEAD_LETTERED)
"""What is kept minute by minute."""


async def write_counts(connection: Connection, source: str, counts: str, *, first: bool) -> bool:
    """Keep a process's counts, a JSON object. False: its row was folded away meanwhile, and these are not kept."""
    return bool(await _write_counts(connection, source=source, counts=counts, first=first))


async def named_types(connection: Connection, types_max: int) -> list[int]:
    """The event types with a label of their own in metrics: so many, those that came first."""
    return [row[0] for row in await _named_types(connection, types_max=types_max)]


async def fold_counts(connection: Connection, idle_seconds: float, types_max: int) -> int:
    """Add up the counts of processes that have written nothing for so long. How many they were."""
    rows = await _fold_counts(connection, idle_seconds=idle_seconds, types_max=types_max)
    return rows[0][0] if rows else 0


async def note_minute(connection: Connection, types_max: int) -> bool:
    """Note what was counted until this minute began, for at most so many event types. False: it was noted already."""
    rows = await _note_minute(
        connection,
        types_max=types_max,
        families=[family.name for family in OF_MINUTES],
        received_family=families.RECEIVED.name,
        attempts_family=families.ATTEMPTS.name,
        failed_outcomes=list(families.FAILED),
        dead_family=families.DEAD_LETTERED.name,
        retried_family=families.RETRIES.name,
    )
    return bool(rows)
