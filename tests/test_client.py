"""The client against real servers: typed results; after every kind of break no gap, no repeat, no second order."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.client import Client, ExchangeError, LinkedOrderOptions, Receipt, Subscription, connect
from exchange.client.book import Book, BookUpdate
from exchange.client.messages import (
    BalanceMessage,
    BookMessage,
    IndexMessage,
    Message,
    OrdersMessage,
    PositionsMessage,
    SettlementMessage,
    TickerMessage,
    TradesMessage,
    message_of,
)
from exchange.domain.events import OrderAccepted
from exchange.gateway.methods import METHODS
from exchange.history.receipts import HeldReceipt, prove
from exchange.history.replay import replay_range
from exchange.journal.opening import open_journal_reader
from exchange.projections.wire_types import BookLevel
from exchange.runtime.server_settings import admin_secret_file
from tests.bad_network import BadNetwork, bad_network
from tests.recorded_updates import told_by
from tests.test_recovery import server
from tests.wire import INSTRUMENT, Server, exchange

PATIENCE_SECONDS = 60
STREAMS = ["user.orders", "user.trades", "user.balance", f"trades.{INSTRUMENT}"]
PRICE, SIZE = 1_500_000, 1_000


def with_server(path: Path, use: Callable[[Server], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with exchange(path / "exchange.db") as running:
            await use(running)

    asyncio.run(run())


async def next_of(subscription: Subscription, kind: type) -> Any:
    async for message in subscription:
        if isinstance(message, kind):
            return message.data
    raise AssertionError(f"no {kind} came")


def test_methods_return_typed_results(tmp_path: Path) -> None:
    async def use(running: Server) -> None:
        async with connect(running.url, "alice") as alice, connect(running.url) as bob:
            await bob.authenticate("bob")
            assert [one.instrument_id for one in await alice.get_instruments("SOL")] == [INSTRUMENT]
            assert await alice.get_instruments("DOGE") == []
            messages = await alice.subscribe(
                "user.orders", "user.balance", f"trades.{INSTRUMENT}", f"book.{INSTRUMENT}.5"
            )
            bid = await alice.buy(INSTRUMENT, SIZE, PRICE, time_in_force="day", client_order_id="mine")
            assert (bid.order.status, bid.order.client_order_id, bid.duplicate) == ("open", "mine", False)
            edited = await alice.edit(client_order_id="mine", amount=3 * SIZE)
            assert (edited.order.size_milli, edited.order.order_id) == (3 * SIZE, bid.order.order_id)
            sold = await bob.sell(INSTRUMENT, SIZE)
            assert [(trade.price_micros, trade.liquidity) for trade in sold.trades] == [(PRICE, "taker")]
            assert (await alice.cancel(bid.order.order_id)).order.cancel_reason == "user_request"
            assert (await alice.cancel_all()).cancelled == 0
            assert (await alice.get_order(client_order_id="mine")).status == "cancelled"
            assert [one.size_milli for one in await bob.get_trades(INSTRUMENT, count=5)] == [SIZE]
            assert [one.quantity_milli for one in (await alice.get_account()).positions] == [SIZE]
            assert [one.quantity_milli for one in (await alice.get_positions()).positions] == [SIZE]
            assert (await bob.get_balance()).user_id == "bob"
            assert [one.order_id for one in await alice.get_order_history()] == [bid.order.order_id]
            assert [one.side for one in await alice.get_user_trades()] == ["bid"]
            assert await alice.get_open_orders() == []
            assert (await alice.get_order_book(INSTRUMENT)).bids == []
            assert await alice.get_time_us() > 0
            assert [method["name"] for method in (await alice.get_api())["methods"]] == list(METHODS)
            assert (await next_of(messages, BookMessage)).best_bid is None
            statuses = [(await next_of(messages, OrdersMessage))[0].status for _ in range(4)]
            assert statuses == ["open", "open", "partially_filled", "cancelled"]
            await messages.close()
            assert [message async for message in messages][-1].channel == "user.balance"

    with_server(tmp_path, use)


def test_messages_of_all_streams_arrive_in_seq_order(tmp_path: Path) -> None:
    async def use(running: Server) -> None:
        async with connect(running.url, "alice") as alice, connect(running.url, "bob") as bob:
            messages = await alice.subscribe(f"trades.{INSTRUMENT}", "user.balance")
            placed = await alice.buy(INSTRUMENT, SIZE, PRICE)
            sold = await bob.sell(INSTRUMENT, SIZE, PRICE)
            seen = [await anext(messages) for _ in range(4)]
            assert [(type(one), one.seq) for one in seen] == [
                (BalanceMessage, placed.seq - 1),
                (BalanceMessage, placed.seq),
                (BalanceMessage, sold.seq),
                (TradesMessage, sold.seq),
            ]

    with_server(tmp_path, use)


def test_receipts_are_those_of_the_journal(tmp_path: Path) -> None:
    """Of many requests at once, each gets the receipt of its own command, and `prove` finds it while they trade."""
    receipts: list[Receipt | None] = []

    async def use(running: Server) -> None:
        async with connect(running.url, "alice") as client:
            placed = await asyncio.gather(
                *(client.buy(INSTRUMENT, SIZE, PRICE - n * 10_000, receipt=True) for n in range(60))
            )
            assert [one.receipt.seq for one in placed if one.receipt] == [one.seq for one in placed]
            edited = await client.edit(placed[0].order.order_id, amount=2 * SIZE, receipt=True)
            cancelled = await client.cancel(placed[0].order.order_id, receipt=True)
            with pytest.raises(ExchangeError) as refused:
                await client.cancel(placed[0].order.order_id, receipt=True)
            await client.sell(INSTRUMENT, SIZE, receipt=False)
            rest = await client.cancel_all(receipt=True)
            assert rest.receipt and refused.value.receipt
            assert await client.get_head() == rest.receipt
            receipts.extend(one.receipt for one in (*placed, edited))
            receipts.extend((cancelled.receipt, refused.value.receipt, rest.receipt))
            with pytest.raises(ExchangeError) as unasked:
                await client.cancel(placed[0].order.order_id)
            assert unasked.value.receipt is None
            assert (await client.cancel_all()).receipt is None
            path = tmp_path / "exchange.db"
            for receipt in receipts:
                assert receipt is not None
                held = HeldReceipt(receipt.seq, receipt.hash, receipt.ts_us)
                assert (await asyncio.to_thread(prove, path, held)).is_recorded

    with_server(tmp_path, use)
    assert len(receipts) == 64


def test_errors_carry_the_code_and_reason_of_the_protocol(tmp_path: Path) -> None:
    async def use(running: Server) -> None:
        async with connect(running.url, "alice") as alice:
            with pytest.raises(ExchangeError) as refused:
                await alice.buy(INSTRUMENT, SIZE, 10_000_000 * PRICE)
            assert (refused.value.code, refused.value.reason) == (1005, "price_above_maximum")
            assert refused.value.detail and refused.value.data["seq"]
            with pytest.raises(ExchangeError, match="error 1003: Order not found"):
                await alice.cancel(99)
            with pytest.raises(ExchangeError) as unknown:
                await alice.subscribe("user.orders", "book.NOTHING.5")
            assert (unknown.value.code, unknown.value.data["channel"]) == (1023, "book.NOTHING.5")
            first = await alice.subscribe("user.orders")
            with pytest.raises(ValueError, match=r"user\.orders is subscribed already"):
                await alice.subscribe("user.orders")
            await first.close()
            await alice.subscribe("user.orders")
        with pytest.raises(ExchangeError, match="this client is closed"):
            await alice.get_balance()
        with pytest.raises(ExchangeError) as wrong:
            async with connect(running.url, "admin", "a guess"):
                pass
        assert wrong.value.code == 1020

    with_server(tmp_path, use)


def test_connecting_fails_without_a_server(tmp_path: Path) -> None:
    async def run() -> None:
        with pytest.raises(ExchangeError, match=r"cannot connect to ws://127\.0\.0\.1:9/") as refused:
            async with connect("ws://127.0.0.1:9/"):
                pass
        assert (refused.value.code, refused.value.reason) == (0, "connection_failed")

    asyncio.run(run())


def test_without_reconnects_the_client_ends_with_the_server(tmp_path: Path) -> None:
    async def use(running: Server) -> None:
        async with connect(running.url, "alice", reconnects=False) as alice:
            messages = await alice.subscribe("user.orders")
            running.stop()
            with pytest.raises(ExchangeError, match=r"closed the connection.*is stopping"):
                await anext(messages)
            with pytest.raises(ExchangeError):
                await alice.get_balance()

    with_server(tmp_path, use)


def test_a_book_matches_the_book_of_the_exchange(tmp_path: Path) -> None:
    async def use(running: Server) -> None:
        chance = random.Random(7)
        async with connect(running.url, "alice") as alice, connect(running.url, "bob") as bob:
            watched = await bob.subscribe(f"book.{INSTRUMENT}.100")
            for _ in range(150):
                price = PRICE + 10_000 * chance.randrange(-20, 20)
                trader = chance.choice((alice, bob))
                await (trader.buy if chance.random() < 0.5 else trader.sell)(INSTRUMENT, 100, price)
            now = await bob.get_order_book(INSTRUMENT, depth=100)
            book = await next_of(watched, BookMessage)
            assert (book.bids, book.asks) == (now.bids, now.asks)
            assert (book.best_bid, book.best_ask) == (now.bids[0], now.asks[0])

    with_server(tmp_path, use)


def test_a_book_with_a_gap_gets_a_new_snapshot(tmp_path: Path) -> None:
    async def use(running: Server) -> None:
        async with connect(running.url, "alice") as alice:
            watched = await alice.subscribe(f"book.{INSTRUMENT}.5")
            book = await next_of(watched, BookMessage)
            await alice.buy(INSTRUMENT, SIZE, PRICE)
            await next_of(watched, BookMessage)
            # Pretend that the book missed the last change.
            book.seq -= 1
            book._bids.clear()
            await alice.buy(INSTRUMENT, SIZE, PRICE - 10_000)
            book = await next_of(watched, BookMessage)
            assert [level.price_micros for level in book.bids] == [PRICE, PRICE - 10_000]

    with_server(tmp_path, use)


def test_every_message_of_the_golden_conversations_is_decoded() -> None:
    seen = set()
    for path in (Path(__file__).parent / "sessions").glob("*.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if '"method":"subscription","params"' in line:
                params = json.loads(line.partition("< ")[2])["params"]
                message = message_of(params["channel"], params.get("seq", 0), msgspec.Raw(json.dumps(params["data"])))
                seen.add(type(message))
    # A book update is no message by itself: None.
    assert {type(None), SettlementMessage, IndexMessage, TickerMessage, PositionsMessage} <= seen


def test_a_book_detects_a_missed_change() -> None:
    book, level = Book(INSTRUMENT), BookLevel(PRICE, SIZE, 1)
    assert not book.apply(BookUpdate(7, 0, [level], [], "change", 6)), "the book took a change before a snapshot"
    assert book.apply(BookUpdate(8, 0, [level], []))
    assert not book.apply(BookUpdate(10, 0, [], [], "change", 9))
    assert book.apply(BookUpdate(11, 0, [], [level])) and book.best_bid is None and book.best_ask == level
    assert book.apply(BookUpdate(12, 0, [], [BookLevel(PRICE, 0, 0)], "change", 11)) and not book.asks


def test_an_order_whose_answer_is_lost_is_placed_once(tmp_path: Path) -> None:
    async def use(running: Server) -> None:
        async with bad_network(running.url) as network, connect(network.url, "alice") as alice:
            await _lose_answer(network, first := asyncio.create_task(alice.buy(INSTRUMENT, SIZE, PRICE)))
            placed = await first
            assert placed.duplicate and placed.order.status == "open" and alice.reconnect_count == 1
            assert [one.order_id for one in await alice.get_open_orders()] == [placed.order.order_id]

    with_server(tmp_path, use)


def test_linked_orders_whose_answer_is_lost_are_placed_once(tmp_path: Path) -> None:
    bid: LinkedOrderOptions = {"side": "bid", "instrument_id": INSTRUMENT, "amount": SIZE, "price": PRICE}
    ask: LinkedOrderOptions = {"side": "ask", "instrument_id": INSTRUMENT, "amount": SIZE, "price": 2 * PRICE}

    async def use(running: Server) -> None:
        async with bad_network(running.url) as network, connect(network.url, "alice") as alice:
            placing = asyncio.create_task(alice.place_linked_orders("one_triggers_other", [bid, ask]))
            await _lose_answer(network, placing)
            placed = await placing
            assert placed.duplicate and [order.status for order in placed.orders] == ["open", "untriggered"]
            assert [one.order_id for one in await alice.get_open_orders()] == placed.orders[0].linked_order_ids
            assert placed.orders[1].primary_order_id == placed.orders[0].order_id

    with_server(tmp_path, use)


def test_an_admin_request_is_not_repeated(tmp_path: Path) -> None:
    async def use(running: Server) -> None:
        secret = admin_secret_file(running.path).read_text().strip()
        async with bad_network(running.url) as network, connect(network.url, "admin", secret) as admin:
            async with connect(running.url, "alice"):
                pass
            paying = asyncio.create_task(admin.call("admin/deposit", user_id="alice", amount=1_000_000))
            await _lose_answer(network, paying)
            with pytest.raises(ExchangeError) as lost:
                await paying
            assert (lost.value.code, lost.value.reason) == (0, "connection_lost")
            balance = await admin.call("admin/deposit", user_id="alice", amount=1_000_000)
            assert balance["available"] == 10_002_000_000

    with_server(tmp_path, use)


@pytest.mark.parametrize("name", ["edit", "cancel_all", "close_position"])
def test_a_request_that_could_do_harm_twice_is_not_repeated(tmp_path: Path, name: str) -> None:
    """It is carried out once. A request sent at the same time that may be repeated gets its answer."""

    async def use(running: Server) -> None:
        async with (
            connect(running.url, "bob") as bob,
            bad_network(running.url) as network,
            connect(network.url, "alice") as alice,
        ):
            for price, place in ((PRICE - 10_000, bob.buy), (PRICE, bob.sell)):
                await place(INSTRUMENT, 10 * SIZE, price)
            await alice.buy(INSTRUMENT, SIZE, PRICE)
            ids = [(await alice.buy(INSTRUMENT, SIZE, 10_000)).order.order_id for _ in range(2)]
            params: dict[str, dict[str, Any]] = {
                "edit": {"order_id": ids[0], "amount": SIZE // 2},
                "cancel_all": {},
                "close_position": {"instrument_id": INSTRUMENT},
            }
            request = asyncio.create_task(alice.call(f"private/{name}", **params[name]))
            placing = asyncio.create_task(alice.buy(INSTRUMENT, SIZE, PRICE - 20_000))
            await _lose_answer(network, request)
            with pytest.raises(ExchangeError) as lost:
                await request
            placed = await placing
            assert lost.value.outcome_unknown
            assert placed.duplicate and placed.order.status == "open"
            if name == "edit":
                # The edited order is still first in the queue, so it trades first.
                await bob.cancel_all()
                await bob.sell(INSTRUMENT, SIZE + SIZE // 2, 10_000)
            left = [one.order_id for one in await alice.get_open_orders()]
            positions = {one.instrument_id for one in (await alice.get_account()).positions if one.quantity_milli}
            last = placed.order.order_id
            assert left == {"edit": ids[1:], "cancel_all": [last], "close_position": [*ids, last]}[name]
            assert positions == (set() if name == "close_position" else {INSTRUMENT})

    with_server(tmp_path, use)


def test_cancel_on_disconnect_holds_after_a_reconnect(tmp_path: Path) -> None:
    async def use(running: Server) -> None:
        async with connect(running.url, "alice") as other, bad_network(running.url) as network:
            messages = await other.subscribe("user.orders")
            async with connect(network.url, "alice") as alice:
                await alice.cancel_on_disconnect()
                for _ in range(2):
                    await alice.buy(INSTRUMENT, SIZE, PRICE)
                    network.cut()
                    seen = [await next_of(messages, OrdersMessage) for _ in range(2)]
                    assert [orders[0].status for orders in seen] == ["open", "cancelled"]

    with_server(tmp_path, use)


async def _lose_answer(network: BadNetwork, request: asyncio.Task[Any]) -> None:
    """Lose the answer to a request that was just sent, and break the connection."""
    await network.lose_answers()
    assert not request.done()


class Trader:
    """Trades until `is_over` is set, four orders at a time, each with its own client_order_id."""

    def __init__(self, client: Client, user_id: str, seed: int) -> None:
        self.client = client
        self.user_id = user_id
        self.orders = 0
        self.is_over = False
        self._chance = random.Random(seed)

    async def trade(self) -> None:
        while not self.is_over:
            await asyncio.gather(*(self._one(self.orders + step) for step in range(4)))
            self.orders += 4

    async def _one(self, number: int) -> None:
        side = self.client.buy if self._chance.random() < 0.5 else self.client.sell
        price = PRICE + 10_000 * self._chance.randrange(-2, 3)
        name = f"{self.user_id}-{number}"
        assert (await side(INSTRUMENT, 100, price, client_order_id=name)).order.client_order_id == name
        try:
            if number % 3 == 0:
                await self.client.edit(client_order_id=name, price=PRICE)
            elif number % 3 == 1:
                await self.client.cancel(client_order_id=name)
        except ExchangeError as error:
            assert error.code == 1008 or (number % 3 == 0 and error.outcome_unknown), error


class Watcher:
    """Keeps every message of the streams."""

    def __init__(self) -> None:
        self.seen: list[Message] = []
        self._more = asyncio.Condition()

    async def watch(self, client: Client) -> None:
        async for message in await client.subscribe(*STREAMS, from_seq=1):
            async with self._more:
                self.seen.append(message)
                self._more.notify_all()

    async def has_seen(self, count: int) -> None:
        async with self._more:
            await self._more.wait_for(lambda: len(self.seen) >= count)

    async def has_seen_all_of(self, order_id: int) -> None:
        """Wait for the order, and for the balance after it, which comes last."""
        async with self._more:
            await self._more.wait_for(lambda: self._ends_with(order_id))

    def _ends_with(self, order_id: int) -> bool:
        orders, balance = self.seen[-2:]
        ids = [order.order_id for order in orders.data] if isinstance(orders, OrdersMessage) else []
        return balance.channel == "user.balance" and order_id in ids


async def trade_and_watch(alice: Client, bob: Client, watcher: Watcher, disturb: Coroutine[Any, Any, None]) -> Trader:
    """Let both trade while `disturb` runs, and alice watch to the end. Return alice's trader."""
    traders = [Trader(alice, "alice", 1), Trader(bob, "bob", 2)]
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watcher.watch(alice))
        trading = [tasks.create_task(trader.trade()) for trader in traders]
        await disturb
        for trader in traders:
            trader.is_over = True
        await asyncio.gather(*trading)
        await watcher.has_seen_all_of((await alice.buy(INSTRUMENT, SIZE, 10_000)).order.order_id)
        watching.cancel()
    return traders[0]


