"""A volatility trader: it buys options that are cheap in volatility, and sells those that are dear.

    python volatility_trader.py ws://127.0.0.1:8765/ 10

In each of the rounds it looks at the options of an asset that expire first, and compares the volatilities of their best
prices with its own opinion. Prices are in micros of USDC, sizes in millicontracts.
"""

import asyncio
import sys

from exchange.client import Client, ExchangeError, connect

ASSET = "SOL"
OPINION = 0.80
# It trades if a price is this far from its opinion: 0.02 is two volatility points.
EDGE = 0.02
SIZE = 1_000
POSITION_MAX = 5_000


async def trade(client: Client) -> None:
    """One round."""
    listed = await client.get_instruments(ASSET)
    first = min(instrument.expiration_s for instrument in listed)
    held = {one.instrument_id: one.quantity_milli for one in (await client.get_positions(ASSET)).positions}
    for instrument in listed:
        if instrument.expiration_s != first:
            continue
        ticker = await client.get_ticker(instrument.instrument_id)
        position = held.get(instrument.instrument_id, 0)
        try:
            if ticker.ask_iv and ticker.ask_iv < OPINION - EDGE and position + SIZE <= POSITION_MAX:
                await take(client, "buy", instrument.instrument_id, ticker.best_ask_micros)
            elif ticker.bid_iv and ticker.bid_iv > OPINION + EDGE and position - SIZE >= -POSITION_MAX:
                await take(client, "sell", instrument.instrument_id, ticker.best_bid_micros)
        except ExchangeError as error:
            print("refused:", error.reason)


async def take(client: Client, side: str, instrument_id: str, price: int | None) -> None:
    """Take the best price, and no worse one."""
    send = client.buy if side == "buy" else client.sell
    result = await send(instrument_id, SIZE, price, time_in_force="ioc")
    for fill in result.trades:
        print(f"{side} {fill.size_milli / 1_000:g} {instrument_id} at {fill.price_micros / 1_000_000:.2f}")


async def main(url: str, rounds: int) -> None:
    async with connect(url, "volatility-trader") as client:
        for _ in range(rounds):
            await trade(client)
            await asyncio.sleep(1)
        account = await client.get_account()
        vega = account.greeks[ASSET].vega if ASSET in account.greeks else 0
        print(f"profit {(account.total_pnl_micros or 0) / 1_000_000:+.2f} USDC, vega {vega:+.2f}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
