"""Random command streams, each determined by a seed: few users, instruments and prices, so that orders meet.

Each command is chosen with knowledge of the naive exchange's events, so that cancels and edits often name orders that
are open, finished, of another user, or dropped. The stream does not depend on the real exchange.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from exchange.domain.commands import (
    CancelAll,
    CancelOrder,
    Command,
    CreateInstrument,
    Deposit,
    Disconnect,
    EditOrder,
    EndDay,
    EndSession,
    Fork,
    Genesis,
    OpenAccount,
    PauseInstrument,
    PlaceOrder,
    ResumeInstrument,
    SetCancelOnDisconnect,
    StartSession,
    Withdraw,
)
from exchange.domain.enums import OrderType, Side, TimeInForce
from exchange.domain.events import (
    Event,
    InstrumentCreated,
    InstrumentStateChanged,
    OrderAccepted,
    OrderCancelled,
    Traded,
)
from exchange.domain.rules import Fees, Rules
from exchange.domain.units import NUMBER_MAX, PRICE_MAX_MICROS, SIZE_MAX_MILLI, US_PER_DAY, next_day_end_us
from tests.naive import NaiveExchange

# 2026-02-25 06:13:20 UTC.
START_US = 1_772_000_000_000_000
USERS = ("alice", "bob", "carol", "dave")
INSTRUMENTS = (
    CreateInstrument("SOL_USDC-26FEB26-2-C", 100_000, 1),
    CreateInstrument("SOL_USDC-28FEB26-3-P", 50_000, 10),
    CreateInstrument("BTC_USDC-27MAR26-1-C", 1_000, 100),
)
LATER_IDS = ("BTC_USDC-1MAR26-4-P", "BTC_USDC-03MAR26-2-C", "SOL_USDC-25DEC26-1-C", "SOL_USDC-31DEC27-2-P")
CLIENT_ORDER_IDS = tuple(f"key-{n}" for n in range(12))


class Step(NamedTuple):
    """One command of a stream, and its events from the naive exchange."""

    ts_us: int
    command: Command
    events: list[Event]


def random_steps(seed: int, count: int) -> Iterator[Step]:
    """Yield the first `count` commands of the stream of `seed`, with the naive exchange's events."""
    naive = NaiveExchange()
    source = RandomCommands(seed, naive)
    for _ in range(count):
        command = source.next_command()
        events = naive.apply(source.ts_us, command)
        source.observe(events)
        yield Step(source.ts_us, command, events)


