"""Marks from a volatility surface: Black-76 against floats, no arbitrage, the fit to quotes, and who can move it.

The reference is Black-Scholes in floats with `math.erfc`, whose error is below 1e-15. py_vollib uses the same function,
and needs numpy, scipy and pandas.
"""

import os
import subprocess
import sys
from itertools import pairwise
from math import erfc, exp, log, pi, sqrt
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from exchange.domain.black76 import ONE, density_nano, log_nano, normal_nano
from exchange.domain.commands import Command, Genesis, OpenAccount, PlaceOrder, SetIndexPrice
from exchange.domain.enums import Side
from exchange.domain.events import Event, LiquidationStarted, SurfaceSet
from exchange.domain.rules import FEE_PROFILES, Market, Rules, Series, Surface, complete_rules, validation_error
from exchange.domain.smile import US_PER_YEAR, Point, Slice, Smile, SmileLimits, moved_smile
from exchange.domain.units import US_PER_DAY
from exchange.matching.apply import apply
from exchange.matching.state import State
from exchange.matching.state_codec import decode_state, digest, encode_state

USDC = 1_000_000
MINUTE_US = 60_000_000
START_US = 1_771_545_600_000_000
CALL, HIGHER, LOWER = (f"SOL_USDC-27FEB26-{name}" for name in ("150-C", "160-C", "140-P"))
MARKET = Market(series=(Series("SOL", 10, 2, dailies=1, weeklies=1, monthlies=1),), index_age_max_s=0)
GRID = Random(76)


def normal(x: float) -> float:
    return erfc(-x / sqrt(2)) / 2


def reference(smile: Smile, forward: int, strike: int, us_left: int) -> float:
    """Return the value of a call by the formulas of docs/market.md, in floats."""
    years = us_left / US_PER_YEAR
    theta = (smile.level_ppm / 1e6) ** 2 * years
    rho = smile.skew_ppm / 1e6
    eta = min(smile.curvature_ppm / 1e6, 2 / sqrt(1 + abs(rho)), 4 / sqrt(theta) / (1 + abs(rho)))
    z = log(strike / forward) / sqrt(theta)
    deviation = sqrt(theta / 2 * (1 + rho * eta * z + sqrt((eta * z + rho) ** 2 + 1 - rho**2)))
    d1 = log(forward / strike) / deviation + deviation / 2
    return forward * normal(d1) - strike * normal(d1 - deviation)


def some_smile() -> Smile:
    return Smile(GRID.randint(50_000, 3_000_000), GRID.randint(-900_000, 900_000), GRID.randint(100_000, 2_000_000), 0)


def some_time() -> int:
    return int(exp(GRID.uniform(log(MINUTE_US), log(2 * 365 * US_PER_DAY))))


def test_the_functions_of_black_76_are_exact_to_billionths() -> None:
    for _ in range(3_000):
        x = GRID.randint(-8 * ONE, 8 * ONE)
        assert abs(normal_nano(x) - normal(x / ONE) * ONE) <= 3
        assert abs(density_nano(x) - exp(-((x / ONE) ** 2) / 2) / sqrt(8 * 0.7853981633974483) * ONE) <= 60
        value = GRID.randint(1, 10 ** GRID.randint(1, 13))
        assert abs(log_nano(value) - log(value) * ONE) <= 1.01


def test_values_are_those_of_floats() -> None:
    """2,000 cases: the error is below 1e-7 of the index, whatever the tick."""
    for _ in range(2_000):
        forward = GRID.randint(USDC, 10_000_000 * USDC)
        strike = max(USDC, min(int(forward * exp(GRID.uniform(-1.5, 1.5))), 10_000_000 * USDC))
        smile, us_left = some_smile(), some_time()
        value = Slice(smile, forward, us_left).call_micros(strike)
        assert abs(value - reference(smile, forward, strike, us_left)) <= 1 + forward * 1e-7, (smile, us_left, strike)


def test_values_allow_no_arbitrage() -> None:
    """Monotone and convex in the strike but for rounding, and within the bounds, for any smile."""
    for _ in range(300):
        at = Slice(some_smile(), 150 * USDC, some_time())
        values = [at.call_micros(strike * 10 * USDC) for strike in range(1, 50)]
        assert all(max(150 - 10 * n, 0) * USDC <= value <= 150 * USDC for n, value in enumerate(values, 1))
        assert all(high >= low - 2 for high, low in pairwise(values))
        assert all(a + c >= 2 * b - 4 for a, b, c in zip(values, values[1:], values[2:], strict=False))


def test_at_expiry_the_value_is_intrinsic() -> None:
    at = Slice(Smile(800_000, 0, 700_000, 0), 150 * USDC, 0)
    assert [at.call_micros(strike * USDC) for strike in (140, 150, 160)] == [10 * USDC, 0, 0]
    assert at.volatility_ppm(150 * USDC) == 0


LIMITS = SmileLimits(100_000, 3_000_000, 10_000)
FLAT = Smile(800_000, 0, 700_000, 0)


