"""A ladder: one order book and its last trades, updated from channels and drawn as lines for a terminal."""

from collections import deque
from collections.abc import Iterable
from itertools import zip_longest

from exchange.amounts import short_time
from exchange.cli.figures import figures_of
from exchange.cli.output import Styled, TextTable, add_rows
from exchange.client import Book, OrderBookSnapshot
from exchange.projections.wire_types import BookLevel, Instrument, Trade

TRADES_SHOWN = 8
BUY, SELL = "green", "red"
# Trades that are shown even if the terminal is small.
_TRADES_MIN = 3
# Lines that are not prices or trades: title, headings, spread, blank lines, and the line of the cursor.
_LINES_AROUND = 9
# Minimum width of a column, so that the columns do not move while sizes change.
_WIDTH_MIN = 8


class Ladder:
    """The book of one instrument and its last trades, newest first."""

    def __init__(self, instrument_id: str, instrument: Instrument | None = None) -> None:
        self.instrument_id = instrument_id
        self._instrument = instrument
        self.seq = 0
        self.ts_us = 0
        # Both sides begin with the best price.
        self.bids: list[BookLevel] = []
        self.asks: list[BookLevel] = []
        self._trades: deque[Trade] = deque(maxlen=TRADES_SHOWN)

    @property
    def trades(self) -> list[Trade]:
        return list(self._trades)

    def show_book(self, book: Book | OrderBookSnapshot) -> None:
        self.seq, self.ts_us, self.bids, self.asks = book.seq, book.ts_us, book.bids, book.asks

    def show_trades(self, trades: Iterable[Trade]) -> None:
        """Add trades, oldest first. Known trades are ignored."""
        for trade in trades:
            if not self._trades or trade.trade_id > self._trades[0].trade_id:
                self._trades.appendleft(trade)

    def draw(self, lines_max: int | None = None) -> tuple[TextTable, TextTable]:
        """The book and the trades. Prices far from the market are left out to stay within `lines_max` lines."""
        bids, asks, trades = self.bids, self.asks, self.trades
        if lines_max is not None:
            left = lines_max - _LINES_AROUND
            levels = max(1, (left - _TRADES_MIN) // 2)
            bids, asks = bids[:levels], asks[:levels]
            trades = trades[: max(1, left - len(bids) - len(asks))]
        title = f"{self.instrument_id}  seq {self.seq}, {short_time(self.ts_us)}"
        return self._draw_book(bids, asks, title), self._draw_trades(trades)

    def _draw_book(self, bids: list[BookLevel], asks: list[BookLevel], title: str) -> TextTable:
        levels = bids + asks
        figures = figures_of(
            [self._instrument], (level.price_micros for level in levels), (level.size_milli for level in levels)
        )
        columns = (">orders", ">bid", ">price", ">ask", ">orders")
        drawn = TextTable(columns, title, optional=("orders",), width_min=_WIDTH_MIN)
        for ask in reversed(asks):
            price, size = figures.price(ask.price_micros), figures.size(ask.size_milli)
            add_rows(drawn, [("", "", Styled(price, SELL), Styled(size, SELL), Styled(str(ask.count), "dim"))])
        if bids and asks:
            spread = figures.price(asks[0].price_micros - bids[0].price_micros)
            add_rows(drawn, [("", Styled("spread", "dim"), Styled(spread, "dim"))])
        else:
            add_rows(drawn, [("", Styled("no asks" if bids else "no bids" if asks else "empty", "dim"))])
        for bid in bids:
            price, size = figures.price(bid.price_micros), figures.size(bid.size_milli)
            add_rows(drawn, [(Styled(str(bid.count), "dim"), Styled(size, BUY), Styled(price, BUY))])
        return drawn

    def _draw_trades(self, trades: list[Trade]) -> TextTable:
        """Draw trades, newest first. An arrow shows that the price changed from the trade before."""
        if not trades:
            return TextTable((), caption="no trades yet")
        figures = figures_of(
            [self._instrument], (trade.price_micros for trade in trades), (trade.size_milli for trade in trades)
        )
        drawn = TextTable(("last trades", "taker", ">size", ">price", ""))
        for trade, before in zip_longest(trades, trades[1:]):
            side, colour = ("bought", BUY) if trade.taker_side == "bid" else ("sold", SELL)
            cells = (
                Styled(short_time(trade.ts_us), "dim"),
                Styled(side, colour),
                figures.size(trade.size_milli),
                figures.price(trade.price_micros),
                _arrow(trade, before or trade),
            )
            add_rows(drawn, [cells])
        return drawn


def _arrow(trade: Trade, before: Trade) -> Styled:
    if trade.price_micros == before.price_micros:
        return Styled("", "")
    return Styled("▲", BUY) if trade.price_micros > before.price_micros else Styled("▼", SELL)
