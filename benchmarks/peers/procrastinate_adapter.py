"""procrastinate: it claims job by job, so that the number of jobs at once is what there is to set. Jobs are kept."""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence

import procrastinate
from adapter import Adapter, main

CONCURRENCY = 5


def application(connections: int, started: Callable[[int], None] = lambda number: None) -> procrastinate.App:
    """An application with one task, `noop`."""
    connector = procrastinate.PsycopgConnector(conninfo="", min_size=connections, max_size=connections)
    app = procrastinate.App(connector=connector)

    @app.task(name="noop")
    async def noop(number: int) -> None:
        started(number)

    return app


@contextlib.asynccontextmanager
async def client(connections: int) -> AsyncIterator[procrastinate.App]:
    app = application(connections)
    async with app.open_async():
        yield app


async def install() -> None:
    async with client(1) as app:
        await app.schema_manager.apply_schema_async()


async def enqueue(app: procrastinate.App, number: int) -> None:
    await app.tasks["noop"].defer_async(number=number)


async def enqueue_many(app: procrastinate.App, numbers: Sequence[int]) -> None:
    await app.tasks["noop"].batch_defer_async(*[{"number": number} for number in numbers])


async def work(started: Callable[[int], None]) -> None:
    app = application(CONCURRENCY, started)
    async with app.open_async():
        await app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False)


logging.getLogger("procrastinate").setLevel(logging.ERROR)  # it warns of an app in a main module
main(Adapter(install, client, enqueue, enqueue_many, work))
