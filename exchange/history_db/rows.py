"""Turns the events of commands into rows of the history."""

from collections import defaultdict
from typing import Any

from exchange.domain import commands as c
from exchange.domain import events as e
from exchange.domain.units import cost_micros
from exchange.engine.engine import Engine
from exchange.history_db.event_kinds import KIND_NUMBERS, REASON_NUMBERS, WITHOUT_PAYLOAD
from exchange.history_db.memory import Memory, OpenOrder
from exchange.history_db.payloads import needs_json, stored_payload
from exchange.history_db.state_events import events_of_state
from exchange.journal.records import Record
from exchange.projections.balances import PositionRecord
from exchange.projections.views import Change, Views

Row = tuple[Any, ...]

# Between two lists of all open orders, so that a book of the past follows from few versions.
CHECKPOINT_EVERY = 10_000
# With more open orders than this, lists are rarer, so that they do not become larger than all the rest.
_CHECKPOINT_ORDERS = 100_000

# The first of these that a command did to a user explains the change of the user's cash.
_RANKS: dict[type[e.Event], int] = {
    e.ShortfallCovered: 1,
    e.LiquidationStarted: 2,
    e.PositionSettled: 3,
    e.Traded: 4,
    e.OrderCancelled: 5,
}
_REASONS = {1: "shortfall", 2: "liquidation", 3: "settlement", 4: "trade"}
_REASONS_OF_COMMANDS: dict[type[c.Command], str] = {
    c.OpenAccount: "opening",
    c.Deposit: "deposit",
    c.Withdraw: "withdrawal",
}
_MARGIN_COMMANDS = (c.SetIndexPrice, c.EndDay, c.SettleSeries, c.ChangeRules)
_ORDER_COMMANDS = (c.PlaceOrder, c.EditOrder, c.CancelOrder)


