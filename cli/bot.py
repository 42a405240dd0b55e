"""`exchange bot`: trading bots that connect as clients."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from exchange.bots.bot import Bot
from exchange.bots.live import run_bot
from exchange.bots.maker import MarketMaker
from exchange.bots.taker import Taker
from exchange.cli.client import given_key, owner_secret, tls_of, url_of
from exchange.cli.options import USER, db_option, key_file_option
from exchange.client import connect
from exchange.logs import set_up_log

_Function = TypeVar("_Function", bound=Callable[..., Any])


@click.group()
def bot() -> None:
    """Run a trading bot as an ordinary client until Ctrl-C.

    The account of the bot needs cash for its quotes: see `exchange admin deposit`.
    """


def _connecting(function: _Function) -> _Function:
    """Add the options that all bots share."""
    for decorate in reversed(
        (
            click.option("--seed", type=int, default=1, show_default=True, help="Random seed."),
            click.option("--url", help="URL of the exchange.  [default: the exchange that runs on the journal]"),
            key_file_option,
            db_option,
        )
    ):
        function = decorate(function)
    return function


@bot.command("market-maker")
@_connecting
@click.option(
    "--user", "user_id", type=USER, default="maker", show_default=True, help="User whose account the bot uses."
)
@click.option(
    "--volatility",
    type=click.FloatRange(0.01, 10),
    help="Annual volatility at the money; 0.8 is 80 %. The bot's own opinion is up to 2.5 % of it away, by --seed.  "
    "[default: BTC 0.5, ETH 0.65, others 0.8]",
)
def market_maker(seed: int, url: str | None, path: Path, user_id: str, volatility: float | None) -> None:
    """Quote both sides of every listed option. Nothing is bid for worthless ones.

    Quotes are around the Black-Scholes value by a smile of volatility. A position shifts them, so that trades reduce
    it. The maker takes a price that is better than its own quote by more than the fee.

    \b
    Example:
      exchange bot market-maker --user maker --seed 7
    """
    _run(MarketMaker(seed, volatility), url, path, user_id)


@bot.command()
@_connecting
@click.option(
    "--user", "user_id", type=USER, default="taker", show_default=True, help="User whose account the bot uses."
)
def taker(seed: int, url: str | None, path: Path, user_id: str) -> None:
    """Buy and sell small sizes at random; sometimes close positions.

    \b
    Example:
      exchange bot taker --user taker --seed 7
    """
    _run(Taker(seed), url, path, user_id)


def _run(trading: Bot, given_url: str | None, path: Path, user_id: str) -> None:
    key = given_key()
    if key is not None:
        user_id = key.user_id
    # The administrator's secret is for the exchange on this journal alone.
    secret = None if given_url or key else owner_secret(path)
    url = given_url or url_of(path)
    set_up_log()

    async def run() -> None:
        async with connect(url, user_id, secret, key=key, tls=None if given_url else tls_of(url, path)) as client:
            click.echo(f"{user_id} trades on {url}; Ctrl-C stops the bot, its orders stay open")
            await run_bot(client, trading)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())
