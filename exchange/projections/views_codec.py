"""Encoding of the views as bytes for a snapshot, and its decoding.

The large parts are encoded and decoded one by one: other threads stand still during one call of the library. Trades and
finished orders, nearly all of the bytes, are decoded when they are first read.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from exchange.domain.rules import FIRST_RULES_VERSION, Rules
from exchange.projections.balances import Balances
from exchange.projections.depth import Depth
from exchange.projections.orders import Orders, UserOrders
from exchange.projections.recent import Encoded, FinishedOrders, RecentTrades
from exchange.projections.rolling_volume import RollingVolume
from exchange.projections.settlements import SettlementHistory
from exchange.projections.tape import INSTRUMENT_TRADES_KEPT, USER_TRADES_KEPT, Tape
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


class _UserOrdersImage(msgspec.Struct):
    """The fields of `UserOrders`. `finished` holds the encoded finished orders by id, or bytes: these compressed."""

    open: dict[int, OrderView]
    finished: msgspec.Raw


class _OrdersImage(msgspec.Struct):
    """The fields of `Orders`. `users` holds the encoded orders of each user."""

    finished_kept: int
    users: dict[str, msgspec.Raw]
    notional_micros: dict[int, int]


class _Image(msgspec.Struct):
    """The fields of the views in a snapshot. Depth is missing: it follows from the open orders.

    `trades` and `user_trades` hold the encoded trades of each instrument and user, or bytes: these compressed.
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
    rules_version: int = FIRST_RULES_VERSION


_encoder = msgspec.msgpack.Encoder()


_decoder = msgspec.msgpack.Decoder(_Image)
_decode_open = msgspec.msgpack.Decoder(dict[str, dict[int, OrderView]]).decode
_decode_orders = msgspec.msgpack.Decoder(_UserOrdersImage).decode
_decode_finished = msgspec.msgpack.Decoder(dict[int, OrderView]).decode
_decode_bytes = msgspec.msgpack.Decoder(bytes).decode
# The first byte of bytes in MessagePack. Lists and dictionaries begin with others.
_BINARY = b"\xc4\xc5\xc6"
_decode_trades = msgspec.msgpack.Decoder(list[Trade]).decode
_decode_user_trades = msgspec.msgpack.Decoder(list[UserTrade]).decode


class Compression(NamedTuple):
    """Compresses bytes, and restores them."""

    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes], bytes]


def encode_views(views: Views, compression: Compression | None = None) -> bytes:
    """Return the views as bytes, for a snapshot. Without compression, equal views have equal bytes.

    With it, trades and finished orders are compressed one by one; those of a snapshot that did not change since are
    compressed already.
    """

    def encode(items: Any) -> Encoded:
        plain = Encoded(_encoder.encode(items))
        return plain if compression is None else Encoded(compression.compress(plain.content), compression.decompress)

    def part(encoded: Encoded) -> msgspec.Raw:
        if compression is not None and encoded.decompress is not None:
            return msgspec.Raw(_encoder.encode(encoded.content))
        return msgspec.Raw(encoded.plain())

    def encode_orders(orders: UserOrders) -> msgspec.Raw:
        return msgspec.Raw(_encoder.encode(_UserOrdersImage(orders.open, part(orders.finished.encoded(encode)))))

    return _encode(
        views,
        {user_id: encode_orders(orders) for user_id, orders in views.orders.users.items()},
        {instrument_id: part(trades.encoded(encode)) for instrument_id, trades in views.tape.instruments.items()},
        {user_id: part(trades.encoded(encode)) for user_id, trades in views.tape.users.items()},
    )


def _encode(
    views: Views,
    orders: dict[str, msgspec.Raw],
    trades: dict[str, msgspec.Raw],
    user_trades: dict[str, msgspec.Raw],
) -> bytes:
    return _encoder.encode(
        _Image(
            views.seq,
            views.ts_us,
            views.rules,
            _OrdersImage(views.orders.finished_kept, orders, views.orders.notional_micros),
            views.balances,
            trades,
            user_trades,
            views.tape.volumes,
            list(views.settlements.series.values()),
            {user_id: list(settled) for user_id, settled in views.settlements.users.items()},
            list(views.instruments.values()),
            list(views.indexes.values()),
            views.marks,
            views.rules_version,
        )
    )


def decode_views(image: bytes, decompress: Callable[[bytes], bytes] | None = None) -> Views:
    """Return the views that `encode_views` encoded as `image`. Raises msgspec.MsgspecError for other bytes.

    `decompress` is needed if they were compressed.
    """

    def part(raw: msgspec.Raw) -> Encoded:
        # A copy: the image of one user must not keep the image of all views in memory.
        content = bytes(raw)
        is_compressed = content[0] in _BINARY
        return Encoded(_decode_bytes(content), decompress) if is_compressed else Encoded(content)

    def orders_of(raw: msgspec.Raw) -> UserOrders:
        orders = _decode_orders(raw)
        return UserOrders(orders.open, FinishedOrders(image=part(orders.finished), decode=_decode_finished))

    decoded = _decoder.decode(image)
    users = {user_id: orders_of(raw) for user_id, raw in decoded.orders.users.items()}
    trades = {
        instrument_id: RecentTrades(INSTRUMENT_TRADES_KEPT, image=part(raw), decode=_decode_trades)
        for instrument_id, raw in decoded.trades.items()
    }
    user_trades = {
        user_id: RecentTrades(USER_TRADES_KEPT, image=part(raw), decode=_decode_user_trades)
        for user_id, raw in decoded.user_trades.items()
    }
    return _views_of(decoded, users, Tape(trades, user_trades, decoded.turnovers))


def copy_views(views: Views) -> Views:
    """Return a copy. It shares trades and finished orders, so it takes a small part of the time of an image."""
    decoded = _decoder.decode(_encode(views, {}, {}, {}))
    users = views.orders.users
    still_open = _decode_open(_encoder.encode({user_id: orders.open for user_id, orders in users.items()}))
    copied = {user_id: UserOrders(still_open[user_id], orders.finished.copy()) for user_id, orders in users.items()}
    trades = {instrument_id: some.copy() for instrument_id, some in views.tape.instruments.items()}
    user_trades = {user_id: some.copy() for user_id, some in views.tape.users.items()}
    return _views_of(decoded, copied, Tape(trades, user_trades, decoded.turnovers))


def _views_of(decoded: _Image, users: dict[str, UserOrders], tape: Tape) -> Views:
    views = Views()
    views.seq, views.ts_us = decoded.seq, decoded.ts_us
    views.rules, views.balances = decoded.rules, decoded.balances
    views.orders = Orders(decoded.orders.finished_kept, users, decoded.orders.notional_micros)
    views.tape = tape
    views.settlements = SettlementHistory(decoded.settlements, decoded.user_settlements)
    views.instruments = {instrument.instrument_id: instrument for instrument in decoded.instruments}
    views.indexes = {index.asset: index for index in decoded.indexes}
    views.marks = decoded.marks
    views.rules_version = decoded.rules_version
    views.depths = {instrument_id: Depth() for instrument_id in views.instruments}
    for user in views.orders.users.values():
        for order in user.open.values():
            views.depths[order.instrument_id].enter(order)
    return views
