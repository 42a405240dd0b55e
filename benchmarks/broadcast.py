"""The reference for `benchmarks.fan_out`: a plain server of the `websockets` library that sends a text to all clients.

A client that sends `subscribe` first is a subscriber. Each message of another client is sent back to it, after the text
of a file was sent to all subscribers with `broadcast`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
from websockets.asyncio.server import ServerConnection, broadcast, serve


class Broadcaster:
    """The handler of the connections."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._subscribers: set[ServerConnection] = set()

    async def handle(self, connection: ServerConnection) -> None:
        async for message in connection:
            if "subscribe" in str(message):
                self._subscribers.add(connection)
                await connection.send('{"result":[]}')
            else:
                broadcast(self._subscribers, self._text)
                await connection.send(message)
        self._subscribers.discard(connection)


async def run(text: str) -> None:
    """Serve on the loopback interface until the process ends."""
    async with serve(Broadcaster(text).handle, "127.0.0.1", 0, compression=None, backlog=1_000) as server:
        host, port = server.sockets[0].getsockname()
        click.echo(f"listening on ws://{host}:{port}/")
        await server.serve_forever()


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(file: Path) -> None:
    """Serve, and send the text of FILE."""
    asyncio.run(run(file.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
