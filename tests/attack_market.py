"""A small market for the search for attacks: makers, bystanders, a coalition and the insurance.

The makers quote around the values of their own smile. All values here are theirs: floats, by Black and Scholes, and not
the marks of the exchange.
"""

from collections.abc import Iterator
from functools import cache
from random import Random
from typing import NamedTuple

from exchange.bots.maker import HALF_SPREAD_OF_INDEX, HALF_SPREAD_OF_VOLATILITY, QUOTE_MICROS
from exchange.bots.opinion import Opinion, level_of
from exchange.bots.pricing import US_PER_YEAR, valuation
from exchange.domain.commands import (
    CancelOrder,
    Command,
    CreateInstrument,
    Deposit,
    Genesis,
    OpenAccount,
    PlaceOrder,
    SetIndexPrice,
    Withdraw,
)
from exchange.domain.enums import Side, TimeInForce
from exchange.domain.events import DeliveryPriceSet, Event, Refused
from exchange.domain.instruments import parse_instrument_id
from exchange.domain.rules import FEE_PROFILES, Market, Rules, Surface
from exchange.domain.units import MICROS_PER_USDC, MILLI_PER_CONTRACT, US_PER_SECOND
from exchange.matching.apply import apply
from exchange.matching.state import State
from exchange.matching.state_codec import copy_state

USDC = MICROS_PER_USDC
ASSET = "SOL"
TICK_MICROS = 10_000
# 2026-02-20 00:00:00 UTC.
START_US = 1_771_545_600_000_000
DAY_END_US = START_US + 8 * 3_600 * US_PER_SECOND
START_MICROS = 150 * USDC
# The index moves by these parts at once, and stays within these parts of its start.
STEP_MIN, STEP_MAX = 0.01, 0.04
MOVED_MIN, MOVED_MAX = 0.8, 1.25
# The smiles take this long to reach the quotes of the makers. Then time stands still.
MINUTES = 25
COALITION = ("mallory-1", "mallory-2", "mallory-3")
CASH_MICROS = 10_000 * USDC
MAKERS = ("maker-1", "maker-2")
# A maker stops quoting a side when its position has so many quote sizes.
POSITION_QUOTES_MAX = 10
# Enough to carry all positions that bystanders and coalition can leave to it.
INSURANCE_USDC = 100_000
# Options that expire at the end of the day, and a week later. SAFE ones are deep in the money.
NEAR, FAR, SAFE = "SOL_USDC-20FEB26-", "SOL_USDC-27FEB26-", "SOL_USDC-27FEB26-100-C"
NEAR_CALL, FAR_CALL, FAR_PUT = f"{NEAR}150-C", f"{FAR}150-C", f"{FAR}150-P"
NEAR_WING = f"{NEAR}160-C"
WINGS = (f"{FAR}160-C", f"{FAR}170-C", f"{FAR}200-C", f"{FAR}130-P")
INSTRUMENTS = (NEAR_CALL, NEAR_WING, f"{NEAR}150-P", f"{NEAR}140-P", SAFE, FAR_CALL, FAR_PUT, *WINGS)
TERMS = {name: parse_instrument_id(name) for name in INSTRUMENTS}


class Trade(NamedTuple):
    """A position of bystanders before the attack: the seller, the buyer, the option, contracts and the price."""

    seller: str
    buyer: str
    instrument_id: str
    contracts: int
    price_usdc: float


# `rich` owns valuable options and is short of others. `tight` and `loser` have almost no cash that is not locked.
BYSTANDERS = ("victim", "honest", "rich", "tight", "loser", "putter", "spreader")
TRADES = (
    Trade("victim", "honest", FAR_CALL, 100, 6.0),
    Trade("maker-1", "rich", SAFE, 100, 50.5),
    Trade("rich", "maker-2", NEAR_CALL, 180, 2.0),
    Trade("tight", "maker-1", WINGS[0], 520, 3.2),
    Trade("loser", "maker-2", WINGS[1], 580, 1.3),
    Trade("putter", "honest", FAR_PUT, 250, 6.5),
    Trade("honest", "spreader", FAR_CALL, 60, 6.6),
    Trade("spreader", "maker-1", WINGS[0], 60, 3.0),
)


