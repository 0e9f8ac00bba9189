"""uvicorn's server, except that it leaves signals to us, sweeps its connections, and leaves without cutting any."""

import asyncio
import contextlib
import select
import socket
from collections.abc import Iterator
from typing import cast

from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn import Server as Uvicorn

from .protocol import Protocol, State

KEEP_ALIVE_SECONDS = 75
SWEEP_TICKS = 10
"""uvicorn ticks ten times a second."""
LAST_REQUESTS_SECONDS_MAX = 1.0


class Server(Uvicorn):
    """Serves on sockets that are bound already. `grace_seconds` is what it goes on for when it is told to leave."""

    def __init__(
        self, app: ASGIApp, shutdown_seconds: float, protocol: type[Protocol] = Protocol, grace_seconds: float = 0.0
    ) -> None:
        self.grace_seconds = grace_seconds
        self.last_requests_seconds = min(LAST_REQUESTS_SECONDS_MAX, shutdown_seconds / 4)
        super().__init__(
            Config(
                app,
                loop="uvloop",
                http=protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=int(shutdown_seconds - self.last_requests_seconds),
            )
        )
        self.server_state: State = State()
        self.up = asyncio.Event()
        self.draining: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def on_tick(self, counter: int) -> bool:
        if counter % SWEEP_TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                cast("Protocol", connection).expire(now)
        return await super().on_tick(counter)

    def drain(self) -> None:
        """Close each connection after its next answer; after the grace period accept no more, and end."""
        if not self.started:
            self.should_exit = True
        elif self.draining is None:
            self.server_state.draining = True
            self.draining = asyncio.create_task(self.end())

    async def end(self) -> None:
        # A proxy sends us requests until it has seen that we are not ready.
        await asyncio.sleep(self.grace_seconds)
        await self.accept_last()
        for server in self.servers:
            server.close()
        for connection in self.server_state.connections:
            if cast("Protocol", connection).is_busy():
                connection.shutdown()
        # A client that sent a request just now would lose it if its idle connection were closed at once.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.last_requests_seconds):
                while self.server_state.connections:  # noqa: ASYNC110 (nobody tells when a connection goes)
                    await asyncio.sleep(0.01)
        self.should_exit = True

    async def accept_last(self) -> None:
        """Take in whoever has connected already, while we had no processor perhaps: closing would cut them off."""
        listeners = [listener for server in self.servers for listener in server.sockets]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.last_requests_seconds):
                while any(map(is_readable, listeners)):  # noqa: ASYNC110 (the loop itself is to have a turn)
                    await asyncio.sleep(0)


def is_readable(listener: socket.socket) -> bool:
    """Whether a connection waits to be accepted."""
    poll = select.poll()
    poll.register(listener.fileno(), select.POLLIN)
    return bool(poll.poll(0))
