"""Commands per second through `apply`, compared with LightMatchingEngine on the same orders and cancellations.

Our matcher keeps accounts, locks and positions, checks every rule and returns events; LightMatchingEngine only matches.
It cannot change the size of an order, so a reduction is a cancellation and a new order there.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

from benchmarks.market_data import DATA, Action, Message, matching_stream, nasdaq_actions
from benchmarks.scale import Scale
from benchmarks.table import NO_GOAL, Row, median, skipped
from exchange.domain.commands import CancelOrder, Command, CreateInstrument, EditOrder, Genesis, OpenAccount, PlaceOrder
from exchange.domain.events import OrderAccepted
from exchange.domain.rules import Rules
from exchange.domain.units import NUMBER_MAX
from exchange.matching.apply import apply
from exchange.matching.state import State

INSTRUMENT = "BENCH_USDC-31DEC99-1-C"
# Of the recorded flows, at full scale: all of each.
AAPL_ACTIONS, MATCHING_MESSAGES = 100_000, 20_000

# A method of LightMatchingEngine and its arguments.
LightCall = tuple[str, tuple[Any, ...]]


class Stream:
    """The same flow as our commands, and as calls of LightMatchingEngine, each with its own order ids."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.light_calls: list[LightCall] = []
        self._state = _fresh_state()
        self._ours: dict[int, int] = {}
        self._light: dict[int, int] = {}
        self._light_count = 0

    def new(self, name: int, side: str, price_micros: int, size: int, is_ioc: bool) -> None:
        command = PlaceOrder(
            user_id="bench",
            instrument_id=INSTRUMENT,
            side="bid" if side == "bid" else "ask",
            type="limit",
            time_in_force="ioc" if is_ioc else "gtc",
            price_micros=price_micros,
            size_milli=size,
        )
        events = self._apply(command)
        assert isinstance(events[0], OrderAccepted), events
        self._ours[name] = events[0].order_id
        self._light_add(name, side, price_micros, size)
        if is_ioc:
            self.light_calls.append(("cancel_order", (self._light[name], INSTRUMENT)))

    def cancel(self, name: int) -> None:
        self._apply(CancelOrder("bench", order_id=self._ours[name]))
        self.light_calls.append(("cancel_order", (self._light[name], INSTRUMENT)))

    def reduce(self, name: int, size: int) -> None:
        order = self._state.accounts["bench"].open_orders.get(self._ours[name])
        if order is None or order.remaining_milli <= size:
            self.cancel(name)
            return
        assert order.price_micros is not None
        side, price = order.side, order.price_micros
        self._apply(EditOrder("bench", order_id=order.order_id, size_milli=order.size_milli - size))
        self.light_calls.append(("cancel_order", (self._light[name], INSTRUMENT)))
        self._light_add(name, side, price, order.remaining_milli)

    def _apply(self, command: Command) -> Any:
        self.commands.append(command)
        return apply(self._state, 1, command)

    def _light_add(self, name: int, side: str, price_micros: int, size: int) -> None:
        self._light_count += 1
        self._light[name] = self._light_count
        self.light_calls.append(("add_order", (INSTRUMENT, price_micros, size, 1 if side == "bid" else 2)))


def run(scale: Scale) -> list[Row]:
    """Return one row per stream: our commands/s, LightMatchingEngine's, and the ratio."""
    if not DATA.is_dir():
        return [skipped("engine", f"the recorded order flow is not at {DATA}")]
    rows = []
    for name, stream in (("AAPL hour", _aapl_stream(scale)), ("orders_normal", _matching_stream(scale))):
        ours, theirs = [], []
        for _ in range(scale.rounds):
            ours.append(len(stream.commands) / _seconds(partial(_run_ours, stream.commands)))
            theirs.append(len(stream.commands) / _seconds(partial(_run_light, stream.light_calls)))
        rows.append(Row(f"engine, {name}", median(ours), "commands/s", median(theirs), "LightMatchingEngine", NO_GOAL))
    return rows


def _aapl_stream(scale: Scale) -> Stream:
    stream = Stream()
    for number, action in enumerate(islice(nasdaq_actions("aapl"), scale.sized(AAPL_ACTIONS))):
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
            opposite = "ask" if action.side == "bid" else "bid"
            stream.new(-1 - number, opposite, action.price_1e4 * 100, action.size, is_ioc=True)


def _matching_stream(scale: Scale) -> Stream:
    stream = Stream()
    known: set[int] = set()
    for message in islice(matching_stream("normal"), scale.sized(MATCHING_MESSAGES)):
        _play_message(stream, known, message)
    return stream


def _play_message(stream: Stream, known: set[int], message: Message) -> None:
    if message.type and message.order_id not in known:
        # A cancellation of an unknown order.
        return
    if message.type:
        stream.cancel(message.order_id)
    if message.type != 1:
        side = "ask" if message.side else "bid"
        stream.new(message.order_id, side, message.price_ticks * 1_000, message.qty, bool(message.ioc))
        known.add(message.order_id)


def _fresh_state() -> State:
    state = State()
    apply(state, 1, Genesis(Rules(self_trade_prevention="off", open_orders_max=1_000_000)))
    apply(state, 1, CreateInstrument(INSTRUMENT, 1_000, 1))
    apply(state, 1, OpenAccount("bench", NUMBER_MAX))
    return state


def _run_ours(commands: list[Command]) -> None:
    state = _fresh_state()
    for command in commands:
        apply(state, 1, command)


def _run_light(calls: list[LightCall]) -> None:
    from lightmatchingengine.lightmatchingengine import LightMatchingEngine

    engine = LightMatchingEngine()
    methods = {"add_order": engine.add_order, "cancel_order": engine.cancel_order}
    for name, arguments in calls:
        methods[name](*arguments)


def _seconds(run_once: Callable[[], None]) -> float:
    start = time.process_time()
    run_once()
    return time.process_time() - start
