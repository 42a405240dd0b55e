"""`exchange watch`: the screen for those who stay in the terminal."""

import asyncio
import contextlib
from pathlib import Path

import click

from exchange.cli.client import login_of, tls_of, url_of
from exchange.cli.options import ASSET, db_option, user_option
from exchange.cli.output import is_terminal


@click.command()
@click.option("--asset", type=ASSET, help="Asset to begin with.  [default: the first one]")
@user_option
@db_option
def watch(asset: str | None, user_id: str, path: Path) -> None:
    """Watch the market and trade by keys, in the terminal.

    Shows the option chain, the order book with its trades, open orders and positions, live. `?` shows the keys. Needs
    the extra `watch`: pip install 'event-sourced-exchange[watch]'.

    \b
    Example:
      exchange watch --user alice
    """
    if not is_terminal():
        raise click.UsageError("exchange watch needs a terminal: exchange book --once prints a book")
    try:
        from exchange.cli.watch_app import WatchApp
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is not installed: pip install 'event-sourced-exchange[watch]'"
        ) from error
    url = url_of(path)
    app = WatchApp(url, tls_of(url, path), login_of(path, user_id), user_id, asset)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(app.run_async())
    if app.failure:
        raise click.ClickException(app.failure)
