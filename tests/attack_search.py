"""`python -m tests.attack_search SEEDS`: search for a strategy by which a coalition gains more than it is given.

An order that a bystander or a maker gave of its own will gives the coalition an edge when they trade: the value at that
moment against the price. What the coalition gains beyond the sum of these edges, and beyond the change of the value of
its positions with index and time, comes from orders that the exchange forced on others, or from the insurance.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import click

from exchange.domain.commands import (
    CancelAll,
    Command,
    EditOrder,
    EndDay,
    SetIndexPrice,
    Withdraw,
)
from exchange.domain.enums import Side, TimeInForce
from exchange.domain.events import OrderAccepted, PositionTakenOver, Refused, Traded, Withdrawn
from exchange.domain.rules import RULES_VERSION
from exchange.domain.units import MILLI_PER_CONTRACT, PPM
from tests.attack_market import (
    ASSET,
    COALITION,
    DAY_END_US,
    TICK_MICROS,
    USDC,
    AttackedMarket,
    index_path,
    limit,
    market_order,
    opened_market,
)
from tests.attack_strategies import MANY, MOST, Action, strategy_of

WORLDS = 32
INDEX_PRICES = 200
SIZE_MAX_MILLI = 2_000_000
# How far from the mark a liquidation may trade, and how far marks may be from values, as parts of the index.
LIMIT = 0.05
MARK_ERROR = 0.001
# Amounts are exact; values are floats.
ROUNDING_USDC = 0.001


class Outcome(NamedTuple):
    """Results of a strategy, in USDC: the gain, and its parts.

    `given` are the edges that orders of others gave. `moved` is the change of the value of positions with index and
    time. `granted` are edges that liquidations gave after the index had moved, within the limit of their prices.
    `marked` are the edges of takeovers at marks that are close to the values. The excess is what is left.
    `liquidations` is the number of orders of liquidations.
    """

    gain: float
    given: float
    moved: float
    granted: float
    marked: float
    liquidations: int

    @property
    def excess(self) -> float:
        """What the coalition gained and should not be able to gain."""
        return self.gain - self.given - self.moved - self.granted - self.marked

    @property
    def is_attack(self) -> bool:
        return self.excess > ROUNDING_USDC


class Attack:
    """One run of a strategy."""

    def __init__(self, market: AttackedMarket, path: Iterator[int]) -> None:
        self._market = market
        self._path = path
        self._index_prices_left = INDEX_PRICES
        # Since the last move of the index, and whether there was one.
        self._repeats = MANY
        self._has_moved = False
        # All sums are in micros.
        self._withdrawn = self._given = self._moved = self._granted = self._marked = 0.0
        # Of liquidations, by order id.
        self._forced: dict[int, OrderAccepted] = {}
        self._before = self._wealth()

    def run(self, actions: list[Action]) -> Outcome:
        """Carry out the actions, then repeat the index price until the strategy has seen INDEX_PRICES of it."""
        for action in actions:
            self._act(action)
        while self._index_prices_left:
            self._set_index(self._market.index_micros)
        return Outcome(
            (self._wealth() - self._before) / USDC,
            self._given / USDC,
            self._moved / USDC,
            self._granted / USDC,
            self._marked / USDC,
            len(self._forced),
        )

    def _act(self, action: Action) -> None:
        user_id, other = COALITION[action.who], COALITION[action.other]
        name, side = action.instrument_id, action.side
        opposite: Side = "ask" if side == "bid" else "bid"
        match action.kind:
            case "quote":
                self._place(user_id, action, self._price(action))
            case "take":
                self._apply(market_order(user_id, name, side, action.size_milli or SIZE_MAX_MILLI))
            case "clear":
                book = self._market.state.books[name]
                others = [order for order in book.resting() if order.side != side and order.user_id not in COALITION]
                if others:
                    size_milli = sum(order.remaining_milli for order in others)
                    self._apply(market_order(user_id, name, side, size_milli))
            case "wash":
                price = self._price(action)
                if size_milli := self._place(user_id, action, price):
                    self._apply(limit(other, name, opposite, price, size_milli, "ioc"))
            case "dump":
                price = self._price(action)
                # The accomplice bids for as much as its cash pays. What its bids do not take is cancelled.
                self._place(other, action._replace(side=opposite, size_milli=MOST), price)
                self._place(user_id, action._replace(size_milli=MOST), price, is_ioc=True)
                self._apply(CancelAll(other))
            case "cancel":
                self._apply(CancelAll(user_id))
            case "edit":
                orders = list(self._market.state.accounts[user_id].open_orders.values())
                if orders:
                    price = self._price(action._replace(instrument_id=orders[-1].book.instrument_id))
                    self._apply(EditOrder(user_id, orders[-1].order_id, price_micros=price))
            case "close":
                for held, position_milli in self._market.positions_milli(user_id).items():
                    closing: Side = "bid" if position_milli < 0 else "ask"
                    self._apply(market_order(user_id, held, closing, abs(position_milli)))
            case "withdraw":
                account = self._market.state.accounts[user_id]
                self._apply(Withdraw(user_id, max(account.cash_micros - account.locked_micros, 0)))
            case "requote":
                self._requote()
            case "index":
                for _ in range(action.times):
                    self._set_index(self._market.index_micros)
            case "move":
                # Each price is repeated until the insurance had the chance to take over positions.
                while self._repeats < MANY and self._index_prices_left:
                    self._set_index(self._market.index_micros)
                self._has_moved = True
                self._repeats = 0
                self._set_index(next(self._path))
            case "expire":
                self._expire()

    def _price(self, action: Action) -> int:
        """The price of an action, rounded to the tick, within the band."""
        low, high = self._market.price_range(action.instrument_id)
        book = self._market.state.books[action.instrument_id]
        best = book.bids.best if action.side == "bid" else book.asks.best
        price: float = book.mark_micros or low
        match action.price:
            case int():
                price += action.price * self._market.index_micros / PPM
            case "lowest":
                price = low
            case "near highest":
                price = high * 0.985
            case "highest":
                price = high
            case "better" if best is not None:
                price = best.price_micros + (TICK_MICROS if action.side == "bid" else -TICK_MICROS)
        return min(max(int(price // TICK_MICROS) * TICK_MICROS, low), high)

    def _place(self, user_id: str, action: Action, price_micros: int, is_ioc: bool = False) -> int:
        """Place an order, with MOST about as large as the exchange accepts. Return its size, 0 if it was refused."""
        size_milli = action.size_milli or SIZE_MAX_MILLI
        time_in_force: TimeInForce = "ioc" if is_ioc else "gtc"
        while size_milli >= 100:
            order = limit(user_id, action.instrument_id, action.side, price_micros, size_milli, time_in_force)
            if not self._apply(order):
                return size_milli
            size_milli = 0 if action.size_milli else size_milli * 15 // 16 // 100 * 100
        return 0

    def _set_index(self, price_micros: int) -> None:
        if self._index_prices_left:
            self._index_prices_left -= 1
            self._repeats += 1
            self._move_clock(self._market.ts_us, price_micros)
            self._apply(SetIndexPrice(ASSET, price_micros))
            self._requote()

    def _expire(self) -> None:
        """Let the day end and its series settle, if that is still to come."""
        if self._market.ts_us < DAY_END_US and self._index_prices_left:
            self._move_clock(DAY_END_US - 1, self._market.index_micros)
            self._set_index(self._market.index_micros)
            self._move_clock(DAY_END_US, self._market.index_micros)
            positions = self._positions_milli()
            worths = {name: self._market.worth(name).value for name in positions}
            self._apply(EndDay(DAY_END_US))
            for name, position_milli in positions.items():
                change = self._market.worth(name).value - worths[name]
                self._moved += position_milli * change / MILLI_PER_CONTRACT

    def _move_clock(self, ts_us: int, index_micros: int) -> None:
        before = self._value()
        self._market.set_clock(ts_us, index_micros)
        self._moved += self._value() - before

    def _requote(self) -> None:
        for command in self._market.requotes():
            self._apply(command)

    def _apply(self, command: Command) -> bool:
        """Apply a command and account for its trades. True if the exchange refuses it."""
        events = self._market.apply(command)
        for event in events:
            if isinstance(event, Traded):
                self._note_trade(event)
            elif isinstance(event, OrderAccepted) and event.liquidation is True:
                self._forced[event.order_id] = event
            elif isinstance(event, Withdrawn) and event.user_id in COALITION:
                self._withdrawn += event.amount_micros
            elif isinstance(event, PositionTakenOver) and event.user_id in COALITION:
                edge = self._edge(event.instrument_id, -event.quantity_milli, event.price_micros)
                error = abs(event.quantity_milli) * self._market.index_micros * MARK_ERROR / MILLI_PER_CONTRACT
                self._marked += min(edge, error)
        return isinstance(events[0], Refused)

    def _note_trade(self, trade: Traded) -> None:
        maker_is_ours, taker_is_ours = trade.maker_user_id in COALITION, trade.taker_user_id in COALITION
        if maker_is_ours == taker_is_ours:
            return
        is_purchase = (trade.taker_side == "bid") == taker_is_ours
        edge = self._edge(
            trade.instrument_id, trade.size_milli if is_purchase else -trade.size_milli, trade.price_micros
        )
        if (trade.taker_order_id if maker_is_ours else trade.maker_order_id) not in self._forced:
            self._given += edge
        elif self._has_moved:
            limit_micros = self._market.index_micros * (LIMIT + MARK_ERROR)
            self._granted += min(edge, limit_micros * trade.size_milli / MILLI_PER_CONTRACT)

    def _edge(self, instrument_id: str, bought_milli: int, price_micros: int) -> float:
        """The value of contracts that were bought (sold, if negative), less their price."""
        return (self._market.worth(instrument_id).value - price_micros) * bought_milli / MILLI_PER_CONTRACT

    def _positions_milli(self) -> dict[str, int]:
        """The contracts of the coalition together."""
        sums: dict[str, int] = {}
        for user_id in COALITION:
            for name, position_milli in self._market.positions_milli(user_id).items():
                sums[name] = sums.get(name, 0) + position_milli
        return sums

    def _value(self) -> float:
        """The value of the positions of the coalition."""
        return sum(self._value_of(user_id) for user_id in COALITION)

    def _value_of(self, user_id: str) -> float:
        positions = self._market.positions_milli(user_id).items()
        return sum(milli * self._market.worth(name).value / MILLI_PER_CONTRACT for name, milli in positions)

    def _wealth(self) -> float:
        """What the coalition has. It leaves an account that owes more than it has."""
        accounts = self._market.state.accounts
        return self._withdrawn + sum(
            max(0.0, accounts[user_id].cash_micros + self._value_of(user_id)) for user_id in COALITION
        )


def run_strategy(seed: int, actions: list[Action], rules_version: int = RULES_VERSION) -> Outcome:
    """Run a strategy in the market of a seed. Each run begins with the same market and sees the same index."""
    return Attack(opened_market(rules_version, seed % WORLDS).copy(), index_path(seed)).run(actions)


def shrink(actions: list[Action], succeeds: Callable[[list[Action]], bool]) -> list[Action]:
    """Leave out actions, first many at once, while the strategy still succeeds."""
    length = len(actions)
    while length:
        start = 0
        while start < len(actions):
            shorter = actions[:start] + actions[start + length :]
            if succeeds(shorter):
                actions = shorter
            else:
                start += length
        length //= 2
    return actions


def report(seed: int, rules_version: int = RULES_VERSION) -> str:
    """The lines that repeat an attack, and the shortest list of its actions that still succeeds."""

    def succeeds(actions: list[Action]) -> bool:
        return run_strategy(seed, actions, rules_version).is_attack

    actions = shrink(strategy_of(seed), succeeds)
    outcome = run_strategy(seed, strategy_of(seed), rules_version)
    shortest = run_strategy(seed, actions, rules_version)
    lines = [
        f"seed {seed} gains {outcome.excess:,.2f} USDC more than it is given",
        f"repeat it with: python -m tests.attack_search {seed} --rules-version {rules_version}",
        f"these actions gain {shortest.excess:,.2f} USDC:",
    ]
    return "\n  ".join([*lines, *map(str, actions)])


def outcome_of(seed: int, rules_version: int = RULES_VERSION) -> Outcome:
    """Run the strategy of a seed."""
    return run_strategy(seed, strategy_of(seed), rules_version)


def _outcomes(seeds: range, rules_version: int, jobs: int) -> Iterator[Outcome]:
    versions = [rules_version] * len(seeds)
    if jobs == 1:
        yield from map(outcome_of, seeds, versions)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(outcome_of, seeds, versions, chunksize=20)


@click.command()
@click.argument("seeds", metavar="SEED | FIRST-LAST")
@click.option("--rules-version", default=RULES_VERSION, show_default=True, help="Version of the rules of the exchange.")
@click.option("--jobs", default=1, show_default=True, help="Processes at the same time.")
def main(seeds: str, rules_version: int, jobs: int) -> None:
    """Attack the market with the strategy of each of these seeds, and print each one that gains too much."""
    first, _, last = seeds.partition("-")
    numbers = range(int(first), int(last or first) + 1)
    found = liquidations = 0
    for seed, outcome in zip(numbers, _outcomes(numbers, rules_version, jobs), strict=True):
        liquidations += outcome.liquidations
        if outcome.is_attack:
            found += 1
            click.echo(report(seed, rules_version))
    click.echo(f"{len(numbers)} strategies, {liquidations} orders of liquidations, {found} attacks")
    sys.exit(min(found, 1))


if __name__ == "__main__":
    main()
