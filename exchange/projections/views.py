"""All read models together: `project` folds the events of one command into them and says what changed for whom."""

from collections import OrderedDict
from typing import Any

import msgspec

from exchange.domain.events import (
    AccountOpened,
    BalanceChanged,
    Configured,
    Event,
    InstrumentCreated,
    InstrumentStateChanged,
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    OrderRepeated,
    PositionChanged,
    Refused,
    Traded,
)
from exchange.domain.reasons import Reason
from exchange.projections.balances import Balances
from exchange.projections.depth import Depth
from exchange.projections.orders import Orders
from exchange.projections.shapes import AccountView, Balance, Instrument, OrderView, Trade, UserTrade
from exchange.projections.tape import Tape


class Change(msgspec.Struct, eq=False):
    """What one command changed: the raw material of its answer and of the notifications.

    `order` is the one that the command was about; `user_id` the account that was opened, or was refused something.
    """

    seq: int
    ts_us: int
    refused: Reason | None = None
    user_id: str = ""
    order: OrderView | None = None
    duplicate: bool = False
    orders: dict[int, OrderView] = {}
    trades: list[Trade] = []
    user_trades: list[tuple[str, UserTrade]] = []
    balances: list[str] = []
    books: dict[str, Depth] = {}
    instrument: Instrument | None = None


class Views:
    """Every read model, as of command `seq` at `ts_us`."""

    def __init__(self) -> None:
        self.seq = 0
        self.ts_us = 0
        self.orders = Orders()
        self.balances = Balances()
        self.tape = Tape()
        self.instruments: dict[str, Instrument] = {}
        self.depths: dict[str, Depth] = {}

    def project(self, seq: int, ts_us: int, events: list[Event]) -> Change:
        """Fold the events of command `seq` into the views."""
        self.seq, self.ts_us = seq, ts_us
        change = Change(seq, ts_us)
        entering: OrderView | None = None
        for event in events:
            match event:
                case OrderAccepted():
                    entering = change.order = self.orders.on_accepted(event, ts_us)
                    change.orders[event.order_id] = entering
                case BalanceChanged():
                    self.balances.on_balance(event)
                    change.balances.append(event.user_id)
                case Traded():
                    self._on_traded(change, event)
                case PositionChanged():
                    self.balances.on_position(event)
                case OrderCancelled():
                    order = self.orders.on_cancelled(event, ts_us)
                    change.orders[event.order_id] = order
                    if order is not entering:
                        self._touch(change, event.instrument_id).on_cancelled(event)
                    if change.order is None:
                        change.order = order
                case OrderEdited():
                    order = change.order = self.orders.on_edited(event, ts_us)
                    change.orders[event.order_id] = order
                    self._touch(change, event.instrument_id).on_edited(event)
                    entering = None if event.kept_place else order
                case OrderRepeated():
                    change.order = self.orders.find(event.user_id, event.order_id)
                    change.duplicate = True
                case Refused():
                    change.refused = event.reason
                    change.user_id = event.user_id or ""
                case AccountOpened():
                    self.balances.open(event.user_id)
                    change.user_id = event.user_id
                case InstrumentCreated():
                    self._list(change, event)
                case InstrumentStateChanged():
                    self.instruments[event.instrument_id].state = event.state
                    change.instrument = self.instruments[event.instrument_id]
                case Configured():
                    self.orders.finished_kept = event.rules.finished_orders_kept
                case _:
                    pass
        if entering is not None and entering.remaining_milli and entering.status != "cancelled":
            self._touch(change, entering.instrument_id).enter(entering)
        return change

    def balance(self, user_id: str) -> Balance:
        return self.balances.balance(user_id, self.seq)

    def account(self, user_id: str) -> AccountView:
        return self.balances.account(user_id, self.seq, self.value_micros)

    def value_micros(self, instrument_id: str) -> int | None:
        """What a contract is valued at: the mid of a two-sided book, else the last trade, else nothing is known."""
        bid, ask = self.depths[instrument_id].best()
        if bid is not None and ask is not None:
            return (bid + ask) // 2
        return self.tape.last_price_micros(instrument_id)

    def live_instruments(self, asset: str | None = None) -> list[Instrument]:
        """Those that have not expired, in order of listing."""
        return [
            instrument
            for instrument in self.instruments.values()
            if instrument.state != "expired" and asset in (None, instrument.asset)
        ]

    def _on_traded(self, change: Change, event: Traded) -> None:
        maker, taker = self.orders.on_traded(event, change.ts_us)
        change.orders[maker.order_id] = maker
        change.orders[taker.order_id] = taker
        self.balances.on_traded(event)
        self._touch(change, event.instrument_id).on_traded(event)
        trade, maker_trade, taker_trade = self.tape.on_traded(
            event, change.seq, change.ts_us, maker.client_order_id, taker.client_order_id
        )
        change.trades.append(trade)
        change.user_trades.append((event.maker_user_id, maker_trade))
        change.user_trades.append((event.taker_user_id, taker_trade))

    def _touch(self, change: Change, instrument_id: str) -> Depth:
        depth = self.depths[instrument_id]
        change.books[instrument_id] = depth
        return depth

    def _list(self, change: Change, event: InstrumentCreated) -> None:
        instrument = change.instrument = self.instruments[event.instrument_id] = Instrument(
            event.instrument_id,
            event.asset,
            event.option_type,
            event.strike_micros,
            event.expiration_s,
            event.tick_micros,
            event.min_size_milli,
        )
        self.depths[instrument.instrument_id] = Depth()


class _Image(msgspec.Struct):
    seq: int
    ts_us: int
    orders: Orders
    balances: Balances
    trades: dict[str, list[Trade]]
    user_trades: dict[str, list[UserTrade]]
    instruments: list[Instrument]


_encoder = msgspec.msgpack.Encoder()


def _restore_finished(_kind: type, finished: dict[Any, Any]) -> OrderedDict[int, OrderView]:
    """msgspec knows no OrderedDict; the only one in the image holds finished orders."""
    return OrderedDict(msgspec.convert(finished, dict[int, OrderView]))


_decoder = msgspec.msgpack.Decoder(_Image, dec_hook=_restore_finished)


def encode_views(views: Views) -> bytes:
    """The views as bytes, for a snapshot. Depth is not in it: it follows from the open orders."""
    return _encoder.encode(
        _Image(
            views.seq,
            views.ts_us,
            views.orders,
            views.balances,
            {instrument_id: list(trades) for instrument_id, trades in views.tape.instruments.items()},
            {user_id: list(trades) for user_id, trades in views.tape.users.items()},
            list(views.instruments.values()),
        )
    )


def decode_views(image: bytes) -> Views:
    """The views of which `image` was taken; raises msgspec.MsgspecError where it is no such image."""
    decoded = _decoder.decode(image)
    views = Views()
    views.seq, views.ts_us = decoded.seq, decoded.ts_us
    views.orders, views.balances = decoded.orders, decoded.balances
    views.tape = Tape(decoded.trades, decoded.user_trades)
    views.instruments = {instrument.instrument_id: instrument for instrument in decoded.instruments}
    views.depths = {instrument_id: Depth() for instrument_id in views.instruments}
    for user in views.orders.users.values():
        for order in user.open.values():
            views.depths[order.instrument_id].enter(order)
    return views
