"""Operations on dead letters, for the tests of what comes of them."""

import itertools

from v7_task_processor import operations, queue
from v7_task_processor.chosen import Chosen
from v7_task_processor.operations import drive
from v7_task_processor.queue import Connection, Hand, Operation, Order

from ..support import rows

HAND = Hand("ann", "cli")
REDRIVE = Order("redrive", Chosen(status="dead"))
DEAD = """
insert into v7.jobs
    (event_type_id, user_id, priority, event_data, status, dead_at, dead_reason, last_error, retry_count)
select 1 + i %% 2, i, 0, '{}', 'dead', now(), 'x', 'ValueError: ' || i, 5 from generate_series(1, %s) i returning id"""


async def dead(connection: Connection, count: int) -> list[int]:
    return [job_id for (job_id,) in await rows(connection, DEAD, count)]


async def through(connection: Connection, order: Order, hand: Hand = HAND) -> Operation:
    """Asked for, and carried out to its end; each batch is seen to be short."""
    operation = await queue.start_operation(connection, order, hand)
    seen: list[Operation] = []
    end = await drive(connection, operation.id, "me", seen.append)
    assert end is not None
    for before, after in itertools.pairwise(seen):
        assert after.done - before.done <= operations.BATCH
    return end


async def in_order(connection: Connection) -> list[int]:
    return [
        job_id for (job_id,) in await rows(connection, "select id from v7.jobs where position > 0 order by position")
    ]
