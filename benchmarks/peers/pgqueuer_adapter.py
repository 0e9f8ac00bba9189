"""pgqueuer: batches of 500 from a pool of 4; what is finished goes to its log."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import asyncpg
from adapter import Adapter, main
from pgqueuer import AsyncpgPoolDriver, Job, PgQueuer, Queries

BATCH = 500
CONNECTIONS = 4


@contextlib.asynccontextmanager
async def client(connections: int) -> AsyncIterator[Queries]:
    async with asyncpg.create_pool(min_size=connections, max_size=connections) as pool:
        yield Queries(AsyncpgPoolDriver(pool))


async def install() -> None:
    async with client(1) as queries:
        await queries.install()


async def enqueue(queries: Queries, number: int) -> None:
    await queries.enqueue("noop", str(number).encode(), 0)


async def enqueue_many(queries: Queries, numbers: Sequence[int]) -> None:
    names, payloads = ["noop"] * len(numbers), [str(number).encode() for number in numbers]
    await queries.enqueue(names, payloads, [0] * len(numbers))


async def work(started: Callable[[int], None]) -> None:
    async with asyncpg.create_pool(min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        queuer = PgQueuer(AsyncpgPoolDriver(pool))

        @queuer.entrypoint("noop")
        async def noop(job: Job) -> None:
            started(int(job.payload or b"0"))

        await queuer.run(batch_size=BATCH)


main(Adapter(install, client, enqueue, enqueue_many, work))
