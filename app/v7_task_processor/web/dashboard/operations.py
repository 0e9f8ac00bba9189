"""Operations: acts on many jobs, with their progress; and who did what."""

import datetime as dt

import msgspec
import sqlalchemy as sa

from ... import listing
from ...listing import ActPage, OperationPage, OperationRow
from ..event import Integer
from ..management.call import path_id
from .access import PATH
from .many import words
from .visit import Page, Visit, link, missing

OPERATIONS_SHOWN = 20
ACTS_SHOWN = 30


class OperationsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Where each of the two lists begins."""

    after: Integer | None = None
    acts_after: Integer | None = None


async def screen(visit: Visit) -> Page:
    asked = visit.asked(OperationsQuery)
    now, operations, acts = await visit.store.read(lambda connection: look(connection, asked))
    changed = msgspec.structs.replace
    shown = {
        "title": "Operations",
        "now": now,
        "operations": operations.operations,
        "acts": acts.acts,
        "words": words,
        "progress": progress,
        "next": operations.next_after and link(f"{PATH}/operations", changed(asked, after=operations.next_after)),
        "first": asked.after is not None and link(f"{PATH}/operations", changed(asked, after=None)),
        "acts_next": acts.next_after and link(f"{PATH}/operations", changed(asked, acts_after=acts.next_after)),
        "acts_first": asked.acts_after is not None and link(f"{PATH}/operations", changed(asked, acts_after=None)),
    }
    return Page("operations", shown)


def look(connection: sa.Connection, asked: OperationsQuery) -> tuple[dt.datetime, OperationPage, ActPage]:
    operations = listing.operations_page(connection, after=asked.after, limit=OPERATIONS_SHOWN)
    acts = listing.acts_page(connection, after=asked.acts_after, limit=ACTS_SHOWN)
    return listing.now(connection), operations, acts


async def one(visit: Visit) -> Page:
    """One operation."""
    number = path_id(visit.request.path_params["id"])

    def look_at(connection: sa.Connection) -> tuple[dt.datetime, OperationRow | None]:
        return listing.now(connection), listing.operation(connection, number)

    now, found = await visit.store.read(look_at)
    if found is None:
        raise missing(f"There is no operation {number}.")
    shown = {"title": f"Operation {number}", "now": now, "each": found, "words": words, "progress": progress}
    return Page("operation", shown)


def progress(operation: OperationRow) -> int:
    """In per cent: how many ids it has gone by, of those that it has to."""
    if operation.status == "done" or not operation.last_id:
        return 100
    return min(99, 100 * operation.seen_id // operation.last_id)
