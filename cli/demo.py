"""`exchange demo`: an exchange that is alive when one connects."""

from pathlib import Path

import click

from exchange.cli.options import clock_start_option, db_option
from exchange.cli.server_process import host_option, insecure_option, port_option, refuse_foreign_host, run_server
from exchange.runtime.demo import DEMO_RULES
from exchange.runtime.server_settings import ServerSettings


@click.command()
@db_option
@host_option
@port_option
@click.option("--seed", type=int, default=1, show_default=True, help="What the bots and the index are decided by.")
@clock_start_option
@insecure_option
def demo(path: Path, host: str, port: int, seed: int, clock_start_us: int | None, insecure: bool) -> None:
    """Run an exchange with a market on it until Ctrl-C: an index that moves, market makers and traders.

    Options on SOL, BTC and ETH; bots are ordinary clients, in a process that ends with this one. On a journal that is
    there already everything goes on from where it was.

    \b
    Example:
      exchange demo
    """
    refuse_foreign_host(host, insecure)
    run_server(
        ServerSettings(path, host, port, clock_start_us=clock_start_us, demo=True, demo_seed=seed, rules=DEMO_RULES)
    )
