"""Calls of ccxt, unmodified but for its URLs, against an exchange. Prints their results as JSON.

    python ccxt_calls.py PORT CLIENT_ID SECRET

It runs in an environment of its own (`.ci/clients`): ccxt asks for older versions of libraries than the exchange.
"""

import asyncio
import json
import sys
from typing import Any

import ccxt.pro

PATIENCE_SECONDS = 20


async def main(port: str, client_id: str, secret: str) -> None:
    """Trade, and watch what happens."""
    exchange = ccxt.pro.deribit({"apiKey": client_id, "secret": secret})
    exchange.urls["api"] = {"rest": f"http://127.0.0.1:{port}", "ws": f"ws://127.0.0.1:{port}/ws/api/v2"}
    told: dict[str, Any] = {}
    try:
        await _trade(exchange, told)
    finally:
        await exchange.close()
    sys.stdout.write(json.dumps(told, default=str))


async def _trade(exchange: Any, told: dict[str, Any]) -> None:
    markets = await exchange.load_markets()
    symbol = next(name for name, market in markets.items() if market["option"])
    told["market"] = {key: markets[symbol][key] for key in ("id", "base", "settle", "strike", "contractSize")}
    told["ticker"] = await exchange.fetch_ticker(symbol)
    told["tickers"] = await exchange.fetch_tickers([symbol])
    told["book"] = await exchange.fetch_order_book(symbol)
    told["greeks"] = await exchange.fetch_greeks(symbol)
    told["option"] = await exchange.fetch_option(symbol)
    told["chain"] = list(await exchange.fetch_option_chain("SOL"))
    watching = {
        name: asyncio.ensure_future(getattr(exchange, f"watch_{name}")(*arguments))
        for name, arguments in (
            ("order_book", [symbol]),
            ("ticker", [symbol]),
            ("bids_asks", [[symbol]]),
            ("trades", [symbol]),
            ("my_trades", [symbol]),
            ("orders", [symbol]),
            ("ohlcv", [symbol, "1m"]),
            ("balance", []),
        )
    }
    # The first message of the account says that all channels before it are subscribed.
    await asyncio.wait_for(asyncio.shield(watching["balance"]), PATIENCE_SECONDS)
    placed = await exchange.create_order(symbol, "limit", "buy", 1, 1.25)
    told["placed"] = placed
    told["edited"] = await exchange.edit_order(placed["id"], symbol, "limit", "buy", 2, 1.2)
    told["fetched"] = await exchange.fetch_order(placed["id"], symbol)
    told["open"] = await exchange.fetch_open_orders(symbol)
    told["cancelled"] = await exchange.cancel_order(placed["id"], symbol)
    told["market order"] = await exchange.create_order(symbol, "market", "buy", 1)
    told["reduced"] = await exchange.create_order(symbol, "limit", "sell", 0.5, 1.4, {"reduceOnly": True})
    try:
        await exchange.create_order(symbol, "limit", "buy", 1, 1.6, {"postOnly": True})
    except ccxt.InvalidOrder as error:
        told["post only"] = str(error)
    told["positions"] = await exchange.fetch_positions()
    told["balance"] = await exchange.fetch_balance()
    told["closed"] = [one["id"] for one in await exchange.fetch_closed_orders(symbol)]
    told["my trades"] = await exchange.fetch_my_trades(symbol)
    told["trades"] = await exchange.fetch_trades(symbol)
    told["candles"] = await exchange.fetch_ohlcv(symbol, "1m")
    told["deposits"] = await exchange.fetch_deposits("USDC")
    told["volatilities"] = await exchange.fetch_volatility_history("SOL")
    await exchange.cancel_all_orders(symbol)
    told["left"] = await exchange.fetch_open_orders(symbol)
    for name, task in watching.items():
        told[f"watched {name}"] = await asyncio.wait_for(task, PATIENCE_SECONDS)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
