"""ccxt trades on a real server, unmodified but for its URLs. Its values are those of the exchange's own language.

`.ci/clients` makes the environment that CCXT_PYTHON names.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from exchange.keys.key import new_key
from exchange.keys.key_file import change_keys
from tests.wire import Server, exchange

PYTHON = os.environ.get("CCXT_PYTHON", "")
CALLS = Path(__file__).parent / "clients" / "ccxt_calls.py"


@pytest.mark.skipif(not PYTHON, reason="CCXT_PYTHON names no Python with ccxt; .ci/clients makes one")
def test_ccxt_trades_and_watches(tmp_path: Path) -> None:
    key = new_key("alice", "trade", 0)

    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db") as server:
            change_keys(server.path, lambda keys: [*keys, key])
            bob = await server.client("bob")
            instrument_id = next(iter(server.engine.views.instruments))
            for price, amount in ((1_500_000, 5_000), (1_600_000, 5_000)):
                await bob.ask("private/sell", instrument_id=instrument_id, price=price, amount=amount)
            await bob.ask("private/buy", instrument_id=instrument_id, price=1_400_000, amount=3_000)
            told = await _calls(server, key.client_id, key.secret)
            _check(told, instrument_id)
            alice = (await bob.ask("public/get_trades", instrument_id=instrument_id))["result"]
            assert [(one["price"], one["size"]) for one in alice] == [(1_400_000, 500), (1_500_000, 1_000)]
            equity_micros = server.engine.views.account("alice").equity_micros
            assert equity_micros is not None and told["balance"]["USDC"]["total"] == equity_micros / 1e6

    asyncio.run(conversation())


async def _calls(server: Server, client_id: str, secret: str) -> dict[str, Any]:
    port = server.url.rstrip("/").rsplit(":", 1)[1]
    process = await asyncio.create_subprocess_exec(
        PYTHON, str(CALLS), port, client_id, secret, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    told: dict[str, Any] = json.loads(output)
    return told


def _check(told: dict[str, Any], instrument_id: str) -> None:
    assert told["market"] == {"id": instrument_id, "base": "SOL", "settle": "USDC", "strike": 150, "contractSize": 1}
    assert (told["ticker"]["bid"], told["ticker"]["ask"]) == (1.4, 1.5)
    assert told["book"]["bids"] == [[1.4, 3]] and told["book"]["asks"] == [[1.5, 5], [1.6, 5]]
    assert len(told["tickers"]) == len(told["chain"]) == 1
    assert (told["placed"]["status"], told["placed"]["price"], told["placed"]["amount"]) == ("open", 1.25, 1)
    assert (told["edited"]["price"], told["edited"]["amount"]) == (1.2, 2)
    assert told["fetched"]["id"] == told["open"][0]["id"] == told["placed"]["id"]
    assert told["cancelled"]["status"] == "canceled"
    assert (told["market order"]["status"], told["market order"]["average"]) == ("closed", 1.5)
    assert (told["reduced"]["status"], told["reduced"]["average"]) == ("closed", 1.4)
    assert "11054" in told["post only"]
    (position,) = told["positions"]
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 0.5, 1.5)
    assert told["closed"] == [told[name]["id"] for name in ("placed", "market order", "reduced")]
    assert [(one["price"], one["amount"], one["side"]) for one in told["my trades"]] == [
        (1.5, 1, "buy"),
        (1.4, 0.5, "sell"),
    ]
    assert [one["id"] for one in told["trades"]] == [one["id"] for one in told["my trades"]]
    assert sum(candle[5] for candle in told["candles"]) == 1.5
    assert told["deposits"] == told["left"] == []
    assert told["watched order_book"]["asks"][0][0] == 1.5
    assert told["watched ticker"]["ask"] == 1.5
    assert told["watched trades"][0]["amount"] == 1
    assert told["watched my_trades"][0]["side"] == "buy"
    assert told["watched orders"][0]["id"] == told["placed"]["id"]
    assert told["watched balance"]["USDC"]["total"]["USDC"] == told["balance"]["USDC"]["total"]
