"""Channel names: which there are, and what each one means."""

import re
from typing import Literal, NamedTuple

from exchange.domain.instruments import parse_instrument_id
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.limits import BOOK_DEPTH_MAX
from exchange.projections.views import Views

Kind = Literal["book", "trades", "user.orders", "user.trades", "user.balance"]
USER_KINDS: dict[str, Kind] = {
    "user.orders": "user.orders",
    "user.trades": "user.trades",
    "user.balance": "user.balance",
}
_BOOK = re.compile(r"book\.([^.]+)\.([1-9][0-9]{0,2})", re.ASCII)
_TRADES = re.compile(r"trades\.([^.]+)", re.ASCII)
_EXPECTED = (
    f"expected book.INSTRUMENT.DEPTH (depth 1 to {BOOK_DEPTH_MAX}), trades.INSTRUMENT, "
    "user.orders, user.trades or user.balance"
)


class Channel(NamedTuple):
    """A channel by its canonical name; `instrument_id` and `depth` where its kind has them."""

    name: str
    kind: Kind
    instrument_id: str = ""
    depth: int = 0

    @property
    def is_stream(self) -> bool:
        """Whether it tells what every command changed, as opposed to how things are."""
        return self.kind != "book"

    @property
    def is_private(self) -> bool:
        return self.kind in USER_KINDS


def parse_channel(name: str, views: Views) -> Channel:
    """The channel of that name; RpcError 1023 where there is none."""
    if kind := USER_KINDS.get(name):
        return Channel(name, kind)
    if match := _TRADES.fullmatch(name):
        instrument_id = _listed(match[1], name, views)
        return Channel(f"trades.{instrument_id}", "trades", instrument_id)
    if (match := _BOOK.fullmatch(name)) and int(match[2]) <= BOOK_DEPTH_MAX:
        instrument_id = _listed(match[1], name, views)
        return Channel(f"book.{instrument_id}.{match[2]}", "book", instrument_id, int(match[2]))
    raise _unknown(name, _EXPECTED)


def canonical(instrument_id: str, views: Views) -> str:
    """The listed spelling of an instrument id (`03MAR26` is `3MAR26`); as it came where nothing like it is listed."""
    if instrument_id in views.instruments:
        return instrument_id
    try:
        return parse_instrument_id(instrument_id).instrument_id
    except ValueError:
        return instrument_id


def _listed(instrument_id: str, name: str, views: Views) -> str:
    instrument_id = canonical(instrument_id, views)
    if instrument_id not in views.instruments:
        raise _unknown(name, "no such instrument is listed; public/get_instruments lists those that are")
    return instrument_id


def _unknown(name: str, detail: str) -> RpcError:
    return RpcError(1023, "Unknown channel", "unknown_channel", f"{name!r:.120}: {detail}", channel=name[:200])
