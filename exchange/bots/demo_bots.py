"""The bots of the demo: their accounts and cash, and the loop that runs them all."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from ssl import SSLContext
from typing import NamedTuple

from exchange.bots.bot import Bot
from exchange.bots.live import run_bot
from exchange.bots.maker import VOLATILITIES, VOLATILITY, MarketMaker
from exchange.bots.taker import Taker
from exchange.bots.walk import IndexWalk
from exchange.client import Client, connect
from exchange.domain.units import MICROS_PER_USDC, PPM

MAKERS = 3
TAKERS = 6
# Several times the cash that all quotes of a maker lock.
MAKER_CASH_MICROS = 10_000_000 * MICROS_PER_USDC
TAKER_CASH_MICROS = 100_000 * MICROS_PER_USDC
TICK_MS = 1_000


class BotAccount(NamedTuple):
    """A bot, the account it trades with, and the cash it starts with."""

    user_id: str
    bot: Bot
    cash_micros: int


def demo_bots(seed: int | str) -> Iterator[BotAccount]:
    """Make the bots of the demo for this seed."""
    for n in range(1, MAKERS + 1):
        yield BotAccount(f"maker-{n}", MarketMaker(f"{seed}/maker-{n}"), MAKER_CASH_MICROS)
    for n in range(1, TAKERS + 1):
        yield BotAccount(f"trader-{n}", Taker(f"{seed}/trader-{n}"), TAKER_CASH_MICROS)


def walk_of(asset: str, price_micros: int, tick_ms: int, seed: int | str) -> IndexWalk:
    """Make the random index of an asset, starting at `price_micros`."""
    return IndexWalk(price_micros, int(VOLATILITIES.get(asset, VOLATILITY) * PPM), tick_ms, f"{seed}/{asset}")


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
        tasks = [_move_index(admin, asset, seed) for asset in assets]
        for account in demo_bots(seed):
            client = await stack.enter_async_context(connect(url, account.user_id, admin_secret, tls=tls))
            if amount := missing_micros(account, (await client.get_account()).equity_micros or 0):
                await admin.call("admin/deposit", user_id=account.user_id, amount=amount)
            tasks.append(run_bot(client, account.bot))
        await asyncio.gather(*tasks)


async def _move_index(admin: Client, asset: str, seed: int | str) -> None:
    walk = walk_of(asset, (await admin.get_index_price(asset)).price_micros, TICK_MS, seed)
    while True:
        await asyncio.sleep(TICK_MS / 1_000)
        await admin.call("admin/set_index_price", asset=asset, price=walk.step())
