"""The names of the channels, and how they are parsed."""

import re
from typing import Literal, NamedTuple

from exchange.gateway.instrument_ids import canonical_id
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.limits import BOOK_DEPTH_MAX
from exchange.projections.views import Views

Kind = Literal[
    "book",
    "tickers",
    "quote",
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
]
OF_ALL: dict[str, Kind] = {"settlement": "settlement", "losses": "losses", "status": "status"}
USER_KINDS: dict[str, Kind] = {
    "user.orders": "user.orders",
    "user.trades": "user.trades",
    "user.positions": "user.positions",
    "user.balance": "user.balance",
    "user.losses": "user.losses",
    "user.changes": "user.changes",
}
_OF_INSTRUMENTS: dict[str, Kind] = {"tickers": "tickers", "quote": "quote", "trades": "trades"}
_OF_ASSETS: dict[str, Kind] = {"index": "index", "surface": "surface", "instruments": "instruments"}
_BOOK = re.compile(r"book\.([^.]+)\.([1-9][0-9]{0,2})", re.ASCII)
_OF_ONE = re.compile(r"(tickers|quote|trades|index|surface|instruments)\.([^.]+)", re.ASCII)
_EXPECTED = (
    f"expected book.INSTRUMENT.DEPTH (depth 1 to {BOOK_DEPTH_MAX}), tickers.INSTRUMENT, quote.INSTRUMENT, "
    "trades.INSTRUMENT, trades.ASSET, index.ASSET, surface.ASSET, instruments.ASSET, settlement, losses, status, "
    "user.orders, user.trades, user.positions, user.balance, user.losses or user.changes"
)


# Streams that begin with the present state.
STATEFUL: tuple[Kind, ...] = ("user.positions", "user.balance")


class Channel(NamedTuple):
    """A channel with its canonical name; `instrument_id` and `depth` are set if its kind has them."""

    name: str
    kind: Kind
    instrument_id: str = ""
    depth: int = 0

    @property
    def is_stream(self) -> bool:
        """True if its messages are the changes by single commands; books, tickers and quotes merge several."""
        return self.kind not in ("book", "tickers", "quote")

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
        if match[1] == "trades" and "_" not in of and views.knows_asset(of):
            return Channel(name, "trades.asset")
        instrument_id = _listed(of, name, views)
        return Channel(f"{match[1]}.{instrument_id}", _OF_INSTRUMENTS[match[1]], instrument_id)
    if (match := _BOOK.fullmatch(name)) and int(match[2]) <= BOOK_DEPTH_MAX:
        instrument_id = _listed(match[1], name, views)
        return Channel(f"book.{instrument_id}.{match[2]}", "book", instrument_id, int(match[2]))
    raise _unknown(name, _EXPECTED)


def _listed(instrument_id: str, name: str, views: Views) -> str:
    instrument_id = canonical_id(instrument_id, views)
    if instrument_id not in views.instruments:
        raise _unknown(name, "unknown instrument; see public/get_instruments")
    return instrument_id


def _unknown(name: str, detail: str) -> RpcError:
    return RpcError("unknown_channel", f"{name!r:.120}: {detail}", channel=name[:200])