def compare(path: Path, trader: Trader, watcher: Watcher) -> None:
    """The watcher saw every update of the commands once, and every order was placed once."""
    updates = told_by(path)
    for channel in STREAMS:
        expected = sorted(updates[channel, trader.user_id if channel.startswith("user.") else ""])
        assert [message.seq for message in watcher.seen if message.channel == channel] == expected, channel
    with open_journal_reader(path) as reader:
        last_seq = reader.head().seq
    events = [event for step in replay_range(path, 1, last_seq, lambda done, total: None) for event in step.events]
    accepted = [event for event in events if isinstance(event, OrderAccepted)]
    names = Counter(order.client_order_id for order in accepted if order.user_id == trader.user_id)
    assert trader.orders and all(names[f"{trader.user_id}-{number}"] == 1 for number in range(trader.orders))


@pytest.mark.slow
def test_streams_and_orders_survive_a_network_that_keeps_breaking(tmp_path: Path) -> None:
    async def run() -> tuple[Trader, Watcher]:
        chance, watcher = random.Random(3), Watcher()
        breaking = (chance.randrange(200, 40_000) for _ in itertools.count())
        async with (
            exchange(tmp_path / "exchange.db") as running,
            bad_network(running.url, breaking) as network,
            connect(network.url, "alice") as alice,
            connect(running.url, "bob") as bob,
        ):
            trader = await trade_and_watch(alice, bob, watcher, watcher.has_seen(800))
            assert alice.reconnect_count > 3
        return trader, watcher

    compare(tmp_path / "exchange.db", *asyncio.run(run()))


