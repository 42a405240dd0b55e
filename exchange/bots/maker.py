"""A market maker: two-sided quotes in every option, around Black and Scholes, leaning against what it holds."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from exchange.bots.pricing import US_PER_YEAR, value
from exchange.bots.requests import BotRequest, CancelRequest, EditRequest, InstrumentsRequest, PlaceRequest
from exchange.bots.view import View
from exchange.domain.enums import Side
from exchange.domain.units import MICROS_PER_USDC, MILLI_PER_CONTRACT, US_PER_SECOND, cost_micros
from exchange.projections.wire_types import Instrument, OrderView

VOLATILITIES = {"BTC": 0.5, "ETH": 0.65, "SOL": 0.8}
VOLATILITY = 0.8  # of any other asset
QUOTE_MICROS = 20_000 * MICROS_PER_USDC  # so much of the underlying is offered on each side
HALF_SPREAD_OF_INDEX = 0.0005
HALF_SPREAD_OF_VALUE = 0.03
SKEW_QUOTES = 5.0  # with so many quotes in hand, both prices have moved by half a spread
SKEW_MAX = 1.5  # half spreads
POSITION_QUOTES_MAX = 10  # then the side that would make it more is not quoted
TOLERANCE = 0.4  # of half a spread, by which a quote may be off before it is edited
MARGIN_OF_INDEX = 0.15  # what a short locks besides its mark, at most
LIST_EVERY_US = 3 * US_PER_SECOND


class TargetQuote(NamedTuple):
    price_micros: int
    size_milli: int
    tolerance_micros: float
    locks_micros: int  # about what it locks while it is open


class MarketMaker:
    """`edge` and `opinion` are its own, so that no two makers quote alike."""

    def __init__(self, seed: int | str, volatility: float | None = None) -> None:
        chance = random.Random(seed)
        self._edge = chance.uniform(0.8, 1.25)
        self._opinion = chance.uniform(0.98, 1.02)
        self._volatility = volatility
        self._listed_us = 0

    def decide(self, view: View) -> list[BotRequest]:
        requests: list[BotRequest] = []
        if view.now_us - self._listed_us >= LIST_EVERY_US:
            self._listed_us = view.now_us
            requests.append(InstrumentsRequest())
        if view.available_micros < 0:
            return requests + list(self._retreat(view))
        return requests + list(self._quote_all(view))

    def _quote_all(self, view: View) -> Iterator[BotRequest]:
        """Place what is missing, as far as the money goes, and edit what is off."""
        standing, surplus = _by_instrument_and_side(view)
        yield from (CancelRequest(order_id) for order_id in surplus)
        left_micros = view.available_micros
        for instrument in view.tradable():
            for side, quote in self._quotes(view, instrument):
                order = standing.pop((instrument.instrument_id, side), None)
                if order is None and quote is not None and quote.locks_micros <= left_micros:
                    left_micros -= quote.locks_micros
                    price, size = quote.price_micros, quote.size_milli
                    yield PlaceRequest(side, instrument.instrument_id, size, price, post_only=True)
                elif order is not None and quote is None:
                    yield CancelRequest(order.order_id)
                elif order is not None and quote is not None and _is_off(order, quote):
                    yield EditRequest(order.order_id, order.filled_milli + quote.size_milli, quote.price_micros)

    def _quotes(self, view: View, instrument: Instrument) -> Iterator[tuple[Side, TargetQuote | None]]:
        """What should be in the book of one instrument; None: nothing on that side."""
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
        held = view.positions_milli.get(instrument.instrument_id, 0)
        fair -= half * min(max(held / size / SKEW_QUOTES, -SKEW_MAX), SKEW_MAX)
        bid = max(int((fair - half) // tick), 1) * tick
        ask = max(-int(-(fair + half) // tick) * tick, bid + tick)
        short_milli = max(size - max(held, 0), 0)
        margin_micros = cost_micros(int(spot * MARGIN_OF_INDEX + fair), short_milli)
        most = POSITION_QUOTES_MAX * size
        yield "bid", TargetQuote(bid, size, TOLERANCE * half, cost_micros(bid, size)) if held < most else None
        yield "ask", TargetQuote(ask, size, TOLERANCE * half, margin_micros) if held > -most else None

    def _retreat(self, view: View) -> Iterator[BotRequest]:
        """There is less money than is locked: take quotes back, those that lock most first, until it is made good."""
        locks = []
        for order in view.orders.values():
            instrument = view.instruments.get(order.instrument_id)
            if instrument is not None:
                quotes = dict(self._quotes(view, instrument))
                quote = quotes.get(order.side)
                locks.append((quote.locks_micros if quote is not None else 0, order.order_id))
        deficit = -view.available_micros
        for locks_micros, order_id in sorted(locks, reverse=True):
            if deficit <= 0:
                break
            deficit -= locks_micros
            yield CancelRequest(order_id)


def _by_instrument_and_side(view: View) -> tuple[dict[tuple[str, Side], OrderView], list[int]]:
    """The orders that stand as quotes, and the ids of those that are one too many or cannot be traded any more."""
    standing: dict[tuple[str, Side], OrderView] = {}
    surplus = []
    for order in view.orders.values():
        key = order.instrument_id, order.side
        if key in standing or order.instrument_id not in view.instruments:
            surplus.append(order.order_id)
        else:
            standing[key] = order
    return standing, surplus


def _is_off(order: OrderView, quote: TargetQuote) -> bool:
    """Whether the order stands too far from where it should, or too little of it is left."""
    assert order.price_micros is not None, "a market order rests"
    distance = abs(order.price_micros - quote.price_micros)
    return distance > quote.tolerance_micros or 2 * order.remaining_milli < quote.size_milli
