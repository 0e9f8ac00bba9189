"""Stands between clients and a Postgres and passes bytes on; who derives from it says what becomes of them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from psycopg.conninfo import conninfo_to_dict, make_conninfo

Ways = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(eq=False)
class Pair:
    """A client's connection, and ours to the server for it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    passing: asyncio.Event
    """What this pair waits for before it passes anything on: of the relay, as it was when the client came."""
    lost: bool = False
    """The server has done it and answered: nobody will hear of it."""


class Relay:
    """Passes everything on, on the loop that it was told to listen on."""

    def __init__(self, url: str, port: int = 0) -> None:
        self.url, self.port = url, port
        self.refuses = False
        """New connections are reset."""
        self.passing = asyncio.Event()
        self.passing.set()
        self.pairs: set[Pair] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """On the same port as before, if it did before."""
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    def through(self) -> str:
        """The same database, by way of this relay."""
        here = {"host": "127.0.0.1", "port": str(self.port), "sslmode": "disable", "gssencmode": "disable"}
        return make_conninfo("", **{**conninfo_to_dict(self.url), **here})

    async def connect(self) -> Ways:
        to = conninfo_to_dict(self.url)
        host, port = str(to.get("host", "localhost")), int(to.get("port") or 5432)
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            if not self.refuses:
                await self.carry(reader, writer, *await self.connect())
        except OSError:  # the server is not there
            pass
        finally:
            writer.transport.abort()
            self.tasks.discard(task)

    async def carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        """Both ways, until either end closes."""
        pair = Pair(writer, server_writer, self.passing)
        self.pairs.add(pair)
        ways = [
            asyncio.create_task(pass_on(reader, server_writer, lambda data: self.up(pair, data))),
            asyncio.create_task(pass_on(server_reader, writer, lambda data: self.down(pair, data))),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self.pairs.discard(pair)
            server_writer.transport.abort()  # before anything is awaited: whoever stops us may do it here
            await asyncio.gather(*ways, return_exceptions=True)

    async def up(self, pair: Pair, data: bytes) -> bool:
        """Called with each piece before it goes to the server; False: it does not, and the connection ends."""
        return True

    async def down(self, pair: Pair, data: bytes) -> bool:
        """The same with each piece before it goes back to the client."""
        return not pair.lost

    async def reset(self) -> int:
        """Reset all connections; how many."""
        pairs = list(self.pairs)
        for pair in pairs:
            pair.client.transport.abort()
            pair.server.transport.abort()
        return len(pairs)

    async def stop(self) -> None:
        """Listen no more, and end all connections."""
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: Callable[[bytes], Awaitable[bool]]
) -> None:
    while (data := await reader.read(65536)) and await look(data):
        writer.write(data)
        await writer.drain()
