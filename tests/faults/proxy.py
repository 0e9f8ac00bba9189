"""A TCP proxy between the product and Postgres, with an event loop in a thread of its own, driven from tests."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

Answer = TypeVar("Answer")


class Proxy:
    """Passes everything on, until it is told otherwise. All methods may be called from any thread."""

    def __init__(self, url: str, port: int = 0) -> None:
        self.url, self.port = url, port
        self.delay_seconds = 0.0
        """How long each piece is held, in each direction."""
        self.refuses = False
        """New connections are reset."""
        self.hit: Callable[[bytes], bool] | None = None
        """What goes to the server is given to it; True: that piece is delivered, and its answer never is."""
        self.hits = 0
        self.swallow: Callable[[bytes], bool] | None = None
        """What goes to the server is given to it; True: nothing more passes on that connection, which stays open."""
        self.pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self.loop = asyncio.new_event_loop()
        self.passing = asyncio.Event()
        self.passing.set()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = self.call(self.listen())

    async def listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def through(self) -> str:
        """The same database, by way of this proxy."""
        to = urlsplit(self.url)
        user = f"{to.username}@" if to.username else ""
        return f"postgresql://{user}127.0.0.1:{self.port}{to.path}?sslmode=disable&gssencmode=disable"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to = urlsplit(self.url)
        pair = None
        try:
            if self.refuses:
                return
            server_reader, server_writer = await asyncio.open_connection(to.hostname, to.port)
            pair = (writer, server_writer)
            self.pairs.add(pair)
            lost = asyncio.Event()
            ways = [
                asyncio.create_task(self.up(reader, server_writer, lost, self.passing)),
                asyncio.create_task(self.down(server_reader, writer, lost, self.passing)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass
        finally:
            if pair is not None:
                self.pairs.discard(pair)
                pair[1].transport.abort()
            writer.transport.abort()

    async def up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event, passing: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if self.swallow is not None and self.swallow(data):
                await asyncio.Event().wait()
            await self.held(passing)
            if self.hit is not None and self.hit(data):
                self.hits += 1
                lost.set()
            writer.write(data)
            await writer.drain()

    async def down(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event, passing: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if lost.is_set():  # the server has done it and answered: nobody will hear of it
                return
            await self.held(passing)
            writer.write(data)
            await writer.drain()

    async def held(self, passing: asyncio.Event) -> None:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        await passing.wait()

    def cut(self) -> int:
        """Reset all connections; how many."""

        async def abort() -> int:
            pairs = list(self.pairs)
            for pair in pairs:
                for writer in pair:
                    writer.transport.abort()
            return len(pairs)

        return self.call(abort())

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
        async def end() -> None:
            self.server.close()
            self.passing.set()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0)

        self.call(end())
        self.cut()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


@contextlib.contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
