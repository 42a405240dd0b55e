"""The crowd: a process beside the exchange in which bots trade and the index walks, as ordinary clients of its API."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from exchange.bots.demo_bots import run_all
from exchange.client import ExchangeError
from exchange.runtime.server_settings import admin_secret_file
from exchange.subprocesses import run_module, set_up_subprocess

LOOK_SECONDS = 0.5  # between two looks whether the exchange is still there
RETRY_SECONDS = 1.0  # before bots that have ended are started again

_log = logging.getLogger(__name__)


class DemoProcess:
    """Keeps a crowd beside the exchange on the journal at `path`. One that ends is started again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._task: asyncio.Task[None] | None = None

    def start(self, url: str, seed: int) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep(url, seed))

    async def stop(self) -> None:
        """Send everybody home."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self, url: str, seed: int) -> None:
        while True:
            try:
                async with run_module(__name__, url, str(self._path), str(seed), str(os.getpid())) as process:
                    code = await process.wait()
            except OSError as error:
                _log.warning("the bots cannot be started: %s", error)
            else:
                _log.warning("the bots ended with code %d, and are started again", code)
            await asyncio.sleep(RETRY_SECONDS)


def main() -> None:
    """The process: trades until the exchange, its parent, is gone."""
    set_up_subprocess()
    url, path, seed, exchange_pid = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    secret = admin_secret_file(path).read_text(encoding="ascii").strip()
    try:
        asyncio.run(_trade_while_there(url, secret, seed, exchange_pid))
    except ExchangeError as error:
        sys.exit(str(error))


async def _trade_while_there(url: str, secret: str, seed: str, exchange_pid: int) -> None:
    trading = asyncio.create_task(run_all(url, secret, seed))
    while not trading.done() and os.getppid() == exchange_pid:
        await asyncio.wait({trading}, timeout=LOOK_SECONDS)
    if trading.done():
        trading.result()
    trading.cancel()


if __name__ == "__main__":
    main()
