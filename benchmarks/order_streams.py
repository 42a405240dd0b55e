"""Streams of orders, as our commands and as calls of the other order books that are measured with them."""

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any

from benchmarks.market_data import Action, Message, matching_stream, nasdaq_actions
from exchange.domain.commands import CancelOrder, Command, CreateInstrument, EditOrder, Genesis, OpenAccount, PlaceOrder
from exchange.domain.enums import Side, TimeInForce
from exchange.domain.events import OrderAccepted
from exchange.domain.rules import Rules
from exchange.domain.units import NUMBER_MAX
from exchange.matching.apply import apply
from exchange.matching.book import Order
from exchange.matching.state import State

INSTRUMENT = "BENCH_USDC-31DEC98-1-C"
# Of the recorded flows, at full size: all of each.
AAPL_ACTIONS, MATCHING_MESSAGES = 100_000, 20_000
# The deep book: orders that rest before its commands begin, so that about 100,000 rest on average, and its commands.
DEEP_ORDERS, DEEP_COMMANDS, DEEP_USERS = 107_500, 50_000, 100
MIDDLE_MICROS, TICK_MICROS, DEEP_TICKS = 1_500_000, 1_000, 500
CANCELS, IOCS, EDITS = 0.40, 0.15, 0.20

# A method of another book and its arguments.
Call = tuple[str, tuple[Any, ...]]


class Stream:
    """The same flow as our commands, and as calls of two other books, each with its own order ids.

    `prepared` and so on: how many of each come before the flow that is measured.
    """

    def __init__(self, name: str, users: int = 1) -> None:
        self.name = name
        self._users = [f"user-{number}" for number in range(users)]
        self.commands: list[Command] = list(_first_commands(self._users))
        self.light_calls: list[Call] = []
        self.naive_calls: list[Call] = []
        self.state = State()
        for command in self.commands:
            apply(self.state, 1, command)
        self._ours: dict[int, tuple[str, int]] = {}
        self._light: dict[int, int] = {}
        self._light_count = 0
        self.measure_from_here()

    def measure_from_here(self) -> None:
        """Count all up to here as preparation."""
        self.prepared = len(self.commands)
        self.light_prepared, self.naive_prepared = len(self.light_calls), len(self.naive_calls)

    @property
    def measured(self) -> int:
        """The number of commands after the preparation."""
        return len(self.commands) - self.prepared

    def new(self, name: int, side: Side, price_micros: int, size: int, is_ioc: bool) -> None:
        user_id = self._users[name % len(self._users)]
        time_in_force: TimeInForce = "ioc" if is_ioc else "gtc"
        command = PlaceOrder(user_id, INSTRUMENT, side, "limit", time_in_force, price_micros, size)
        events = self._apply(command)
        assert isinstance(events[0], OrderAccepted), events
        self._ours[name] = user_id, events[0].order_id
        sign = 1 if side == "bid" else -1
        self.naive_calls.append(("add", (name, sign, price_micros, size, is_ioc)))
        self._light_add(name, side, price_micros, size)
        if is_ioc:
            self._light_cancel(name)

    def cancel(self, name: int) -> None:
        user_id, order_id = self._ours[name]
        self._apply(CancelOrder(user_id, order_id=order_id))
        self.naive_calls.append(("cancel", (name,)))
        self._light_cancel(name)

    def edit(self, name: int, price_micros: int, remaining_milli: int) -> None:
        """Give an open order a price and a rest of its size."""
        order = self.open_order(name)
        assert order is not None and order.price_micros is not None
        side, is_new_price = order.side, price_micros != order.price_micros
        self._apply(
            EditOrder(
                self._ours[name][0],
                order_id=order.order_id,
                price_micros=price_micros if is_new_price else None,
                size_milli=order.size_milli - order.remaining_milli + remaining_milli,
            )
        )
        self.naive_calls.append(("edit", (name, price_micros, remaining_milli)))
        # LightMatchingEngine changes no order.
        self._light_cancel(name)
        self._light_add(name, side, price_micros, remaining_milli)

    def reduce(self, name: int, size: int) -> None:
        """Take this much off the size of an order; cancel it if nothing is left."""
        order = self.open_order(name)
        if order is None or order.remaining_milli <= size:
            self.cancel(name)
        else:
            assert order.price_micros is not None
            self.edit(name, order.price_micros, order.remaining_milli - size)

    def open_order(self, name: int) -> Order | None:
        """The order of this name, if it rests."""
        user_id, order_id = self._ours[name]
        return self.state.accounts[user_id].open_orders.get(order_id)

    def _apply(self, command: Command) -> Any:
        self.commands.append(command)
        return apply(self.state, 1, command)

    def _light_add(self, name: int, side: Side, price_micros: int, size: int) -> None:
        self._light_count += 1
        self._light[name] = self._light_count
        self.light_calls.append(("add_order", (INSTRUMENT, price_micros, size, 1 if side == "bid" else 2)))

    def _light_cancel(self, name: int) -> None:
        self.light_calls.append(("cancel_order", (self._light[name], INSTRUMENT)))


