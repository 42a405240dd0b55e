"""The reference for orders over HTTP: a server of aiohttp that sends each body back once it is on disk."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click
from aiohttp import web

from benchmarks.echo import SYNCED_BYTES


class SyncedHttpEcho:
    """Overwrites a file of a fixed size, as SQLite does with its write-ahead log, with one sync a request."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.write(self._file, bytes(SYNCED_BYTES))
        os.fsync(self._file)
        self._position = 0

    async def handle(self, request: web.Request) -> web.Response:
        """Send the body back."""
        body = await request.read()
        os.pwrite(self._file, body, self._position)
        self._position = (self._position + len(body)) % (SYNCED_BYTES - 65_536)
        os.fdatasync(self._file)
        return web.Response(body=body, content_type="application/json")


async def run(sync: Path) -> None:
    """Serve on a free port of the loopback interface until the process ends."""
    application = web.Application()
    application.router.add_post("/{path:.*}", SyncedHttpEcho(sync).handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    click.echo(f"listening on http://127.0.0.1:{runner.addresses[0][1]}/")
    await asyncio.Event().wait()


@click.command()
@click.option("--sync", type=click.Path(path_type=Path), required=True, help="File for each body.")
def main(sync: Path) -> None:
    """Echo every body of a POST."""
    asyncio.run(run(sync))


if __name__ == "__main__":
    main()
