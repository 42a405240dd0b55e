"""A ladder: one order book and its last trades, updated from channels and drawn as lines for a terminal."""

from collections import deque
from collections.abc import Iterable
from itertools import accumulate, zip_longest

from exchange.amounts import short_time
from exchange.cli.figures import figures_of
from exchange.cli.output import Styled, TextTable, add_rows
from exchange.client import Book, OrderBookSnapshot
from exchange.domain.enums import Side
from exchange.projections.wire_types import BookLevel, Instrument, OrderView, Trade

TRADES_SHOWN = 8
BUY, SELL = "green", "red"
# Trades that are shown even if the terminal is small.
_TRADES_MIN = 3
# Lines that are not prices or trades: title, headings, spread, blank lines, and the line of the cursor.
_LINES_AROUND = 9
# Minimum width of a column, so that the columns do not move while sizes change.
_WIDTH_MIN = 8
# Width of the bar of the largest sum.
_BAR_WIDTH = 12
_RESTING = ("open", "partially_filled")


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
        # The user's open orders in this instrument, by id; None: of no user.
        self._own: dict[int, OrderView] | None = None

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

    def show_orders(self, orders: Iterable[OrderView]) -> None:
        """Add or update orders of the user, and forget those that ended."""
        own = self._own if self._own is not None else {}
        for order in orders:
            if order.instrument_id == self.instrument_id and order.status in _RESTING:
                own[order.order_id] = order
            else:
                own.pop(order.order_id, None)
        self._own = own

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
        sums = {"bid": self.sums("bid", len(bids)), "ask": self.sums("ask", len(asks))}
        most_milli = max([*sums["bid"], *sums["ask"]], default=1)
        figures = figures_of(
            [self._instrument],
            (level.price_micros for level in levels),
            [level.size_milli for level in levels] + sums["bid"] + sums["ask"],
        )
        columns = (">bid", ">price", ">ask", ">sum", "depth", ">orders")
        own_columns = () if self._own is None else (">yours",)
        drawn = TextTable((*own_columns, *columns), title, optional=("orders",), width_min=_WIDTH_MIN)

        def add(side: Side, level: BookLevel, sum_milli: int) -> None:
            colour = BUY if side == "bid" else SELL
            price, size = Styled(figures.price(level.price_micros), colour), figures.size(level.size_milli)
            sizes = (Styled(size, colour), price, "") if side == "bid" else ("", price, Styled(size, colour))
            own_milli = self.own_milli(side, level.price_micros)
            own = () if self._own is None else (Styled(figures.size(own_milli) if own_milli else "", "bold"),)
            bar = "█" * max(1, round(_BAR_WIDTH * sum_milli / most_milli))
            after = (figures.size(sum_milli), Styled(bar, colour), Styled(str(level.count), "dim"))
            add_rows(drawn, [(*own, *sizes, *after)])

        for ask, sum_milli in reversed(list(zip(asks, sums["ask"], strict=True))):
            add("ask", ask, sum_milli)
        margin = ("",) * len(own_columns)
        if bids and asks:
            spread = figures.price(asks[0].price_micros - bids[0].price_micros)
            add_rows(drawn, [(*margin, Styled("spread", "dim"), Styled(spread, "dim"))])
        else:
            add_rows(drawn, [(*margin, Styled("no asks" if bids else "no bids" if asks else "empty", "dim"))])
        for bid, sum_milli in zip(bids, sums["bid"], strict=True):
            add("bid", bid, sum_milli)
        return drawn

    def sums(self, side: Side, levels: int) -> list[int]:
        """The sizes from the best price up to each of the first levels, added up, in millicontracts."""
        return list(accumulate(level.size_milli for level in (self.bids if side == "bid" else self.asks)[:levels]))

    def own_milli(self, side: Side, price_micros: int) -> int:
        """What rests of the user's orders at a price."""
        own = (self._own or {}).values()
        return sum(one.remaining_milli for one in own if one.side == side and one.price_micros == price_micros)

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
