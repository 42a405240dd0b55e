"""The reference for `benchmarks.load`: a plain websockets echo server without an exchange."""

from __future__ import annotations

import asyncio

import click
from websockets.asyncio.server import ServerConnection, serve


async def echo(connection: ServerConnection) -> None:
    """Send every message back."""
    async for message in connection:
        await connection.send(message)


async def run(port: int) -> None:
    """Serve on the loopback interface until the process ends; port 0 takes any free port."""
    async with serve(echo, "127.0.0.1", port, compression=None) as server:
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
def main(loop_name: str, port: int) -> None:
    """Echo every WebSocket message."""
    with asyncio.Runner(loop_factory=lambda: event_loop(loop_name)) as runner:
        runner.run(run(port))


if __name__ == "__main__":
    main()
