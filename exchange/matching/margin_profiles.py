"""Collateral of positions, and the mark price without a volatility surface."""

from exchange.domain.margin_rates import NANOS_PER_CONTRACT_MICRO, nanos_to_micros
from exchange.domain.units import PPM
from exchange.matching.book import OrderBook


def collateral_micros(book: OrderBook, uncovered_milli: int) -> int:
    """Return the collateral for `uncovered_milli` contracts sold or offered beyond those owned; 0 if not positive."""
    return nanos_to_micros(book.initial_nanos, uncovered_milli) if uncovered_milli > 0 else 0


def coverable_milli(book: OrderBook, micros: int) -> int:
    """Return how many millicontracts `micros` can back as collateral; 0 if `micros` is negative."""
    return max(0, micros) * NANOS_PER_CONTRACT_MICRO // book.initial_nanos


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
