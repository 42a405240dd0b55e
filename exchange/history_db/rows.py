"""Turns the events of commands into rows of the history."""

from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from exchange.domain import commands as c
from exchange.domain import events as e
from exchange.domain.events import BalanceChanged, OrderAccepted, OrderCancelled, OrderEdited, PositionChanged, Traded
from exchange.engine.engine import Engine
from exchange.history_db.account_rows import AccountRows
from exchange.history_db.event_kinds import KIND_NUMBERS, WITHOUT_PAYLOAD
from exchange.history_db.link_rows import LinkRows
from exchange.history_db.market_rows import MarketRows
from exchange.history_db.memory import Memory
from exchange.history_db.new_rows import NULL, Keys, NewRows
from exchange.history_db.order_rows import OrderRows
from exchange.history_db.payloads import needs_json, stored_payload
from exchange.history_db.quote_rows import QuoteRows
from exchange.history_db.state_events import events_of_state
from exchange.history_db.trigger_rows import TriggerRows
from exchange.journal.records import Record
from exchange.projections.fold import Change

_ORDER_COMMANDS = (c.PlaceOrder, c.EditOrder, c.CancelOrder, c.PlaceTriggerOrder, c.PlaceLinkedOrders)
_BALANCE, _POSITION, _TRADED = KIND_NUMBERS[BalanceChanged], KIND_NUMBERS[PositionChanged], KIND_NUMBERS[Traded]
_ACCEPTED, _CANCELLED = KIND_NUMBERS[OrderAccepted], KIND_NUMBERS[OrderCancelled]


def _has_more_fields(event: OrderEdited) -> bool:
    """True if the tables lack a field: why the exchange made an order smaller, or what an iceberg order shows."""
    return event.cause is not UNSET or event.displayed_milli is not UNSET


