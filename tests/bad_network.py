"""A network that breaks: it carries bytes between clients and an exchange, and cuts connections off when told to."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator


class BadNetwork:
    """Listens at `url` for clients of the exchange at `port`. `is_deaf`: what the exchange says does not arrive.

    A connection breaks once `bytes_max` were brought to the client; each has its own, None: never.
    """

    def __init__(self, port: int, bytes_max: Iterator[int | None]) -> None:
        self.port = port
        self._bytes_max = bytes_max
        self.connections = 0
        self.is_deaf = False
        self.answer_kept = asyncio.Event()  # something was said to a deaf client
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    def cut(self) -> None:
        """Break every connection, without a word; what is under way is lost."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def lose_answers(self) -> None:
        """Break once the exchange has said something that does not arrive."""
        self.is_deaf = True
        await self.answer_kept.wait()
        self.answer_kept.clear()
        self.is_deaf = False
        self.cut()

    async def close(self) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            exchange_reader, exchange_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, exchange_writer}
        try:
            await asyncio.gather(self._pump(reader, exchange_writer), self._bring(exchange_reader, writer))
        finally:
            self._writers -= {writer, exchange_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _bring(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = next(self._bytes_max)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                if self.is_deaf:
                    self.answer_kept.set()
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
