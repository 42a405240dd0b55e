"""Takers with a purpose: one follows the index, one buys protection, two sell options.

Each acts at random times, in about PACE of all steps, and sizes its trades by its available cash.
"""

import random
from typing import Protocol

from exchange.bots.opinion import level_of
from exchange.bots.pricing import US_PER_YEAR, value
from exchange.bots.requests import BotRequest, ClosePositionRequest, InstrumentsRequest, PlaceRequest
from exchange.bots.view import View
from exchange.domain.enums import OptionType, Side
from exchange.domain.units import MICROS_PER_USDC, MILLI_PER_CONTRACT, US_PER_SECOND
from exchange.projections.wire_types import Instrument

PACE = 0.3
LIST_EVERY_US = 30 * US_PER_SECOND
# The most underlying value in one trade.
TRADE_MAX_MICROS = 10_000 * MICROS_PER_USDC
# The part of the available cash that one trade costs, or locks.
CASH_PART = 0.1
# The same for sellers of options, and the cash with which they stop: they use almost all of it.
SELLER_CASH_PART = 0.3
SELLER_LOW_MICROS = 500 * MICROS_PER_USDC
# The margin of a short option, as a part of the index price.
MARGIN_OF_INDEX = 0.15
# With less available cash a taker trades no more, and closes positions.
LOW_MICROS = 2_000 * MICROS_PER_USDC


class Style(Protocol):
    """How a taker with a purpose chooses its next trade."""

    def trade(self, view: View, asset: str, numbers: random.Random) -> list[BotRequest]:
        """Return the orders of one action in options on this asset."""
        ...


class PurposefulTaker:
    """A taker that trades in one style, with market orders."""

    def __init__(self, seed: int | str, style: Style) -> None:
        self._random = random.Random(seed)
        self._style = style
        self._listed_us = 0

    def decide(self, view: View) -> list[BotRequest]:
        """Trade in about PACE of all steps, and list the instruments now and then."""
        requests: list[BotRequest] = []
        if view.now_us - self._listed_us >= LIST_EVERY_US:
            self._listed_us = view.now_us
            requests.append(InstrumentsRequest())
        assets = view.assets()
        if assets and self._random.random() < PACE:
            requests += self._style.trade(view, self._random.choice(assets), self._random)
        return requests


class Directional:
    """Follows the index: if it rose, buys calls or sells puts; if it fell, buys puts or sells calls.

    In a third of its actions, and if its cash is low, it closes a position.
    """

    def __init__(self) -> None:
        self._averages: dict[str, float] = {}

    def trade(self, view: View, asset: str, numbers: random.Random) -> list[BotRequest]:
        spot = view.prices_micros.get(asset, 0)
        average = self._averages.setdefault(asset, spot)
        self._averages[asset] = 0.9 * average + 0.1 * spot
        if view.available_micros < LOW_MICROS or numbers.random() < 1 / 3:
            return _close_one(view, numbers)
        is_up = spot > average
        side: Side = numbers.choice(("bid", "ask"))
        option_type: OptionType = "call" if is_up == (side == "bid") else "put"
        out_of_money = 0.06 if side == "ask" else 0.02
        strike = spot * (1 + out_of_money if option_type == "call" else 1 - out_of_money)
        chosen = _nearest(view, asset, option_type, strike, numbers.choice((0, 1, 2)))
        return [_market_order(view, side, chosen)] if chosen is not None else []


class Hedger:
    """Owns the underlying elsewhere: buys puts against its fall, and sells calls above the index to pay for them.

    In a third of its actions, and if its cash is low, it closes a position.
    """

    def trade(self, view: View, asset: str, numbers: random.Random) -> list[BotRequest]:
        if view.available_micros < LOW_MICROS or numbers.random() < 1 / 3:
            return _close_one(view, numbers)
        spot = view.prices_micros.get(asset, 0)
        is_put = numbers.random() < 2 / 3
        later = numbers.choice((1, 2))
        chosen = _nearest(view, asset, "put", 0.95 * spot, later) if is_put else None
        chosen = chosen or _nearest(view, asset, "call", 1.06 * spot, later)
        return [_market_order(view, "bid" if is_put else "ask", chosen)] if chosen is not None else []


class StraddleSeller:
    """Sells calls and puts on one asset with all its cash, at the money (straddles) or on both sides of it (strangles).

    It holds them until they expire, or until a large move of the index liquidates the account.
    """

    def __init__(self) -> None:
        self._asset: str | None = None

    def trade(self, view: View, asset: str, numbers: random.Random) -> list[BotRequest]:
        self._asset = asset = self._asset or asset
        spot = view.prices_micros.get(asset, 0)
        later, distance = numbers.choice((0, 1)), 0.0
        if numbers.random() < 0.5:
            later, distance = 1, 0.08
        if view.available_micros < SELLER_LOW_MICROS:
            return []
        call = _nearest(view, asset, "call", spot * (1 + distance), later)
        put = _nearest(view, asset, "put", spot * (1 - distance), later)
        return [_market_order(view, "ask", leg, SELLER_CASH_PART) for leg in (call, put) if leg is not None]


class PutSeller:
    """Sells puts below the most volatile index with all its cash, so that a fall of some 10 % liquidates it."""

    def trade(self, view: View, asset: str, numbers: random.Random) -> list[BotRequest]:
        asset = max(view.assets(), key=level_of)
        if view.available_micros < SELLER_LOW_MICROS:
            return []
        put = _nearest(view, asset, "put", 0.95 * view.prices_micros.get(asset, 0), 1)
        return [_market_order(view, "ask", put, SELLER_CASH_PART)] if put is not None else []


def _close_one(view: View, numbers: random.Random) -> list[BotRequest]:
    held = [one.instrument_id for one in view.tradable() if one.instrument_id in view.positions_milli]
    return [ClosePositionRequest(numbers.choice(held))] if held else []


def _nearest(view: View, asset: str, option_type: OptionType, strike: float, later: int) -> Instrument | None:
    """The option nearest to this strike in the next expiration, or in one of those `later`; None if none is listed."""
    listed = [one for one in view.tradable() if one.asset == asset and one.option_type == option_type]
    expirations = sorted({one.expiration_s for one in listed})
    if not expirations or asset not in view.prices_micros:
        return None
    expiration_s = expirations[min(later, len(expirations) - 1)]
    return min(
        (one for one in listed if one.expiration_s == expiration_s),
        key=lambda one: (abs(one.strike_micros - strike), one.strike_micros),
    )


def _market_order(view: View, side: Side, instrument: Instrument, cash_part: float = CASH_PART) -> PlaceRequest:
    """An order that costs, or locks, about this part of the available cash."""
    spot = view.prices_micros[instrument.asset]
    years = (instrument.expiration_s * US_PER_SECOND - view.now_us) / US_PER_YEAR
    worth = value(instrument.option_type, spot, instrument.strike_micros, years, level_of(instrument.asset))
    cash_micros = max(worth, MARGIN_OF_INDEX * spot / 5) if side == "bid" else MARGIN_OF_INDEX * spot + worth
    contracts = min(cash_part * view.available_micros / cash_micros, TRADE_MAX_MICROS / spot)
    minimum = instrument.min_size_milli
    size = max(int(contracts * MILLI_PER_CONTRACT) // minimum, 1) * minimum
    return PlaceRequest(side, instrument.instrument_id, size)
