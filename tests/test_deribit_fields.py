"""The documented fields of Deribit's objects: each is there with its type, or is absent for a reason.

`deribit_fields.txt` lists them by object; the source is https://docs.deribit.com/api-reference. `sometimes`: Deribit
has the field in some cases only, and this conversation has one of them; `rarely`: it has none of them.
"""

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from exchange.domain.commands import SetSuspended
from tests.deribit_desk import CALL, MINUTE_US, PUT, SOON, Client, DeribitDesk

TABLE = Path(__file__).parent / "deribit_fields.txt"
TIMES = {"start_timestamp": 0, "end_timestamp": 9_000_000_000_000}
GROUP = {"index_name": "sol_usdc", "mmp_group": "maker"}


class Field(NamedTuple):
    name: str
    types: list[str]
    is_always: bool


def _table() -> dict[str, list[Field]]:
    found: dict[str, list[Field]] = {}
    for line in TABLE.read_text().splitlines():
        name, _, rest = line.strip().partition(" ")
        if line and not line.startswith(" "):
            of = found[name] = []
        elif rest and not rest.startswith("absent: ") and not rest.endswith(" rarely"):
            of.append(Field(name, rest.split()[0].split("|"), not rest.endswith(" sometimes")))
    return found


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {str: "text", int: "integer", float: "number", list: "list", dict: "object"}
    return names[type(value)]


def _why_wrong(of: list[Field], instances: list[Any]) -> list[str]:
    wrong = []
    for name, types, is_always in of:
        found = [one[name] for one in instances if name in one]
        # A whole number is a number, too.
        fitting = [*types, "integer"] if "number" in types else types
        if not found or (is_always and len(found) < len(instances)):
            wrong.append(f"{name} is missing in {len(instances) - len(found)} of {len(instances)}")
        wrong += [f"{name} is {value!r}, not {types}" for value in found if _type_of(value) not in fitting][:1]
    return wrong


class Seen:
    """The instances of each object that the conversation showed."""

    def __init__(self) -> None:
        self.objects: dict[str, list[Any]] = defaultdict(list)

    def add(self, name: str, found: Any) -> None:
        """Note one instance, or a list of them, with the objects in it."""
        for one in found if isinstance(found, list) else [found]:
            self.objects[name].append(one)
            for part in ("stats", "greeks"):
                if part in one:
                    self.objects[part].append(one[part])


async def _orders(seen: Seen, alice: Client, bob: Client) -> None:
    order = {"instrument_name": CALL, "amount": 1, "price": 8}
    await bob.call("private/sell", **order)
    for params in (order | {"amount": 2, "post_only": True, "reject_post_only": True, "price": 7}, order):
        placed = await alice.call("private/buy", **params, label="a")
        seen.add("order", placed["order"])
        seen.add("user_trade", placed["trades"])
    await bob.call("private/sell", instrument_name=PUT, amount=200, price=9, display_amount=50)
    await bob.call("private/buy", instrument_name=PUT, amount=1, price=6)
    seen.add("order", await bob.call("private/get_open_orders"))
    limit = {"type": "market_limit", "instrument_name": CALL, "amount": 1}
    seen.add("order", (await bob.call("private/sell", **limit))["order"])
    for trigger in (
        {"type": "stop_limit", "price": 1, "trigger": "index_price", "trigger_price": 140},
        {"type": "trailing_stop", "trigger": "mark_price", "trigger_offset": 1},
    ):
        placed = await alice.call("private/sell", instrument_name=CALL, amount=1, **trigger)
        seen.add("order", placed["order"])
    exits = [{"direction": "sell", "type": "take_limit", "price": 60, "trigger": "index_price", "trigger_price": 199}]
    exits += [{"direction": "sell", "type": "stop_market", "trigger": "index_price", "trigger_price": 100}]
    link = {"linked_order_type": "one_triggers_one_cancels_other", "otoco_config": exits}
    seen.add("order", (await alice.call("private/buy", instrument_name=CALL, amount=1, price=6.5, **link))["order"])
    seen.add("order", await alice.call("private/get_open_orders"))
    ids = [one["order_id"] for one in await bob.call("private/get_open_orders")]
    seen.add("order_margin", await bob.call("private/get_order_margin_by_ids", ids=ids))


async def _quotes(seen: Seen, alice: Client, bob: Client) -> None:
    await alice.call("private/enable_cancel_on_disconnect")
    limits = {"quantity_limit": 1, "delta_limit": 9, "vega_limit": 900}
    config = GROUP | {"interval": 60, "frozen_time": 60} | limits
    seen.add("mmp_config", await alice.call("private/set_mmp_config", **config, max_quote_quantity=9))
    sides = {"bid": {"price": 2, "amount": 2}, "ask": {"price": 9.001, "amount": 1}}
    quotes = [{"instrument_name": SOON, "quote_set_id": "near", **sides}]
    for detailed in (True, False):
        told = await alice.call("private/mass_quote", mmp_group="maker", quote_id="7", quotes=quotes, detailed=detailed)
        seen.add("mass_quote", told)
        seen.add("quote_error", told["errors"])
        seen.add("order", told.get("orders", []))
    cancelled = await alice.call("private/cancel_quotes", cancel_type="all", detailed=True)
    seen.add("cancelled_group", cancelled)
    await alice.call("private/mass_quote", mmp_group="maker", quote_id="8", quotes=quotes)
    await bob.call("private/sell", instrument_name=SOON, amount=1, price=2)
    seen.add("mmp_status", await alice.call("private/get_mmp_status"))
    seen.add("order", await alice.call("private/get_order_history_by_currency", currency="SOL"))


