"""Who did what: noted in the transaction in which it is done."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from ..deadline import Connection
from .statement import Statement

_note_act = Statement("note_act")
_prune_audit = Statement("prune_audit")


class Hand(NamedTuple):
    """Who acts, and by what."""

    who: str
    through: Literal["api", "cli", "dashboard"]


async def note_act(
    connection: Connection,
    hand: Hand,
    act: str,
    *,
    job_id: int | None = None,
    event_type_id: int | None = None,
    operation_id: int | None = None,
    filter: str | None = None,  # noqa: A002 (the column's name)
    given: Mapping[str, object] | None = None,
    jobs: int | None = None,
) -> None:
    """Note an act. `filter` is JSON text, `given` what came with the act, but never events."""
    await _note_act(
        connection,
        who=hand.who,
        through=hand.through,
        act=act,
        job_id=job_id,
        event_type_id=event_type_id,
        operation_id=operation_id,
        filter=filter,
        given=msgspec.json.encode(given).decode() if given else None,
        jobs=jobs,
    )


async def prune_audit(connection: Connection, batch: int) -> int:
    """Forget up to `batch` acts older than 400 days."""
    return len(await _prune_audit(connection, batch=batch))
