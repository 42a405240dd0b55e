"""Encoding of the views as bytes for a snapshot, and its decoding."""

from collections import OrderedDict
from typing import Any

import msgspec

from exchange.domain.rules import Rules
from exchange.projections.balances import Balances
from exchange.projections.depth import Depth
from exchange.projections.orders import Orders
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


class _Image(msgspec.Struct):
    """The fields of the views in a snapshot. Depth is missing: it follows from the open orders."""

    seq: int
    ts_us: int
    rules: Rules
    orders: Orders
    balances: Balances
    trades: dict[str, list[Trade]]
    user_trades: dict[str, list[UserTrade]]
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


_decoder = msgspec.msgpack.Decoder(_Image, dec_hook=_restore_finished)


def encode_views(views: Views) -> bytes:
    """Return the views as bytes, for a snapshot."""
    return _encoder.encode(
        _Image(
            views.seq,
            views.ts_us,
            views.rules,
            views.orders,
            views.balances,
            {instrument_id: list(trades) for instrument_id, trades in views.tape.instruments.items()},
            {user_id: list(trades) for user_id, trades in views.tape.users.items()},
            views.tape.volumes,
            list(views.settlements.series.values()),
            {user_id: list(settled) for user_id, settled in views.settlements.users.items()},
            list(views.instruments.values()),
            list(views.indexes.values()),
            views.marks,
        )
    )


def decode_views(image: bytes) -> Views:
    """Return the views that `encode_views` encoded as `image`. Raises msgspec.MsgspecError for other bytes."""
    decoded = _decoder.decode(image)
    views = Views()
    views.seq, views.ts_us = decoded.seq, decoded.ts_us
    views.rules, views.orders, views.balances = decoded.rules, decoded.orders, decoded.balances
    views.tape = Tape(decoded.trades, decoded.user_trades, decoded.turnovers)
    views.settlements = SettlementHistory(decoded.settlements, decoded.user_settlements)
    views.instruments = {instrument.instrument_id: instrument for instrument in decoded.instruments}
    views.indexes = {index.asset: index for index in decoded.indexes}
    views.marks = decoded.marks
    views.depths = {instrument_id: Depth() for instrument_id in views.instruments}
    for user in views.orders.users.values():
        for order in user.open.values():
            views.depths[order.instrument_id].enter(order)
    return views