def points_of(wanted: Smile, smile: Smile) -> list[Point]:
    """Return the quotes of a market at the smile `wanted`, against `smile`."""
    week = 7 * US_PER_DAY
    at, goal = Slice(smile, 150 * USDC, week), Slice(wanted, 150 * USDC, week)
    strikes = [strike * USDC for strike in range(120, 181, 5)]
    return [Point(at.z_nano(it), goal.volatility_ppm(it) - at.volatility_ppm(it)) for it in strikes]


def test_a_smile_reaches_its_quotes_and_goes_back_without_them() -> None:
    wanted = Smile(1_000_000, -300_000, 900_000, 0)
    smile = FLAT
    for minute in range(1, 61):
        moved = moved_smile(smile, points_of(wanted, smile), FLAT, LIMITS, minute * MINUTE_US)
        assert all(abs(new - old) <= 10_000 for new, old in zip(moved[:3], smile[:3], strict=True))
        smile = moved
    assert [round(value, -4) for value in smile[:3]] == [1_000_000, -300_000, 900_000]
    for minute in range(61, 121):
        smile = moved_smile(smile, [], FLAT, LIMITS, minute * MINUTE_US)
    assert smile[:3] == FLAT[:3]


def test_a_smile_does_not_move_while_time_stands_still() -> None:
    points = points_of(Smile(2_000_000, 0, 700_000, 0), FLAT)
    assert moved_smile(FLAT, points, FLAT, LIMITS, 0) == FLAT
    late = moved_smile(FLAT, points, FLAT, LIMITS, 60 * MINUTE_US)
    assert late.level_ppm == 810_000, "at most the move of one minute, however late"


def test_a_minority_of_quotes_cannot_move_a_smile_far() -> None:
    limits = replace_move(1_000_000)
    honest = points_of(FLAT, FLAT)
    forged = [Point(point.z_nano, 5_000_000) for point in honest[:5]]
    moved = moved_smile(FLAT, honest[5:] + forged, FLAT, limits, MINUTE_US)
    assert abs(moved.level_ppm - FLAT.level_ppm) < 10_000


def replace_move(move_ppm: int) -> SmileLimits:
    return LIMITS._replace(move_ppm=move_ppm)


class Fair:
    """A fair market on SOL at 150, with accounts of 10,000 USDC."""

    def __init__(self, market: Market = MARKET) -> None:
        self.state = State()
        self.ts_us = START_US
        self.send(Genesis(Rules(market=market), 2))
        for user_id in ("victim", "honest", "attacker", "friend"):
            self.send(OpenAccount(user_id, 10_000 * USDC))
        self.index(150)

    def send(self, command: Command) -> list[Event]:
        self.ts_us += 1
        events = apply(self.state, self.ts_us, command)
        self.state.check()
        return events

    def index(self, price: float) -> list[Event]:
        return self.send(SetIndexPrice("SOL", round(price * USDC)))

    def order(self, user_id: str, side: Side, price: float, size: float, instrument_id: str = CALL) -> list[Event]:
        micros, milli = round(price * USDC), round(size * 1_000)
        return self.send(PlaceOrder(user_id, instrument_id, side, "limit", "gtc", micros, milli))

    def mark(self, instrument_id: str = CALL) -> float:
        return (self.state.books[instrument_id].mark_micros or 0) / USDC

    def quote(self, instrument_id: str, price: float, bidder: str = "honest", seller: str = "friend") -> None:
        self.order(bidder, "bid", price - 0.05, 2, instrument_id)
        self.order(seller, "ask", price + 0.05, 2, instrument_id)


def test_a_mark_is_moved_neither_by_quotes_nor_by_trades_of_an_option() -> None:
    fair = Fair(replace(MARKET, fees=FEE_PROFILES["deribit"]))
    fair.order("victim", "ask", 6, 100)
    fair.order("honest", "bid", 6, 100)
    before = fair.mark()
    fair.order("attacker", "bid", 147, 0.1)
    fair.order("attacker", "ask", 149.99, 66)
    events = fair.index(150.01)
    assert not any(isinstance(event, LiquidationStarted) for event in events)
    assert abs(fair.mark() - before) < 0.05
    assert fair.state.accounts["victim"].positions[CALL].position_milli == -100_000


def test_marks_are_values() -> None:
    """A put that traded at 20 while the index was 160 is worth nearly nothing with the index at 190."""
    fair = Fair()
    assert 6 < fair.mark(CALL) < 7, "never traded, at the money"
    put = LOWER
    fair.index(140)
    fair.order("victim", "ask", 20, 0.1, put)
    fair.order("honest", "bid", 20, 0.1, put)
    fair.index(190)
    assert fair.mark(put) < 0.3


