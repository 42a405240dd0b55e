"""Encoding of the views as bytes for a snapshot, and its decoding.

The large parts are encoded and decoded one by one: other threads stand still during one call of the library. Trades and
finished orders, nearly all of the bytes, are decoded when they are first read.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import astuple, replace

from exchange.domain.index_window import IndexWindow
from exchange.domain.rules import FIRST_RULES_VERSION, Rules
from exchange.projections.balances import AccountBalances, PositionRecord
from exchange.projections.candles import IndexCandles, RunningCandle
from exchange.projections.depth import Depth
from exchange.projections.fold import Fold
from exchange.projections.orders import Orders, UserOrders
from exchange.projections.recent import Encoded, FinishedOrders, RecentTrades
from exchange.projections.rolling_statistics import US_PER_MINUTE, RollingStatistics, TradedMinute
from exchange.projections.settlements import SettlementHistory
from exchange.projections.tape import INSTRUMENT_TRADES_KEPT, USER_TRADES_KEPT, Tape
from exchange.projections.views import Views
from exchange.projections.wire_types import (
    IndexPrice,
    Instrument,
    MarkSurface,
    MmpGroupView,
    OrderView,
    Settlement,
    Trade,
    UserSettlement,
    UserTrade,
)


class _UserOrdersImage(msgspec.Struct, omit_defaults=True):
    """The fields of `UserOrders`. `finished` holds the encoded finished orders by id, or bytes: these compressed.

    `ended` holds at most one such value: none if no trigger order ended.
    """

    open: dict[int, OrderView]
    finished: msgspec.Raw
    triggers: dict[int, OrderView] = {}
    ended: list[msgspec.Raw] = []


class _OrdersImage(msgspec.Struct):
    """The fields of `Orders`. `users` holds the encoded orders of each user."""

    finished_kept: int
    users: dict[str, msgspec.Raw]
    notional_micros: dict[int, int]


class _PositionImage(msgspec.Struct):
    """The fields of `PositionRecord`."""

    quantity_milli: int
    basis_micros: int
    locked_micros: int
    realised_micros: int


class _AccountImage(msgspec.Struct):
    """The fields of `AccountBalances`."""

    cash_micros: int
    locked_micros: int
    maintenance_micros: int
    shortfall_micros: int
    realised_micros: int
    positions: dict[str, _PositionImage]
    suspended: bool
    open_orders_max: int | None
    position_max_milli: int | None


class _BalancesImage(msgspec.Struct):
    """The fields of `Balances`."""

    users: dict[str, _AccountImage]
    open_interest_milli: dict[str, int]


class _DayImage(msgspec.Struct):
    """The fields of `RollingStatistics`: of each minute those of `TradedMinute`, up to version 4 only the first two."""

    minutes: list[tuple[int, ...]]
    total_milli: int = 0


class _Image(msgspec.Struct):
    """The fields of the views in a snapshot. Depth is missing: it follows from the open orders.

    `trades` and `user_trades` hold the encoded trades of each instrument and user, or bytes: these compressed. An image
    of version 0.1.0 has no `rules_version` and no `surfaces`. `windows` has the sums of the windows of the indexes, the
    first one as text, because it may exceed 64 bits. An image up to version 4 has neither these nor `closing_indexes`,
    and one up to version 5 has no `index_candles`.
    """

    seq: int
    ts_us: int
    rules: Rules
    orders: _OrdersImage
    balances: _BalancesImage
    trades: dict[str, msgspec.Raw]
    user_trades: dict[str, msgspec.Raw]
    turnovers: dict[str, _DayImage]
    settlements: list[Settlement]
    user_settlements: dict[str, list[UserSettlement]]
    instruments: list[Instrument]
    indexes: list[IndexPrice]
    marks: dict[str, int]
    rules_version: int | None = None
    surfaces: list[MarkSurface] = []
    windows: dict[str, tuple[str, int]] | None = None
    closing_indexes: dict[str, int] = {}
    index_candles: dict[str, list[tuple[int, int, int, int, int, int]]] = {}
    mmp_groups: dict[str, list[MmpGroupView]] = {}


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


class MatcherIndexes(NamedTuple):
    """What the matcher knows of the indexes: their averages by asset, and index prices at the close by instrument."""

    windows: Mapping[str, IndexWindow]
    closing: Mapping[str, int]


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
        finished = part(orders.finished.encoded(encode))
        ended = [] if orders.ended.is_empty else [part(orders.ended.encoded(encode))]
        return msgspec.Raw(_encoder.encode(_UserOrdersImage(orders.open, finished, orders.triggers, ended)))

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
            _BalancesImage(
                {user_id: _image_of(account) for user_id, account in views.balances.users.items()},
                views.balances.open_interest_milli,
            ),
            trades,
            user_trades,
            {name: _DayImage([minute.image() for minute in day.minutes]) for name, day in views.tape.days.items()},
            list(views.settlements.series.values()),
            {user_id: list(settled) for user_id, settled in views.settlements.users.items()},
            list(views.instruments.values()),
            list(views.indexes.values()),
            views.marks,
            views.rules_version,
            list(views.surfaces.values()),
            {asset: (str(one.window_sum), one.window_us) for asset, one in views.fold.windows.items()},
            views.fold.closing_indexes,
            {asset: candles.image() for asset, candles in views.fold.index_candles.items()},
            {user_id: list(groups.values()) for user_id, groups in views.fold.mmp_groups.items() if groups},
        )
    )


def decode_views(
    image: bytes,
    decompress: Callable[[bytes], bytes] | None = None,
    indexes_of_matcher: Callable[[], MatcherIndexes] | None = None,
) -> Views:
    """Return the views that `encode_views` encoded as `image`. Raises msgspec.MsgspecError for other bytes.

    `decompress` is needed if they were compressed, and `indexes_of_matcher` for an image without them.
    """

    def part(raw: msgspec.Raw) -> Encoded:
        # A copy: the image of one user must not keep the image of all views in memory.
        content = bytes(raw)
        is_compressed = content[0] in _BINARY
        return Encoded(_decode_bytes(content), decompress) if is_compressed else Encoded(content)

    def orders_of(raw: msgspec.Raw) -> UserOrders:
        orders = _decode_orders(raw)
        finished = FinishedOrders(image=part(orders.finished), decode=_decode_finished)
        ended = FinishedOrders()
        for raw_ended in orders.ended:
            ended = FinishedOrders(image=part(raw_ended), decode=_decode_finished)
        return UserOrders(orders.open, finished, orders.triggers, ended)

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
    if decoded.rules_version is None:
        _mark_liquidations(trades, {user_id: part(raw) for user_id, raw in decoded.user_trades.items()})
    if decoded.windows is None:
        known = MatcherIndexes({}, {}) if indexes_of_matcher is None else indexes_of_matcher()
        decoded.windows = {asset: (str(one.window_sum), one.window_us) for asset, one in known.windows.items()}
        decoded.closing_indexes = dict(known.closing)
        days = {name: _day_of_trades(trades.get(name, ()), day) for name, day in decoded.turnovers.items()}
    else:
        days = _days_of(decoded)
    return _views_of(decoded, users, Tape(trades, user_trades, days))


def _day_of_trades(trades: Iterable[Trade], day: _DayImage) -> RollingStatistics:
    """Return the statistics of the minutes that an old image has. Raises ValidationError if it lacks their trades."""
    minutes = {minute[0]: minute[1] for minute in day.minutes}
    statistics = RollingStatistics()
    for trade in trades:
        if trade.ts_us // US_PER_MINUTE in minutes:
            statistics.add(trade.price_micros, trade.size_milli, trade.ts_us)
    if {one.minute: one.size_milli for one in statistics.minutes} != minutes:
        raise msgspec.ValidationError("it has no prices of the last day, and not all trades of that day")
    return statistics


def _mark_liquidations(trades: dict[str, RecentTrades[Trade]], user_trades: dict[str, Encoded]) -> None:
    """Mark the public trades of liquidations, as a replay does: version 0.1.0 marked only those of the user."""
    forced: dict[str, dict[int, None]] = {}
    for encoded in user_trades.values():
        plain = encoded.plain()
        # Few users have such trades. The field is left out of all others, and to search is much faster than to decode.
        if b"liquidation" in plain:
            for own in _decode_user_trades(plain):
                if own.liquidation:
                    forced.setdefault(own.instrument_id, {})[own.trade_id] = None
    for instrument_id, ids in forced.items():
        # The user's trade can be kept for longer than the public one.
        if instrument_id in trades:
            marked = [replace(trade, liquidation=trade.trade_id in ids) for trade in trades[instrument_id]]
            trades[instrument_id] = RecentTrades(INSTRUMENT_TRADES_KEPT, marked)


def copy_views(views: Views) -> Views:
    """Return a copy. It shares trades and finished orders, so it takes a small part of the time of an image."""
    decoded = _decoder.decode(_encode(views, {}, {}, {}))
    users = views.orders.users
    still_open = _decode_open(_encoder.encode({user_id: orders.open for user_id, orders in users.items()}))
    triggers = _decode_open(_encoder.encode({user_id: orders.triggers for user_id, orders in users.items()}))
    copied = {
        user_id: UserOrders(still_open[user_id], orders.finished.copy(), triggers[user_id], orders.ended.copy())
        for user_id, orders in users.items()
    }
    trades = {instrument_id: some.copy() for instrument_id, some in views.tape.instruments.items()}
    user_trades = {user_id: some.copy() for user_id, some in views.tape.users.items()}
    return _views_of(decoded, copied, Tape(trades, user_trades, _days_of(decoded)))


def _image_of(account: AccountBalances) -> _AccountImage:
    positions = {
        instrument_id: _PositionImage(
            position.quantity_milli, position.basis_micros, position.locked_micros, position.realised_micros
        )
        for instrument_id, position in account.positions.items()
    }
    return _AccountImage(
        account.cash_micros,
        account.locked_micros,
        account.maintenance_micros,
        account.shortfall_micros,
        account.realised_micros,
        positions,
        account.suspended,
        account.open_orders_max,
        account.position_max_milli,
    )


def _account_of(image: _AccountImage) -> AccountBalances:
    account = AccountBalances(*astuple(image))
    account.positions = {
        instrument_id: PositionRecord(*astuple(position)) for instrument_id, position in image.positions.items()
    }
    return account


def _days_of(decoded: _Image) -> dict[str, RollingStatistics]:
    return {
        name: RollingStatistics([TradedMinute(*minute) for minute in day.minutes])
        for name, day in decoded.turnovers.items()
    }


def _candles_of(image: list[tuple[int, int, int, int, int, int]]) -> IndexCandles:
    return IndexCandles({length_us: RunningCandle(*terms) for length_us, *terms in image})


def _views_of(decoded: _Image, users: dict[str, UserOrders], tape: Tape) -> Views:
    fold = Fold()
    fold.rules, fold.rules_version = decoded.rules, decoded.rules_version or FIRST_RULES_VERSION
    fold.orders = Orders(decoded.orders.finished_kept)
    fold.orders.users, fold.orders.notional_micros = users, decoded.orders.notional_micros
    fold.balances.users = {user_id: _account_of(image) for user_id, image in decoded.balances.users.items()}
    fold.balances.open_interest_milli = decoded.balances.open_interest_milli
    fold.tape = tape
    fold.settlements = SettlementHistory(decoded.settlements, decoded.user_settlements)
    fold.instruments = {instrument.instrument_id: instrument for instrument in decoded.instruments}
    fold.indexes = {index.asset: index for index in decoded.indexes}
    for asset, (window_sum, window_us) in (decoded.windows or {}).items():
        index = fold.indexes[asset]
        fold.windows[asset] = IndexWindow(index.price_micros, index.ts_us, int(window_sum), window_us)
    fold.closing_indexes = decoded.closing_indexes
    for asset in fold.indexes:
        image = decoded.index_candles.get(asset)
        fold.index_candles[asset] = IndexCandles.unknown(decoded.ts_us) if image is None else _candles_of(image)
    fold.mmp_groups = {
        user_id: {group.mmp_group: group for group in groups} for user_id, groups in decoded.mmp_groups.items()
    }
    fold.marks = decoded.marks
    fold.surfaces = {surface.asset: surface for surface in decoded.surfaces}
    fold.depths = {instrument_id: Depth() for instrument_id in fold.instruments}
    for user in users.values():
        for order in user.open.values():
            fold.depths[order.instrument_id].enter(order)
    return Views(fold, decoded.seq, decoded.ts_us)
