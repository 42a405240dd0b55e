"""`exchange bot`: somebody to trade with."""

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
from exchange.cli.client import url_of
from exchange.cli.options import USER, db_option
from exchange.client import connect

_Function = TypeVar("_Function", bound=Callable[..., Any])


@click.group()
def bot() -> None:
    """Run a bot against an exchange until Ctrl-C; it trades as an ordinary client.

    Its account needs money for what it quotes: `exchange admin deposit` pays it in.
    """


def _connecting(function: _Function) -> _Function:
    """What every bot takes."""
    for decorate in reversed(
        (
            click.option("--seed", type=int, default=1, show_default=True, help="What it takes its chances from."),
            click.option("--url", help="Of the exchange.  [default: the one that runs on the journal]"),
            db_option,
        )
    ):
        function = decorate(function)
    return function


@bot.command("market-maker")
@_connecting
@click.option("--user", "user_id", type=USER, default="maker", show_default=True, help="Whose account.")
@click.option(
    "--volatility",
    type=click.FloatRange(0.01, 10),
    help="What it values options at; 0.8 is 80 % a year.  [default: BTC 0.5, ETH 0.65, others 0.8]",
)
def market_maker(seed: int, url: str | None, path: Path, user_id: str, volatility: float | None) -> None:
    """Quote both sides of every listed option, around Black-Scholes values, leaning against what it holds.

    \b
    Example:
      exchange bot market-maker --user maker --seed 7
    """
    _run(MarketMaker(seed, volatility), url or url_of(path), user_id)


@bot.command()
@_connecting
@click.option("--user", "user_id", type=USER, default="taker", show_default=True, help="Whose account.")
def taker(seed: int, url: str | None, path: Path, user_id: str) -> None:
    """Buy and sell small sizes at random, and sometimes close a position.

    \b
    Example:
      exchange bot taker --user taker --seed 7
    """
    _run(Taker(seed), url or url_of(path), user_id)


def _run(trading: Bot, url: str, user_id: str) -> None:
    async def run() -> None:
        async with connect(url, user_id) as client:
            click.echo(f"{user_id} trades on {url}: Ctrl-C ends it, its orders stay open")
            await run_bot(client, trading)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())
