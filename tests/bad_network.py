"""A proxy between clients and an exchange that breaks connections on request or after a number of bytes."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator


class BadNetwork:
    """A proxy at `url` for the exchange at `port`.

    Each connection takes the next number of `bytes_max`: it breaks when so many bytes were delivered to the client;
    None means never. While `drops_answers` is true, the proxy discards the bytes of the exchange.
    """

    def __init__(self, port: int, bytes_max: Iterator[int | None]) -> None:
        self.port = port
        self._bytes_max = bytes_max
        self.connections = 0
        self.drops_answers = False
        self.has_dropped = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._proxy, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    def cut(self) -> None:
        """Abort every connection. Bytes in transit are lost."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def lose_answers(self) -> None:
        """Discard the next bytes of the exchange, then break every connection."""
        self.drops_answers = True
        await self.has_dropped.wait()
        self.has_dropped.clear()
        self.drops_answers = False
        self.cut()

    async def close(self) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    async def _proxy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            exchange_reader, exchange_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, exchange_writer}
        try:
            await asyncio.gather(
                self._pump_requests(reader, exchange_writer), self._pump_answers(exchange_reader, writer)
            )
        finally:
            self._writers -= {writer, exchange_writer}

    async def _pump_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _pump_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = next(self._bytes_max)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                if self.drops_answers:
                    self.has_dropped.set()
                    continue
                if left is not None:
                    data, left = data[:left], left - len(data)
                writer.write(data)
                await writer.drain()
                if left is not None and left <= 0:
                    break
        writer.close()


@contextlib.asynccontextmanager
async def bad_network(url: str, bytes_max: Iterator[int | None] = itertools.repeat(None)) -> AsyncIterator[BadNetwork]:
    network = BadNetwork(int(url.rstrip("/").rpartition(":")[2]), bytes_max)
    await network.open()
    try:
        yield network
    finally:
        await network.close()
