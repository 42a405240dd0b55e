"""The terminal screen of `exchange watch`: chain, book, orders and positions, kept up to date by channels."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, ClassVar, NamedTuple

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import DataTable, Input, Label, Static

from exchange.amounts import contracts, parse_contracts, parse_usdc, short_time, usdc
from exchange.cli.client import AccountLogin
from exchange.cli.figures import Figures, figures_of
from exchange.cli.ladder import BUY, SELL, Ladder
from exchange.client import Client, ExchangeError, connect
from exchange.client.messages import (
    BookMessage,
    Message,
    OrdersMessage,
    TickersMessage,
    TradesMessage,
    UserTradesMessage,
)
from exchange.domain.enums import Side
from exchange.projections.wire_types import AccountView, Instrument, OrderView, PositionDetails, Ticker

KEYS = (
    ("arrows", "move in the chain: calls on the left, puts on the right"),
    ("[ and ]", "the expiration before, and the next one"),
    ("a", "the next asset"),
    ("/", "go to an instrument"),
    ("b, s", "buy or sell the chosen option: shows first what the order would do"),
    ("c, e", "cancel or edit the order that is chosen in the list of orders"),
    ("x", "close the position in the chosen option"),
    ("Tab", "go to the next list"),
    ("?", "show these keys"),
    ("q", "quit"),
)
_BOOK_DEPTH = 20
_ACCOUNT_SECONDS = 2.0
_RESTING = ("open", "partially_filled", "untriggered")
# Columns of the puts of the chain, beside the strike first; those of the calls are the same, mirrored. A narrow
# terminal has no room for the open interest.
_COLUMNS = ("bid", "ask", "mark", "IV", "delta", "OI")
_WIDE = 100
_METER_WIDTH = 10
_COLOURS: dict[Side, str] = {"bid": BUY, "ask": SELL}


def _rounded(micros: int | None) -> str:
    """A figure that is computed, to the cent; `-` for None. Prices of orders and trades are shown whole."""
    return "-" if micros is None else f"{micros / 1_000_000:.2f}"


def _short(instrument_id: str) -> str:
    """The name of an instrument in a narrow list: all are settled in USDC."""
    return instrument_id.replace("_USDC-", " ")


class Terms(NamedTuple):
    """The price and the size of an order form."""

    price_micros: int | None
    size_milli: int


class WatchApp(App[None]):
    """Everything that `exchange watch` shows."""

    CSS = """
    #top { height: 2; }
    #chain { height: 1fr; min-height: 6; }
    #middle { height: 55%; }
    #book { width: 1fr; height: 100%; }
    #mine { width: 46; }
    #orders, #positions { height: 1fr; }
    .form { width: 62; height: auto; border: round $accent; padding: 0 1; background: $surface; }
    ModalScreen { align: center middle; }
    DataTable { scrollbar-size-horizontal: 1; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "order('bid')", "buy"),
        Binding("s", "order('ask')", "sell"),
        Binding("c", "cancel", "cancel"),
        Binding("e", "edit", "edit"),
        Binding("x", "close_position", "close"),
        Binding("left_square_bracket", "expiration(-1)", "expiration before"),
        Binding("right_square_bracket", "expiration(1)", "next expiration"),
        Binding("a", "asset", "next asset"),
        Binding("slash", "search", "search"),
        Binding("question_mark", "keys", "keys"),
        Binding("q", "quit", "quit"),
    ]

    def __init__(
        self, url: str, tls: ssl.SSLContext | None, login: AccountLogin, user_id: str, asset: str | None = None
    ) -> None:
        super().__init__()
        self._url, self._tls, self._login, self.user_id = url, tls, login, user_id
        self._wanted_asset = asset
        self.client: Client
        # Why it ended; empty: the user quit.
        self.failure = ""
        self.instruments: dict[str, Instrument] = {}
        self.tickers: dict[str, Ticker] = {}
        self.orders: dict[int, OrderView] = {}
        self.positions: dict[str, PositionDetails] = {}
        self.account: AccountView | None = None
        self.instrument_id = ""
        self.asset = ""
        self.expiration_s = 0
        self.ladder = Ladder("")
        self._puts: tuple[str, ...] = _COLUMNS[:-1]
        # What the chain was built for.
        self._built: tuple[str, int, tuple[str, ...]] | None = None
        self._is_placing_cursor = False

    def compose(self) -> ComposeResult:
        yield Static(id="top", markup=False)
        yield DataTable(id="chain", cursor_type="cell", zebra_stripes=False)
        with Horizontal(id="middle"):
            yield Static(id="book")
            with Vertical(id="mine"):
                yield DataTable(id="orders", cursor_type="row")
                yield DataTable(id="positions", cursor_type="row")

    @property
    def _base(self) -> Screen[Any]:
        """The screen below a form that is open."""
        return self.screen_stack[0]

    def on_mount(self) -> None:
        """Begin to follow the exchange."""
        self._follow()

    def on_resize(self) -> None:
        """Show what there is room for now, once the widgets have their new sizes."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        if self.instrument_id and len(self._puts) != len(self._fitting_columns()):
            chosen, self.instrument_id = self.instrument_id, ""
            self._build_chain()
            self._choose(chosen)
        self._draw_book()

    def _fitting_columns(self) -> tuple[str, ...]:
        return _COLUMNS if self.size.width >= _WIDE else _COLUMNS[:-1]

    # What the exchange tells.

    @work(exclusive=True)
    async def _follow(self) -> None:
        try:
            async with connect(self._url, tls=self._tls, **self._login) as self.client:
                self.instruments = {one.instrument_id: one for one in await self.client.get_instruments()}
                self._choose_first()
                self._follow_orders()
                self._follow_asset()
                self.set_interval(_ACCOUNT_SECONDS, self._ask_account)
                self.set_interval(0.5, self._draw_top)
                await self._ask_account_now()
                await self._ended()
        except ExchangeError as error:
            self.failure = error.detail or str(error)
            self.exit()

    async def _ended(self) -> None:
        """Wait for a message that never comes: the client keeps the connection."""
        async with self._messages("status") as messages:
            async for _ in messages:
                self._draw_top()

    @asynccontextmanager
    async def _messages(self, *channels: str) -> AsyncIterator[AsyncIterator[Message]]:
        subscription = await self.client.subscribe(*channels)
        try:
            yield subscription
        finally:
            await subscription.close()

    @work(exclusive=True, group="orders")
    async def _follow_orders(self) -> None:
        async with self._messages("user.orders", "user.trades") as messages:
            self._note_orders(await self.client.get_open_orders())
            async for message in messages:
                if isinstance(message, OrdersMessage):
                    self._note_orders(message.data)
                elif isinstance(message, UserTradesMessage):
                    for trade in message.data:
                        verb = "bought" if trade.side == "bid" else "sold"
                        size, price = contracts(trade.size_milli), usdc(trade.price_micros)
                        self.notify(f"You {verb} {size} {trade.instrument_id} at {price}")
                    self._ask_account()

    @work(exclusive=True, group="asset")
    async def _follow_asset(self) -> None:
        self.tickers = {}
        async with self._messages(f"tickers.{self.asset}") as messages:
            async for message in messages:
                if isinstance(message, TickersMessage):
                    self.tickers |= {one.instrument_id: one for one in message.data}
                    self._draw_chain()
                    self._draw_top()

    @work(exclusive=True, group="instrument")
    async def _follow_instrument(self) -> None:
        name = self.instrument_id
        self.ladder = Ladder(name, self.instruments.get(name))
        self.ladder.show_orders(self.orders.values())
        async with self._messages(f"book.{name}.{_BOOK_DEPTH}", f"trades.{name}") as messages:
            self.ladder.show_trades(reversed(await self.client.get_trades(name, 8)))
            async for message in messages:
                if isinstance(message, BookMessage):
                    self.ladder.show_book(message.data)
                elif isinstance(message, TradesMessage):
                    self.ladder.show_trades(message.data)
                self._draw_book()

    def _note_orders(self, changed: Iterable[OrderView]) -> None:
        changed = list(changed)
        for order in changed:
            if order.status in _RESTING:
                self.orders[order.order_id] = order
            else:
                self.orders.pop(order.order_id, None)
                if order.status in ("rejected", "cancelled") and order.cancel_reason != "user_request":
                    why = str(order.reject_reason or order.cancel_reason).replace("_", " ")
                    self.notify(f"Order {order.order_id} ended: {why}", severity="warning")
        self.ladder.show_orders(changed)
        self._draw_orders()
        self._draw_book()
        self._draw_chain()

    @work(exclusive=True, group="account")
    async def _ask_account(self) -> None:
        await self._ask_account_now()

    async def _ask_account_now(self) -> None:
        try:
            self.account = await self.client.get_account()
            found = (await self.client.get_positions()).positions
        except ExchangeError:
            # The next question tells if the connection has ended.
            return
        self.positions = {one.instrument_id: one for one in found if one.quantity_milli}
        self._draw_positions()
        self._draw_chain()
        self._draw_top()

    # What is chosen.

    def _choose_first(self) -> None:
        assets = self.assets()
        if not assets:
            self.failure = "no options are listed: exchange instrument list shows what there is"
            self.exit()
            return
        wanted = self._wanted_asset
        self.asset = wanted if wanted in assets else assets[0]
        self._choose_expiration(0)

    def assets(self) -> list[str]:
        """The assets that options are listed on."""
        return sorted({one.asset for one in self.instruments.values() if one.state == "open"})

    def expirations(self) -> list[int]:
        """The expirations of the chosen asset, the nearest first."""
        listed = self.instruments.values()
        return sorted({one.expiration_s for one in listed if one.asset == self.asset and one.state == "open"})

    def series(self) -> dict[int, dict[str, Instrument]]:
        """The options of the chosen series by strike, and by call and put."""
        found: dict[int, dict[str, Instrument]] = {}
        for one in self.instruments.values():
            if (one.asset, one.expiration_s) == (self.asset, self.expiration_s):
                found.setdefault(one.strike_micros, {})[one.option_type] = one
        return dict(sorted(found.items()))

    def _choose_expiration(self, step: int) -> None:
        expirations = self.expirations()
        at = expirations.index(self.expiration_s) if self.expiration_s in expirations else 0
        self.expiration_s = expirations[max(0, min(len(expirations) - 1, at + step))]
        strikes = list(self.series())
        self._build_chain()
        index = next((one.index_micros for one in self.tickers.values() if one.index_micros), None)
        near = min(strikes, key=lambda one: abs(one - index)) if index else strikes[len(strikes) // 2]
        self._choose(next(iter(self.series()[near].values())).instrument_id)

    def _choose(self, instrument_id: str) -> None:
        if instrument_id == self.instrument_id:
            return
        self.instrument_id = instrument_id
        chosen = self.instruments[instrument_id]
        column = len(self._puts) + (-1 if chosen.option_type == "call" else 1)
        table = self._base.query_one("#chain", DataTable)
        row = list(self.series()).index(chosen.strike_micros)
        if self._instrument_at(*table.cursor_coordinate) != instrument_id:
            # A table that was just built takes a cursor when it has been drawn.
            self._is_placing_cursor = True
            self.call_after_refresh(self._place_cursor, table, row, column)
        self._draw_top()
        self._follow_instrument()

    def _place_cursor(self, table: DataTable[Any], row: int, column: int) -> None:
        self._is_placing_cursor = False
        table.move_cursor(row=row, column=column)

    def _instrument_at(self, row: int, column: int) -> str | None:
        pairs = list(self.series().values())
        if row >= len(pairs) or column == len(self._puts):
            return None
        one = pairs[row].get("call" if column < len(self._puts) else "put")
        return None if one is None else one.instrument_id

    def on_data_table_cell_highlighted(self, event: DataTable.CellHighlighted) -> None:
        """Follow the option under the cursor of the chain."""
        # An event of a table that was built anew since then is late.
        is_late = self._is_placing_cursor or event.coordinate != event.data_table.cursor_coordinate
        found = None if is_late else self._instrument_at(*event.coordinate)
        if found is not None:
            self._choose(found)

    # What is shown.

    def _draw_top(self) -> None:
        index = next((one.index_micros for one in self.tickers.values() if one.index_micros), None)
        day = short_time(self.expiration_s * 1_000_000)[:10] if self.expiration_s else ""
        state = "live" if self._is_connected() else "connection lost, trying again"
        first = f"{self.asset} {day}  index {_rounded(index)}  {self.instrument_id}  {state}  ? keys"
        self._base.query_one("#top", Static).update(f"{first}\n{self._account_line()}")

    def _is_connected(self) -> bool:
        return hasattr(self, "client") and self.client.is_connected

    def _account_line(self) -> str:
        account = self.account
        if account is None:
            return self.user_id
        cash = account.available_micros + account.locked_micros
        share = 0.0 if cash <= 0 else min(1.0, account.maintenance_micros / cash)
        bar = "█" * round(share * _METER_WIDTH)
        return (
            f"{self.user_id}  equity {_rounded(account.equity_micros)}  available {_rounded(account.available_micros)}"
            f"  margin {bar:·<{_METER_WIDTH}} {share:.0%}"
        )

    def _build_chain(self) -> None:
        wanted = (self.asset, self.expiration_s, self._fitting_columns())
        if wanted == self._built:
            return
        self._built = wanted
        table = self._base.query_one("#chain", DataTable)
        table.clear(columns=True)
        self._puts = self._fitting_columns()
        for n, name in enumerate((*reversed(self._puts), "strike", *self._puts)):
            table.add_column(name, key=str(n))
        for strike in self.series():
            table.add_row(*[""] * (2 * len(self._puts) + 1), key=str(strike))
        self._draw_chain()

    def _draw_chain(self) -> None:
        table = self._base.query_one("#chain", DataTable)
        listed = [one for pair in self.series().values() for one in pair.values()]
        figures = figures_of(listed)
        for strike, pair in self.series().items():
            if str(strike) not in table.rows:
                continue
            cells = [
                *reversed(self._cells(pair.get("call"), figures)),
                self._strike_cell(strike, pair),
                *self._cells(pair.get("put"), figures),
            ]
            for n, cell in enumerate(cells):
                if table.get_cell(str(strike), str(n)) != cell:
                    table.update_cell(str(strike), str(n), cell, update_width=True)

    def _cells(self, one: Instrument | None, figures: Figures) -> list[Text]:
        ticker = None if one is None else self.tickers.get(one.instrument_id)
        if ticker is None:
            return [Text("")] * len(self._puts)
        greeks = ticker.greeks
        values = {
            "bid": Text(figures.price(ticker.best_bid_micros), BUY),
            "ask": Text(figures.price(ticker.best_ask_micros), SELL),
            "mark": Text(_rounded(ticker.mark_micros)),
            "IV": Text("-" if ticker.mark_iv is None else f"{ticker.mark_iv:.0%}"),
            "delta": Text("-" if greeks is None else f"{greeks.delta:.2f}"),
            "OI": Text(f"{ticker.open_interest_milli / 1_000:.0f}", "dim"),
        }
        for text in values.values():
            text.justify = "right"
        return [values[name] for name in self._puts]

    def _strike_cell(self, strike: int, pair: dict[str, Instrument]) -> Text:
        ids = {one.instrument_id for one in pair.values()}
        index = next((one.index_micros for one in self.tickers.values() if one.index_micros), None)
        strikes = list(self.series())
        above = next((one for one in strikes if index is not None and one >= index), None)
        held = [one.quantity_milli for name, one in self.positions.items() if name in ids]
        marks = "".join(f" {quantity / 1_000:+g}" for quantity in held)
        if any(one.instrument_id in ids for one in self.orders.values()):
            marks += " ●"
        return Text(f"{strike / 1_000_000:g}{marks}", "bold underline" if strike == above else "bold")

    def _draw_book(self) -> None:
        widget = self._base.query_one("#book", Static)
        height, width = widget.size.height, widget.size.width
        if not width or not self.ladder.seq:
            return
        ladder = self.ladder
        trades = ladder.trades[: max(1, (height - 4) // 3)]
        levels = max(1, (height - 2 - len(trades)) // 2)
        figures = figures_of([self.instruments.get(ladder.instrument_id)])
        most_milli = max([*ladder.sums("bid", levels), *ladder.sums("ask", levels)], default=1)

        def line(side: Side, n: int, sum_milli: int) -> Text:
            level = (ladder.bids if side == "bid" else ladder.asks)[n]
            own_milli = ladder.own_milli(side, level.price_micros)
            bar = "█" * max(1, round((width - 30) * sum_milli / most_milli))
            shown = Text(f"{contracts(own_milli) if own_milli else '':>5} ", "bold")
            shown.append(f"{figures.price(level.price_micros):>8} {figures.size(level.size_milli):>6}", _COLOURS[side])
            shown.append(f" {figures.size(sum_milli):>6} ", "dim")
            return shown.append(bar, _COLOURS[side])

        lines = [Text("yours    price   size    sum", "dim")]
        lines += [line("ask", n, total) for n, total in reversed(list(enumerate(ladder.sums("ask", levels))))]
        spread = ladder.asks[0].price_micros - ladder.bids[0].price_micros if ladder.asks and ladder.bids else None
        lines.append(Text(f"spread{figures.price(spread):>8}", "dim"))
        lines += [line("bid", n, total) for n, total in enumerate(ladder.sums("bid", levels))]
        for trade in trades:
            verb, colour = ("bought", BUY) if trade.taker_side == "bid" else ("sold", SELL)
            told = f"{short_time(trade.ts_us)[11:19]} {verb:>6} {figures.size(trade.size_milli)} at "
            lines.append(Text(told + figures.price(trade.price_micros), colour))
        widget.update(Text("\n", no_wrap=True).join(lines[:height]))

    def _draw_orders(self) -> None:
        table = self._base.query_one("#orders", DataTable)
        self._columns(table, "order", "", "left", "price", "instrument")
        row = table.cursor_row
        table.clear()
        for order in sorted(self.orders.values(), key=lambda one: -one.order_id):
            side = Text("buy", BUY) if order.side == "bid" else Text("sell", SELL)
            price = order.trigger_price_micros if order.price_micros is None else order.price_micros
            shown = usdc(price) if order.status != "untriggered" else f"({usdc(price)})"
            cells = (str(order.order_id), side, contracts(order.remaining_milli), shown, _short(order.instrument_id))
            table.add_row(*cells, key=str(order.order_id))
        table.move_cursor(row=max(0, min(row, table.row_count - 1)))

    def _draw_positions(self) -> None:
        table = self._base.query_one("#positions", DataTable)
        self._columns(table, "held", "mark", "profit", "instrument")
        table.clear()
        for name, one in sorted(self.positions.items()):
            profit = one.total_pnl_micros or 0
            cells = (
                Text(f"{one.quantity_milli / 1_000:+g}", BUY if one.quantity_milli > 0 else SELL),
                _rounded(one.mark_micros),
                Text(_rounded(profit), BUY if profit >= 0 else SELL),
                _short(name),
            )
            table.add_row(*cells, key=name)

    @staticmethod
    def _columns(table: DataTable[Any], *names: str) -> None:
        if not table.columns:
            table.add_columns(*names)

    # What a key does.

    def action_expiration(self, step: int) -> None:
        self._choose_expiration(step)

    def action_asset(self) -> None:
        assets = self.assets()
        self.asset = assets[(assets.index(self.asset) + 1) % len(assets)]
        self.expiration_s = 0
        self.tickers = {}
        self._choose_expiration(0)
        self._follow_asset()

    def action_keys(self) -> None:
        self.push_screen(Notice("\n".join(f"{key:8} {meaning}" for key, meaning in KEYS)))

    @work
    async def action_search(self) -> None:
        found = await self.push_screen_wait(Search())
        one = self.instruments.get((found or "").strip().upper())
        if one is not None:
            is_other = one.asset != self.asset
            self.asset, self.expiration_s = one.asset, one.expiration_s
            self._build_chain()
            self._choose(one.instrument_id)
            if is_other:
                self._follow_asset()
        elif found:
            self.notify(f"no option is called {found}", severity="error")

    @work
    async def action_order(self, side: Side) -> None:
        name = self.instrument_id
        ticker = self.tickers.get(name)
        best = None if ticker is None else ticker.best_ask_micros if side == "bid" else ticker.best_bid_micros
        terms = await self.push_screen_wait(
            OrderForm(self, name, side, "" if best is None else usdc(best), "1", "at market")
        )
        if terms is None:
            return
        try:
            order = await self._place(name, side, terms)
        except ExchangeError as error:
            self.notify(error.detail or str(error), severity="error")
            return
        self.notify(f"Order {order['order_id']} is {order['status'].replace('_', ' ')}")

    async def _place(self, name: str, side: Side, terms: Terms, dry_run: bool = False) -> dict[str, Any]:
        method = "private/buy" if side == "bid" else "private/sell"
        kind = "market" if terms.price_micros is None else "limit"
        params = {"instrument_id": name, "amount": terms.size_milli, "price": terms.price_micros, "type": kind}
        result = await self.client.call(method, **params, dry_run=dry_run or None)
        return dict(result if dry_run else result["order"])

    async def outcome_of(self, name: str, side: Side, terms: Terms) -> str:
        """What an order would do, in a line. Raises ExchangeError."""
        found = await self._place(name, side, terms, dry_run=True)
        fees = sum(trade["fee"] for trade in found["trades"])
        filled = sum(trade["size"] for trade in found["trades"])
        locked, available = found["balance"]["locked"], found["balance"]["available"]
        return (
            f"fills {contracts(filled)}, fee {usdc(fees)}, then locked {_rounded(locked)} and available "
            f"{_rounded(available)}"
        )

    def _chosen_order(self) -> OrderView | None:
        table = self._base.query_one("#orders", DataTable)
        keys = list(table.rows)
        if not keys:
            self.notify("there is no open order", severity="warning")
            return None
        return self.orders.get(int(str(keys[min(table.cursor_row, len(keys) - 1)].value)))

    @work
    async def action_cancel(self) -> None:
        order = self._chosen_order()
        if order is None:
            return
        try:
            await self.client.cancel(order.order_id)
        except ExchangeError as error:
            self.notify(error.detail or str(error), severity="error")

    @work
    async def action_edit(self) -> None:
        order = self._chosen_order()
        if order is None:
            return
        price, size = usdc(order.price_micros), contracts(order.size_milli)
        terms = await self.push_screen_wait(OrderForm(None, order.instrument_id, order.side, price, size, "as it is"))
        if terms is None:
            return
        try:
            await self.client.edit(order.order_id, amount=terms.size_milli, price=terms.price_micros)
        except ExchangeError as error:
            self.notify(error.detail or str(error), severity="error")

    @work
    async def action_close_position(self) -> None:
        try:
            await self.client.close_position(self.instrument_id)
        except ExchangeError as error:
            self.notify(error.detail or str(error), severity="error")


class Notice(ModalScreen[None]):
    """A text until a key is pressed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        yield Static(self._text, classes="form", markup=False)

    def on_key(self) -> None:
        """Close it."""
        self.dismiss()


