"""Volatility and Greeks: textbook figures, and no failure with any input."""

from math import exp, isfinite, pi, sqrt
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.projections.black_scholes import Greeks, greeks_at, implied_volatility
from exchange.projections.implied_volatility import ImpliedVolatilities
from exchange.projections.wire_types import Instrument

KINDS: list[Literal["call", "put"]] = ["call", "put"]
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e13, max_value=1e13)


@pytest.mark.parametrize(
    ("kind", "greeks"),
    [
        ("call", Greeks(0.539828, 0.0198476, 0.396953, -0.0108754, 0.460172)),
        ("put", Greeks(-0.460172, 0.0198476, 0.396953, -0.0108754, -0.539828)),
    ],
)
def test_figures_of_the_tables(kind: Literal["call", "put"], greeks: Greeks) -> None:
    """At the money for a year at 20 %: both cost 7.9656 % of the spot."""
    assert implied_volatility(kind, 7.965567, 100, 100, 1) == pytest.approx(0.2, rel=1e-6)
    assert greeks_at(kind, 0.2, 100, 100, 1) == greeks


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("volatility", [0.3, 1.5])
@pytest.mark.parametrize("strike", [70.0, 101.0, 140.0])
@pytest.mark.parametrize("years", [1 / 365, 0.25])
def test_greeks_are_the_slopes_of_the_price(
    kind: Literal["call", "put"], volatility: float, strike: float, years: float
) -> None:
    """The price is the mean payoff over a lognormal spot, summed up; its implied volatility is the one it came from."""

    def price(spot: float = 100.0, more_volatility: float = 0.0, more_years: float = 0.0) -> float:
        deviations = (volatility + more_volatility) * sqrt(years + more_years)
        step, total = 0.002, 0.0
        for number in range(-4_500, 4_501):
            z = number * step
            end = spot * exp(deviations * z - deviations * deviations / 2)
            total += max(0.0, end - strike if kind == "call" else strike - end) * exp(-z * z / 2) * step
        return total / sqrt(2 * pi)

    greeks = greeks_at(kind, volatility, 100.0, strike, years)
    assert greeks is not None
    worth = price()
    slopes = Greeks(
        (price(100.2) - price(99.8)) / 0.4,
        (price(100.2) - 2 * worth + price(99.8)) / 0.04,
        price(more_volatility=0.005) - price(more_volatility=-0.005),
        (price(more_years=-years / 100) - worth) / (years / 100) / 365,
        greeks.rho,
    )
    for name in ("delta", "gamma", "vega", "theta"):
        assert getattr(greeks, name) == pytest.approx(getattr(slopes, name), rel=0.03, abs=0.002), name
    # The value of a call is delta * spot, less the value of the strike.
    strike_value = greeks.delta * 100 - worth
    assert greeks.rho == pytest.approx(strike_value * years / 100, rel=0.01, abs=1e-4)
    if worth - max(0.0, 100 - strike if kind == "call" else strike - 100) > 0.01:
        assert implied_volatility(kind, worth, 100.0, strike, years) == pytest.approx(volatility, rel=0.01)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(KINDS), NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_whatever_comes_there_is_a_finite_answer_or_none(
    kind: Literal["call", "put"], price: float, spot: float, strike: float, years: float
) -> None:
    volatility = implied_volatility(kind, price, spot, strike, years)
    if volatility is not None:
        assert volatility > 0 and isfinite(volatility)
        greeks = greeks_at(kind, volatility, spot, strike, years)
        assert greeks is None or all(
            isfinite(value) for value in (greeks.delta, greeks.gamma, greeks.vega, greeks.theta, greeks.rho)
        )


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.integers(0, 10**13),
    st.integers(1, 10**13),
    st.integers(1, 10**7),
    st.integers(-(10**6), 10**7),
)
def test_marks_of_every_instrument_at_every_time(
    kind: Literal["call", "put"], mark: int, index: int, strike_usdc: int, minutes_left: int
) -> None:
    """The inputs of the exchange: marks and indexes in micros, minutes to the expiration."""
    instrument = Instrument("id", "SOL", kind, strike_usdc * 1_000_000, 2 * 10**9, 1_000, 1)
    volatilities = ImpliedVolatilities()
    ts_us = 2 * 10**15 - minutes_left * 60_000_000
    volatility, greeks = volatilities.of(instrument, mark, index, ts_us)
    intrinsic = max(0, index - instrument.strike_micros if kind == "call" else instrument.strike_micros - index)
    if minutes_left <= 0 or mark <= intrinsic or mark >= (index if kind == "call" else instrument.strike_micros):
        assert (volatility, greeks) == (None, None)
    assert volatilities.of(instrument, mark, index, ts_us) == (volatility, greeks)
    assert volatilities.of(instrument, None, index, ts_us) == (None, None)
    assert volatilities.of(instrument, mark, None, ts_us) == (None, None)


def test_nothing_is_computed_twice_for_the_same_mark_index_and_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def counted(kind: str, price: float, spot: float, strike: float, years: float) -> None:
        asked.append(price)

    monkeypatch.setattr("exchange.projections.implied_volatility.implied_volatility", counted)
    instrument = Instrument("id", "SOL", "call", 150_000_000, 2 * 10**9, 1_000, 1)
    volatilities = ImpliedVolatilities()
    ts_us = 2 * 10**15 - 3_600_000_000
    for mark, index, at_us in (
        (5_000_000, 150_000_000, ts_us),
        (5_000_000, 150_000_000, ts_us),
        (5_000_000, 150_000_000, ts_us - 59_999_999),
        (5_000_000, 150_000_000, ts_us - 60_000_000),
        (6_000_000, 150_000_000, ts_us - 60_000_000),
        (6_000_000, 151_000_000, ts_us - 60_000_000),
    ):
        volatilities.of(instrument, mark, index, at_us)
    assert asked == [5, 5, 6, 6]