def test_a_surface_needs_quotes_of_two_accounts_with_size_in_enough_strikes() -> None:
    def levels(quotes: list[tuple[str, str]], count: int = 3, size_max: float = 2) -> int:
        fair = Fair()
        for instrument_id, (bidder, seller) in zip((CALL, HIGHER, LOWER)[:count], quotes, strict=False):
            value = fair.mark(instrument_id)
            fair.order(bidder, "bid", round(value + 0.55, 2), size_max, instrument_id)
            fair.order(seller, "ask", round(value + 0.65, 2), size_max, instrument_id)
        fair.ts_us += MINUTE_US
        told = [event for event in fair.index(150) if isinstance(event, SurfaceSet)]
        return told[0].smiles[0][1] if told else 800_000

    two = [("honest", "friend")] * 3
    assert levels(two) == 810_000
    assert levels([("attacker", "attacker")] * 3) == 800_000, "one account"
    assert levels(two, count=2) == 800_000, "too few strikes"
    assert levels(two, size_max=0.5) == 800_000, "too small"


def test_repeated_index_prices_do_not_move_a_surface() -> None:
    fair = Fair()
    for instrument_id in (CALL, HIGHER, LOWER):
        fair.quote(instrument_id, round(fair.mark(instrument_id) + 1, 2))
    marks = [fair.mark(it) for it in (CALL, HIGHER, LOWER)]
    for _ in range(200):
        fair.index(150)
    assert [fair.mark(it) for it in (CALL, HIGHER, LOWER)] == marks


def test_an_index_price_fits_only_its_own_asset() -> None:
    both = (*MARKET.series, Series("BTC", 5_000, 1, dailies=1, weeklies=0, monthlies=0))
    fair = Fair(replace(MARKET, series=both))
    fair.send(SetIndexPrice("BTC", 100_000 * USDC))
    before = fair.state.indexes["BTC"].smiles
    fair.ts_us += MINUTE_US
    fair.index(151)
    assert fair.state.indexes["BTC"].smiles is before


def test_a_surface_is_part_of_the_state() -> None:
    fair = Fair()
    restored = decode_state(encode_state(fair.state))
    assert restored.indexes["SOL"].smiles == fair.state.indexes["SOL"].smiles
    assert digest(restored) == digest(fair.state)


def test_a_surface_of_an_asset_replaces_that_of_the_market() -> None:
    (series,) = MARKET.series
    calm = Fair(replace(MARKET, series=(replace(series, surface=Surface(level_ppm=300_000)),)))
    assert 2 < calm.mark() < 3


@pytest.mark.parametrize(
    ("surface", "sentence"),
    [
        (Surface(level_ppm=90_000), "level_ppm must lie between level_min_ppm and level_max_ppm, not 90000 between"),
        (Surface(skew_ppm=500_000, curvature_ppm=1_900_000), "allows arbitrage: with a skew_ppm of 500000"),
    ],
)
def test_unsound_surfaces_are_refused(surface: Surface, sentence: str) -> None:
    assert sentence in (validation_error(Rules(market=Market(surface=surface))) or "")


def test_an_old_version_takes_no_surface() -> None:
    assert validation_error(complete_rules(Rules(market=Market())), 2) is None
    assert validation_error(Rules(market=Market(surface=Surface())), 1) == "market.surface needs rules version 2"


def marks_in_words() -> str:
    """Return the marks of a market whose surface has moved, for a comparison of processes."""
    fair = Fair()
    for minute in range(30):
        for instrument_id in (CALL, HIGHER, LOWER):
            fair.quote(instrument_id, round(fair.mark(instrument_id) + 0.5, 2))
        fair.ts_us += MINUTE_US
        fair.index(150 + minute / 10)
    return digest(fair.state)


@pytest.mark.slow
def test_marks_do_not_depend_on_the_hash_seed() -> None:
    script = "from tests.test_surface import marks_in_words; print(marks_in_words())"
    told = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == marks_in_words()


@pytest.mark.parametrize("days", [1, 7, 30, 365])
def test_delta_and_vega_are_those_of_black_76(days: int) -> None:
    """Against floats, at the volatility of the smile, which is rounded to millionths. A put has the delta less 1."""
    at, forward = Slice(Smile(650_000, -200_000, 900_000, 0), 150 * USDC, days * US_PER_DAY), 150 * USDC
    for strike in range(50 * USDC, 400 * USDC, 10 * USDC):
        deviation = at.volatility_ppm(strike) / 1e6 * sqrt(days / 365)
        d1 = log(forward / strike) / deviation + deviation / 2
        delta = at.delta_nano(strike, is_call=True)
        assert abs(delta / ONE - normal(d1)) < 3e-6
        assert at.delta_nano(strike, is_call=False) == delta - ONE
        vega = forward * exp(-d1 * d1 / 2) / sqrt(2 * pi) * sqrt(days / 365)
        assert abs(at.vega_micros(strike) - vega) < 5e-6 * forward


def test_without_time_left_the_delta_is_that_of_the_payout() -> None:
    at = Slice(Smile(650_000, 0, 900_000, 0), 150 * USDC, 0)
    deltas = [(at.delta_nano(strike * USDC, True), at.delta_nano(strike * USDC, False)) for strike in (140, 150, 160)]
    assert deltas == [(ONE, 0), (0, 0), (0, -ONE)]