class RandomCommands:
    """A stream of commands. Call `observe` with the events of one command before asking for the next."""

    def __init__(self, seed: int, naive: NaiveExchange) -> None:
        self.random = Random(seed)
        self.naive = naive
        self.ts_us = START_US + self.random.randrange(US_PER_DAY)
        # Every order of the stream so far.
        self.placed: dict[int, PlaceOrder] = {}
        self.open_ids: list[int] = []
        self.live: list[str] = []
        self.last: Command | None = None
        self.queue = self._opening()
        self.max_tick_count = self.random.choice((4, 8))
        self.kinds: list[Callable[[], Command]] = [
            *[self._place] * 55,
            *[self._repeat] * 4,
            *[self._cancel] * 10,
            *[self._edit] * 14,
            *[self._cancel_all] * 2,
            *[self._deposit] * 2,
            *[self._withdraw] * 2,
            *[self._just_enough] * 3,
            self._pause,
            *[self._resume] * 10,
            *[self._connection] * 3,
            self._create,
            self._end_day,
            self._session,
            self._open_account,
        ]

    def next_command(self) -> Command:
        """Return the next command, and advance `ts_us`."""
        self.ts_us += self.random.choice((1, 1_000, 60_000_000))
        if self.queue:
            self.last = self.queue.pop(0)
        else:
            self.last = self.random.choice(self.kinds if self.live else [*self.kinds, *[self._create] * 30])()
        if isinstance(self.last, EndDay):
            self.ts_us = max(self.ts_us, self.last.day_end_us)
        return self.last

    def observe(self, events: list[Event]) -> None:
        """Note which orders exist, so that later commands can name them."""
        for event in events:
            match event:
                case OrderAccepted(order_id=order_id):
                    assert isinstance(self.last, PlaceOrder)
                    self.placed[order_id] = self.last
                    self.open_ids.append(order_id)
                case OrderCancelled(order_id=order_id):
                    self.open_ids.remove(order_id)
                case Traded():
                    if event.maker_remaining_milli == 0:
                        self.open_ids.remove(event.maker_order_id)
                    if event.taker_remaining_milli == 0:
                        self.open_ids.remove(event.taker_order_id)
                case InstrumentCreated(instrument_id=instrument_id):
                    self.live.append(instrument_id)
                case InstrumentStateChanged(instrument_id=instrument_id, state="expired"):
                    self.live.remove(instrument_id)

    def _opening(self) -> list[Command]:
        choose = self.random.choice
        rules = Rules(
            self_trade_prevention=choose(("cancel_resting", "cancel_resting", "cancel_resting", "off")),
            fees=choose((Fees(), Fees(200, 500), Fees(0, 30_000), Fees(70_001, 9_999))),
            open_orders_max=choose((3, 8, 10_000, 10_000)),
            finished_orders_kept=choose((0, 1, 4, 10_000)),
        )
        instruments = choose((2, 3))
        return [
            Genesis(rules),
            StartSession("test"),
            *INSTRUMENTS[:instruments],
            *[OpenAccount(user_id, choose((0, 700_000, 9_000_000, 500_000_000, 500_000_000))) for user_id in USERS],
        ]

    def _chance(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def _user(self) -> str:
        return "nobody" if self._chance(60) else self.random.choice(USERS)

    def _instrument(self) -> str:
        if self._chance(60) or not self.live:
            return self.random.choice(("SOL_USDC-28FEB26-777-C", INSTRUMENTS[0].instrument_id))
        return self.random.choice(self.live)

    def _price(self) -> int:
        if self._chance(60):
            return self.random.choice((0, -100_000, 100_500, 149_000, PRICE_MAX_MICROS + 100_000))
        return self.random.randint(1, self.max_tick_count) * 100_000

    def _size(self) -> int:
        if self._chance(60):
            return self.random.choice((0, -5, 1, 9, SIZE_MAX_MILLI, SIZE_MAX_MILLI + 1))
        if self._chance(4):
            return self.random.randint(1, 4_000)
        return self.random.choice((100, 500, 1_000, 2_000))

    def _place(self) -> Command:
        choose = self.random.choice
        side: Side = choose(("bid", "ask"))
        order_type: OrderType = "market" if self._chance(6) else "limit"
        if order_type == "market":
            in_force: TimeInForce = choose(("ioc", "ioc", "fok"))
        else:
            in_force = choose(("gtc", "gtc", "gtc", "gtc", "day", "day", "ioc", "fok"))
        price, size = self._price(), self._size()
        if self._chance(250):
            price, size = PRICE_MAX_MICROS, SIZE_MAX_MILLI
        return PlaceOrder(
            user_id=self._user(),
            instrument_id=self._instrument(),
            side=side,
            type=order_type,
            time_in_force=in_force,
            price_micros=None if order_type == "market" else price,
            size_milli=size,
            post_only=in_force in ("gtc", "day") and self._chance(5),
            client_order_id=choose(CLIENT_ORDER_IDS) if self._chance(4) else None,
        )

    def _repeat(self) -> Command:
        """Repeat a command under its client_order_id: the same order, unless that was dropped or changed."""
        keyed = [command for command in self.placed.values() if command.client_order_id is not None]
        return self.random.choice(keyed[-8:]) if keyed else self._place()

    def _order_name(self) -> tuple[str, int | None, str | None]:
        """Return a user and an order's id: mostly the owner of an open order, sometimes another user or order."""
        if not self.open_ids or self._chance(12):
            return self._user(), self.random.randint(0, 200), None
        if self._chance(20):
            return self._user(), None, self.random.choice(CLIENT_ORDER_IDS)
        order_id = self.random.choice(list(self.placed)[-12:] if self._chance(6) else self.open_ids)
        user_id = self._user() if self._chance(15) else self.placed[order_id].user_id
        key = self.placed[order_id].client_order_id
        if key is not None and self._chance(2):
            return user_id, None, key
        return user_id, order_id, None

    def _cancel(self) -> Command:
        return CancelOrder(*self._order_name(), instrument_id=self._instrument() if self._chance(6) else None)

    def _edit(self) -> Command:
        name = self._order_name()
        what = self.random.randrange(8)
        price = self._price() if what in (1, 2, 3, 4, 5) else None
        size = self._size() if what in (3, 4, 5, 6, 7) else None
        if self._chance(40):
            beyond = (
                (PRICE_MAX_MICROS, SIZE_MAX_MILLI),
                (None, SIZE_MAX_MILLI + 1),
                (PRICE_MAX_MICROS + 100_000, None),
            )
            price, size = self.random.choice(beyond)
        return EditOrder(*name, price_micros=price, size_milli=size)

    def _cancel_all(self) -> Command:
        return CancelAll(self._user(), self.random.choice((None, self._instrument())))

    def _amount(self) -> int:
        amounts = (-1, 0, 1, 333_333, 1_000_000, 50_000_000, 50_000_000)
        return NUMBER_MAX if self._chance(20) else self.random.choice(amounts)

    def _deposit(self) -> Command:
        return Deposit(self._user(), self._amount())

    def _withdraw(self) -> Command:
        return Withdraw(self._user(), self._amount())

    def _just_enough(self) -> Command:
        """Deposit or withdraw so that the next order is just affordable, or misses it by one micro."""
        order = self._place()
        assert isinstance(order, PlaceOrder)
        if self._chance(2):
            in_force: TimeInForce = self.random.choice(("ioc", "fok"))
            order = replace(order, type="market", time_in_force=in_force, price_micros=None, post_only=False)
        if order.user_id not in self.naive.users or order.instrument_id not in self.naive.instruments:
            return order
        self.queue += [order, Deposit(order.user_id, 100_000_000)]
        needed = self.naive.needed(order) + self.random.choice((-2, -1, -1, 0, 0, 0, 1))
        surplus = self.naive.available(order.user_id) - max(0, needed)
        return Withdraw(order.user_id, surplus) if surplus > 0 else Deposit(order.user_id, -surplus)

    def _pause(self) -> Command:
        return PauseInstrument(self._instrument()) if self._chance(2) else self._resume()

    def _resume(self) -> Command:
        return ResumeInstrument(self._instrument())

    def _connection(self) -> Command:
        user_id = self._user()
        if self._chance(5):
            return Disconnect(user_id, still_enabled=self._chance(3))
        return SetCancelOnDisconnect(user_id, enabled=not self._chance(3))

    def _create(self) -> Command:
        choose = self.random.choice
        wrong = choose(("SOL_USDC-31FEB26-2-C", "SOL-28FEB26-2-C", "SOL_USDC-1JAN20-2-C", "SOL_USDC-028FEB26-2-C"))
        instrument_id = choose((*LATER_IDS, *LATER_IDS, INSTRUMENTS[2].instrument_id, wrong))
        return CreateInstrument(instrument_id, choose((100_000, 100_000, 0, 1_500)), choose((1, 1, 0)))

    def _end_day(self) -> Command:
        """End the current day; sometimes one already over, or one after the last series expired."""
        running = next_day_end_us(self.ts_us)
        if self._chance(30):
            return EndDay(running + 40 * US_PER_DAY)
        return EndDay(running - US_PER_DAY if self._chance(4) else running)

    def _session(self) -> Command:
        if self._chance(20):
            return Fork("parent.db", self.random.randrange(100), "0" * 64)
        return EndSession() if self._chance(2) else StartSession("test")

    def _open_account(self) -> Command:
        return OpenAccount(self.random.choice((*USERS, "erin")), self.random.choice((-1, 0, 5_000_000, NUMBER_MAX)))
