"""Deribit's channels on those of `/`: each follows one channel there, or several, and translates its messages.

All intervals are those of the exchange: `raw`, `agg2` and `100ms` name the same messages. Books, tickers and quotes
merge the changes by several commands; all others tell each command.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import msgspec

from exchange.domain.index_window import WINDOW_US
from exchange.domain.units import US_PER_SECOND
from exchange.gateway.caller import Caller
from exchange.gateway.channels import Channel, parse_channel
from exchange.gateway.deribit import shapes
from exchange.gateway.deribit import units as u
from exchange.gateway.deribit.account import no_position
from exchange.gateway.deribit.market import CURRENCY, KINDS, asset_filter, asset_of_index, assets_of
from exchange.gateway.deribit.not_offered import why_no_channel
from exchange.gateway.deribit.past import RESOLUTIONS
from exchange.gateway.deribit.quoting import mmp_trigger
from exchange.gateway.deribit.trades import moment_now, own_trades_now, public_trade
from exchange.gateway.instrument_ids import listed_id
from exchange.gateway.jsonrpc import RpcError, encode
from exchange.gateway.limits import BOOK_DEPTH_MAX
from exchange.projections import wire_types as w

_log = logging.getLogger(__name__)

# Takes the data of a native message, and returns that of each message of Deribit's; none if it concerns others only.
Translate = Callable[[bytes], list[Any]]

_INTERVAL = "(raw|agg2|100ms)"
_NAME = r"([A-Za-z0-9_-]{1,64})"
_BOOK = re.compile(rf"book\.{_NAME}(?:\.none\.(1|10|20))?\.{_INTERVAL}")
_RECORDS = r"trades|user\.orders|user\.trades|user\.changes"
_OF_INSTRUMENT = re.compile(rf"(ticker|incremental_ticker|{_RECORDS})\.{_NAME}\.{_INTERVAL}")
_OF_KIND = re.compile(rf"({_RECORDS})\.(option|future|any|spot)\.{_NAME}\.{_INTERVAL}")
_OF_ONE = re.compile(
    rf"(quote|deribit_price_index|estimated_expiration_price|markprice\.options|user\.portfolio|user\.mmp_trigger)\.{_NAME}"
)
_STATE = re.compile(rf"instrument\.state\.(option|future|any|spot|future_combo|option_combo)\.{_NAME}")
# Nothing happens here that they would tell.
_SILENT = ("announcements", "platform_state.public_methods_state", "user.access_log", "user.lock")
_CHART = re.compile(rf"chart\.trades\.{_NAME}\.([0-9]{{1,3}}|1D)")
_EXPECTED = (
    "expected book, ticker, incremental_ticker, quote, trades, chart.trades, instrument.state, platform_state, "
    "deribit_price_index, estimated_expiration_price, markprice.options, user.orders, user.trades, user.changes, "
    "user.portfolio or user.mmp_trigger, with the parts that docs/deribit.md lists"
)


class Following(msgspec.Struct):
    """A channel of Deribit: the channels of `/` that it follows, and the translation of their messages."""

    name: str
    native: list[Channel]
    translate: Translate


class _Params(msgspec.Struct):
    channel: str
    data: msgspec.Raw


class _Message(msgspec.Struct):
    params: _Params


class _Level(msgspec.Struct):
    price: int
    size: int


class _BookMessage(msgspec.Struct):
    type: str
    seq: int
    ts_us: int
    bids: list[_Level]
    asks: list[_Level]
    prev_seq: int = 0


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_book = msgspec.json.Decoder(_BookMessage).decode
_decode_orders = msgspec.json.Decoder(list[w.OrderView]).decode
_decode_own_trades = msgspec.json.Decoder(list[w.UserTrade]).decode
_decode_trades = msgspec.json.Decoder(list[w.Trade]).decode
_decode_changes = msgspec.json.Decoder(w.UserChanges).decode
_decode_index = msgspec.json.Decoder(w.IndexPrice).decode
_decode_candles = msgspec.json.Decoder(w.Candles).decode
_decode_mmp = msgspec.json.Decoder(list[w.MmpTriggerView]).decode
_decode_instruments = msgspec.json.Decoder(list[w.Instrument]).decode
_decode_status = msgspec.json.Decoder(w.MarketStatus).decode
_decode_quote = msgspec.json.Decoder(w.TopOfBook).decode


class DeribitChannels:
    """The channels of one connection."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._followed: dict[str, Following] = {}
        # By the name of the native channel.
        self._by_native: dict[str, dict[str, Following]] = {}

    def subscribe(self, names: list[str]) -> list[str]:
        """Subscribe to channels. Returns their names. Raises RpcError if there is no such channel."""
        wanted = [self._following(name) for name in names]
        for one in wanted:
            self._drop(one.name)
            self._followed[one.name] = one
            for channel in one.native:
                self._by_native.setdefault(channel.name, {})[one.name] = one
        native = {channel.name: channel for one in wanted for channel in one.native}
        self._caller.connection.subscribe(list(native.values()))
        return [one.name for one in wanted]

    def unsubscribe(self, names: list[str]) -> list[str]:
        """Unsubscribe from channels. Returns the names of those that were subscribed."""
        known = [name for name in names if name in self._followed]
        for name in known:
            gone = self._drop(name)
            self._caller.connection.unsubscribe([one for one in gone if one.name not in self._by_native])
        return known

    def unsubscribe_all(self) -> None:
        self.unsubscribe(list(self._followed))

    def translate(self, text: bytes) -> list[bytes]:
        """The messages of Deribit's channels for a message of a native one."""
        try:
            message = _decode_message(text).params
            followers = list(self._by_native.get(message.channel, {}).values())
            translated = [(one, one.translate(bytes(message.data))) for one in followers]
        except Exception:
            # A fault of this dialect must not stop the exchange.
            _log.exception("a notification could not be translated")
            self._caller.connection.reject("a notification could not be translated: the exchange's log has the details")
            return []
        return [
            b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":%b,"data":%b}}'
            % (encode(one.name), encode(data))
            for one, messages in translated
            for data in messages
        ]

    def _drop(self, name: str) -> list[Channel]:
        one = self._followed.pop(name, None)
        if one is None:
            return []
        for channel in one.native:
            followers = self._by_native[channel.name]
            del followers[name]
            if not followers:
                del self._by_native[channel.name]
        return one.native

    def _following(self, name: str) -> Following:
        if found := _BOOK.fullmatch(name):
            return self._book(name, *found.groups()[:2])
        if found := _OF_INSTRUMENT.fullmatch(name):
            instrument_id = listed_id(found[2], self._caller.views)
            return self._of_instrument(name, found[1], instrument_id)
        if found := _OF_KIND.fullmatch(name):
            return self._of_kind(name, found[1], found[2], found[3])
        if found := _CHART.fullmatch(name):
            return self._chart(name, found[1], found[2])
        if found := _OF_ONE.fullmatch(name):
            return self._of_one(name, found[1], found[2])
        if found := _STATE.fullmatch(name):
            return self._states(name, found[1], found[2])
        if name == "platform_state":
            return Following(name, self._native("status"), _platform_state)
        if name in _SILENT:
            if name.startswith("user."):
                self._private("user.orders")
            return Following(name, [], _nothing)
        if (why := why_no_channel(name)) is not None:
            raise RpcError("not_offered", why, param="channels")
        raise RpcError("unknown_channel", f"{name!r:.120}: {_EXPECTED}", param="channels")

    def _native(self, name: str) -> list[Channel]:
        return [parse_channel(name, self._caller.views)]

    def _book(self, name: str, of: str, depth: str | None) -> Following:
        instrument_id = listed_id(of, self._caller.views)
        if depth is not None:
            translate = self._top_of_book(instrument_id)
            return Following(name, self._native(f"book.{instrument_id}.{depth}"), translate(int(depth)))
        return Following(name, self._native(f"book.{instrument_id}.{BOOK_DEPTH_MAX}"), _BookRows(instrument_id))

    def _top_of_book(self, instrument_id: str) -> Callable[[int], Translate]:
        def of_depth(depth: int) -> Translate:
            def translate(data: bytes) -> list[dict[str, Any]]:
                message, levels = _decode_book(data), self._caller.views.depths[instrument_id]
                told = {
                    "instrument_name": instrument_id,
                    "timestamp": u.ms(message.ts_us),
                    "change_id": message.seq,
                    "bids": [(u.price(one.price_micros), u.amount(one.size_milli)) for one in levels.bids(depth)],
                    "asks": [(u.price(one.price_micros), u.amount(one.size_milli)) for one in levels.asks(depth)],
                }
                return [told]

            return translate

        return of_depth

    def _of_instrument(self, name: str, kind: str, instrument_id: str) -> Following:
        if kind == "ticker":
            return Following(name, self._native(f"tickers.{instrument_id}"), self._ticker(instrument_id))
        if kind == "incremental_ticker":
            ticker = self._ticker(instrument_id)
            return Following(name, self._native(f"tickers.{instrument_id}"), _TickerChanges(ticker))
        if kind == "trades":
            return Following(name, self._native(f"trades.{instrument_id}"), self._trades)
        return Following(name, self._private(kind), self._own(kind, lambda one: one == instrument_id))

    def _of_kind(self, name: str, kind: str, of_kind: str, currency: str) -> Following:
        views = self._caller.views
        asset = asset_filter(currency, views)
        is_option = of_kind in KINDS
        if kind == "trades":
            assets = assets_of(views) if asset is None else [asset]
            native = [channel for one in assets for channel in self._native(f"trades.{one}")] if is_option else []
            return Following(name, native, self._trades)
        prefix = "" if asset is None else f"{asset}_"
        return Following(name, self._private(kind), self._own(kind, lambda one: is_option and one.startswith(prefix)))

    def _of_one(self, name: str, kind: str, of: str) -> Following:
        views = self._caller.views
        if kind == "quote":
            instrument_id = listed_id(of, views)
            return Following(name, self._native(f"quote.{instrument_id}"), _quote)
        if kind == "deribit_price_index":
            return Following(name, self._native(f"index.{asset_of_index(of, views)}"), _index)
        if kind in ("estimated_expiration_price", "markprice.options"):
            asset_of = asset_of_index(of, views)
            tell = self._expiration(asset_of) if kind == "estimated_expiration_price" else self._marks(asset_of)
            return Following(name, self._native(f"index.{asset_of}"), tell)
        if kind == "user.mmp_trigger":
            asset = None if of in ("any", "all") else asset_of_index(of, views)
            return Following(name, self._private("user.mmp_trigger"), self._mmp_trigger(asset))
        # Clients subscribe to every currency that Deribit has. An account here holds USDC, so the others stay silent.
        native = self._private("user.balance") if of.upper() in (CURRENCY, "ANY") else []
        return Following(name, native, self._portfolio)

    def _chart(self, name: str, of: str, resolution: str) -> Following:
        instrument_id = listed_id(of, self._caller.views)
        if resolution not in RESOLUTIONS:
            raise RpcError(
                "unknown_channel", f"{name!r:.120}: resolutions are {', '.join(RESOLUTIONS)}", param="channels"
            )
        return Following(name, self._native(f"candles.{instrument_id}.{RESOLUTIONS[resolution]}"), _candle)

    def _states(self, name: str, kind: str, currency: str) -> Following:
        views = self._caller.views
        asset = asset_filter(currency, views)
        assets = assets_of(views) if asset is None else [asset]
        native = [channel for one in assets for channel in self._native(f"instruments.{one}")] if kind in KINDS else []
        return Following(name, native, self._state)

    def _state(self, data: bytes) -> list[dict[str, Any]]:
        timestamp = u.ms(self._caller.views.ts_us)
        return [
            {"timestamp": timestamp, "state": shapes.state_of(one), "instrument_name": one.instrument_id}
            for one in _decode_instruments(data)
        ]

    def _marks(self, asset: str) -> Translate:
        """The marks of all options on an asset. They change with its index price alone."""

        def translate(data: bytes) -> list[Any]:
            views, timestamp = self._caller.views, u.ms(_decode_index(data).ts_us)
            told = [
                {
                    "instrument_name": one.instrument_id,
                    "mark_price": u.price(views.marks[one.instrument_id]),
                    "iv": shapes.volatility_or_zero(views.mark_volatility(one.instrument_id)),
                    "timestamp": timestamp,
                }
                for one in views.live_instruments(asset)
                if one.instrument_id in views.marks
            ]
            return [told] if told else []

        return translate

    def _expiration(self, asset: str) -> Translate:
        """The price at which the next series to expire would be delivered, after each index price."""

        def translate(data: bytes) -> list[Any]:
            views, index = self._caller.views, _decode_index(data)
            soonest = min(views.live_instruments(asset), key=lambda one: one.expiration_s, default=None)
            if soonest is None:
                return []
            left_us = soonest.expiration_s * US_PER_SECOND - index.ts_us
            estimated = views.estimated_delivery_price_micros(soonest.instrument_id)
            price = index.price_micros if estimated is None else estimated
            is_estimated = left_us <= WINDOW_US
            told = {"seconds": max(0, left_us // US_PER_SECOND), "price": u.price(price), "is_estimated": is_estimated}
            return [told | {"timestamp": u.ms(index.ts_us)}]

        return translate

    def _private(self, name: str) -> list[Channel]:
        if not self._caller.user_id:
            raise RpcError("must_authenticate", "log in before you subscribe to channels of a user")
        return self._native(name)

    def _trades(self, data: bytes) -> list[list[shapes.PublicTrade]]:
        # A message of a command leaves before the next one is applied, so that prices are still those of the trades.
        views = self._caller.views
        return [[public_trade(one, moment_now(views, one)) for one in _decode_trades(data)]]

    def _own(self, kind: str, is_wanted: Callable[[str], bool]) -> Translate:
        """The translation of the user's orders, trades, or both with positions, in some instruments."""

        def own_trades(found: list[w.UserTrade]) -> list[shapes.OwnTrade]:
            wanted = [one for one in found if is_wanted(one.instrument_id)]
            return own_trades_now(self._caller.views, self._caller.user_id, wanted)

        def orders(data: bytes) -> list[Any]:
            told = [shapes.order(one) for one in _decode_orders(data) if is_wanted(one.instrument_id)]
            return [told] if told else []

        def trades(data: bytes) -> list[Any]:
            told = own_trades(_decode_own_trades(data))
            return [told] if told else []

        def changes(data: bytes) -> list[Any]:
            found = _decode_changes(data)
            told = {
                "orders": [shapes.order(one) for one in found.orders if is_wanted(one.instrument_id)],
                "trades": own_trades(found.trades),
                "positions": self._positions(
                    [one.instrument_id for one in found.positions if is_wanted(one.instrument_id)]
                ),
            }
            return [told] if any(told.values()) else []

        return {"user.orders": orders, "user.trades": trades, "user.changes": changes}[kind]

    def _positions(self, instrument_ids: list[str]) -> list[shapes.Position]:
        """The positions with margins and Greeks; one that is closed has the size 0."""
        views, user_id = self._caller.views, self._caller.user_id
        held = {one.instrument_id: one for one in views.positions(user_id).positions} if instrument_ids else {}
        return [
            shapes.position(held[name]) if name in held else no_position(views, name)
            for name in instrument_ids
            if name in views.instruments
        ]

    def _mmp_trigger(self, asset: str | None) -> Translate:
        return lambda data: [mmp_trigger(one) for one in _decode_mmp(data) if asset in (None, one.asset)]

    def _ticker(self, instrument_id: str) -> Translate:
        return lambda _data: [shapes.ticker(self._caller.views, instrument_id)]

    def _portfolio(self, _data: bytes) -> list[shapes.AccountSummary]:
        return [shapes.account_summary(self._caller.views, self._caller.user_id, False)]


class _BookRows:
    """A book as rows: `new` for a price that the client does not know yet, else `change` or `delete`."""

    def __init__(self, instrument_id: str) -> None:
        self._instrument_id = instrument_id
        self._known: tuple[dict[int, None], dict[int, None]] = ({}, {})

    def __call__(self, data: bytes) -> list[dict[str, Any]]:
        """Translate a snapshot or a change."""
        message = _decode_book(data)
        if message.type == "snapshot":
            self._known = ({}, {})
        translated = {
            "type": message.type,
            "timestamp": u.ms(message.ts_us),
            "instrument_name": self._instrument_id,
            "change_id": message.seq,
            "bids": [self._row(self._known[0], level) for level in message.bids],
            "asks": [self._row(self._known[1], level) for level in message.asks],
        }
        return [translated if message.type == "snapshot" else translated | {"prev_change_id": message.prev_seq}]

    def _row(self, known: dict[int, None], level: _Level) -> tuple[str, float, float]:
        action = "change" if level.price in known else "new"
        if level.size:
            known[level.price] = None
        else:
            action = "delete"
            known.pop(level.price, None)
        return action, u.price(level.price), u.amount(level.size)


class _TickerChanges:
    """A ticker as a snapshot, then the fields that changed."""

    def __init__(self, ticker: Translate) -> None:
        self._ticker = ticker
        self._known: dict[str, Any] = {}

    def __call__(self, data: bytes) -> list[dict[str, Any]]:
        """Translate the next ticker."""
        told = []
        for one in self._ticker(data):
            fields = {name: value for name, value in msgspec.structs.asdict(one).items() if value is not msgspec.UNSET}
            always = {"type": "change" if self._known else "snapshot"}
            always |= {name: fields[name] for name in ("instrument_name", "timestamp")}
            changed = {name: value for name, value in fields.items() if self._known.get(name, self) != value}
            self._known = fields
            told.append(changed | always)
        return told


def _nothing(_data: bytes) -> list[Any]:
    return []


def _platform_state(data: bytes) -> list[dict[str, Any]]:
    return [{"maintenance": _decode_status(data).halted}]


def _quote(data: bytes) -> list[dict[str, Any]]:
    quote = _decode_quote(data)
    told = {
        "instrument_name": quote.instrument_id,
        "timestamp": u.ms(quote.ts_us),
        "best_bid_price": u.price_or_zero(quote.best_bid_micros),
        "best_bid_amount": u.amount(quote.best_bid_size_milli),
        "best_ask_price": u.price_or_zero(quote.best_ask_micros),
        "best_ask_amount": u.amount(quote.best_ask_size_milli),
    }
    return [told]


def _index(data: bytes) -> list[dict[str, Any]]:
    index = _decode_index(data)
    told = {
        "index_name": shapes.index_name(index.asset),
        "price": u.price(index.price_micros),
        "timestamp": u.ms(index.ts_us),
    }
    return [told]


def _candle(data: bytes) -> list[dict[str, Any]]:
    candles = _decode_candles(data).candles
    return [
        {
            "tick": u.ms(one.ts_us),
            "open": u.price(one.open_micros),
            "high": u.price(one.high_micros),
            "low": u.price(one.low_micros),
            "close": u.price(one.close_micros),
            "volume": u.amount(one.volume_milli),
            "cost": u.price_or_zero(one.notional_micros),
        }
        for one in candles[-1:]
    ]
