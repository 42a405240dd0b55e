"""Five tests of the bot. `venue` is a fixture that the exchange brings: a whole exchange, new for each test."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from spread_bot import SpreadBot

from exchange.testing import ChaosPlan, Venue

CALL = "SOL_USDC-6MAR26-150-C"


def run(venue: Venue, story: Callable[[SpreadBot], Awaitable[None]]) -> None:
    """Let the bot live through a story."""

    async def play() -> None:
        async with venue.client("bot") as client:
            await story(SpreadBot(client, CALL, edge=100_000, size=1_000, position_max=2_000))

    asyncio.run(play())


def prices(venue: Venue) -> list[int]:
    return [order.price_micros or 0 for order in venue.open_orders("bot")]


def test_it_quotes_around_the_mark(venue: Venue) -> None:
    run(venue, SpreadBot.act)
    bid, ask = prices(venue)
    assert bid < (venue.ticker(CALL).mark_micros or 0) < ask


def test_its_quotes_follow_the_index(venue: Venue) -> None:
    async def story(bot: SpreadBot) -> None:
        await bot.act()
        before = prices(venue)
        venue.set_index("SOL", 155)
        await bot.act()
        assert all(now > then for now, then in zip(prices(venue), before, strict=True))

    run(venue, story)


def test_it_stops_at_its_limit(venue: Venue) -> None:
    async def story(bot: SpreadBot) -> None:
        for _ in range(3):
            await bot.act()
            venue.call("private/sell", "alice", instrument_id=CALL, amount=1_000, price=min(prices(venue)))
        assert await bot.position() == 2_000
        await bot.act()
        assert [order.side for order in venue.open_orders("bot")] == ["ask"]

    run(venue, story)


@pytest.mark.venue(chaos=ChaosPlan(latency_ms=(0, 5)))
def test_a_lost_answer_makes_no_second_order(venue: Venue) -> None:
    venue.fail_next("private/buy", "lost_answer")
    run(venue, SpreadBot.act)
    assert [fault.fault for fault in venue.faults] == ["lost_answer"]
    assert [order.side for order in venue.open_orders("bot")] == ["bid", "ask"]


def test_it_is_paid_at_the_expiration(venue: Venue) -> None:
    async def story(bot: SpreadBot) -> None:
        await bot.act()
        venue.call("private/sell", "alice", instrument_id=CALL, amount=1_000, type="market")
        venue.settle(CALL, "165.5")
        await bot.act()

    run(venue, story)
    account = venue.account("bot")
    assert not account.positions and (account.total_pnl_micros or 0) > 0
    venue.check()
