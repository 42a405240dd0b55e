"""Clients of Deribit trade on a real server, unmodified but for their URLs: ccxt for Python and JavaScript, and others.

Their values are those of the exchange's own language. `.ci/clients` makes the environments that CCXT_PYTHON and
CCXT_JAVASCRIPT name.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from exchange.keys.key import new_key
from exchange.keys.key_file import change_keys
from exchange.runtime.server_settings import admin_secret_file
from tests.test_deribit_docs import example
from tests.wire import INSTRUMENT, Server, exchange

PYTHON = os.environ.get("CCXT_PYTHON", "")
# The file js/ccxt.js of the package.
JAVASCRIPT = os.environ.get("CCXT_JAVASCRIPT", "")
CLIENTS = Path(__file__).parent / "clients"
CCXT_COMMANDS = [
    pytest.param(
        (PYTHON, str(CLIENTS / "ccxt_calls.py")),
        id="python",
        marks=pytest.mark.skipif(not PYTHON, reason="CCXT_PYTHON names no Python with ccxt; .ci/clients makes one"),
    ),
    pytest.param(
        ("node", str(CLIENTS / "ccxt_calls.mjs"), JAVASCRIPT),
        id="javascript",
        marks=pytest.mark.skipif(not JAVASCRIPT, reason="CCXT_JAVASCRIPT names no ccxt.js; .ci/clients installs it"),
    ),
]


@pytest.mark.parametrize("command", CCXT_COMMANDS)
def test_ccxt_trades_and_watches(tmp_path: Path, command: tuple[str, ...]) -> None:
    key = new_key("alice", "trade", 0)

    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db") as server:
            change_keys(server.path, lambda keys: [*keys, key])
            bob = await server.client("bob")
            instrument_id = next(iter(server.engine.views.instruments))
            for price, amount in ((1_500_000, 5_000), (1_600_000, 5_000)):
                await bob.ask("private/sell", instrument_id=instrument_id, price=price, amount=amount)
            await bob.ask("private/buy", instrument_id=instrument_id, price=1_400_000, amount=3_000)
            told = await _calls(server, command, key.client_id, key.secret)
            _check(told, instrument_id)
            alice = (await bob.ask("public/get_trades", instrument_id=instrument_id))["result"]
            assert [(one["price"], one["size"]) for one in alice] == [(1_400_000, 500), (1_500_000, 1_000)]
            equity_micros = server.engine.views.account("alice").equity_micros
            assert equity_micros is not None and told["balance"]["USDC"]["total"] == equity_micros / 1e6

    asyncio.run(conversation())


@pytest.mark.skipif(not PYTHON, reason="CCXT_PYTHON names no Python with the clients; .ci/clients makes one")
def test_typed_deribit_finds_all_answers_valid(tmp_path: Path) -> None:
    """It checks each answer against the types of Deribit's documentation."""
    key = new_key("alice", "trade", 0)

    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db") as server:
            change_keys(server.path, lambda keys: [*keys, key])
            admin, bob = await server.connect(), await server.client("bob")
            await admin.log_in("admin", client_secret=admin_secret_file(server.path).read_text().strip())
            await admin.ask("admin/set_index_price", asset="SOL", price=150_000_000)
            instrument_id = INSTRUMENT
            for price, amount in ((8_500_000, 5_000), (8_600_000, 5_000)):
                await bob.ask("private/sell", instrument_id=instrument_id, price=price, amount=amount)
            command = (PYTHON, str(CLIENTS / "typed_deribit_calls.py"))
            both = await _calls(server, command, key.client_id, key.secret)
            told, wrapped = both["typed"], both["wrapped"]
            assert told["name"] == instrument_id
            assert told["book"]["asks"] == [[8.5, 5.0], [8.6, 5.0]]
            assert (told["edited"]["order"]["amount"], told["cancelled"]["order_state"]) == (2.0, "cancelled")
            assert told["margins"][0]["initial_margin"] >= 2 * 8.2
            assert [one["price"] for one in told["trades"]["trades"]] == [8.5]
            assert [one["size"] for one in told["positions"]] == [0.5]
            assert told["subaccounts"][0]["username"] == "alice"
            assert "USDC" in wrapped["currencies"] and wrapped["open"] == 0

    asyncio.run(conversation())


@pytest.mark.parametrize(
    ("heading", "command"),
    [
        pytest.param(
            "ccxt for Python", (PYTHON, "-c"), marks=pytest.mark.skipif(not PYTHON, reason="as above"), id="python"
        ),
        pytest.param(
            "ccxt for JavaScript",
            ("node", "--input-type=module", "-e"),
            marks=pytest.mark.skipif(not JAVASCRIPT, reason="as above"),
            id="javascript",
        ),
    ],
)
def test_the_examples_of_the_page_run_as_printed(tmp_path: Path, heading: str, command: tuple[str, ...]) -> None:
    key = new_key("alice", "trade", 0)

    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db") as server:
            change_keys(server.path, lambda keys: [*keys, key])
            code = example(heading).replace("8765", server.url.rstrip("/").rsplit(":", 1)[1])
            code = code.replace("alice:1a2b3c4d", key.client_id).replace("…", key.secret)
            code = code.replace('from "ccxt"', f'from "{JAVASCRIPT}"')
            process = await asyncio.create_subprocess_exec(*command, code, stdout=asyncio.subprocess.PIPE)
            output, _ = await process.communicate()
            words = output.decode().split()
            assert words[0] == "open" and "2.5" in " ".join(words[1:])

    asyncio.run(conversation())


async def _calls(server: Server, command: tuple[str, ...], client_id: str, secret: str) -> dict[str, Any]:
    port = server.url.rstrip("/").rsplit(":", 1)[1]
    process = await asyncio.create_subprocess_exec(*command, port, client_id, secret, stdout=asyncio.subprocess.PIPE)
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
