"""The reference for `benchmarks.load`: a plain server of the `websockets` library that sends every message back.

It is the library's high-level server on asyncio, without compression. With `--sync FILE` it also appends each message
to a file and waits until it is on disk.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click
from websockets.asyncio.server import ServerConnection, serve

SYNCED_BYTES = 8 * 1024 * 1024


async def echo(connection: ServerConnection) -> None:
    """Send every message back."""
    async for message in connection:
        await connection.send(message)


class SyncedEcho:
    """Sends every message back once it is on disk.

    It overwrites a file of a fixed size, as SQLite does with its write-ahead log: a sync after a file has grown takes
    much longer.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.write(self._file, bytes(SYNCED_BYTES))
        os.fsync(self._file)
        self._position = 0

    async def echo(self, connection: ServerConnection) -> None:
        """As `echo`. One thread does all, which is the quickest way for one message at a time."""
        async for message in connection:
            content = message.encode() if isinstance(message, str) else message
            os.pwrite(self._file, content, self._position)
            self._position = (self._position + len(content)) % (SYNCED_BYTES - 65_536)
            os.fdatasync(self._file)
            await connection.send(message)


async def run(port: int, sync: Path | None) -> None:
    """Serve on the loopback interface until the process ends; port 0 takes any free port."""
    handler = echo if sync is None else SyncedEcho(sync).echo
    async with serve(handler, "127.0.0.1", port, compression=None) as server:
        host, chosen_port = server.sockets[0].getsockname()
        click.echo(f"listening on ws://{host}:{chosen_port}/")
        await server.serve_forever()


def event_loop(name: str) -> asyncio.AbstractEventLoop:
    """Return a new event loop: `asyncio` or `uvloop`."""
    if name == "asyncio":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


@click.command()
@click.option("--loop", "loop_name", type=click.Choice(["asyncio", "uvloop"]), default="asyncio")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any free port")
@click.option("--sync", type=click.Path(path_type=Path), help="File to which each message is written first.")
def main(loop_name: str, port: int, sync: Path | None) -> None:
    """Echo every WebSocket message."""
    with asyncio.Runner(loop_factory=lambda: event_loop(loop_name)) as runner:
        runner.run(run(port, sync))


if __name__ == "__main__":
    main()
