"""The commands of a live market for benchmarks and tests: the demo's mixture, much faster than its bots make it.

`LiveMarket` chooses each command from the state that the commands before it made, with a seeded random generator and
integers only, so the same seed gives the same journal on every machine. Market makers quote every option, traders
and some hundred customers trade against them, index prices move, days end with expiry and settlement. Now and then a
price jumps and accounts are liquidated, the server stops or crashes, and the administrator acts.
"""

from collections.abc import Iterator
from math import isqrt
from random import Random

from exchange.domain.commands import (
    CancelAll,
    CancelOrder,
    ChangeRules,
    Command,
    Deposit,
    EditOrder,
    EndDay,
    EndSession,
    Genesis,
    OpenAccount,
    PauseInstrument,
    PlaceOrder,
    ResumeInstrument,
    SetHalt,
    SetIndexPrice,
    SetLimits,
    SetSuspended,
    StartSession,
    Withdraw,
)
from exchange.domain.enums import Side
from exchange.domain.rules import FEE_PROFILES, Market, Rules, Series
from exchange.domain.units import MICROS_PER_USDC, MILLI_PER_CONTRACT, US_PER_DAY, US_PER_SECOND, next_day_end_us
from exchange.matching.book import Order, OrderBook
from exchange.matching.state import State

# Friday 2026-02-20 07:58:00 UTC: a day, and with it a weekly series, ends after 12 rounds.
START_US = 1_771_574_280_000_000
ROUND_US = 10 * US_PER_SECOND
START_USDC = {"SOL": 150, "BTC": 100_000, "ETH": 4_000}
# Standard deviation of an index price in one round, in millionths.
ROUND_PPM = {"SOL": 320, "BTC": 200, "ETH": 260}
# Time value of an option at the money, in millionths of the index price and the square root of its days.
TIME_VALUE_PPM = {"SOL": 17_000, "BTC": 10_500, "ETH": 13_500}
SPREAD_PPM = 600  # half of it, of the index price
MAKERS = tuple(f"maker-{n}" for n in range(1, 4))
TRADERS = tuple(f"trader-{n}" for n in range(1, 10))
CUSTOMERS = tuple(f"customer-{n:03}" for n in range(1, 301))
MAKER_CASH_MICROS = 50_000_000 * MICROS_PER_USDC
TRADER_CASH_MICROS = 200_000 * MICROS_PER_USDC
CUSTOMER_CASH_MICROS = 5_000 * MICROS_PER_USDC
QUOTE_USDC = 20_000  # value of the underlying in one quote
TRADE_USDC = 500
# Commands of one kind in a round. The demo's bots edit about as often as they place an order.
EDITS = 11
TRADES = 7
OPEN_ORDERS_MAX = 5
# With this many positions, a trader or customer only closes some: every index price changes the margins of all.
POSITIONS_MAX = 3
VERSION = "1.0.0"
SERIES = (
    Series("SOL", 10, 2, tick_micros=10_000, dailies=1, weeklies=1, monthlies=1),
    Series("BTC", 5_000, 2, tick_micros=5_000_000, dailies=1, weeklies=1, monthlies=1),
    Series("ETH", 200, 2, tick_micros=100_000, dailies=1, weeklies=1, monthlies=1),
)


def rules_with(fee_profile: str) -> Rules:
    """The rules of the market, with these fees on the index price."""
    return Rules(market=Market(series=SERIES, fees=FEE_PROFILES[fee_profile], index_age_max_s=0))


