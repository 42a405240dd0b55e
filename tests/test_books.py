"""Books that a client builds from `book.*` messages are equal to the results of `public/get_order_book`.

Traders send random orders without waiting for answers, so that several commands are recorded together and their changes
are merged. Listeners subscribe and leave while orders are in flight. The lawyer on each connection builds the books.
"""

import asyncio
import json
from contextlib import nullcontext
from random import Random
from typing import Any

import pytest

from exchange.domain.rules import Rules
from tests.fake_exchange import Connection, FakeExchange

DEPTHS = (1, 5, 100)
BUSY = ("SOL_USDC-28FEB26-150-C", "SOL_USDC-28FEB26-160-P")
# Few orders trade in it, so its book has more levels than the deepest view shows.
QUIET = "BTC_USDC-27MAR26-1-C"
INSTRUMENTS = (*BUSY, QUIET)
TRADERS = ("alice", "bob", "carol", "dave")
COMMANDS = 10_000
TICK_MICROS = 10_000


@pytest.mark.slow
def test_books_from_messages_are_equal_to_those_of_the_exchange() -> None:
    market = _Market(seed=20260220)
    asyncio.run(market.run())
    assert market.commands >= COMMANDS
    assert market.merged > 500, "too few changes were merged"
    assert min(market.compared.values()) > 500, "a depth was compared too seldom"
    assert market.levels_seen == 100, "the deepest view was never full"


def test_a_book_without_subscribers_notes_no_changes() -> None:
    """Nobody would take them, so they would fill the memory."""

    async def go() -> None:
        exchange = FakeExchange()
        await exchange.start(QUIET)
        client = exchange.connect()
        for verb, is_watched in (("subscribe", True), ("unsubscribe", False)):
            _send(client, f"public/{verb}", {"channels": [f"book.{QUIET}.1", f"book.{QUIET}.5"]})
            await exchange.settle()
            with nullcontext() if is_watched else pytest.raises(AssertionError, match="nobody watches"):
                exchange.views.depths[QUIET].take_changed()
        await exchange.stop()

    asyncio.run(go())


class _Market:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.exchange = FakeExchange(Rules(starting_cash_micros=10**14))
        self.traders: dict[str, Connection] = {}
        self.listeners: list[Connection] = []
        self.commands = 0
        self.merged = 0
        self.compared = dict.fromkeys(DEPTHS, 0)
        self.levels_seen = 0

    async def run(self) -> None:
        await self.exchange.start(*INSTRUMENTS)
        for name in TRADERS:
            self.traders[name] = self.exchange.connect()
            params = {"grant_type": "client_credentials", "client_id": name}
            _send(self.traders[name], "public/auth", params)
        await self.exchange.settle()
        while self.commands < COMMANDS:
            for _ in range(self.random.randint(1, 60)):
                self._act()
            await self.exchange.settle()
            await self._compare()
        self.exchange.engine.state.check()
        await self.exchange.stop()

    def _act(self) -> None:
        match self.random.randrange(40):
            case 0:
                self.listeners.append(self.exchange.connect())
            case 1 if len(self.listeners) > 6:
                self._leave(self.listeners.pop(self.random.randrange(len(self.listeners))))
            case 2 | 3 if self.listeners:
                self._subscribe(self.random.choice(self.listeners))
            case 4:
                # The subscription arrives while the trader's own orders are in flight.
                self._subscribe(self.random.choice(list(self.traders.values())))
            case _:
                self._trade(self.random.choice(TRADERS))

    def _subscribe(self, connection: Connection) -> None:
        channels = [f"book.{self.random.choice(INSTRUMENTS)}.{self.random.choice(DEPTHS)}" for _ in range(3)]
        verb = self.random.choice(("subscribe", "subscribe", "unsubscribe"))
        _send(connection, f"public/{verb}", {"channels": channels})

    def _leave(self, connection: Connection) -> None:
        self.exchange.disconnect(connection)
        self.merged += sum(book.merged for book in connection.lawyer.books.values())

    def _trade(self, name: str) -> None:
        trader, random = self.traders[name], self.random
        count = random.choice((1, 1, 1, 2, 5))
        requests = [_request(*self._order(name), with_id=random.random() < 0.8) for _ in range(count)]
        self.commands += count
        trader.send(json.dumps(requests if count > 1 else requests[0]))

    def _order(self, name: str) -> tuple[str, dict[str, Any]]:
        random = self.random
        open_orders = self.exchange.views.orders.users[name].open if name in self.exchange.views.orders.users else {}
        choice = random.randrange(100)
        if open_orders and choice < 25:
            return "private/cancel", {"order_id": random.choice(list(open_orders))}
        if open_orders and choice < 35:
            params: dict[str, Any] = {
                "order_id": random.choice(list(open_orders)),
                "amount": random.randint(100, 3_000),
            }
            return "private/edit", params | ({"price": self._price(0)} if choice < 31 else {})
        if choice == 99:
            return "private/cancel_all", {"instrument_id": random.choice(BUSY)}
        is_bid = random.random() < 0.5
        instrument_id = random.choice(INSTRUMENTS)
        params = {"instrument_id": instrument_id, "amount": random.randint(100, 2_000)}
        if instrument_id == QUIET:
            params |= {"price": (random.randint(1, 300) + (0 if is_bid else 299)) * TICK_MICROS}
        elif choice > 90:
            params |= {"type": "market"}
        else:
            params |= {"price": self._price(-20 if is_bid else 20)}
        return f"private/{'buy' if is_bid else 'sell'}", params

    def _price(self, shift_ticks: int) -> int:
        """Return a price around 200 ticks: sometimes near the best prices, mostly far enough to rest."""
        ticks = self.random.randint(-3, 3) if self.random.random() < 0.3 else self.random.randint(-20, 20)
        return (200 + ticks + (shift_ticks if self.random.random() < 0.8 else 0)) * TICK_MICROS

    async def _compare(self) -> None:
        """Compare every book that a client has built with the answer of the exchange."""
        client = self.exchange.connect()
        shown: dict[str, Any] = {}
        for connection in self.exchange.connections:
            connection.take()
            for channel, book in connection.lawyer.books.items():
                if channel not in shown:
                    shown[channel] = await self._shown(client, channel)
                assert book.levels() == shown[channel], channel
                self.compared[book.depth] += 1
                self.levels_seen = max(self.levels_seen, len(book.bids), len(book.asks))
        self._leave(client)

    async def _shown(self, client: Connection, channel: str) -> dict[str, Any]:
        _, instrument_id, depth = channel.split(".")
        _send(client, "public/get_order_book", {"instrument_id": instrument_id, "depth": int(depth)})
        (answer,) = client.take()
        result = json.loads(answer)["result"]
        return {"bids": result["bids"], "asks": result["asks"]}


def _request(method: str, params: dict[str, Any], with_id: bool = True) -> dict[str, Any]:
    request = {"jsonrpc": "2.0", "method": method, "params": params}
    return request | {"id": "a"} if with_id else request


def _send(connection: Connection, method: str, params: dict[str, Any]) -> None:
    connection.send(json.dumps(_request(method, params)))