async def _market(seen: Seen, reader: Client) -> None:
    seen.add("instrument", await reader.call("public/get_instruments", currency="any"))
    seen.add("ticker", await reader.call("public/ticker", instrument_name=CALL))
    seen.add("ticker", await reader.call("public/ticker", instrument_name=PUT))
    seen.add("book", await reader.call("public/get_order_book", instrument_name=CALL))
    seen.add("book_summary", await reader.call("public/get_book_summary_by_currency", currency="SOL"))
    seen.add("currency", await reader.call("public/get_currencies"))
    seen.add("index_price", await reader.call("public/get_index_price", index_name="sol_usdc"))
    seen.add("trade_volumes", await reader.call("public/get_trade_volumes"))
    found = await reader.call("public/get_last_trades_by_currency", currency="SOL", count=100)
    seen.add("public_trade", found["trades"])
    times = {"start_timestamp": reader.exchange.now_us() // 1_000 - 600_000, "end_timestamp": 9_000_000_000_000}
    chart = {"instrument_name": CALL, "resolution": "1", **times}
    seen.add("chart", await reader.call("public/get_tradingview_chart_data", **chart))


async def _account(seen: Seen, alice: Client) -> None:
    seen.add("position", await alice.call("private/get_positions", currency="USDC"))
    summary = {"currency": "USDC", "extended": True}
    seen.add("account_summary", await alice.call("private/get_account_summary", **summary))
    seen.add("account_summaries", await alice.call("private/get_account_summaries", **summary))
    (account,) = await alice.call("private/get_subaccounts", with_portfolio=True)
    seen.add("subaccount", account)
    seen.add("portfolio_of_subaccount", account["portfolio"]["usdc"])
    details = await alice.call("private/get_subaccounts_details", currency="SOL", with_open_orders=True)
    seen.add("subaccount_details", details)
    sizes = {CALL: 1}
    seen.add(
        "simulated_portfolio",
        await alice.call("private/simulate_portfolio", currency="USDC", simulated_positions=sizes),
    )
    log = await alice.call("private/get_transaction_log", currency="USDC", **TIMES)
    seen.add("transaction", log["logs"])
    seen.add("margins", await alice.call("private/get_margins", instrument_name=CALL, amount=1, price=8))
    found = await alice.call("private/get_user_trades_by_currency", currency="any")
    seen.add("user_trade", found["trades"])
    found = await alice.call("private/get_trigger_order_history", currency="any")
    seen.add("trigger_record", found["entries"])


def _channels(seen: Seen, alice: Client) -> None:
    for channel, name in CHANNELS.items():
        messages = alice.told(channel)
        assert messages, f"{channel} is silent"
        for data in messages:
            seen.add(name, data)


CHANNELS = {
    f"book.{CALL}.raw": "channel_book",
    f"book.{CALL}.none.10.100ms": "channel_book_levels",
    f"quote.{CALL}": "channel_quote",
    f"ticker.{CALL}.raw": "ticker",
    f"trades.{CALL}.raw": "public_trade",
    "user.trades.any.any.raw": "user_trade",
    "user.orders.any.any.raw": "order",
    "deribit_price_index.sol_usdc": "channel_index",
    f"chart.trades.{CALL}.1": "channel_candle",
    "estimated_expiration_price.sol_usdc": "channel_expiration",
    "instrument.state.option.any": "channel_state",
    "markprice.options.sol_usdc": "channel_mark",
    "user.mmp_trigger.sol_usdc": "channel_mmp_trigger",
    "user.portfolio.usdc": "channel_portfolio",
}


def test_documented_fields_are_there_or_absent_for_a_reason() -> None:
    seen = Seen()

    async def conversation() -> None:
        desk = DeribitDesk()
        alice, bob = await desk.open("alice", "bob")
        stranger = await desk.client()
        params = {"grant_type": "client_credentials", "client_id": "carol", "client_secret": "", "state": "s"}
        seen.add("tokens", await stranger.call("public/auth", **params))
        await alice.call("private/subscribe", channels=list(CHANNELS))
        await _orders(seen, alice, bob)
        await _quotes(seen, alice, bob)
        await desk.wait(1_000)
        await desk.set_index(150)
        await _market(seen, stranger)
        await _account(seen, alice)
        await desk.set_index(139)
        await desk.wait(8 * 60 * MINUTE_US)
        await desk.set_index(160)
        found = await alice.call("private/get_trigger_order_history", currency="any")
        seen.add("trigger_record", found["entries"])
        found = await alice.call("private/get_settlement_history_by_currency", currency="SOL")
        seen.add("settlement", found["settlements"])
        found = await alice.call("public/get_last_settlements_by_currency", currency="SOL")
        seen.add("settlement", found["settlements"])
        found = await alice.call("public/get_delivery_prices", index_name="sol_usdc")
        seen.add("delivery_price", found["data"])
        seen.add("ticker", await alice.call("public/ticker", instrument_name=SOON))
        seen.add("book", await alice.call("public/get_order_book", instrument_name=SOON))
        log = await alice.call("private/get_transaction_log", currency="USDC", **TIMES)
        seen.add("transaction", log["logs"])
        seen.add("order", await alice.call("private/get_order_history_by_currency", currency="SOL", count=100))
        _channels(seen, alice)
        await desk.exchange.execute(SetSuspended("alice", True))
        seen.add("user_lock", await alice.call("private/get_user_locks"))

    asyncio.run(conversation())
    table = _table()
    assert len(table) > 30
    wrong = {name: why for name, of in table.items() if (why := _why_wrong(of, seen.objects[name]))}
    assert wrong == {}, "\n".join(f"{name}: {why}" for name, why in wrong.items())
