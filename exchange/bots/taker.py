"""A taker: buys and sells small sizes at random, at market or with a limit, and now and then closes what it has."""

import random

from exchange.bots.requests import (
    BotRequest,
    CancelRequest,
    ClosePositionRequest,
    InstrumentsRequest,
    PlaceRequest,
    TickersRequest,
)
from exchange.bots.view import View
from exchange.domain.enums import Side
from exchange.domain.units import MICROS_PER_USDC, MILLI_PER_CONTRACT, US_PER_SECOND
from exchange.projections.wire_types import Instrument, Ticker

TRADE_MICROS = 500 * MICROS_PER_USDC  # so much of the underlying, one to five times
TIMES_MAX = 5
LOW_MICROS = 2_000 * MICROS_PER_USDC  # with less at hand it rather closes what it has
OPEN_ORDERS_MAX = 5
TICKS_BETTER_MAX = 3  # than the best price of its side
QUIET = 3  # options of an asset in which nobody traded for longest: one of them is traded
LIST_EVERY_US = 30 * US_PER_SECOND


class Taker:
    """Looks at the options of an asset, trades one, rather where nobody did for long, and looks at another asset."""

    def __init__(self, seed: int | str) -> None:
        self._chance = random.Random(seed)
        self._listed_us = 0
        self._volumes_milli: dict[str, int] = {}  # as it saw them last
        self._traded_us: dict[str, int] = {}  # when it saw that they had grown

    def decide(self, view: View) -> list[BotRequest]:
        self._look(view)
        requests = self._act(view)
        if view.now_us - self._listed_us >= LIST_EVERY_US:
            self._listed_us = view.now_us
            requests.append(InstrumentsRequest())
        if assets := view.assets():
            requests.append(TickersRequest(self._chance.choice(assets)))
        return requests

    def _act(self, view: View) -> list[BotRequest]:
        chance = self._chance.random()
        held = [one.instrument_id for one in view.tradable() if one.instrument_id in view.positions_milli]
        if held and chance < (0.5 if view.available_micros < LOW_MICROS else 0.1):
            return [ClosePositionRequest(self._chance.choice(held))]
        if view.orders and (chance < 0.2 or len(view.orders) >= OPEN_ORDERS_MAX):
            return [CancelRequest(next(iter(view.orders)))]
        tradable = {one.instrument_id: one for one in view.tradable()}
        tickers = [ticker for ticker in view.tickers if ticker.instrument_id in tradable]
        if not tickers:
            return []
        if chance < 0.8:
            self._chance.shuffle(tickers)
            tickers.sort(key=lambda ticker: self._traded_us.get(ticker.instrument_id, 0))
            tickers = tickers[:QUIET]
        ticker = self._chance.choice(tickers)
        return self._trade(ticker, tradable[ticker.instrument_id], is_market=chance < 0.8)

    def _look(self, view: View) -> None:
        """See where somebody traded."""
        for ticker in view.tickers:
            before = self._volumes_milli.get(ticker.instrument_id, ticker.volume_24h_milli)
            self._volumes_milli[ticker.instrument_id] = ticker.volume_24h_milli
            if ticker.volume_24h_milli > before:
                self._traded_us[ticker.instrument_id] = view.now_us

    def _trade(self, ticker: Ticker, instrument: Instrument, is_market: bool) -> list[BotRequest]:
        side: Side = self._chance.choice(("bid", "ask"))
        spot = ticker.index_micros or instrument.strike_micros
        minimum = instrument.min_size_milli
        size = max(TRADE_MICROS * MILLI_PER_CONTRACT // spot // minimum, 1) * minimum
        size *= self._chance.randint(1, TIMES_MAX)
        better = self._chance.randrange(TICKS_BETTER_MAX + 1) * instrument.tick_micros
        against = ticker.best_ask_micros if side == "bid" else ticker.best_bid_micros
        own = ticker.best_bid_micros if side == "bid" else ticker.best_ask_micros
        if is_market and against is not None:
            return [PlaceRequest(side, instrument.instrument_id, size)]
        if own is None:
            return []
        price = own + better if side == "bid" else max(own - better, instrument.tick_micros)
        return [PlaceRequest(side, instrument.instrument_id, size, price, "day")]
