"""What bots ask of the exchange, and how that is said in the protocol."""

from typing import Any, NamedTuple

from exchange.domain.words import Side, TimeInForce


class Place(NamedTuple):
    """`price_micros` None: a market order."""

    side: Side
    instrument_id: str
    size_milli: int
    price_micros: int | None = None
    time_in_force: TimeInForce | None = None
    post_only: bool = False


class Edit(NamedTuple):
    """`size_milli` is the new total size, filled part included."""

    order_id: int
    size_milli: int
    price_micros: int


class Cancel(NamedTuple):
    order_id: int


class CancelAll(NamedTuple):
    pass


class ClosePosition(NamedTuple):
    instrument_id: str


class ListInstruments(NamedTuple):
    pass


class LookAtAccount(NamedTuple):
    pass


class LookAtIndex(NamedTuple):
    asset: str


class LookAtTickers(NamedTuple):
    asset: str


class Subscribe(NamedTuple):
    channels: tuple[str, ...]


Request = (
    Place
    | Edit
    | Cancel
    | CancelAll
    | ClosePosition
    | ListInstruments
    | LookAtAccount
    | LookAtIndex
    | LookAtTickers
    | Subscribe
)


def in_words(request: Request) -> tuple[str, dict[str, Any]]:
    """The method of the protocol and its parameters."""
    match request:
        case Place(side, instrument_id, size_milli, price_micros, time_in_force, post_only):
            params: dict[str, Any] = {"instrument_id": instrument_id, "amount": size_milli}
            params |= {"type": "market"} if price_micros is None else {"price": price_micros}
            if time_in_force is not None:
                params["time_in_force"] = time_in_force
            if post_only:
                params["post_only"] = True
            return "private/buy" if side == "bid" else "private/sell", params
        case Edit(order_id, size_milli, price_micros):
            return "private/edit", {"order_id": order_id, "amount": size_milli, "price": price_micros}
        case Cancel(order_id):
            return "private/cancel", {"order_id": order_id}
        case CancelAll():
            return "private/cancel_all", {}
        case ClosePosition(instrument_id):
            return "private/close_position", {"instrument_id": instrument_id}
        case ListInstruments():
            return "public/get_instruments", {}
        case LookAtAccount():
            return "private/get_account", {}
        case LookAtIndex(asset):
            return "public/get_index_price", {"asset": asset}
        case LookAtTickers(asset):
            return "public/get_tickers", {"asset": asset}
        case Subscribe(channels):
            return "public/subscribe", {"channels": list(channels)}
