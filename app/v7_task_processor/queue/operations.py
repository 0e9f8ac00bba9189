"""Operations: an act on all jobs that a filter names, carried out batch by batch by whoever takes it."""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ..chosen import Chosen
from ..database import transaction
from ..deadline import Connection
from .acts import MAY
from .audit import Hand, note_act
from .statement import Statement

_start_operation = Statement("start_operation")
_take_operation = Statement("take_operation")
_operations_wait = Statement("operations_wait")
_operation = Statement("operation")
_pick = Statement("pick")
_note_progress = Statement("note_progress")
_end_operation = Statement("end_operation")
_prune_operations = Statement("prune_operations")
_put_off_operation = Statement("put_off_operation")

KNOWN = {"acts": list(MAY), "filters": [field.name for field in msgspec.structs.fields(Chosen)]}
"""What this release can carry out. A newer one beside it may have asked for more."""


class Order(NamedTuple):
    """What is to be done with which jobs. `act` is a key of MAY."""

    act: str
    chosen: Chosen
    run_at: dt.datetime | None = None
    priority: int | None = None

    def statuses(self) -> list[str]:
        """Those in which a job is meant; none, where the act cannot be done with what was chosen."""
        return [status for status in MAY[self.act] if self.chosen.status in (None, status)]


class Operation(NamedTuple):
    """An order on its way. `held`: jobs gone by that another transaction held, to come back to."""

    id: int
    order: Order
    status: str
    seen_id: int
    last_id: int
    held: list[int]
    done: int
    skipped: int


class Picked(NamedTuple):
    """The jobs of a batch, locked; those that others hold; and how far the batch is."""

    ids: list[int]
    held: list[int]
    seen_id: int


async def start_operation(connection: Connection, order: Order, hand: Hand, carrier: str | None = None) -> Operation:
    """Ask for it, and note that in the audit. `carrier`: who will carry it out, so that no other begins."""
    chosen = msgspec.json.encode(order.chosen).decode()
    async with transaction(connection):
        rows = await _start_operation(
            connection,
            act=order.act,
            filter=chosen,
            run_at=order.run_at,
            priority=order.priority,
            who=hand.who,
            through=hand.through,
            carrier=carrier,
        )
        (operation,) = map(operation_of, rows)
        given = {"run_at": order.run_at, "priority": order.priority}
        given = {name: value for name, value in given.items() if value is not None}
        await note_act(connection, hand, order.act, operation_id=operation.id, filter=chosen, given=given)
    return operation


async def take_operation(connection: Connection, carrier: str, operation_id: int | None = None) -> Operation | None:
    """One for one batch of it, in the caller's transaction, which then has its row locked. None: there is none, or
    others carry out those that there are."""
    rows = await _take_operation(connection, carrier=carrier, id=operation_id, **KNOWN)
    return operation_of(rows[0]) if rows else None


async def operation(connection: Connection, operation_id: int) -> Operation | None:
    """As it is now; None: there is none of that id."""
    rows = await _operation(connection, id=operation_id)
    return operation_of(rows[0]) if rows else None


async def operations_wait(connection: Connection) -> bool:
    """Whether there are operations that nobody carries out."""
    return bool((await _operations_wait(connection, **KNOWN))[0][0])


async def pick(connection: Connection, operation: Operation, batch: int, looked_max: int) -> Picked:
    """Lock its next jobs, in the caller's transaction: up to `batch`, of up to `looked_max` that are looked at."""
    chosen = msgspec.structs.asdict(operation.order.chosen)
    rows = await _pick(
        connection,
        seen_id=operation.seen_id,
        last_id=operation.last_id,
        held=operation.held,
        batch=batch,
        looked_max=looked_max,
        statuses=operation.order.statuses(),
        **{name: value for name, value in chosen.items() if name != "status"},
    )
    return Picked(*rows[0])


async def note_progress(
    connection: Connection,
    operation_id: int,
    *,
    seen_id: int,
    held: Sequence[int],
    done: int,
    skipped: int,
    error: str | None,
) -> Operation:
    """How far it is, with what its batch did, in the batch's transaction. It is done where nothing is left."""
    rows = await _note_progress(
        connection, id=operation_id, seen_id=seen_id, held=list(held), done=done, skipped=skipped, error=error
    )
    return operation_of(rows[0])


async def stop_operation(connection: Connection, operation_id: int, hand: Hand) -> Operation | None:
    """End it where it stands. None: it had ended, or never was."""
    async with transaction(connection):
        rows = await _end_operation(connection, id=operation_id, status="stopped", error=None)
        if not rows:
            return None
        await note_act(connection, hand, "stop", operation_id=operation_id)
    return operation_of(rows[0])


async def fail_operation(connection: Connection, operation_id: int, error: str) -> None:
    """End it since its next batch cannot be done."""
    await _end_operation(connection, id=operation_id, status="failed", error=error)


async def put_off_operation(connection: Connection, operation_id: int, carrier: str, error: str) -> None:
    """Let others have their turn before it, since its next batch could not be done now."""
    await _put_off_operation(connection, id=operation_id, carrier=carrier, error=error)


async def prune_operations(connection: Connection, batch: int) -> int:
    """Forget up to `batch` operations that ended 400 days ago."""
    return len(await _prune_operations(connection, batch=batch))


def operation_of(row: Sequence[object]) -> Operation:
    operation_id, act, chosen, run_at, priority, *rest = row
    order = Order(act, msgspec.convert(chosen, Chosen), run_at, priority)  # type: ignore[arg-type]
    return Operation(operation_id, order, *rest)  # type: ignore[arg-type]
