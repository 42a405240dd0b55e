"""One format of prices and sizes: a price has the decimals of the tick, a size those of the minimum size.

A figure that needs more decimals gets them, and so do all figures of its column.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from exchange.amounts import contracts, price_decimals, size_decimals, usdc
from exchange.projections.wire_types import Instrument


class Figures(NamedTuple):
    """The decimals of prices and sizes that are shown together."""

    prices: int = 2
    sizes: int = 0

    def price(self, micros: int | None) -> str:
        """A price in USDC; `-` for None."""
        return usdc(micros, self.prices)

    def size(self, milli: int) -> str:
        """A size in contracts."""
        return contracts(milli, self.sizes)


def figures_of(
    instruments: Iterable[Instrument | None],
    prices_micros: Iterable[int | None] = (),
    sizes_milli: Iterable[int] = (),
) -> Figures:
    """The decimals for these prices and sizes of these instruments. An unknown instrument is None."""
    known = [one for one in instruments if one is not None]
    prices = [one.tick_micros for one in known] + [price for price in prices_micros if price is not None]
    return Figures(price_decimals(prices), size_decimals([one.min_size_milli for one in known] + list(sizes_milli)))


def named(instruments: Mapping[str, Instrument], instrument_ids: Iterable[str]) -> list[Instrument | None]:
    """The instruments of these ids; None for one that is unknown."""
    return [instruments.get(instrument_id) for instrument_id in instrument_ids]
