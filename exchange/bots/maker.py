"""A market maker: it quotes both sides of every option around the Black-Scholes value.

It shifts its quotes against its position: a long position lowers both prices, a short position raises them.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

from exchange.bots.pricing import US_PER_YEAR, value
from exchange.bots.requests import BotRequest, CancelRequest, EditRequest, InstrumentsRequest, PlaceRequest
from exchange.bots.view import View
from exchange.domain.enums import Side
from exchange.domain.units import MICROS_PER_USDC, MILLI_PER_CONTRACT, US_PER_SECOND, cost_micros
from exchange.projections.wire_types import Instrument, OrderView

# Annual volatilities by asset; VOLATILITY is that of any other asset.
VOLATILITIES = {"BTC": 0.5, "ETH": 0.65, "SOL": 0.8}
VOLATILITY = 0.8
# The value of the underlying in one quote.
QUOTE_MICROS = 20_000 * MICROS_PER_USDC
HALF_SPREAD_OF_INDEX = 0.0005
HALF_SPREAD_OF_VALUE = 0.03
# A position of SKEW_QUOTES quote sizes shifts both prices by half a spread. The shift grows with the position, up to
# SKEW_MAX half spreads.
SKEW_QUOTES = 5.0
SKEW_MAX = 1.5
# With a position of this many quote sizes, the side that would increase it is not quoted.
POSITION_QUOTES_MAX = 10
# A quote is edited when it is off by more than this part of half a spread.
TOLERANCE = 0.4
# The margin of a short option above its mark is at most this part of the index.
MARGIN_OF_INDEX = 0.15
LIST_EVERY_US = 3 * US_PER_SECOND


class TargetQuote(NamedTuple):
    """A quote as it should be. `locks_micros` is about the cash that it locks while it is open."""

    price_micros: int
    size_milli: int
    tolerance_micros: float
    locks_micros: int


class MarketMaker:
    """A market maker. Its edge (a factor of the spread) and opinion (of volatility) differ from maker to maker."""

    def __init__(self, seed: int | str, volatility: float | None = None) -> None:
        numbers = random.Random(seed)
        self._edge = numbers.uniform(0.8, 1.25)
        self._opinion = numbers.uniform(0.98, 1.02)
        self._volatility = volatility
        self._listed_us = 0

    def decide(self, view: View) -> list[BotRequest]:
        """Place missing quotes and edit those that are off; if the account lacks cash, cancel quotes instead."""
        requests: list[BotRequest] = []
        if view.now_us - self._listed_us >= LIST_EVERY_US:
            self._listed_us = view.now_us
            requests.append(InstrumentsRequest())
        if view.available_micros < 0:
            return requests + list(self._free_cash(view))
        return requests + list(self._quote_all(view))

    def _quote_all(self, view: View) -> Iterator[BotRequest]:
        """Place the missing quotes, as far as the cash allows, and edit those that are off."""
        quotes, surplus = _by_instrument_and_side(view)
        yield from (CancelRequest(order_id) for order_id in surplus)
        left_micros = view.available_micros
        for instrument in view.tradable():
            for side, quote in self._target_quotes(view, instrument):
                order = quotes.pop((instrument.instrument_id, side), None)
                if order is None and quote is not None and quote.locks_micros <= left_micros:
                    left_micros -= quote.locks_micros
                    price, size = quote.price_micros, quote.size_milli
                    yield PlaceRequest(side, instrument.instrument_id, size, price, post_only=True)
                elif order is not None and quote is None:
                    yield CancelRequest(order.order_id)
                elif order is not None and quote is not None and _is_off(order, quote):
                    yield EditRequest(order.order_id, order.filled_milli + quote.size_milli, quote.price_micros)

    def _target_quotes(self, view: View, instrument: Instrument) -> Iterator[tuple[Side, TargetQuote | None]]:
        """The quotes that the maker wants in one instrument; None means no quote on that side."""
        spot = view.prices_micros.get(instrument.asset)
        if spot is None:
            return
        tick, years = instrument.tick_micros, (instrument.expiration_s * US_PER_SECOND - view.now_us) / US_PER_YEAR
        volatility = self._opinion * (self._volatility or VOLATILITIES.get(instrument.asset, VOLATILITY))
        fair = value(instrument.option_type, spot, instrument.strike_micros, years, volatility)
        half = max(tick, spot * HALF_SPREAD_OF_INDEX, fair * HALF_SPREAD_OF_VALUE) * self._edge
        size = (
            max(QUOTE_MICROS * MILLI_PER_CONTRACT // spot // instrument.min_size_milli, 1) * instrument.min_size_milli
        )
        position = view.positions_milli.get(instrument.instrument_id, 0)
        fair -= half * min(max(position / size / SKEW_QUOTES, -SKEW_MAX), SKEW_MAX)
        bid = max(int((fair - half) // tick), 1) * tick
        ask = max(-int(-(fair + half) // tick) * tick, bid + tick)
        short_milli = max(size - max(position, 0), 0)
        margin_micros = cost_micros(int(spot * MARGIN_OF_INDEX + fair), short_milli)
        position_max = POSITION_QUOTES_MAX * size
        yield (
            "bid",
            TargetQuote(bid, size, TOLERANCE * half, cost_micros(bid, size)) if position < position_max else None,
        )
        yield "ask", TargetQuote(ask, size, TOLERANCE * half, margin_micros) if position > -position_max else None

    def _free_cash(self, view: View) -> Iterator[BotRequest]:
        """Cancel quotes until available cash is no longer negative, first those that lock most."""
        locks = []
        for order in view.orders.values():
            instrument = view.instruments.get(order.instrument_id)
            if instrument is not None:
                quote = dict(self._target_quotes(view, instrument)).get(order.side)
                locks.append((quote.locks_micros if quote is not None else 0, order.order_id))
        deficit = -view.available_micros
        for locks_micros, order_id in sorted(locks, reverse=True):
            if deficit <= 0:
                break
            deficit -= locks_micros
            yield CancelRequest(order_id)


def _by_instrument_and_side(view: View) -> tuple[dict[tuple[str, Side], OrderView], list[int]]:
    """Return the open quotes, and the ids of orders that are duplicates or whose instrument is gone."""
    quotes: dict[tuple[str, Side], OrderView] = {}
    surplus = []
    for order in view.orders.values():
        key = order.instrument_id, order.side
        if key in quotes or order.instrument_id not in view.instruments:
            surplus.append(order.order_id)
        else:
            quotes[key] = order
    return quotes, surplus


def _is_off(order: OrderView, quote: TargetQuote) -> bool:
    """True if the price is too far from the target, or less than half of the target size remains."""
    assert order.price_micros is not None, "a market order rests in the book"
    distance = abs(order.price_micros - quote.price_micros)
    return distance > quote.tolerance_micros or 2 * order.remaining_milli < quote.size_milli
