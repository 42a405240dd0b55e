"""`exchange demo`: an exchange with a live market."""

from pathlib import Path

import click

from exchange.cli.options import clock_start_option, db_option
from exchange.cli.security_options import Access, access_options
from exchange.cli.server_process import (
    accept_loss_option,
    archive_options,
    host_option,
    open_option,
    port_option,
    run_server,
)
from exchange.cli.watch_options import Watching, watch_options
from exchange.runtime.demo import DEMO_RULES
from exchange.runtime.server_settings import ServerSettings


@click.command()
@db_option
@host_option
@port_option
@open_option
@click.option("--seed", type=int, default=1, show_default=True, help="Random seed of the bots and the index.")
@clock_start_option
@accept_loss_option
@watch_options(0)
@archive_options("1h", "1d")
@access_options
def demo(
    path: Path,
    host: str,
    port: int,
    opens_screen: bool,
    seed: int,
    clock_start_us: int | None,
    accept_loss: bool,
    archive_after_us: int | None,
    delete_after_us: int | None,
    access: Access,
    watching: Watching,
) -> None:
    """Run an exchange with a live market until Ctrl-C.

    The market has options on SOL, BTC and ETH, moving index prices, market makers and traders. The bots are
    ordinary clients in a child process. If the journal exists, the market continues from its last state. Commands
    older than a day are deleted.

    \b
    Example:
      exchange demo
    """
    run_server(
        ServerSettings(
            path,
            host,
            port,
            clock_start_us=clock_start_us,
            demo=True,
            demo_seed=seed,
            rules=DEMO_RULES,
            accept_loss=accept_loss,
            archive_after_us=archive_after_us,
            delete_archives_after_us=delete_after_us,
            **access._asdict(),
            metrics_port=watching.metrics_port,
            metrics_host=watching.metrics_host,
        ),
        watching.log,
        opens_screen,
    )
