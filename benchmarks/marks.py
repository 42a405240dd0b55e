"""The CPU time of an index price in a fair market: 1,000 options get new marks, margin rates and bands.

A tenth of them have quotes of two accounts, to which their smiles are fitted. The same is measured in a process that
runs the Python source, and in one that runs the compiled modules, if they are compiled.
"""

import os
import subprocess
import sys
import time
from itertools import cycle, islice

from benchmarks.scale import Scale
from benchmarks.table import Goal, Row, median, skipped
from exchange.compiled import WHY_PURE
from exchange.domain.commands import Genesis, OpenAccount, PlaceOrder, SetIndexPrice
from exchange.domain.rules import Market, Rules, Series
from exchange.domain.units import MICROS_PER_USDC, US_PER_SECOND
from exchange.matching.apply import apply
from exchange.matching.state import State

NAME = "marks"
OPTIONS = 1_000
# Ten expirations with 50 strikes or 51, a call and a put each.
_EACH_SIDE = 25
# Friday 2026-02-20 10:00:00 UTC.
_START_US = 1_771_581_600_000_000
_PURE_GOAL = Goal(figure=20, at_most=True)
_COMPILED_GOAL = Goal(figure=5, at_most=True)
# The index walks to these prices and back, in USDC.
_PRICES_USDC = (1_500, 1_503, 1_499, 1_508, 1_497)
_REPETITIONS = 40


def run(scale: Scale) -> list[Row]:
    """A row of the Python source, and one of the compiled modules."""
    rows = [_row("Python source", _measured_ms(scale, is_pure=True), _PURE_GOAL)]
    if WHY_PURE is None:
        rows.append(_row("compiled", _measured_ms(scale, is_pure=False), _COMPILED_GOAL))
    else:
        rows.append(skipped(f"{NAME}, compiled", f"plain Python runs here ({WHY_PURE}): make compile"))
    return rows


def _row(name: str, milliseconds: float, goal: Goal) -> Row:
    return Row(
        f"{NAME}, {name}", milliseconds, "ms", goal=goal, note=f"CPU time of an index price, {OPTIONS:,} options"
    )


def _measured_ms(scale: Scale, is_pure: bool) -> float:
    """The median of some processes."""
    environment = os.environ | {"EXCHANGE_PURE": "1" if is_pure else "0"}
    arguments = [sys.executable, "-m", "benchmarks.marks", str(scale.sized(_REPETITIONS))]
    outputs = [
        subprocess.run(arguments, check=True, stdout=subprocess.PIPE, env=environment).stdout
        for _ in range(scale.rounds)
    ]
    return median([float(output) for output in outputs])


def index_price_ms(repetitions: int) -> float:
    """The median CPU time of so many index prices in this process, in milliseconds."""
    state, ts_us = market_of_options(), _START_US + 60 * US_PER_SECOND
    took = []
    for price_usdc in islice(cycle(_PRICES_USDC), repetitions):
        ts_us += US_PER_SECOND
        began = time.process_time()
        apply(state, ts_us, SetIndexPrice("SOL", price_usdc * MICROS_PER_USDC))
        took.append(1_000 * (time.process_time() - began))
    return median(took)


def market_of_options() -> State:
    """A market with OPTIONS options on one asset, of which every tenth is quoted near its mark."""
    series = Series("SOL", 20, _EACH_SIDE, dailies=2, weeklies=4, monthlies=6, min_size_milli=1)
    state = State()
    apply(state, _START_US, Genesis(Rules(market=Market(series=(series,), index_age_max_s=0)), 2))
    for user_id in ("ann", "bob"):
        apply(state, _START_US, OpenAccount(user_id, 1_000_000_000 * MICROS_PER_USDC))
    apply(state, _START_US, SetIndexPrice("SOL", _PRICES_USDC[0] * MICROS_PER_USDC))
    books = list(state.books.values())
    # The last expirations of the rule make more than OPTIONS.
    for book in books[OPTIONS:]:
        state.expire(book)
    for book in books[:OPTIONS:10]:
        assert book.mark_micros is not None, "an option without a mark"
        tick = book.tick_micros
        bid, ask = max(1, book.mark_micros // tick - 5) * tick, (book.mark_micros // tick + 5) * tick
        apply(state, _START_US, PlaceOrder("ann", book.instrument_id, "bid", "limit", "gtc", bid, 10_000))
        apply(state, _START_US, PlaceOrder("bob", book.instrument_id, "ask", "limit", "gtc", ask, 10_000))
    return state


if __name__ == "__main__":
    print(index_price_ms(int(sys.argv[1])))  # noqa: T201
