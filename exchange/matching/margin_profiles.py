"""Margin profiles: initial and maintenance margins of a short contract, and the mark price that they follow.

Margins per contract are in nanos, thousandths of a micro. With the factors 0.15, 0.10 and 0.075 of the standard
profile, every term is a whole number of nanos. The only rounding is the last step, up to the micro.
"""

from typing import NamedTuple

from exchange.domain.units import MILLI_PER_CONTRACT, PPM
from exchange.matching.book import OrderBook

NANOS_PER_MICRO = 1_000
# Divides (nanos per contract * millicontracts) into micros.
_NANOS = NANOS_PER_MICRO * MILLI_PER_CONTRACT


class MarginRates(NamedTuple):
    """The margins of one short contract in nanos: what it locks, and the cash that the account needs to keep it."""

    initial_nanos: int
    maintenance_nanos: int


def cash_secured_rates(strike_micros: int) -> MarginRates:
    """The profile `cash_secured`: a short contract locks its strike."""
    return MarginRates(strike_micros * NANOS_PER_MICRO, 0)


def standard_rates(is_call: bool, strike_micros: int, index_micros: int, mark_micros: int) -> MarginRates:
    """The profile `standard`: Deribit's standard margin of a short option, with amounts in USDC.

    Source: "Standard Margin" on support.deribit.com; docs/market.md states the formulas.
    """
    mark_nanos = mark_micros * NANOS_PER_MICRO
    if is_call:
        out_of_money = max(strike_micros - index_micros, 0) * NANOS_PER_MICRO
        maintenance = 75 * index_micros + mark_nanos
        return MarginRates(max(150 * index_micros - out_of_money, 100 * index_micros) + mark_nanos, maintenance)
    out_of_money = max(index_micros - strike_micros, 0) * NANOS_PER_MICRO
    maintenance = max(75 * index_micros, 75 * mark_micros) + mark_nanos
    initial = max(150 * index_micros - out_of_money, 100 * index_micros) + mark_nanos
    return MarginRates(max(initial, maintenance), maintenance)


def collateral_micros(book: OrderBook, uncovered_milli: int) -> int:
    """Return the collateral for `uncovered_milli` contracts sold or offered beyond those owned; 0 if not positive."""
    return nanos_to_micros(book.initial_nanos, uncovered_milli) if uncovered_milli > 0 else 0


def nanos_to_micros(nanos: int, milli: int) -> int:
    """Return the margin in micros of `milli` millicontracts at `nanos` per contract, rounded up."""
    return -(-nanos * milli // _NANOS)


def coverable_milli(book: OrderBook, micros: int) -> int:
    """Return how many millicontracts `micros` can back as collateral; 0 if `micros` is negative."""
    return max(0, micros) * _NANOS // book.initial_nanos


def intrinsic_micros(is_call: bool, strike_micros: int, price_micros: int) -> int:
    """Return the payout of one contract if it settled at `price_micros`."""
    return max(price_micros - strike_micros if is_call else strike_micros - price_micros, 0)


def mark_micros(book: OrderBook, index_micros: int, spread_max_ppm: int) -> int:
    """Return the mid of a book whose spread is within the limit, else the last trade, else the intrinsic value.

    The result lies between the intrinsic value and the no-arbitrage bound: the index for a call, the strike for a put.
    """
    intrinsic = intrinsic_micros(book.is_call, book.strike_micros, index_micros)
    bid, ask = book.bids.best, book.asks.best
    if bid and ask and ask.price_micros - bid.price_micros <= index_micros * spread_max_ppm // PPM:
        value = (bid.price_micros + ask.price_micros) // 2
    elif book.last_micros is not None:
        value = book.last_micros
    else:
        value = intrinsic
    return bounded_micros(book, index_micros, value)


def bounded_micros(book: OrderBook, index_micros: int, value_micros: int) -> int:
    """Return the value, limited to the no-arbitrage bounds: the intrinsic value, and the index or the strike."""
    intrinsic = intrinsic_micros(book.is_call, book.strike_micros, index_micros)
    return min(max(value_micros, intrinsic), index_micros if book.is_call else book.strike_micros)
