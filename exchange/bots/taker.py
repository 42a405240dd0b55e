"""A taker: it buys and sells small random sizes, with market and limit orders, and sometimes closes a position."""

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

# The value of the underlying in one order, before it is multiplied by a random factor of 1 to TIMES_MAX.
TRADE_MICROS = 500 * MICROS_PER_USDC
TIMES_MAX = 5
# With less available cash it closes positions more often.
LOW_MICROS = 2_000 * MICROS_PER_USDC
OPEN_ORDERS_MAX = 5
# A limit order improves the best price of its side by 0 to this many ticks.
TICKS_BETTER_MAX = 3
# A market order goes to one of this many options with the oldest last trade.
QUIET = 3
LIST_EVERY_US = 30 * US_PER_SECOND


class Taker:
    """Trades one option of an asset, preferably one without recent trades, then requests the tickers of an asset."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)
        self._listed_us = 0
        self._volumes_milli: dict[str, int] = {}
        # When the taker last saw the volume of an instrument grow.
        self._traded_us: dict[str, int] = {}

    def decide(self, view: View) -> list[BotRequest]:
        """Trade, cancel or close a position at random, and ask for the tickers of one asset."""
        self._note_trades(view)
        requests = self._act(view)
        if view.now_us - self._listed_us >= LIST_EVERY_US:
            self._listed_us = view.now_us
            requests.append(InstrumentsRequest())
        if assets := view.assets():
            requests.append(TickersRequest(self._random.choice(assets)))
        return requests

    def _act(self, view: View) -> list[BotRequest]:
        draw = self._random.random()
        held = [one.instrument_id for one in view.tradable() if one.instrument_id in view.positions_milli]
        if held and draw < (0.5 if view.available_micros < LOW_MICROS else 0.1):
            return [ClosePositionRequest(self._random.choice(held))]
        if view.orders and (draw < 0.2 or len(view.orders) >= OPEN_ORDERS_MAX):
            return [CancelRequest(next(iter(view.orders)))]
        tradable = {one.instrument_id: one for one in view.tradable()}
        tickers = [ticker for ticker in view.tickers if ticker.instrument_id in tradable]
        if not tickers:
            return []
        if draw < 0.8:
            self._random.shuffle(tickers)
            tickers.sort(key=lambda ticker: self._traded_us.get(ticker.instrument_id, 0))
            tickers = tickers[:QUIET]
        ticker = self._random.choice(tickers)
        return self._trade(ticker, tradable[ticker.instrument_id], is_market=draw < 0.8)

    def _note_trades(self, view: View) -> None:
        """Note the time of every trade, which shows as a growing volume."""
        for ticker in view.tickers:
            known_milli = self._volumes_milli.get(ticker.instrument_id, ticker.volume_24h_milli)
            self._volumes_milli[ticker.instrument_id] = ticker.volume_24h_milli
            if ticker.volume_24h_milli > known_milli:
                self._traded_us[ticker.instrument_id] = view.now_us

    def _trade(self, ticker: Ticker, instrument: Instrument, is_market: bool) -> list[BotRequest]:
        side: Side = self._random.choice(("bid", "ask"))
        spot = ticker.index_micros or instrument.strike_micros
        minimum = instrument.min_size_milli
        size = max(TRADE_MICROS * MILLI_PER_CONTRACT // spot // minimum, 1) * minimum
        size *= self._random.randint(1, TIMES_MAX)
        better = self._random.randrange(TICKS_BETTER_MAX + 1) * instrument.tick_micros
        opposite = ticker.best_ask_micros if side == "bid" else ticker.best_bid_micros
        own = ticker.best_bid_micros if side == "bid" else ticker.best_ask_micros
        if is_market and opposite is not None:
            return [PlaceRequest(side, instrument.instrument_id, size)]
        if own is None:
            return []
        price = own + better if side == "bid" else max(own - better, instrument.tick_micros)
        return [PlaceRequest(side, instrument.instrument_id, size, price, "day")]
