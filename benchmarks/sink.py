"""A server that answers handshakes and ignores all else: the reference of `benchmarks.attack`."""

from __future__ import annotations

import asyncio
from typing import cast

import click

from benchmarks.load import fastest_event_loop

ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
# A text frame, so that a login seems to be answered.
ANSWER = b"\x81\x02{}"


class Sink(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET") and data.endswith(b"\r\n\r\n"):
            self._transport.write(ACCEPTED + ANSWER)


async def serve() -> None:
    """Serve until the process ends."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0, backlog=1_000)
    host, port = server.sockets[0].getsockname()
    click.echo(f"listening on ws://{host}:{port}/")
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=fastest_event_loop) as runner:
        runner.run(serve())
