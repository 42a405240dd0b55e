"""The demo's subprocess: bots that trade on the exchange and move its index prices, as ordinary clients of its API."""

import asyncio
import sys
from pathlib import Path

from exchange.bots.demo_bots import run_all
from exchange.client import ExchangeError
from exchange.inside_subprocess import end_with, is_orphaned, set_up_subprocess
from exchange.keys.tls import local_context
from exchange.runtime.server_settings import admin_secret_file
from exchange.subprocesses import Supervisor

PARENT_LOOK_SECONDS = 0.5  # between two checks whether the exchange still runs


class DemoProcess:
    """Keeps the demo's bots running alongside the exchange on the journal at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._supervisor = Supervisor("demo's bots process", __name__)

    def start(self, url: str, seed: int) -> None:
        """Start the bots: `seed` fixes their random decisions."""
        self._supervisor.start(url, str(self._path), str(seed))

    async def stop(self) -> None:
        """End the bots."""
        await self._supervisor.stop()


def main() -> None:
    """Run the subprocess: the bots trade until the exchange, its parent, is gone."""
    set_up_subprocess()
    url, path, seed, exchange_pid = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    secret = admin_secret_file(path).read_text(encoding="ascii").strip()
    try:
        asyncio.run(_trade_while_parent_runs(url, path, secret, seed, exchange_pid))
    except ExchangeError as error:
        end_with(str(error))


async def _trade_while_parent_runs(url: str, path: Path, secret: str, seed: str, exchange_pid: int) -> None:
    trading = asyncio.create_task(run_all(url, secret, seed, local_context(url, path)))
    while not trading.done() and not is_orphaned(exchange_pid):
        await asyncio.wait({trading}, timeout=PARENT_LOOK_SECONDS)
    if trading.done():
        trading.result()
    trading.cancel()


if __name__ == "__main__":
    main()