@pytest.mark.long
def test_streams_and_orders_survive_kills_of_the_exchange(tmp_path: Path) -> None:
    """SIGKILL in the middle of trading, three times. The client misses nothing and places no order twice."""
    path = tmp_path / "exchange.db"

    async def run() -> tuple[Trader, Watcher]:
        watcher = Watcher()
        async with contextlib.AsyncExitStack() as stack:
            process, url = await stack.enter_async_context(server(path))
            alice = await stack.enter_async_context(connect(url, "alice"))
            bob = await stack.enter_async_context(connect(url, "bob"))
            port = url.rstrip("/").rpartition(":")[2]

            async def kill_three_times() -> None:
                nonlocal process
                for _ in range(3):
                    await watcher.has_seen(len(watcher.seen) + 100)
                    os.kill(process.pid, signal.SIGKILL)
                    await process.wait()
                    process, _ = await stack.enter_async_context(server(path, "--port", port))
                await watcher.has_seen(len(watcher.seen) + 100)

            trader = await trade_and_watch(alice, bob, watcher, kill_three_times())
            assert alice.reconnect_count == 3 and bob.reconnect_count
            process.send_signal(signal.SIGTERM)
            await process.wait()
        return trader, watcher

    compare(path, *asyncio.run(asyncio.wait_for(run(), PATIENCE_SECONDS)))