class HistoryRows:
    """Collects the rows of commands by table. `updated_orders` are the orders whose row in `book_order` is old."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.tables: defaultdict[str, list[Row]] = defaultdict(list)
        # New state of rows that exist: by order id, user, instrument.
        self.updated_orders: dict[int, Row] = {}
        self.opened_users: list[Row] = []
        self.listed: list[Row] = []
        self.instrument_states: list[Row] = []
        self.deliveries: list[Row] = []

    def add(self, record: Record, command: c.Command, events: list[e.Event], change: Change, engine: Engine) -> None:
        """Add the rows of the command that `engine` has just applied."""
        self._begin(record, command, events, engine)
        self._add_command()
        ranks = self._ranks()
        rows = self.tables["event"]
        for n, event in enumerate(events):
            rows.append(self._event(n, event))
            self._add(n, event, ranks)
        self._add_silent_positions()
        self._add_rates()
        self._add_profits(change, engine.views)
        self._add_quotes(change)
        self._add_liquidations()
        self._add_checkpoint()

    def add_state(self, engine: Engine) -> None:
        """Add the whole state of the exchange as the results of one command, in place of the commands before it."""
        head, state, views = engine.head, engine.state, engine.views
        self._begin(Record(head.seq, head.ts_us, '{"kind":"base"}', head.hash), c.EndDay(head.ts_us), [], engine)
        self.tables["command"].append((head.seq, head.ts_us, "base", None, None, None, "done", None, *self._record[2:]))
        for n, event in enumerate(events_of_state(state, views)):
            if isinstance(event, e.AccountOpened):
                self._add_rare(n, event)
            else:
                self._add(n, event, {})
        for user_id, account in views.balances.users.items():
            for instrument_id, position in account.positions.items():
                self._profit((user_id, instrument_id), position, account.realised_micros, False)
        self._add_quotes(Change(head.seq, head.ts_us, books=views.depths))

    def _begin(self, record: Record, command: c.Command, events: list[e.Event], engine: Engine) -> None:
        self._record, self._command, self._events, self._state = record, command, events, engine.state
        # The positions whose size or open asks the command may have changed.
        self._touched: dict[tuple[str, str], None] = {}

    def _add_command(self) -> None:
        seq, ts_us, payload, digest = self._record
        command, first = self._command, self._events[0]
        user_id, instrument_id = getattr(command, "user_id", None), getattr(command, "instrument_id", None)
        order_id = None
        if isinstance(command, _ORDER_COMMANDS):
            order_id = getattr(command, "order_id", None) or getattr(first, "order_id", None)
        outcome, reason = "done", None
        if isinstance(first, e.Refused):
            outcome, reason = "refused", first.reason.value
        elif isinstance(first, e.OrderRepeated):
            outcome = "repeated"
        self.tables["command"].append(
            (
                seq,
                ts_us,
                command.__struct_config__.tag,
                None if user_id is None else self._user(user_id),
                None if instrument_id is None else self._instrument(instrument_id),
                order_id,
                outcome,
                reason,
                stored_payload(command, first, payload),
                digest,
            )
        )

    def _event(self, n: int, event: e.Event) -> Row:
        kind = type(event)
        user_id, instrument_id = getattr(event, "user_id", None), getattr(event, "instrument_id", None)
        is_stored = kind not in WITHOUT_PAYLOAD
        ref = event.trade_id if isinstance(event, e.Traded) else getattr(event, "order_id", None)
        if isinstance(event, e.OrderAccepted) and needs_json(event.client_order_id):
            is_stored = True
        return (
            self._record.seq,
            n,
            KIND_NUMBERS[kind],
            None if user_id is None else self._user(user_id),
            None if instrument_id is None else self._instrument(instrument_id),
            ref,
            e.encode_event(event).decode() if is_stored else None,
        )

    def _ranks(self) -> dict[str, int]:
        """The most important event of the command for each user, as its rank."""
        ranks: dict[str, int] = {}
        for event in self._events:
            rank = _RANKS.get(type(event))
            if rank is None:
                continue
            for user_id in _users_of(event):
                ranks[user_id] = min(rank, ranks.get(user_id, rank))
        return ranks

    def _add(self, n: int, event: e.Event, ranks: dict[str, int]) -> None:
        match event:
            case e.OrderAccepted():
                self._accept(n, event)
            case e.Traded():
                self._trade(n, event)
            case e.OrderEdited():
                self._edit(n, event)
            case e.OrderCancelled():
                self._cancel(n, event)
            case e.OrderRepeated():
                row = (event.order_id, self._record.seq, n, "repeated", None, 0, 0, 0, 0, None, None, None)
                self.tables["order_version"].append(row)
            case e.BalanceChanged():
                self._balance(n, event, self._reason(event.user_id, ranks))
            case e.PositionChanged():
                self._position(n, event.user_id, event.instrument_id, event.quantity_milli)
            case e.MarginsChanged():
                # The margins follow from positions and margin rates.
                pass
            case _:
                self._add_rare(n, event)

    def _add_rare(self, n: int, event: e.Event) -> None:
        seq = self._record.seq
        match event:
            case e.IndexPriceSet():
                forced = int(isinstance(self._command, c.SetIndexPrice) and self._command.forced)
                self.tables["index_price"].append((event.asset, seq, n, self._record.ts_us, event.price_micros, forced))
            case e.MarksSet():
                marks = self.tables["mark_version"]
                for instrument_id, mark_micros in event.marks.items():
                    marks.append((*self._rated(instrument_id, n), mark_micros, self._rate(instrument_id)))
            case e.AccountOpened():
                user = self._user(event.user_id)
                self.opened_users.append((seq, user))
                self.tables["balance_version"].append((user, seq, n, 0, 0, 0, None))
                if isinstance(self._command, c.OpenAccount) and self._command.cash_micros:
                    self.tables["payment"].append((seq, n, user, "opening", self._command.cash_micros))
            case e.Deposited():
                self.tables["payment"].append((seq, n, self._user(event.user_id), "deposit", event.amount_micros))
            case e.Withdrawn():
                self.tables["payment"].append((seq, n, self._user(event.user_id), "withdrawal", -event.amount_micros))
            case e.ShortfallCovered():
                row = (seq, n, self._user(event.user_id), event.amount_micros, event.shortfall_micros)
                self.tables["shortfall"].append(row)
            case e.InstrumentCreated():
                self._list(n, event)
            case e.InstrumentStateChanged():
                instrument = self._instrument(event.instrument_id)
                self.tables["instrument_version"].append((instrument, seq, n, event.state))
                self.instrument_states.append((event.state, instrument))
            case e.DeliveryPriceSet():
                settled = (seq, n, event.asset, event.expiration_s, event.price_micros)
                self.tables["series_settlement"].append(settled)
                self.deliveries.append((event.price_micros, event.asset, event.expiration_s))
                self._unmark(n, event)
            case e.SettlementDelayed():
                self.tables["series_settlement"].append((seq, n, event.asset, event.expiration_s, None))
            case e.PositionSettled():
                self._settle(n, event)
            case _:
                self._add_setting(event)

    def _add_setting(self, event: e.Event) -> None:
        match event:
            case e.Configured() | e.RulesChanged():
                subject = "rules"
            case e.HaltSet():
                subject = "halt"
            case e.SuspensionSet():
                subject = f"suspension {event.user_id}"
            case e.LimitsSet():
                subject = f"limits {event.user_id}"
            case _:
                return
        self.tables["setting_version"].append((subject, self._record.seq, e.encode_event(event).decode()))

    def _accept(self, n: int, event: e.OrderAccepted) -> None:
        seq, user, instrument = self._record.seq, self._user(event.user_id), self._instrument(event.instrument_id)
        price, size, liquidation = event.price_micros, event.size_milli, event.liquidation is True
        self._touched[event.user_id, event.instrument_id] = None
        self._memory.open_orders[event.order_id] = OpenOrder(instrument, price, size, size, 0, 0)
        self.tables["book_order"].append(
            (
                event.order_id,
                user,
                instrument,
                event.client_order_id,
                event.side,
                event.type,
                event.time_in_force,
                int(event.post_only),
                int(event.reduce_only is True),
                int(liquidation),
                seq,
                price,
                size,
                price,
                size,
                0,
                0,
                0,
                "open",
                None,
                seq,
            )
        )
        self.tables["order_version"].append(
            (event.order_id, seq, n, "placed", price, size, size, 0, 0, None, None, None)
        )

    def _trade(self, n: int, event: e.Traded) -> None:
        self.tables["trade"].append(
            (
                event.trade_id,
                self._record.seq,
                n,
                self._record.ts_us,
                self._instrument(event.instrument_id),
                event.price_micros,
                event.size_milli,
                event.taker_side,
                self._user(event.taker_user_id),
                event.taker_order_id,
                event.taker_fee_micros,
                self._user(event.maker_user_id),
                event.maker_order_id,
                event.maker_fee_micros,
            )
        )
        self._touched[event.maker_user_id, event.instrument_id] = None
        self._touched[event.taker_user_id, event.instrument_id] = None
        self._fill(n, event, event.maker_order_id, event.maker_remaining_milli, event.maker_fee_micros)
        self._fill(n, event, event.taker_order_id, event.taker_remaining_milli, event.taker_fee_micros)

    def _fill(self, n: int, event: e.Traded, order_id: int, remaining_milli: int, fee_micros: int) -> None:
        order = self._memory.open_orders[order_id]
        order.remaining_milli = remaining_milli
        order.cost_micros += cost_micros(event.price_micros, event.size_milli)
        order.fee_micros += fee_micros
        status = "partially_filled" if remaining_milli else "filled"
        self._order_changed(n, order_id, order, "filled", status, trade_id=event.trade_id)
        if not remaining_milli:
            del self._memory.open_orders[order_id]

    def _edit(self, n: int, event: e.OrderEdited) -> None:
        self._touched[event.user_id, event.instrument_id] = None
        order = self._memory.open_orders[event.order_id]
        order.price_micros, order.size_milli = event.price_micros, event.size_milli
        order.remaining_milli = event.remaining_milli
        status = "open" if event.remaining_milli == event.size_milli else "partially_filled"
        self._order_changed(n, event.order_id, order, "edited", status, kept_place=int(event.kept_place))

    def _cancel(self, n: int, event: e.OrderCancelled) -> None:
        self._touched[event.user_id, event.instrument_id] = None
        order = self._memory.open_orders.pop(event.order_id)
        self._order_changed(n, event.order_id, order, "cancelled", "cancelled", reason=event.reason)

    def _order_changed(
        self,
        n: int,
        order_id: int,
        order: OpenOrder,
        change: str,
        status: str,
        kept_place: int | None = None,
        trade_id: int | None = None,
        reason: str | None = None,
    ) -> None:
        """Add a version of an order, and replace its newest state."""
        seq, price, size, remaining = self._record.seq, order.price_micros, order.size_milli, order.remaining_milli
        sums = (order.cost_micros, order.fee_micros)
        self.tables["order_version"].append(
            (order_id, seq, n, change, price, size, remaining, *sums, kept_place, trade_id, reason)
        )
        self.updated_orders[order_id] = (price, size, size - remaining, *sums, status, reason, seq, order_id)

    def _balance(self, n: int, event: e.BalanceChanged, reason: str) -> None:
        user = self._user(event.user_id)
        sums = (event.cash_micros, event.locked_micros, event.maintenance_micros or 0)
        self.tables["balance_version"].append((user, self._record.seq, n, *sums, REASON_NUMBERS[reason]))

    def _reason(self, user_id: str, ranks: dict[str, int]) -> str:
        """The reason of a change in the ledger; docs/sql.md lists them."""
        by_user = getattr(self._command, "user_id", None)
        if user_id == "fees" != by_user:
            return "fee"
        if user_id == "insurance" != by_user:
            return "shortfall"
        rank = ranks.get(user_id)
        if rank in _REASONS:
            return _REASONS[rank]
        if reason := _REASONS_OF_COMMANDS.get(type(self._command)):
            return reason
        return "margin" if rank is None and isinstance(self._command, _MARGIN_COMMANDS) else "order"

    def _position(self, n: int, user_id: str, instrument_id: str, quantity_milli: int) -> None:
        key = (self._user(user_id), self._instrument(instrument_id))
        position = self._state.accounts[user_id].positions.get(instrument_id)
        uncovered_milli = 0 if position is None else max(0, -position.free_milli)
        if key not in self._memory.positions:
            self.tables["position_key"].append(key)
        self._memory.positions[key] = (quantity_milli, uncovered_milli)
        self.tables["position_version"].append((*key, self._record.seq, n, quantity_milli, uncovered_milli))

    def _add_silent_positions(self) -> None:
        """Add the changes of uncovered contracts that no event shows, because the collateral is the same micros."""
        for user_id, instrument_id in self._touched:
            position = self._state.accounts[user_id].positions.get(instrument_id)
            if position is None:
                continue
            new = (position.position_milli, max(0, -position.free_milli))
            if self._memory.positions.get((self._user(user_id), self._instrument(instrument_id)), (0, 0)) != new:
                self._position(len(self._events), user_id, instrument_id, position.position_milli)

    def _add_rates(self) -> None:
        """Add the margin rates that new rules changed without a new mark."""
        if not isinstance(self._command, c.ChangeRules):
            return
        rows = self.tables["mark_version"]
        for instrument_id, book in self._state.books.items():
            before = self._memory.rates.get(self._instrument(instrument_id))
            if book.delivery_micros is None and book.initial_nanos != before:
                rows.append((*self._rated(instrument_id, -1), book.mark_micros, book.initial_nanos))

    def _rated(self, instrument_id: str, n: int) -> tuple[int, int, int]:
        """Note the newest margin rate of an instrument; return the key of its row in `mark_version`."""
        instrument = self._instrument(instrument_id)
        self._memory.rates[instrument] = self._rate(instrument_id)
        return instrument, self._record.seq, n

    def _rate(self, instrument_id: str) -> int:
        return self._state.books[instrument_id].initial_nanos

    def _settle(self, n: int, event: e.PositionSettled) -> None:
        user, instrument = self._user(event.user_id), self._instrument(event.instrument_id)
        row = (self._record.seq, n, user, instrument, event.quantity_milli, event.payout_micros, event.fee_micros)
        self.tables["position_settlement"].append(row)
        self._position(n, event.user_id, event.instrument_id, 0)

    def _list(self, n: int, event: e.InstrumentCreated) -> None:
        instrument = self._instrument(event.instrument_id)
        self.listed.append(
            (
                event.asset,
                event.option_type,
                event.strike_micros,
                event.expiration_s,
                event.tick_micros,
                event.min_size_milli,
                self._record.seq,
                self._memory.listed,
                "open",
                instrument,
            )
        )
        self._memory.listed += 1
        self._memory.series[event.asset, event.expiration_s].append(instrument)
        self.tables["instrument_version"].append((instrument, self._record.seq, n, "open"))
        # Its margin rate is known before it has a mark.
        self.tables["mark_version"].append(
            (*self._rated(event.instrument_id, n), None, self._rate(event.instrument_id))
        )

    def _unmark(self, n: int, event: e.DeliveryPriceSet) -> None:
        """End the marks of a series."""
        for instrument in self._memory.series[event.asset, event.expiration_s]:
            self.tables["mark_version"].append((instrument, self._record.seq, n, None, None))

    def _add_profits(self, change: Change, views: Views) -> None:
        """Add cost and profit of the positions that the command traded, settled or ended."""
        touched: dict[tuple[str, str], None] = {}
        for event in self._events:
            if isinstance(event, e.Traded):
                touched[event.maker_user_id, event.instrument_id] = None
                touched[event.taker_user_id, event.instrument_id] = None
            elif isinstance(event, e.PositionSettled) or (
                isinstance(event, e.PositionChanged) and not event.quantity_milli and not event.locked_micros
            ):
                touched[event.user_id, event.instrument_id] = None
        for key in touched:
            account = views.balances.users[key[0]]
            position = account.positions.get(key[1])
            self._profit(key, position or change.positions.get(key), account.realised_micros, position is None)

    def _profit(
        self, key: tuple[str, str], position: PositionRecord | None, account_realised_micros: int, ended: bool
    ) -> None:
        profit = (0, 0) if position is None else (position.basis_micros, position.realised_micros)
        user, instrument = self._user(key[0]), self._instrument(key[1])
        row = (user, instrument, self._record.seq, *profit, account_realised_micros, int(ended))
        self.tables["profit_version"].append(row)

    def _add_quotes(self, change: Change) -> None:
        for instrument_id, depth in change.books.items():
            instrument, (bid, ask) = self._instrument(instrument_id), depth.tops()
            quote = (
                *((None, 0) if bid is None else (bid.price_micros, bid.size_milli)),
                *((None, 0) if ask is None else (ask.price_micros, ask.size_milli)),
            )
            if self._memory.quotes.get(instrument) != quote:
                self._memory.quotes[instrument] = quote
                self.tables["quote_version"].append((instrument, self._record.seq, *quote))

    def _add_liquidations(self) -> None:
        """Add the sums of each liquidation in the command."""
        started = {event.user_id: event for event in self._events if isinstance(event, e.LiquidationStarted)}
        for user_id, start in started.items():
            cancelled = wanted = bought = cost = fee = 0
            orders: dict[int, None] = {}
            for event in self._events:
                if isinstance(event, e.OrderCancelled) and (event.user_id, event.reason) == (user_id, "liquidation"):
                    cancelled += 1
                elif isinstance(event, e.OrderAccepted) and event.liquidation is True and event.user_id == user_id:
                    orders[event.order_id] = None
                    wanted += event.size_milli
                elif isinstance(event, e.Traded) and event.taker_order_id in orders:
                    bought += event.size_milli
                    cost += cost_micros(event.price_micros, event.size_milli)
                    fee += event.taker_fee_micros
            sums = (start.cash_micros, start.maintenance_micros, cancelled, wanted, bought, cost, fee)
            self.tables["liquidation"].append((self._record.seq, self._user(user_id), *sums))

    def _add_checkpoint(self) -> None:
        orders, seq = self._memory.open_orders, self._record.seq
        if seq % (CHECKPOINT_EVERY * (1 + len(orders) // _CHECKPOINT_ORDERS)) == 0:
            rows = self.tables["open_order_checkpoint"]
            rows += sorted((seq, order.instrument, order_id) for order_id, order in orders.items())

    def _user(self, user_id: str) -> int:
        users = self._memory.users
        user = users.get(user_id)
        if user is None:
            user = users[user_id] = len(users) + 1
            self.tables["user"].append((user, user_id, None))
        return user

    def _instrument(self, instrument_id: str) -> int:
        instruments = self._memory.instruments
        instrument = instruments.get(instrument_id)
        if instrument is None:
            instrument = instruments[instrument_id] = len(instruments) + 1
            self.tables["instrument"].append((instrument, instrument_id, *[None] * 10))
        return instrument


def _users_of(event: e.Event) -> tuple[str, ...]:
    match event:
        case e.Traded():
            return event.maker_user_id, event.taker_user_id
        case e.ShortfallCovered() | e.LiquidationStarted() | e.PositionSettled() | e.OrderCancelled():
            return (event.user_id,)
        case _:
            return ()
