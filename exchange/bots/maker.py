"""A market maker: it quotes both sides of every option around its value by the maker's own smile.

Its position shifts the index and the volatility of its quotes, so that its trades reduce the position. Both shifts
are the same for a call and its put, so put-call parity holds.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

from exchange.bots.opinion import Opinion, level_of
from exchange.bots.pricing import US_PER_YEAR, Valuation, valuation
from exchange.bots.refusals import Refusals
from exchange.bots.requests import BotRequest, CancelRequest, EditRequest, InstrumentsRequest, PlaceRequest
from exchange.bots.view import QuoteKey, View
from exchange.domain.enums import Side
from exchange.domain.units import MICROS_PER_USDC, MILLI_PER_CONTRACT, US_PER_SECOND, cost_micros
from exchange.projections.wire_types import Instrument, OrderView

# The value of the underlying in one quote.
QUOTE_MICROS = 20_000 * MICROS_PER_USDC
# Half a spread: that of the index times delta, and that of the volatility (a part of the asset's) times vega.
HALF_SPREAD_OF_INDEX = 0.0014
HALF_SPREAD_OF_VOLATILITY = 0.03
# A position with the delta, or with the vega, of SKEW_QUOTES quotes shifts the prices by half a spread. The shift grows
# with the position, up to SKEW_MAX half spreads: beyond it, quotes of two makers could break put-call parity.
SKEW_QUOTES = 5.0
SKEW_MAX = 0.3
# With a position of this many quote sizes, the side that would increase it is not quoted.
POSITION_QUOTES_MAX = 10
# A quote is edited when it is off by more than this part of half a spread.
TOLERANCE = 0.5
# A quote that was refused for its price goes back by this part of half a spread.
STEP_BACK = 0.5
# The margin of a short option above its mark is at most this part of the index.
MARGIN_OF_INDEX = 0.15
# The highest fee of a taker: a part of the index, and at most a part of the premium.
FEE_OF_INDEX = 0.0005
FEE_OF_PREMIUM = 0.125
# The square root of 2 pi.
_ROOT_2_PI = 2.5066
LIST_EVERY_US = 3 * US_PER_SECOND


class TargetQuote(NamedTuple):
    """A quote as it should be. `locks_micros` is about the cash that it locks while it is open."""

    price_micros: int
    size_milli: int
    tolerance_micros: float
    locks_micros: int


class _Valued(NamedTuple):
    """An option in the eyes of the maker: its worth, its volatility, the size of a quote and half a spread."""

    instrument: Instrument
    worth: Valuation
    years: float
    size_milli: int
    half_micros: float


class _Shifts(NamedTuple):
    """The shifts against the position: of the index by asset, and of the volatility by asset and expiration."""

    index_micros: dict[str, float]
    volatility: dict[tuple[str, int], float]

    def of_value_micros(self, one: _Valued) -> float:
        """The shift of the value of an option."""
        asset, expiration_s = one.instrument.asset, one.instrument.expiration_s
        shift = one.worth.delta * self.index_micros.get(asset, 0.0)
        return shift + one.worth.vega * self.volatility.get((asset, expiration_s), 0.0)


class MarketMaker:
    """A market maker. Its edge (a factor of the spread) and opinion (of volatility) differ from maker to maker."""

    def __init__(self, seed: int | str, volatility: float | None = None) -> None:
        numbers = random.Random(seed)
        self._edge = numbers.uniform(0.9, 1.1)
        self._opinion = Opinion(numbers, volatility)
        self._refusals = Refusals()
        self._listed_us = 0

    def decide(self, view: View) -> list[BotRequest]:
        """Place missing quotes and edit those that are off; if the account lacks cash, cancel quotes instead.

        If a quote was refused because it would have traded, somebody may offer a better price than the maker's edge
        asks for: the maker takes it with an ioc order, and then repeats its quote.
        """
        requests: list[BotRequest] = []
        if view.now_us - self._listed_us >= LIST_EVERY_US:
            self._listed_us = view.now_us
            requests.append(InstrumentsRequest())
        crossed = set(self._refusals.note(view))
        targets = self._targets(view)
        if view.available_micros < 0:
            return requests + list(_free_cash(view, targets))
        return requests + list(self._quote_all(view, targets, crossed))

    def _quote_all(
        self, view: View, targets: dict[QuoteKey, TargetQuote | None], crossed: set[QuoteKey]
    ) -> Iterator[BotRequest]:
        """Place the missing quotes, as far as the cash allows, and edit those that are off."""
        quotes, surplus = _by_instrument_and_side(view)
        yield from (CancelRequest(order_id) for order_id in surplus)
        left_micros = view.available_micros
        for (instrument_id, side), quote in _in_safe_order(targets, quotes):
            order = quotes.get((instrument_id, side))
            if quote is None:
                if order is not None:
                    yield CancelRequest(order.order_id)
                continue
            if (instrument_id, side) in crossed:
                yield self._take(view, instrument_id, side, quote)
            if order is None:
                if quote.locks_micros <= left_micros and not self._refusals.waits(instrument_id, side, view.now_us):
                    left_micros -= quote.locks_micros
                    yield PlaceRequest(side, instrument_id, quote.size_milli, quote.price_micros, post_only=True)
            elif not _is_off(order, quote):
                self._refusals.accept(instrument_id, side)
            elif not self._refusals.waits(instrument_id, side, view.now_us):
                yield EditRequest(order.order_id, order.filled_milli + quote.size_milli, quote.price_micros)

    def _take(self, view: View, instrument_id: str, side: Side, quote: TargetQuote) -> PlaceRequest:
        """An order that trades with quotes beyond the maker's edge and the fee of a taker, and never rests."""
        instrument = view.instruments[instrument_id]
        tick, price = instrument.tick_micros, quote.price_micros
        fee = int(min(view.prices_micros[instrument.asset] * FEE_OF_INDEX, price * FEE_OF_PREMIUM))
        limit = max((price - fee) // tick, 1) * tick if side == "bid" else -((-price - fee) // tick) * tick
        return PlaceRequest(side, instrument_id, quote.size_milli, limit, "ioc")

    def _targets(self, view: View) -> dict[QuoteKey, TargetQuote | None]:
        """The quotes that the maker wants; None means no quote of that option on that side."""
        valued = [one for instrument in view.tradable() if (one := self._valued(view, instrument)) is not None]
        shifts = self._shifts(view, valued)
        targets: dict[QuoteKey, TargetQuote | None] = {}
        for one in valued:
            targets |= self._target_quotes(view, one, shifts)
        return targets

    def _valued(self, view: View, instrument: Instrument) -> _Valued | None:
        """The maker's valuation of one option; None without an index price."""
        spot = view.prices_micros.get(instrument.asset)
        if spot is None:
            return None
        years = (instrument.expiration_s * US_PER_SECOND - view.now_us) / US_PER_YEAR
        volatility = self._opinion.volatility(instrument.asset, spot, instrument.strike_micros, years)
        worth = valuation(instrument.option_type, spot, instrument.strike_micros, years, volatility)
        of_index = spot * HALF_SPREAD_OF_INDEX * abs(worth.delta)
        of_volatility = HALF_SPREAD_OF_VOLATILITY * level_of(instrument.asset) * worth.vega
        half = max(instrument.tick_micros, (of_index + of_volatility) * self._edge)
        minimum = instrument.min_size_milli
        size = -(-QUOTE_MICROS * MILLI_PER_CONTRACT // (spot * minimum)) * minimum
        return _Valued(instrument, worth, years, size, half)

    def _shifts(self, view: View, valued: list[_Valued]) -> _Shifts:
        """How the position shifts the index and the volatilities that the maker quotes from."""
        deltas: dict[str, float] = {}
        vegas: dict[tuple[str, int], float] = {}
        for one in valued:
            quotes = view.positions_milli.get(one.instrument.instrument_id, 0) / one.size_milli
            if not quotes:
                continue
            asset, key = one.instrument.asset, (one.instrument.asset, one.instrument.expiration_s)
            at_money = view.prices_micros[asset] * max(one.years, 0.0) ** 0.5 / _ROOT_2_PI
            deltas[asset] = deltas.get(asset, 0.0) + quotes * one.worth.delta
            vegas[key] = vegas.get(key, 0.0) + (quotes * one.worth.vega / at_money if at_money else 0.0)
        edge = self._edge
        of_index = {
            asset: -_bounded(quotes) * edge * HALF_SPREAD_OF_INDEX * view.prices_micros[asset]
            for asset, quotes in deltas.items()
        }
        of_volatility = {
            key: -_bounded(quotes) * edge * HALF_SPREAD_OF_VOLATILITY * level_of(key[0])
            for key, quotes in vegas.items()
        }
        return _Shifts(of_index, of_volatility)

    def _target_quotes(self, view: View, one: _Valued, shifts: _Shifts) -> dict[QuoteKey, TargetQuote | None]:
        """The quotes of one option. Nothing is bid if the bid would be below the tick."""
        instrument, size, half = one.instrument, one.size_milli, one.half_micros
        instrument_id, tick = instrument.instrument_id, instrument.tick_micros
        fair = one.worth.value + shifts.of_value_micros(one)
        back = {side: 1 + STEP_BACK * self._refusals.steps_back(instrument_id, side) for side in ("bid", "ask")}
        bid = int((fair - half * back["bid"]) // tick) * tick
        ask = max(-int(-(fair + half * back["ask"]) // tick) * tick, bid + tick, tick)
        position = view.positions_milli.get(instrument_id, 0)
        margin_micros = cost_micros(
            int(view.prices_micros[instrument.asset] * MARGIN_OF_INDEX + max(fair, 0)), max(size - max(position, 0), 0)
        )
        position_max, tolerance = POSITION_QUOTES_MAX * size, TOLERANCE * half
        quote_bid = TargetQuote(bid, size, tolerance, cost_micros(max(bid, 0), size))
        quote_ask = TargetQuote(ask, size, tolerance, margin_micros)
        return {
            (instrument_id, "bid"): quote_bid if bid > 0 and position < position_max else None,
            (instrument_id, "ask"): quote_ask if position > -position_max else None,
        }


def _bounded(quotes: float) -> float:
    """The shift for a position of this many quotes, in half spreads."""
    return min(max(quotes / SKEW_QUOTES, -SKEW_MAX), SKEW_MAX)


def _free_cash(view: View, targets: dict[QuoteKey, TargetQuote | None]) -> Iterator[BotRequest]:
    """Cancel quotes until available cash is no longer negative, first those that lock most."""
    locks = []
    for order in view.orders.values():
        if order.instrument_id in view.instruments:
            quote = targets.get((order.instrument_id, order.side))
            locks.append((quote.locks_micros if quote is not None else 0, order.order_id))
    deficit = -view.available_micros
    for locks_micros, order_id in sorted(locks, reverse=True):
        if deficit <= 0:
            break
        deficit -= locks_micros
        yield CancelRequest(order_id)


def _in_safe_order(
    targets: dict[QuoteKey, TargetQuote | None], quotes: dict[QuoteKey, OrderView]
) -> Iterator[tuple[QuoteKey, TargetQuote | None]]:
    """All targets, the ask before the bid if the bid would meet the maker's own old ask."""
    for (instrument_id, side), bid in targets.items():
        if side != "bid":
            continue
        ask_key: QuoteKey = (instrument_id, "ask")
        old_ask = quotes.get(ask_key)
        pair: list[tuple[QuoteKey, TargetQuote | None]] = [((instrument_id, side), bid), (ask_key, targets[ask_key])]
        rises = bid is not None and old_ask is not None and bid.price_micros >= (old_ask.price_micros or 0)
        yield from reversed(pair) if rises else pair


def _by_instrument_and_side(view: View) -> tuple[dict[QuoteKey, OrderView], list[int]]:
    """Return the open quotes, and the ids of orders that are duplicates or whose instrument is gone."""
    quotes: dict[QuoteKey, OrderView] = {}
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
