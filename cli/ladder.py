"""A ladder: one order book and its last trades, updated from channels and drawn as lines for a terminal."""

from collections import deque
from collections.abc import Iterable
from itertools import zip_longest

from exchange.amounts import contracts, price_decimals, short_time, size_decimals, usdc
from exchange.cli.output import Styled, TextTable, add_rows
from exchange.client import Book, OrderBookSnapshot
from exchange.projections.views import Views
from exchange.projections.wire_types import BookLevel, Trade

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

    def __init__(self, instrument_id: str) -> None:
        self.instrument_id = instrument_id
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

    def show_past(self, views: Views, depth: int) -> None:
        """Show the book and the trades of `views`."""
        book = views.depths[self.instrument_id]
        self.seq, self.ts_us, self.bids, self.asks = views.seq, views.ts_us, book.bids(depth), book.asks(depth)
        self._trades.extend(views.tape.trades(self.instrument_id, TRADES_SHOWN))

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
        return _draw_book(bids, asks, title), _draw_trades(trades)


def _draw_book(bids: list[BookLevel], asks: list[BookLevel], title: str) -> TextTable:
    prices = price_decimals(level.price_micros for level in bids + asks)
    sizes = size_decimals(level.size_milli for level in bids + asks)
    columns = (">orders", ">bid", ">price", ">ask", ">orders")
    drawn = TextTable(columns, title, optional=("orders",), width_min=_WIDTH_MIN)
    for ask in reversed(asks):
        price, size = usdc(ask.price_micros, prices), contracts(ask.size_milli, sizes)
        add_rows(drawn, [("", "", Styled(price, SELL), Styled(size, SELL), Styled(str(ask.count), "dim"))])
    if bids and asks:
        spread = usdc(asks[0].price_micros - bids[0].price_micros, prices)
        add_rows(drawn, [("", Styled("spread", "dim"), Styled(spread, "dim"))])
    else:
        add_rows(drawn, [("", Styled("no asks" if bids else "no bids" if asks else "empty", "dim"))])
    for bid in bids:
        price, size = usdc(bid.price_micros, prices), contracts(bid.size_milli, sizes)
        add_rows(drawn, [(Styled(str(bid.count), "dim"), Styled(size, BUY), Styled(price, BUY))])
    return drawn


def _draw_trades(trades: list[Trade]) -> TextTable:
    """Draw trades, newest first. An arrow shows that the price changed from the trade before."""
    if not trades:
        return TextTable((), caption="no trades yet")
    prices = price_decimals(trade.price_micros for trade in trades)
    sizes = size_decimals(trade.size_milli for trade in trades)
    drawn = TextTable(("last trades", "taker", ">size", ">price", ""))
    for trade, before in zip_longest(trades, trades[1:]):
        side, colour = ("bought", BUY) if trade.taker_side == "bid" else ("sold", SELL)
        cells = (
            Styled(short_time(trade.ts_us), "dim"),
            Styled(side, colour),
            contracts(trade.size_milli, sizes),
            usdc(trade.price_micros, prices),
            _arrow(trade, before or trade),
        )
        add_rows(drawn, [cells])
    return drawn


def _arrow(trade: Trade, before: Trade) -> Styled:
    if trade.price_micros == before.price_micros:
        return Styled("", "")
    return Styled("▲", BUY) if trade.price_micros > before.price_micros else Styled("▼", SELL)
