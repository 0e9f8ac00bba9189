"""A TCP proxy between the product and Postgres, with an event loop in a thread of its own, driven from tests."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from .relay import Pair, Relay

Answer = TypeVar("Answer")


class Proxy(Relay):
    """Passes everything on, until it is told otherwise. What is no coroutine may be called from any thread."""

    def __init__(self, url: str, port: int = 0) -> None:
        super().__init__(url, port)
        self.delay_seconds = 0.0
        """How long each piece is held, in each direction."""
        self.hit: Callable[[bytes], bool] | None = None
        """What goes to the server is given to it; True: that piece is delivered, and its answer never is."""
        self.hits = 0
        self.swallow: Callable[[bytes], bool] | None = None
        """What goes to the server is given to it; True: nothing more passes on that connection, which stays open."""
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.call(self.listen())

    async def up(self, pair: Pair, data: bytes) -> bool:
        if self.swallow is not None and self.swallow(data):
            await asyncio.Event().wait()
        await self.held(pair)
        if self.hit is not None and self.hit(data):
            self.hits += 1
            pair.lost = True
        return True

    async def down(self, pair: Pair, data: bytes) -> bool:
        if pair.lost:
            return False
        await self.held(pair)
        return True

    async def held(self, pair: Pair) -> None:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        await pair.passing.wait()

    def cut(self) -> int:
        """Reset all connections; how many."""
        return self.call(self.reset())

    def stall(self) -> None:
        """Pass nothing more, in either direction; connections stay open."""
        self.loop.call_soon_threadsafe(self.passing.clear)

    def stall_open(self) -> None:
        """Pass nothing more on the connections that are open now, ever; they stay open, and new ones work."""

        async def hold() -> None:
            self.passing.clear()
            self.passing = asyncio.Event()
            self.passing.set()

        self.call(hold())

    def resume(self) -> None:
        self.loop.call_soon_threadsafe(self.passing.set)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """As if the server were gone: connections are reset and new ones too."""
        self.refuses = True
        self.cut()
        try:
            yield
        finally:
            self.refuses = False

    def call(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def close(self) -> None:
        self.call(self.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


@contextlib.contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    with contextlib.closing(Proxy(url)) as proxy:
        yield proxy