class LiveMarket:
    """The next commands for a state. The caller applies each command to `state` before it takes the next one."""

    def __init__(self, state: State, seed: int = 1) -> None:
        self._state = state
        self._random = Random(seed)
        self._round = 0
        self._last_us = START_US - 1
        self._quotes = 0

    def commands(self) -> Iterator[tuple[int, Command]]:
        """Yield each command with its time in microseconds, without end."""
        for command in self._opening():
            yield self._stamp(START_US), command
        while True:
            self._round += 1
            now_us = START_US + self._round * ROUND_US
            day_end_us = next_day_end_us(self._last_us)
            if now_us >= day_end_us:
                yield self._stamp(day_end_us), EndDay(day_end_us)
            for command in self._one_round():
                yield self._stamp(now_us + self._random.randrange(1, 100_000)), command

    def _stamp(self, ts_us: int) -> int:
        self._last_us = max(ts_us, self._last_us + 1)
        return self._last_us

    def _opening(self) -> Iterator[Command]:
        yield Genesis(rules_with("deribit"), note="a live market for benchmarks")
        yield StartSession(VERSION)
        for asset, usdc in START_USDC.items():
            yield SetIndexPrice(asset, usdc * MICROS_PER_USDC)
        for users, cash_micros in ((MAKERS, MAKER_CASH_MICROS), (TRADERS, TRADER_CASH_MICROS)):
            for user_id in users:
                yield OpenAccount(user_id, cash_micros)

    def _one_round(self) -> Iterator[Command]:
        yield from self._move_indexes()
        yield from self._administer()
        yield from self._quote()
        for _ in range(TRADES):
            yield from self._trade()

    def _move_indexes(self) -> Iterator[Command]:
        """Move every index a little; one of them jumps now and then."""
        jumping = self._random.choice(tuple(START_USDC)) if self._round % 401 == 17 else None
        if jumping is not None:
            yield from self._gamble(jumping)
        for asset, price_micros in self._indexes():
            ppm = ROUND_PPM[asset] * (self._random.randrange(-2_000, 2_001)) // 1_000
            if asset == jumping:
                ppm = self._random.choice((-140_000, -80_000, 80_000, 140_000))
            # Pull the price back to its start, so that a long journal stays in the range of its strikes.
            pull_ppm = (START_USDC[asset] * MICROS_PER_USDC - price_micros) * 400 // price_micros
            yield SetIndexPrice(asset, price_micros + price_micros * (ppm + pull_ppm) // 1_000_000)
        if jumping is not None:
            # The makers' quotes are far from the new price.
            yield from map(CancelAll, MAKERS)

    def _indexes(self) -> list[tuple[str, int]]:
        return [(asset, index.price_micros) for asset, index in self._state.indexes.items()]

    def _gamble(self, asset: str) -> Iterator[Command]:
        """Let new accounts sell options for all of their cash, so that the next jump liquidates some of them."""
        for book in (book for book in self._books() if book.asset == asset and book.bids.best is not None):
            if self._random.randrange(10) == 0:
                user_id = f"gambler-{len(self._state.accounts)}"
                size = _size(book, 4 * TRADE_USDC)
                yield OpenAccount(user_id, book.initial_nanos * size // 1_000_000 * 11 // 10)
                yield PlaceOrder(user_id, book.instrument_id, "ask", "market", "ioc", None, size)

    # Makers

    def _quote(self) -> Iterator[Command]:
        """Place missing quotes, a few in each round, and edit some of the others."""
        books = self._books()
        placed = 0
        for maker in MAKERS:
            quoted = {(order.book.instrument_id, order.side) for order in self._orders(maker)}
            for book in books:
                for side in ("bid", "ask"):
                    if placed < 60 and (book.instrument_id, side) not in quoted:
                        placed += 1
                        yield self._quote_of(maker, book, "bid" if side == "bid" else "ask")
        for _ in range(EDITS):
            orders = self._orders(self._random.choice(MAKERS))
            if orders:
                order = self._random.choice(orders)
                price = self._price(order.book, order.side)
                if order.order_id in self._state.accounts[order.user_id].open_orders and price != order.price_micros:
                    filled = order.size_milli - order.remaining_milli
                    yield EditOrder(order.user_id, order.order_id, None, price, filled + _size(order.book, QUOTE_USDC))

    def _quote_of(self, maker: str, book: OrderBook, side: Side) -> PlaceOrder:
        self._quotes += 1
        size = _size(book, QUOTE_USDC)
        key = f"q{self._quotes}" if self._quotes % 50 == 0 else None
        return PlaceOrder(
            maker, book.instrument_id, side, "limit", "gtc", self._price(book, side), size, True, client_order_id=key
        )

    def _price(self, book: OrderBook, side: Side) -> int:
        """The price of a quote: intrinsic value and time value, less or plus half a spread, in whole ticks."""
        spot = self._state.indexes[book.asset].price_micros
        distance = spot - book.strike_micros
        if not book.is_call:
            distance = -distance
        days_milli = max(book.expiration_us - self._last_us, 0) * 1_000 // US_PER_DAY
        at_the_money = spot * TIME_VALUE_PPM[book.asset] * isqrt(days_milli * 1_000) // 1_000_000_000
        # The time value falls with the distance from the strike.
        time_value = at_the_money * at_the_money // (at_the_money + abs(distance) // 2 + 1)
        half = spot * SPREAD_PPM * self._random.randrange(8, 15) // 10_000_000
        fair, tick = max(distance, 0) + time_value, book.tick_micros
        if side == "bid":
            price = (fair - half) // tick * tick
            best = book.asks.best
            # A quote must not trade with the quotes of others that are not up to date yet.
            return max(tick, price if best is None else min(price, best.price_micros - tick))
        price = -(-(fair + half) // tick) * tick
        best = book.bids.best
        return max(2 * tick, price if best is None else max(price, best.price_micros + tick))

    # Traders and customers

    def _trade(self) -> Iterator[Command]:
        """Let one trader or customer act: place, cancel or close."""
        is_trader = self._random.randrange(4) != 0
        user_id = self._random.choice(TRADERS if is_trader else CUSTOMERS)
        account = self._state.accounts.get(user_id)
        if account is None:
            yield OpenAccount(user_id, CUSTOMER_CASH_MICROS)
            return
        draw = self._random.randrange(100)
        held = [p for p in account.positions.values() if p.position_milli and p.book.state == "open"]
        orders = self._orders(user_id)
        if orders and (draw < 15 or len(orders) >= OPEN_ORDERS_MAX):
            yield CancelOrder(user_id, orders[0].order_id)
        elif held and (draw < 40 or len(held) >= POSITIONS_MAX):
            position = self._random.choice(held)
            side: Side = "ask" if position.position_milli > 0 else "bid"
            size = abs(position.position_milli)
            yield PlaceOrder(user_id, position.book.instrument_id, side, "market", "ioc", None, size, reduce_only=True)
        elif draw < 41:
            yield CancelAll(user_id)
        elif books := self._books():
            yield self._new_order(user_id, self._random.choice(books), draw)

    def _new_order(self, user_id: str, book: OrderBook, draw: int) -> PlaceOrder:
        """A market order, or a limit order that rests inside the spread. Customers mostly buy."""
        buys = self._random.randrange(100) < (50 if user_id in TRADERS else 99)
        side: Side = "bid" if buys else "ask"
        size = _size(book, TRADE_USDC) * self._random.randrange(1, 6)
        if draw < 80:
            return PlaceOrder(user_id, book.instrument_id, side, "market", "ioc", None, size)
        tick = book.tick_micros
        price = max(self._price(book, side) + (tick if buys else -tick), tick)
        return PlaceOrder(user_id, book.instrument_id, side, "limit", "day", price, size)

    # The administrator and the server

    def _administer(self) -> Iterator[Command]:
        """Yield what happens seldom, each at its own pace; all of it within the first 30 rounds for the first time."""
        turn, pick = self._round, self._random.choice
        if turn % 23 == 4:
            yield from self._move_cash()
        if turn % 1_009 == 6:
            yield SetHalt(True)
            yield from self._trade()
            yield SetHalt(False)
        if turn % 307 == 9 and (books := self._books()):
            book = pick(books)
            yield PauseInstrument(book.instrument_id)
            yield self._new_order(pick(TRADERS), book, 0)
            yield ResumeInstrument(book.instrument_id)
        if turn % 503 == 11:
            yield from (SetSuspended(TRADERS[-1], True), SetSuspended(TRADERS[-1], False))
            yield SetLimits(pick(TRADERS), open_orders_max=20)
        if turn % 2_503 == 14:
            yield ChangeRules(rules_with("none" if turn % 2 else "deribit"))
        if turn % 1_201 == 20:
            # Every third run ends in a crash: its end is not recorded.
            if turn % 3:
                yield EndSession()
            yield StartSession(VERSION)

    def _move_cash(self) -> Iterator[Command]:
        yield Deposit("insurance", 500 * MICROS_PER_USDC)
        user_id = self._random.choice(TRADERS + CUSTOMERS)
        account = self._state.accounts.get(user_id)
        if account is not None:
            yield Deposit(user_id, self._random.randrange(1, 2_000) * MICROS_PER_USDC)
            yield Withdraw(user_id, self._random.randrange(1, 2_000) * MICROS_PER_USDC)

    # The state

    def _books(self) -> list[OrderBook]:
        return [book for books in self._state.live.values() for book in books.values() if book.state == "open"]

    def _orders(self, user_id: str) -> list[Order]:
        return list(self._state.accounts[user_id].open_orders.values())


def _size(book: OrderBook, usdc: int) -> int:
    """The size of an order for about this value of the underlying, in millicontracts."""
    minimum = book.min_size_milli
    return max(usdc * MILLI_PER_CONTRACT // START_USDC[book.asset] // minimum, 1) * minimum