def _first_commands(users: list[str]) -> Iterator[Command]:
    yield Genesis(Rules(self_trade_prevention="off", open_orders_max=1_000_000))
    yield CreateInstrument(INSTRUMENT, TICK_MICROS, 1)
    for user_id in users:
        yield OpenAccount(user_id, NUMBER_MAX // len(users))


def aapl_stream(share: float) -> Stream:
    """An hour of orders on AAPL at the NASDAQ."""
    stream = Stream("AAPL hour")
    for number, action in enumerate(islice(nasdaq_actions("aapl"), round(AAPL_ACTIONS * share))):
        _play_action(stream, number, action)
    return stream


def _play_action(stream: Stream, number: int, action: Action) -> None:
    match action.action:
        case "new":
            stream.new(action.order_id, action.side, action.price_1e4 * 100, action.size, is_ioc=False)
        case "reduce":
            stream.reduce(action.order_id, action.size)
        case "delete":
            stream.cancel(action.order_id)
        case "execute":
            opposite: Side = "ask" if action.side == "bid" else "bid"
            stream.new(-1 - number, opposite, action.price_1e4 * 100, action.size, is_ioc=True)


def recorded_matching_stream(share: float) -> Stream:
    """A recorded stream of a matching engine's tests, with many cancellations."""
    stream = Stream("orders_normal")
    known: set[int] = set()
    for message in islice(matching_stream("normal"), round(MATCHING_MESSAGES * share)):
        _play_message(stream, known, message)
    return stream


def _play_message(stream: Stream, known: set[int], message: Message) -> None:
    if message.type and message.order_id not in known:
        # A cancellation of an unknown order.
        return
    if message.type:
        stream.cancel(message.order_id)
    if message.type != 1:
        side: Side = "ask" if message.side else "bid"
        stream.new(message.order_id, side, message.price_ticks * 1_000, message.qty, bool(message.ioc))
        known.add(message.order_id)


def deep_stream(share: float, seed: int = 1) -> Stream:
    """A deep book of our own: 40 % cancellations, 15 % IOC orders, 20 % edits, and 25 % new orders.

    Half of the edits take size away, the other half move the price by up to five ticks.
    """
    stream, random = Stream("deep book", DEEP_USERS), Random(seed)
    names: list[int] = []
    for name in range(round(DEEP_ORDERS * share)):
        _deep_new(stream, random, name)
        names.append(name)
    stream.measure_from_here()
    for name in range(len(names), len(names) + round(DEEP_COMMANDS * share)):
        draw = random.random()
        if draw < CANCELS:
            stream.cancel(_take_open(stream, random, names))
        elif draw < CANCELS + IOCS:
            side: Side = random.choice(("bid", "ask"))
            away_micros = DEEP_TICKS * TICK_MICROS * (1 if side == "bid" else -1)
            stream.new(name, side, MIDDLE_MICROS + away_micros, random.randrange(100, 10_000), is_ioc=True)
        elif draw < CANCELS + IOCS + EDITS:
            names.append(_deep_edit(stream, random, _take_open(stream, random, names)))
        else:
            _deep_new(stream, random, name)
            names.append(name)
    return stream


def _take_open(stream: Stream, random: Random, names: list[int]) -> int:
    """Remove the name of an order that still rests from the list."""
    while True:
        place = random.randrange(len(names))
        names[place], names[-1] = names[-1], names[place]
        name = names.pop()
        if stream.open_order(name) is not None:
            return name


def _deep_new(stream: Stream, random: Random, name: int) -> None:
    side: Side = random.choice(("bid", "ask"))
    away_micros = TICK_MICROS * min(1 + int(random.expovariate(1 / 100)), DEEP_TICKS)
    price_micros = MIDDLE_MICROS + (-away_micros if side == "bid" else away_micros)
    stream.new(name, side, price_micros, random.randrange(100, 10_000), is_ioc=False)


def _deep_edit(stream: Stream, random: Random, name: int) -> int:
    order = stream.open_order(name)
    assert order is not None and order.price_micros is not None
    if random.random() < 0.5 and order.remaining_milli > 1:
        stream.edit(name, order.price_micros, random.randrange(1, order.remaining_milli))
        return name
    moved_micros = order.price_micros + random.choice((-5, -3, -1, 1, 3, 5)) * TICK_MICROS
    if order.side == "bid":
        moved_micros = min(moved_micros, MIDDLE_MICROS - TICK_MICROS)
    else:
        moved_micros = max(moved_micros, MIDDLE_MICROS + TICK_MICROS)
    stream.edit(name, moved_micros, order.remaining_milli)
    return name
