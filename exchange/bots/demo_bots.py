"""The crowd of the demo: who is in it, what each begins with, and everyone at once."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
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
MAKER_CASH_MICROS = 10_000_000 * MICROS_PER_USDC  # what all its quotes lock, several times
TAKER_CASH_MICROS = 100_000 * MICROS_PER_USDC
TICK_MS = 1_000


class BotAccount(NamedTuple):
    """A bot, whose account it uses, and the cash it ought to have."""

    user_id: str
    bot: Bot
    cash_micros: int


def demo_bots(seed: int | str) -> Iterator[BotAccount]:
    """The bots of this seed."""
    for n in range(1, MAKERS + 1):
        yield BotAccount(f"maker-{n}", MarketMaker(f"{seed}/maker-{n}"), MAKER_CASH_MICROS)
    for n in range(1, TAKERS + 1):
        yield BotAccount(f"trader-{n}", Taker(f"{seed}/trader-{n}"), TAKER_CASH_MICROS)


def walk_of(asset: str, price_micros: int, tick_ms: int, seed: int | str) -> IndexWalk:
    """How the index of an asset walks from its last price on."""
    return IndexWalk(price_micros, int(VOLATILITIES.get(asset, VOLATILITY) * PPM), tick_ms, f"{seed}/{asset}")


def missing_micros(member: BotAccount, equity_micros: int) -> int:
    """What the administrator pays in, so that it can trade: nothing while it has at least half of what it ought to."""
    return member.cash_micros - equity_micros if 2 * equity_micros < member.cash_micros else 0


async def run_all(url: str, admin_secret: str, seed: int | str) -> None:
    """Let the index walk and everybody trade, until the exchange is gone: then ExchangeError is raised."""
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(connect(url, "admin", admin_secret))
        assets = dict.fromkeys(instrument.asset for instrument in await admin.get_instruments())
        lives = [_walk(admin, asset, seed) for asset in assets]
        for member in demo_bots(seed):
            client = await stack.enter_async_context(connect(url, member.user_id))
            if amount := missing_micros(member, (await client.get_account()).equity_micros or 0):
                await admin.call("admin/deposit", user_id=member.user_id, amount=amount)
            lives.append(run_bot(client, member.bot))
        await asyncio.gather(*lives)


async def _walk(admin: Client, asset: str, seed: int | str) -> None:
    walk = walk_of(asset, (await admin.get_index_price(asset)).price_micros, TICK_MS, seed)
    while True:
        await asyncio.sleep(TICK_MS / 1_000)
        await admin.call("admin/set_index_price", asset=asset, price=walk.step())
