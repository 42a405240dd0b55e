"""A market maker: it quotes all options of an asset with one request, and market maker protection limits its losses.

    python market_maker.py ws://127.0.0.1:8765/ 10

In each of the rounds it quotes both sides of each option around the mark price. If its fills within five seconds reach
a limit, the exchange cancels all its quotes within the command of the last fill and freezes the group; the bot then
resets it in the next round. Prices are in micros of USDC, sizes in millicontracts.
"""

import asyncio
import sys

from exchange.client import Client, connect
from exchange.client.results import QuoteOptions

ASSET = "SOL"
GROUP = "all-of-sol"
# The distance of a quote from the mark, in parts of it, and at least in ticks.
EDGE, TICKS_MIN = 0.03, 2
SIZE = 1_000
QUOTES_MAX = 100


async def quote(client: Client, number: int) -> None:
    """Replace all quotes by those around the marks of now."""
    tickers = {ticker.instrument_id: ticker for ticker in await client.get_tickers(ASSET)}
    quotes: list[QuoteOptions] = []
    for instrument in await client.get_instruments(ASSET):
        ticker, tick = tickers[instrument.instrument_id], instrument.tick_micros
        if ticker.mark_micros is None or ticker.min_price_micros is None or ticker.max_price_micros is None:
            continue
        away = max(round(ticker.mark_micros * EDGE), TICKS_MIN * tick)
        bid, ask = (ticker.mark_micros - away) // tick * tick, -(-(ticker.mark_micros + away) // tick) * tick
        sides = QuoteOptions(instrument_id=instrument.instrument_id)
        if bid >= ticker.min_price_micros:
            sides["bid"] = {"price": bid, "amount": SIZE}
        if ask <= ticker.max_price_micros:
            sides["ask"] = {"price": ask, "amount": SIZE}
        if len(sides) > 1:
            quotes.append(sides)
    for begin in range(0, len(quotes), QUOTES_MAX):
        result = await client.mass_quote(GROUP, f"round-{number}", quotes[begin : begin + QUOTES_MAX])
        print(f"round {number}: {len(result.orders)} quotes, {len(result.errors)} refused")
        for error in result.errors:
            print(f"  {error.instrument_id} {error.side}: {error.reason}")


async def main(url: str, rounds: int) -> None:
    async with connect(url, "market-maker") as client:
        # Quotes must not outlive the bot.
        await client.cancel_on_disconnect(scope="connection")
        await client.set_mmp_config(GROUP, ASSET, interval=5, frozen_time=0, quantity_limit=10 * SIZE)
        for number in range(rounds):
            (group,) = await client.get_mmp_config(GROUP)
            if group.frozen_until_us is not None:
                print(f"round {number}: frozen by its fills")
                await client.reset_mmp(GROUP)
            await quote(client, number)
            await asyncio.sleep(1)
        cancelled = await client.cancel_quotes(asset=ASSET)
        print(f"{cancelled.cancelled} quotes cancelled")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