class HistoryRows:
    """Collects the rows of commands in `new`."""

    def __init__(self, memory: Memory) -> None:
        self.new = new = NewRows(memory)
        self._orders, self._accounts, self._market = OrderRows(new), AccountRows(new), MarketRows(new)
        self._links = LinkRows(new)
        self._triggers, self._quotes = TriggerRows(new, self._links), QuoteRows(new)
        self._liquidations: list[e.LiquidationStarted] = []
        self._commands, self._events = new.tables["command"], new.tables["event"]
        adders = self._adders()
        # For each kind of event: its number, the function that adds its rows, and whether its JSON is stored.
        self._kinds = {
            kind: (number, adders.get(kind, self._named), kind not in WITHOUT_PAYLOAD)
            for kind, number in KIND_NUMBERS.items()
        }

    def _adders(self) -> dict[type[e.Event], Callable[[int, Any], Keys]]:
        orders, accounts, market, triggers = self._orders, self._accounts, self._market, self._triggers
        return {
            e.OrderAccepted: orders.accepted,
            e.OrderRepeated: orders.repeated,
            e.OrderEdited: orders.edited,
            e.OrderCancelled: orders.cancelled,
            e.Traded: orders.traded,
            e.TriggerOrderPlaced: triggers.placed,
            e.TriggerOrderEdited: triggers.edited,
            e.TriggerOrderEnded: triggers.ended,
            e.TriggerOrderActivated: triggers.activated,
            e.LinkedOrdersPlaced: self._links.placed,
            e.MassQuoted: self._quotes.quoted,
            e.MmpConfigSet: self._quotes.configured,
            e.MmpTriggered: self._quotes.triggered,
            e.MmpResetDone: self._quotes.reset,
            e.LiquidationStarted: self._liquidated,
            e.AccountOpened: accounts.opened,
            e.BalanceChanged: accounts.balance,
            e.Deposited: accounts.deposited,
            e.Withdrawn: accounts.withdrawn,
            e.AccountReset: accounts.reset,
            e.ShortfallCovered: accounts.shortfall,
            e.DebtRepaid: accounts.repaid,
            e.LiquidationFeeCharged: accounts.charged,
            e.LossShared: accounts.shared,
            e.PositionTakenOver: accounts.taken_over,
            e.PositionChanged: accounts.position,
            e.PositionSettled: accounts.settled,
            e.IndexPriceSet: market.indexed,
            e.MarksSet: market.marked,
            e.SurfaceSet: market.surfaced,
            e.InstrumentCreated: market.listed,
            e.InstrumentStateChanged: market.state_changed,
            e.DeliveryPriceSet: market.delivered,
            e.SettlementDelayed: market.delayed,
            e.SeriesDelisted: market.delisted,
            e.Configured: market.configured,
            e.RulesChanged: market.configured,
            e.HaltSet: market.halted,
            e.MarketReopening: market.reopened,
            e.SessionEnded: market.reopened,
            e.PostOnlyBegan: market.post_only_began,
            e.SuspensionSet: market.suspended,
            e.LimitsSet: market.limited,
        }

    def add(self, record: Record, command: c.Command, events: list[e.Event], change: Change, engine: Engine) -> None:
        """Add the rows of the command that `engine` has just applied."""
        self._begin(record, command, events, engine)
        self._add_command(record)
        for n, event in enumerate(events):
            self._add_event(n, event)
        self._accounts.add_silent_positions()
        if isinstance(command, c.ChangeRules):
            self._market.add_rates()
        self._accounts.add_profits(change.positions)
        self._orders.add_quotes(change.books)
        for start in self._liquidations:
            self._orders.add_liquidation(start)
        self._orders.add_checkpoint()

    def add_state(self, engine: Engine) -> None:
        """Add the whole state of the exchange as the results of one command, in place of the commands before it."""
        head, views = engine.head, engine.views
        payload = '{"kind":"base"}'
        self._begin(Record(head.seq, head.ts_us, payload, head.hash), c.EndDay(head.ts_us), [], engine)
        row = (head.seq, head.ts_us, "base", None, None, None, "done", None, payload, head.hash)
        self.new.tables["command"].append(row)
        for n, event in enumerate(events_of_state(engine.state, views)):
            self._kinds[type(event)][1](n, event)
        for user_id, account in views.balances.users.items():
            for instrument_id, position in account.positions.items():
                self._accounts.add_profit((user_id, instrument_id), position, account.realised_micros, False)
        self._orders.add_quotes(views.depths)
        for orders in views.orders.users.values():
            for order in (*orders.open.values(), *orders.triggers.values()):
                self._links.add_state(order)

    def _add_event(self, n: int, event: e.Event) -> None:
        """Add the rows of an event, and the event itself."""
        is_stored = False
        # Nearly all events are of these kinds. To call their functions by name takes a compiled program half the time.
        match event:
            case BalanceChanged():
                number, keys = _BALANCE, self._accounts.balance(n, event)
            case PositionChanged():
                number, keys = _POSITION, self._accounts.position(n, event)
            case OrderAccepted():
                number, keys = _ACCEPTED, self._orders.accepted(n, event)
                self._links.accepted(event)
                is_stored = needs_json(event.client_order_id) or needs_json(event.label or None)
                is_stored = is_stored or event.display_milli is not UNSET
            case OrderCancelled():
                number, keys = _CANCELLED, self._orders.cancelled(n, event)
                is_stored = event.displayed_milli is not UNSET or event.linked_order_id is not UNSET
            case Traded():
                number, keys = _TRADED, self._orders.traded(n, event)
                is_stored = event.maker_refilled_milli is not UNSET
            case _:
                number, add_rows, is_stored = self._kinds[type(event)]
                keys = add_rows(n, event)
                is_stored = is_stored or (isinstance(event, OrderEdited) and _has_more_fields(event))
        user, instrument, ref = keys
        payload = e.encode_event(event).decode() if is_stored else NULL
        self._events.append((self.new.seq, n, number, user, instrument, ref, payload))

    def _begin(self, record: Record, command: c.Command, events: list[e.Event], engine: Engine) -> None:
        self.new.begin(record, command, events, engine)
        self._accounts.begin()
        self._links.begin()
        self._liquidations.clear()

    def _add_command(self, record: Record) -> None:
        new, command, first = self.new, self.new.command, self.new.events[0]
        user_id, instrument_id = getattr(command, "user_id", None), getattr(command, "instrument_id", None)
        user = NULL if user_id is None else new.user(user_id)
        # It may be UNSET.
        instrument = new.instrument(instrument_id) if isinstance(instrument_id, str) else NULL
        order_id = NULL
        if isinstance(command, _ORDER_COMMANDS):
            order_id = getattr(command, "order_id", None) or getattr(first, "order_id", None) or NULL
            if isinstance(first, e.LinkedOrdersPlaced):
                order_id = first.order_ids[0]
        outcome = "done"
        reason: str | int = NULL
        if isinstance(first, e.Refused):
            outcome, reason = "refused", first.reason.value
        elif isinstance(first, e.OrderRepeated):
            outcome = "repeated"
        kind, payload = command.__struct_config__.tag, stored_payload(command, first, record.payload) or NULL
        row = (record.seq, record.ts_us, kind, user, instrument, order_id, outcome, reason, payload, record.hash)
        self._commands.append(row)

    def _liquidated(self, n: int, event: e.LiquidationStarted) -> Keys:
        self._liquidations.append(event)
        return self._named(n, event)

    def _named(self, _n: int, event: e.Event) -> Keys:
        """The keys of an event without rows of its own."""
        user_id, instrument_id = getattr(event, "user_id", None), getattr(event, "instrument_id", None)
        user = NULL if user_id is None else self.new.user(user_id)
        instrument = NULL if instrument_id is None else self.new.instrument(instrument_id)
        return user, instrument, getattr(event, "order_id", None) or NULL
