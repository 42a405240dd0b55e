"""Calls of typed-deribit, which validates each answer, and of deribit-wrapper, against an exchange. Prints JSON.

    python typed_deribit_calls.py PORT CLIENT_ID SECRET

Both are unmodified but for their URLs. It runs in an environment of its own (`.ci/clients`).
"""

import asyncio
import json
import sys
import warnings
from typing import Any

import deribit_wrapper
from typed_deribit import Deribit
from typed_deribit.core import base

PATIENCE_SECONDS = 20
# pydantic warns of a union of order types.
warnings.simplefilter("ignore")


async def _typed(port: str, client_id: str, secret: str) -> dict[str, Any]:
    base.resolve_http_base_url = lambda _testnet: f"http://127.0.0.1:{port}/api/v2"
    base.resolve_ws_url = lambda _testnet: f"ws://127.0.0.1:{port}/ws/api/v2"
    told: dict[str, Any] = {}
    async with Deribit.new(client_id=client_id, client_secret=secret, validate=True) as client:
        market, trading, account = client.market_data, client.trading, client.account
        told["instruments"] = await market.get_instruments("any")
        name = told["name"] = told["instruments"][0]["instrument_name"]
        # It takes `underlying_index`, which is a text, for a number.
        told["book"] = await market.get_order_book(name, validate=False)
        told["summaries"] = await market.get_book_summary_by_currency("USDC")
        told["expirations"] = await market.get_expirations(currency="any", kind="option")
        told["names"] = await market.get_index_price_names()
        order = {"instrument_name": name, "amount": 1, "type": "limit", "price": 8.25, "label": "typed"}
        placed = told["placed"] = await trading.buy(order)
        order_id = placed["order"]["order_id"]
        told["edited"] = await trading.edit(order_id=order_id, amount=2, price=8.2)
        told["open"] = await trading.get_open_orders()
        told["margins"] = await trading.get_order_margin_by_ids([order_id])
        told["cancelled"] = await trading.cancel(order_id)
        told["bought"] = await trading.buy(order | {"price": 8.5, "amount": 0.5})
        told["trades"] = await trading.get_user_trades_by_instrument(name)
        told["public trades"] = await market.get_last_trades_by_instrument(name)
        told["positions"] = await account.get_positions()
        told["summary"] = await account.get_account_summary("USDC")
        told["subaccounts"] = await account.get_subaccounts()
        told["history"] = await trading.get_order_history_by_instrument(instrument_name=name)
    return told


def _wrapped(port: str, client_id: str, secret: str) -> dict[str, Any]:
    deribit_wrapper.DeribitClient.api_url = f"http://127.0.0.1:{port}/api/v2"
    client = deribit_wrapper.DeribitClient("test", client_id, secret)
    told: dict[str, Any] = {"currencies": client.currencies}
    told["open"] = len(client.get_open_orders())
    return told


async def main(port: str, client_id: str, secret: str) -> None:
    """Call both clients."""
    told = await asyncio.wait_for(_typed(port, client_id, secret), PATIENCE_SECONDS)
    wrapped = await asyncio.to_thread(_wrapped, port, client_id, secret)
    sys.stdout.write(json.dumps({"typed": told, "wrapped": wrapped}, default=str))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
