"""Encoding of the views as bytes for a snapshot, and its decoding.

The large parts are encoded and decoded one by one: other threads stand still during one call of the library.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from exchange.domain.rules import Rules
from exchange.projections.balances import Balances
from exchange.projections.depth import Depth
from exchange.projections.orders import Orders, UserOrders
from exchange.projections.rolling_volume import RollingVolume
from exchange.projections.settlements import SettlementHistory
from exchange.projections.tape import Tape
from exchange.projections.views import Views
from exchange.projections.wire_types import (
    IndexPrice,
    Instrument,
    OrderView,
    Settlement,
    Trade,
    UserSettlement,
    UserTrade,
)


class _OrdersImage(msgspec.Struct):
    """The fields of `Orders`. `users` holds the encoded orders of each user."""

    finished_kept: int
    users: dict[str, msgspec.Raw]
    notional_micros: dict[int, int]


class _Image(msgspec.Struct):
    """The fields of the views in a snapshot. Depth is missing: it follows from the open orders.

    `trades` and `user_trades` hold the encoded trades of each instrument and user.
    """

    seq: int
    ts_us: int
    rules: Rules
    orders: _OrdersImage
    balances: Balances
    trades: dict[str, msgspec.Raw]
    user_trades: dict[str, msgspec.Raw]
    turnovers: dict[str, RollingVolume]
    settlements: list[Settlement]
    user_settlements: dict[str, list[UserSettlement]]
    instruments: list[Instrument]
    indexes: list[IndexPrice]
    marks: dict[str, int]


_encoder = msgspec.msgpack.Encoder()


def _restore_finished(_kind: type, finished: dict[Any, Any]) -> OrderedDict[int, OrderView]:
    """Decode an OrderedDict, which msgspec does not support. The only one in the image holds finished orders."""
    return OrderedDict(msgspec.convert(finished, dict[int, OrderView]))


_decoder = msgspec.msgpack.Decoder(_Image)
_decode_orders = msgspec.msgpack.Decoder(UserOrders, dec_hook=_restore_finished).decode
_decode_trades = msgspec.msgpack.Decoder(list[Trade]).decode
_decode_user_trades = msgspec.msgpack.Decoder(list[UserTrade]).decode


def encode_views(views: Views) -> bytes:
    """Return the views as bytes, for a snapshot."""
    orders = views.orders
    return _encoder.encode(
        _Image(
            views.seq,
            views.ts_us,
            views.rules,
            _OrdersImage(orders.finished_kept, _encoded(orders.users), orders.notional_micros),
            views.balances,
            _encoded({instrument_id: list(trades) for instrument_id, trades in views.tape.instruments.items()}),
            _encoded({user_id: list(trades) for user_id, trades in views.tape.users.items()}),
            views.tape.volumes,
            list(views.settlements.series.values()),
            {user_id: list(settled) for user_id, settled in views.settlements.users.items()},
            list(views.instruments.values()),
            list(views.indexes.values()),
            views.marks,
        )
    )


def _encoded(parts: Mapping[str, UserOrders | list[Trade] | list[UserTrade]]) -> dict[str, msgspec.Raw]:
    return {key: msgspec.Raw(_encoder.encode(part)) for key, part in parts.items()}


def decode_views(image: bytes) -> Views:
    """Return the views that `encode_views` encoded as `image`. Raises msgspec.MsgspecError for other bytes."""
    decoded = _decoder.decode(image)
    views = Views()
    views.seq, views.ts_us = decoded.seq, decoded.ts_us
    views.rules, views.balances = decoded.rules, decoded.balances
    users = {user_id: _decode_orders(orders) for user_id, orders in decoded.orders.users.items()}
    views.orders = Orders(decoded.orders.finished_kept, users, decoded.orders.notional_micros)
    views.tape = Tape(
        {instrument_id: _decode_trades(trades) for instrument_id, trades in decoded.trades.items()},
        {user_id: _decode_user_trades(trades) for user_id, trades in decoded.user_trades.items()},
        decoded.turnovers,
    )
    views.settlements = SettlementHistory(decoded.settlements, decoded.user_settlements)
    views.instruments = {instrument.instrument_id: instrument for instrument in decoded.instruments}
    views.indexes = {index.asset: index for index in decoded.indexes}
    views.marks = decoded.marks
    views.depths = {instrument_id: Depth() for instrument_id in views.instruments}
    for user in views.orders.users.values():
        for order in user.open.values():
            views.depths[order.instrument_id].enter(order)
    return views