class Worth(NamedTuple):
    """The value of an option by the makers' smile, and half a spread of their quotes, in micros."""

    value: float
    half: float


class AttackedMarket:
    """The exchange, its clock and index, and the orders of the makers."""

    def __init__(self, state: State, opinion: Opinion, quoted: tuple[str, ...]) -> None:
        self.state = state
        self.ts_us, self.index_micros = START_US, START_MICROS
        self._opinion = opinion
        self.quoted = quoted
        # By instrument, of settled series.
        self._payouts: dict[str, float] = {}
        self._worth: dict[str, Worth] = {}

    def copy(self) -> "AttackedMarket":
        """A copy, which changes independently."""
        copied = AttackedMarket(copy_state(self.state), self._opinion, self.quoted)
        copied.set_clock(self.ts_us, self.index_micros)
        return copied

    def apply(self, command: Command) -> list[Event]:
        """Apply a command now."""
        events = apply(self.state, self.ts_us, command)
        for event in events:
            if isinstance(event, DeliveryPriceSet):
                for name, terms in TERMS.items():
                    if terms.expiration_s == event.expiration_s:
                        paid = event.price_micros - terms.strike_micros
                        self._payouts[name] = float(max(paid if terms.option_type == "call" else -paid, 0))
        return events

    def set_clock(self, ts_us: int, index_micros: int) -> None:
        """Set the time, and the index for the values; the exchange hears of the index by a command."""
        if (ts_us, index_micros) != (self.ts_us, self.index_micros):
            self.ts_us, self.index_micros = ts_us, index_micros
            self._worth = {}

    def worth(self, instrument_id: str) -> Worth:
        """The value of an option now; its payout after its settlement."""
        if instrument_id in self._payouts:
            return Worth(self._payouts[instrument_id], TICK_MICROS)
        if instrument_id not in self._worth:
            self._worth[instrument_id] = self._compute_worth(instrument_id)
        return self._worth[instrument_id]

    def _compute_worth(self, instrument_id: str) -> Worth:
        terms, spot = TERMS[instrument_id], self.index_micros
        years = (terms.expiration_s * US_PER_SECOND - self.ts_us) / US_PER_YEAR
        volatility = self._opinion.volatility(ASSET, spot, terms.strike_micros, years)
        worth = valuation(terms.option_type, spot, terms.strike_micros, years, volatility)
        half = spot * HALF_SPREAD_OF_INDEX * abs(worth.delta)
        half += HALF_SPREAD_OF_VOLATILITY * level_of(ASSET) * worth.vega
        return Worth(worth.value, max(half, TICK_MICROS))

    def positions_milli(self, user_id: str) -> dict[str, int]:
        """The contracts of an account, by instrument."""
        positions = self.state.accounts[user_id].positions
        return {name: one.position_milli for name, one in positions.items() if one.position_milli}

    def price_range(self, instrument_id: str) -> tuple[int, int]:
        """The lowest and the highest price that makes sense to an attacker: the band, or the bounds of the value."""
        band = self.state.books[instrument_id].band
        terms = TERMS[instrument_id]
        highest = self.index_micros if terms.option_type == "call" else terms.strike_micros
        return band or (TICK_MICROS, highest // TICK_MICROS * TICK_MICROS)

    def requotes(self) -> list[Command]:
        """The orders by which the makers quote the values again; none if their quotes are near them.

        A new quote first takes all that is offered beyond its price.
        """
        return [command for maker in MAKERS for command in self._requotes_of(maker)]

    def _requotes_of(self, maker: str) -> list[Command]:
        open_orders = self.state.accounts[maker].open_orders.values()
        quotes = {(order.book.instrument_id, order.side): order for order in open_orders}
        positions, commands = self.positions_milli(maker), list[Command]()
        size_milli = QUOTE_MICROS * MILLI_PER_CONTRACT // self.index_micros
        sides: tuple[tuple[Side, int], ...] = (("bid", -1), ("ask", 1))
        for name in self.quoted:
            if name in self._payouts:
                continue
            worth = self.worth(name)
            for side, sign in sides:
                # A bid is rounded down, an ask up.
                price = -sign * int((-sign * worth.value - worth.half) // TICK_MICROS) * TICK_MICROS
                order = quotes.get((name, side))
                if order is not None:
                    assert order.price_micros is not None, "a market order rests"
                    is_near = abs(order.price_micros - price) <= worth.half / 2
                    if is_near and 2 * order.remaining_milli >= size_milli:
                        continue
                    commands.append(CancelOrder(maker, order.order_id))
                if price > 0 and -sign * positions.get(name, 0) < POSITION_QUOTES_MAX * size_milli:
                    commands.append(limit(maker, name, side, price, size_milli))
        return commands


def index_path(seed: int) -> Iterator[int]:
    """The prices of the index after each move, without an end. Most moves have the direction of the path."""
    numbers = Random(f"path {seed}")
    direction = numbers.choice((-1, 1, 1))
    price = START_MICROS
    while True:
        step = numbers.uniform(STEP_MIN, STEP_MAX) * direction * numbers.choice((-1, 1, 1, 1, 1))
        price = min(max(round(price * (1 + step)), round(START_MICROS * MOVED_MIN)), round(START_MICROS * MOVED_MAX))
        yield price


def limit(
    user_id: str,
    instrument_id: str,
    side: Side,
    price_micros: int,
    size_milli: int,
    time_in_force: TimeInForce = "gtc",
) -> PlaceOrder:
    """A limit order."""
    return PlaceOrder(user_id, instrument_id, side, "limit", time_in_force, price_micros, size_milli)


def market_order(user_id: str, instrument_id: str, side: Side, size_milli: int) -> PlaceOrder:
    """A market order."""
    return PlaceOrder(user_id, instrument_id, side, "market", "ioc", None, size_milli)


@cache
def opened_market(rules_version: int, seed: int) -> AttackedMarket:
    """The market before an attack. Its fees, the makers' opinion and what they leave out come from the seed.

    Copy it before a change.
    """
    numbers = Random(seed)
    opinion = Opinion(numbers, None)
    quoted = tuple(name for name in INSTRUMENTS if numbers.random() < 0.7)
    market = AttackedMarket(State(), opinion, quoted)
    for command in _opening(rules_version, numbers):
        assert not isinstance(market.apply(command)[0], Refused), command
    for _ in range(MINUTES):
        for command in market.requotes():
            market.apply(command)
        market.set_clock(market.ts_us + 60 * US_PER_SECOND, START_MICROS)
        market.apply(SetIndexPrice(ASSET, START_MICROS))
    return market


def _opening(rules_version: int, numbers: Random) -> list[Command]:
    is_fair = rules_version >= 2
    fees = FEE_PROFILES[numbers.choice(("none", "deribit_usdc" if is_fair else "deribit"))]
    rules = Market(fees=fees, index_age_max_s=0)
    if is_fair:
        rules = Market(fees=fees, index_age_max_s=0, surface=Surface(curvature_ppm=400_000))
    commands: list[Command] = [Genesis(Rules(market=rules), rules_version)]
    commands += [CreateInstrument(name, TICK_MICROS, 100) for name in INSTRUMENTS]
    commands += [SetIndexPrice(ASSET, START_MICROS)]
    commands += [OpenAccount(user_id, CASH_MICROS) for user_id in (*COALITION, *BYSTANDERS)]
    commands += [OpenAccount(maker, 100 * CASH_MICROS) for maker in MAKERS]
    commands += [Deposit("insurance", INSURANCE_USDC * USDC)]
    for trade in TRADES:
        price, size_milli = round(trade.price_usdc * USDC), trade.contracts * MILLI_PER_CONTRACT
        commands.append(limit(trade.seller, trade.instrument_id, "ask", price, size_milli))
        commands.append(limit(trade.buyer, trade.instrument_id, "bid", price, size_milli, "ioc"))
    # What they do not need to lock.
    commands += [Withdraw("tight", 2_150 * USDC), Withdraw("loser", 1_200 * USDC)]
    # An order of a bystander that gives some of its money away.
    name = numbers.choice((NEAR_CALL, FAR_CALL, *WINGS))
    commands.append(limit("honest", name, "bid", numbers.choice((10, 50, 200)) * TICK_MICROS, 5_000))
    return commands
