"""The bots of the demo: their accounts and cash, and the loop that runs them all."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from ssl import SSLContext
from typing import NamedTuple

from exchange.bots.bot import Bot
from exchange.bots.crowd import Directional, Hedger, PurposefulTaker, PutSeller, StraddleSeller
from exchange.bots.live import run_bot
from exchange.bots.maker import MarketMaker
from exchange.bots.opinion import level_of
from exchange.bots.taker import Taker
from exchange.bots.walk import MarketWalk
from exchange.client import Client, connect
from exchange.domain.units import MICROS_PER_USDC

MAKERS = 3
# Takers that trade at random, and the styles of those with a purpose.
NOISE_TAKERS = 4
STYLES = (Directional, Hedger, StraddleSeller, PutSeller)
# Several times the cash that all quotes of a maker lock.
MAKER_CASH_MICROS = 10_000_000 * MICROS_PER_USDC
TAKER_CASH_MICROS = 100_000 * MICROS_PER_USDC
# Little enough that a seller of options soon sells as many as its cash allows.
SELLER_CASH_MICROS = 10_000 * MICROS_PER_USDC
TICK_MS = 1_000
# How often takers get their missing cash.
TOP_UP_SECONDS = 60


class BotAccount(NamedTuple):
    """A bot, the account it trades with, the cash it starts with, and whether it gets more if it lost that."""

    user_id: str
    bot: Bot
    cash_micros: int
    is_topped_up: bool


def demo_bots(seed: int | str) -> Iterator[BotAccount]:
    """Make the bots of the demo for this seed."""
    for n in range(1, MAKERS + 1):
        yield BotAccount(f"maker-{n}", MarketMaker(f"{seed}/maker-{n}"), MAKER_CASH_MICROS, False)
    for n in range(1, NOISE_TAKERS + len(STYLES) + 1):
        user_id = f"trader-{n}"
        bot_seed = f"{seed}/{user_id}"
        if n <= NOISE_TAKERS:
            yield BotAccount(user_id, Taker(bot_seed), TAKER_CASH_MICROS, True)
            continue
        style = STYLES[n - NOISE_TAKERS - 1]
        cash_micros = SELLER_CASH_MICROS if style in (StraddleSeller, PutSeller) else TAKER_CASH_MICROS
        yield BotAccount(user_id, PurposefulTaker(bot_seed, style()), cash_micros, True)


def walk_of(prices_micros: dict[str, int], tick_ms: int, seed: int | str) -> MarketWalk:
    """Make the random indexes of these assets, starting at these prices."""
    volatilities = {asset: level_of(asset) for asset in prices_micros}
    return MarketWalk(prices_micros, volatilities, tick_ms, f"{seed}/index")


def missing_micros(account: BotAccount, equity_micros: int) -> int:
    """The deposit that restores the bot's starting cash; 0 while its equity is at least half of that."""
    return account.cash_micros - equity_micros if 2 * equity_micros < account.cash_micros else 0


async def run_all(url: str, admin_secret: str, seed: int | str, tls: SSLContext | None = None) -> None:
    """Move the index and run all bots until the exchange is gone. Raises ExchangeError then.

    `tls` is the context of a `wss` URL. The administrator's secret opens the accounts of the bots, too.
    """
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(connect(url, "admin", admin_secret, tls=tls))
        assets = dict.fromkeys(instrument.asset for instrument in await admin.get_instruments())
        prices_micros = {asset: (await admin.get_index_price(asset)).price_micros for asset in assets}
        tasks = [_move_indexes(admin, walk_of(prices_micros, TICK_MS, seed))]
        accounts: list[tuple[Client, BotAccount]] = []
        for account in demo_bots(seed):
            client = await stack.enter_async_context(connect(url, account.user_id, admin_secret, tls=tls))
            await _top_up(admin, client, account)
            accounts.append((client, account))
            tasks.append(run_bot(client, account.bot))
        tasks.append(_keep_topped_up(admin, [one for one in accounts if one[1].is_topped_up]))
        await asyncio.gather(*tasks)


async def _move_indexes(admin: Client, walk: MarketWalk) -> None:
    while True:
        await asyncio.sleep(TICK_MS / 1_000)
        for asset, price_micros in walk.step().items():
            await admin.call("admin/set_index_price", asset=asset, price=price_micros)


async def _keep_topped_up(admin: Client, accounts: list[tuple[Client, BotAccount]]) -> None:
    while True:
        await asyncio.sleep(TOP_UP_SECONDS)
        for client, account in accounts:
            await _top_up(admin, client, account)


async def _top_up(admin: Client, client: Client, account: BotAccount) -> None:
    """Deposit the missing cash of a bot."""
    if amount := missing_micros(account, (await client.get_account()).equity_micros or 0):
        await admin.call("admin/deposit", user_id=account.user_id, amount=amount)