class Search(ModalScreen[str | None]):
    """Asks for the name of an instrument."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "leave")]

    def compose(self) -> ComposeResult:
        with Vertical(classes="form"):
            yield Label("Instrument")
            yield Input(placeholder="SOL_USDC-28FEB26-150-C", id="name")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go there."""
        self.dismiss(event.value)


class OrderForm(ModalScreen[Terms | None]):
    """Price and size. Enter shows what the order would do, and Enter again sends it; an edit is sent at once."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "leave")]

    def __init__(
        self, app: WatchApp | None, instrument_id: str, side: Side, price: str, size: str, without_price: str
    ) -> None:
        super().__init__()
        self._asks, self._instrument_id, self._side = app, instrument_id, side
        self._first_price, self._first_size, self._without_price = price, size, without_price
        self._shown: Terms | None = None

    def compose(self) -> ComposeResult:
        verb, colour = ("buy", BUY) if self._side == "bid" else ("sell", SELL)
        with Vertical(classes="form"):
            yield Static(Text(f"{verb} {self._instrument_id}", colour))
            yield Label(f"Price in USDC; empty: {self._without_price}")
            yield Input(self._first_price, id="price")
            yield Label("Size in contracts")
            yield Input(self._first_size, id="size")
            yield Static("Enter: what would it do?   Esc: leave", id="outcome", markup=False)

    @work(exclusive=True)
    async def _enter(self) -> None:
        said = self.query_one("#outcome", Static)
        price, size = self.query_one("#price", Input).value.strip(), self.query_one("#size", Input).value.strip()
        try:
            terms = Terms(parse_usdc(price) if price else None, parse_contracts(size))
        except ValueError as error:
            said.update(str(error))
            return
        if self._asks is None or terms == self._shown:
            self.dismiss(terms)
            return
        try:
            outcome = await self._asks.outcome_of(self._instrument_id, self._side, terms)
        except ExchangeError as error:
            said.update(f"refused: {error.detail or error}")
            return
        self._shown = terms
        said.update(f"{outcome}. Enter sends it, Esc leaves.")

    def on_input_submitted(self) -> None:
        """Show what it would do, or send it."""
        self._enter()
