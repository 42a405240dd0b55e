"""Random requests of Deribit's dialect have the effect of the native ones: two exchanges, one history.

Each request is sent to one exchange in the words of Deribit, and to another one in those of `/`. The test translates by
itself: prices in micros, amounts in millicontracts. Afterwards the events, the states and the accounts are equal.
"""

import asyncio
import json
import secrets
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest

from exchange.matching.state_codec import digest
from tests.deribit_desk import CALL, PUT, RULES, SOON, Client, DeribitDesk
from tests.fake_exchange import Connection, FakeExchange

REQUESTS = 250
USERS = ("alice", "bob", "carol")
NAMES = (CALL, PUT, SOON)


class Pair(NamedTuple):
    """A request in both languages. The names of methods are those after `private/`."""

    method: str
    params: dict[str, Any]
    native_method: str
    native_params: dict[str, Any]


SIDES = {"buy": "bid", "sell": "ask"}
# The terms of an order in otoco_config; the others are those of the order that it comes with.
SECONDARY: tuple[str, ...] = (
    "amount",
    "type",
    "label",
    "price",
    "time_in_force",
    "post_only",
    "reject_post_only",
    "reduce_only",
)
SECONDARY += ("trigger", "trigger_price", "trigger_offset")


class Requests:
    """Random requests. They remember the ids of orders, so that edits and cancellations meet some."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.last_order_id = 1

    def next(self) -> Pair:
        """Make a request."""
        random = self.random
        makers = (
            self._order,
            self._edit,
            self._cancel,
            self._many,
            self._close,
            self._quote,
            self._group,
            self._quotes,
            self._linked,
        )
        (maker,) = random.choices(makers, (40, 10, 10, 6, 4, 18, 4, 5, 8))
        return maker()

    def _price(self) -> tuple[float, int]:
        ticks = self.random.randint(1, 1_200)
        # Some are off the tick of a cent.
        micros = ticks * 10_000 + self.random.choice((0, 0, 0, 0, 0, 0, 5_000))
        return micros / 1_000_000, micros

    def _amount(self) -> tuple[float, int]:
        milli = self.random.choice((100, 500, 1_000, 1_001, 2_500, 50_000, 1))
        return milli / 1_000, milli

    def _order(self) -> Pair:
        random = self.random
        (price, micros), (amount, milli) = self._price(), self._amount()
        method, name = random.choice(("buy", "sell")), random.choice(NAMES)
        ours: dict[str, Any] = {"instrument_name": name, random.choice(("amount", "contracts")): amount}
        native: dict[str, Any] = {"instrument_id": name, "amount": milli}
        triggered = ("stop_limit", "take_market", "stop_market")
        kinds = ("limit", "limit", "limit", "limit", "market", "market_limit", random.choice(triggered))
        kind = random.choice(kinds)
        both: dict[str, Any] = {"type": kind}
        if kind in ("limit", "stop_limit"):
            ours["price"], native["price"] = price, micros
        if kind in triggered:
            trigger_price, trigger_micros = self._price()
            ours["trigger_price"], native["trigger_price"] = trigger_price, trigger_micros
            both["trigger"] = random.choice(("index_price", "mark_price", "last_price"))
        if kind == "limit":
            both |= random.choice(
                (
                    {},
                    {},
                    {"time_in_force": random.choice(("good_til_day", "fill_or_kill", "immediate_or_cancel"))},
                    {"post_only": True, "reject_post_only": random.random() < 0.5},
                    {"reduce_only": True},
                    {"label": random.choice("ab")},
                )
            )
            if random.random() < 0.1:
                shown, shown_milli = self._amount()
                ours["display_amount"], native["display_amount"] = shown, shown_milli
        return Pair(method, ours | both, method, native | both)

    def _linked(self) -> Pair:
        random, first = self.random, self._order()
        link = random.choice(("one_cancels_other", "one_triggers_other", "one_triggers_one_cancels_other"))
        others, native = [], [{"side": SIDES[first.method]} | first.native_params]
        for _ in range(random.choice((2, 2, 2, 1)) if link.endswith("cancels_other") and "triggers" in link else 1):
            other = self._order()
            terms = {name: other.params[name] for name in other.params if name in SECONDARY}
            amount = other.native_params["amount"] if "amount" in terms else native[0]["amount"]
            if random.random() < 0.2 and "amount" in terms:
                # An order without an amount has that of the first.
                del terms["amount"]
                amount = native[0]["amount"]
            others.append(terms | {"direction": other.method})
            same = {name: value for name, value in other.native_params.items() if name != "display_amount"}
            native.append(
                same | {"side": SIDES[other.method], "amount": amount, "instrument_id": native[0]["instrument_id"]}
            )
        condition = random.choice(("first_hit", "complete_fill", "incremental"))
        ours = {"linked_order_type": link, "trigger_fill_condition": condition, "otoco_config": others}
        told = {"link": link, "fill_condition": condition, "orders": native}
        return Pair(first.method, first.params | ours, "place_linked_orders", told)

    def _some_order(self) -> int:
        return self.random.randint(max(1, self.last_order_id - 12), self.last_order_id + 1)

    def _edit(self) -> Pair:
        (price, micros), (amount, milli) = self._price(), self._amount()
        if self.random.random() < 0.3:
            label, name = self.random.choice("ab"), self.random.choice(NAMES)
            ours = {"label": label, "instrument_name": name, "amount": amount}
            return Pair("edit_by_label", ours, "edit", {"label": label, "instrument_id": name, "amount": milli})
        order_id = self._some_order()
        ours, native = {"amount": amount, "price": price}, {"amount": milli, "price": micros}
        for field in self.random.choice(((), ("amount",), ("price",))):
            del ours[field], native[field]
        return Pair("edit", ours | {"order_id": str(order_id)}, "edit", native | {"order_id": order_id})

    def _cancel(self) -> Pair:
        order_id = self._some_order()
        return Pair("cancel", {"order_id": str(order_id)}, "cancel", {"order_id": order_id})

    def _many(self) -> Pair:
        name, label = self.random.choice(NAMES), self.random.choice("ab")
        detailed = {"detailed": self.random.random() < 0.5}
        choices: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
            ("cancel_all", {}, {}),
            ("cancel_all_by_instrument", {"instrument_name": name}, {"instrument_id": name}),
            ("cancel_all_by_currency", {"currency": "SOL", "kind": "option"}, {"asset": "SOL"}),
            ("cancel_all_by_currency_pair", {"currency_pair": "sol_usdc"}, {"asset": "SOL"}),
            ("cancel_all_by_kind_or_type", {"currency": ["SOL", "USDC"]}, {}),
            ("cancel_by_label", {"label": label}, {"label": label}),
        )
        method, ours, native = self.random.choice(choices)
        return Pair(method, ours | detailed, "cancel_all", native)

    def _close(self) -> Pair:
        name, (price, micros) = self.random.choice(NAMES), self._price()
        ours: dict[str, Any] = {"instrument_name": name, "type": "market"}
        native: dict[str, Any] = {"instrument_id": name, "type": "market"}
        if self.random.random() < 0.5:
            ours |= {"type": "limit", "price": price}
            native |= {"type": "limit", "price": micros}
        return Pair("close_position", ours, "close_position", native)

    def _quote(self) -> Pair:
        ours, native = [], []
        for name in self.random.sample(NAMES, self.random.randint(1, 2)):
            quote: dict[str, Any] = {"instrument_name": name, "quote_set_id": self.random.choice("xy")}
            of_native: dict[str, Any] = {"instrument_id": name, "quote_set_id": quote["quote_set_id"]}
            for side in self.random.choice((("bid",), ("ask",), ("bid", "ask"))):
                (price, micros), (amount, milli) = self._price(), self._amount()
                quote[side] = {"price": price, "amount": amount}
                of_native[side] = {"price": micros, "amount": milli}
            ours.append(quote)
            native.append(of_native)
        both = {"mmp_group": self.random.choice(("g", "g", "h")), "quote_id": "q"}
        detailed = {"detailed": self.random.random() < 0.5}
        return Pair("mass_quote", both | {"quotes": ours} | detailed, "mass_quote", both | {"quotes": native})

    def _group(self) -> Pair:
        group = {"mmp_group": self.random.choice("gh")}
        if self.random.random() < 0.5:
            return Pair("reset_mmp", group | {"index_name": "sol_usdc"}, "reset_mmp", group)
        both = group | {"interval": self.random.choice((0, 1, 60)), "frozen_time": self.random.choice((0, 1))}
        limit, milli = self._amount()
        ours = both | {"index_name": "sol_usdc", "quantity_limit": limit, "vega_limit": limit, "max_quote_quantity": 9}
        native = both | {"asset": "SOL", "quantity_limit": milli, "vega_limit": milli * 1_000}
        return Pair("set_mmp_config", ours, "set_mmp_config", native)

    def _quotes(self) -> Pair:
        name, deltas = self.random.choice(NAMES), {"min_delta": -0.5, "max_delta": 0.5}
        choices: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
            ({"cancel_type": "all"}, {}),
            ({"cancel_type": "instrument", "instrument_name": name}, {"instrument_id": name}),
            ({"cancel_type": "quote_set_id", "quote_set_id": "x"}, {"quote_set_id": "x"}),
            ({"cancel_type": "currency", "currency": "SOL"}, {"asset": "SOL"}),
            ({"cancel_type": "currency_pair", "currency_pair": "sol_usdc"}, {"asset": "SOL"}),
            ({"cancel_type": "delta"} | deltas, deltas),
        )
        ours, native = self.random.choice(choices)
        return Pair("cancel_quotes", ours, "cancel_quotes", native)


async def _native(exchange: FakeExchange, connection: Connection, method: str, params: dict[str, Any]) -> Any:
    connection.send(msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    await exchange.settle()
    answers = [json.loads(text) for text in connection.take()]
    return next(one for one in answers if "id" in one)


async def _run(seed: int) -> int:
    """Run a seed. Returns how many requests were carried out."""
    random = Random(seed)
    desk, exchange = DeribitDesk(), FakeExchange(RULES)
    other = DeribitDesk()
    other.exchange = exchange
    clients: dict[str, Client] = dict(zip(USERS, await desk.open(*USERS), strict=True))
    await other.open()
    connections: dict[str, Connection] = {}
    for user_id in USERS:
        connections[user_id] = connection = exchange.connect()
        await _native(exchange, connection, "public/auth", {"grant_type": "client_credentials", "client_id": user_id})
    for user_id in USERS:
        await clients[user_id].call("private/enable_cancel_on_disconnect", scope="connection")
        await _native(exchange, connections[user_id], "private/enable_cancel_on_disconnect", {"scope": "connection"})
    requests, done = Requests(random), 0
    for number in range(REQUESTS):
        user_id, pair = random.choice(USERS), requests.next()
        ours = await clients[user_id].answer_to(f"private/{pair.method}", **pair.params)
        native = await _native(exchange, connections[user_id], f"private/{pair.native_method}", pair.native_params)
        told = f"seed {seed}, request {number}: {pair}\n{ours}\n{native}"
        assert ("error" in ours) == ("error" in native), told
        assert desk.exchange.engine.events_digest.value == exchange.engine.events_digest.value, told
        done += "result" in ours
        result = ours.get("result")
        if isinstance(result, dict) and "order" in result:
            requests.last_order_id = max(requests.last_order_id, int(result["order"]["order_id"]))
        if random.random() < 0.1:
            usdc = random.randint(140, 160)
            step_us = random.choice((0, 1_000_000, 60_000_000))
            for one in (desk, other):
                await one.wait(step_us)
                await one.set_index(usdc)
    assert digest(desk.exchange.engine.state) == digest(exchange.engine.state)
    for user_id in USERS:
        assert desk.exchange.views.account(user_id) == exchange.views.account(user_id)
        assert desk.exchange.views.open_orders(user_id) == exchange.views.open_orders(user_id)
    return done


@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_requests_have_the_effect_of_native_ones(seed: int) -> None:
    assert asyncio.run(_run(seed)) > REQUESTS // 3


@pytest.mark.soak
def test_many_requests_have_the_effect_of_native_ones() -> None:
    for _ in range(100):
        asyncio.run(_run(secrets.randbelow(2**32)))
