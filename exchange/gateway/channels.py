"""The names of the channels, and how they are parsed."""

import re
from typing import Literal, NamedTuple

from exchange.domain.units import US_PER_SECOND
from exchange.gateway.instrument_ids import canonical_id
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.limits import BOOK_DEPTH_MAX
from exchange.projections.candles import RESOLUTIONS
from exchange.projections.views import Views

Kind = Literal[
    "book",
    "tickers",
    "tickers.asset",
    "quote",
    "quote.asset",
    "candles",
    "candles.asset",
    "trades",
    "trades.asset",
    "index",
    "surface",
    "instruments",
    "settlement",
    "losses",
    "status",
    "user.orders",
    "user.trades",
    "user.positions",
    "user.balance",
    "user.losses",
    "user.changes",
    "user.mmp_trigger",
]
OF_ALL: dict[str, Kind] = {"settlement": "settlement", "losses": "losses", "status": "status"}
USER_KINDS: dict[str, Kind] = {
    "user.orders": "user.orders",
    "user.trades": "user.trades",
    "user.positions": "user.positions",
    "user.balance": "user.balance",
    "user.losses": "user.losses",
    "user.changes": "user.changes",
    "user.mmp_trigger": "user.mmp_trigger",
}
_OF_INSTRUMENTS: dict[str, Kind] = {"tickers": "tickers", "quote": "quote", "trades": "trades"}
_OF_ALL_ON_ASSET: dict[str, Kind] = {"tickers": "tickers.asset", "quote": "quote.asset", "trades": "trades.asset"}
_OF_ASSETS: dict[str, Kind] = {"index": "index", "surface": "surface", "instruments": "instruments"}
_BOOK = re.compile(r"book\.([^.]+)\.([1-9][0-9]{0,2})", re.ASCII)
_CANDLES = re.compile(r"candles\.([^.]+)\.([^.]+)", re.ASCII)
_OF_ONE = re.compile(r"(tickers|quote|trades|index|surface|instruments)\.([^.]+)", re.ASCII)
_EXPECTED = (
    f"expected book.INSTRUMENT.DEPTH (depth 1 to {BOOK_DEPTH_MAX}), tickers.INSTRUMENT, tickers.ASSET, "
    "quote.INSTRUMENT, quote.ASSET, trades.INSTRUMENT, trades.ASSET, candles.INSTRUMENT.RESOLUTION, "
    "candles.ASSET.RESOLUTION, index.ASSET, surface.ASSET, instruments.ASSET, settlement, losses, status, "
    "user.orders, user.trades, user.positions, user.balance, user.losses, user.changes or user.mmp_trigger"
)

# Streams that begin with the present state.
STATEFUL: tuple[Kind, ...] = ("user.positions", "user.balance")
# The kinds that are no streams: one message may merge the changes by several commands.
MERGED: tuple[Kind, ...] = (
    "book",
    "tickers",
    "tickers.asset",
    "quote",
    "quote.asset",
    "candles",
    "candles.asset",
)


class Channel(NamedTuple):
    """A channel with its canonical name. The other fields are set if its kind has them and is no stream."""

    name: str
    kind: Kind
    instrument_id: str = ""
    depth: int = 0
    asset: str = ""
    length_us: int = 0

    @property
    def is_stream(self) -> bool:
        """True if its messages are the changes by single commands; books, tickers, quotes and candles merge several."""
        return self.kind not in MERGED

    @property
    def is_private(self) -> bool:
        return self.kind in USER_KINDS


def parse_channel(name: str, views: Views) -> Channel:
    """Parse a channel name. Raises RpcError 1023 if there is no such channel."""
    if kind := USER_KINDS.get(name) or OF_ALL.get(name):
        return Channel(name, kind)
    if match := _OF_ONE.fullmatch(name):
        of = match[2]
        if of_asset := _OF_ASSETS.get(match[1]):
            if not views.knows_asset(of):
                raise _unknown(name, "no instrument and no series rule has this asset")
            return Channel(name, of_asset)
        if "_" not in of and views.knows_asset(of):
            return Channel(name, _OF_ALL_ON_ASSET[match[1]], asset=of)
        instrument_id = _listed(of, name, views)
        return Channel(f"{match[1]}.{instrument_id}", _OF_INSTRUMENTS[match[1]], instrument_id)
    if (match := _BOOK.fullmatch(name)) and int(match[2]) <= BOOK_DEPTH_MAX:
        instrument_id = _listed(match[1], name, views)
        return Channel(f"book.{instrument_id}.{match[2]}", "book", instrument_id, int(match[2]))
    if match := _CANDLES.fullmatch(name):
        return _candles(match[1], match[2], name, views)
    raise _unknown(name, _EXPECTED)


def _candles(of: str, resolution: str, name: str, views: Views) -> Channel:
    seconds = next((length for key, length in RESOLUTIONS.items() if key == resolution), None)
    if seconds is None:
        raise _unknown(name, f"unknown resolution; expected one of {', '.join(RESOLUTIONS)}")
    length_us = seconds * US_PER_SECOND
    if "_" not in of and views.knows_asset(of):
        return Channel(name, "candles.asset", asset=of, length_us=length_us)
    instrument_id = _listed(of, name, views)
    return Channel(f"candles.{instrument_id}.{resolution}", "candles", instrument_id, length_us=length_us)


def _listed(instrument_id: str, name: str, views: Views) -> str:
    instrument_id = canonical_id(instrument_id, views)
    if instrument_id not in views.instruments:
        raise _unknown(name, "unknown instrument; see public/get_instruments")
    return instrument_id


def _unknown(name: str, detail: str) -> RpcError:
    return RpcError("unknown_channel", f"{name!r:.120}: {detail}", channel=name[:200])
