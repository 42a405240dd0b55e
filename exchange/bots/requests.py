"""The requests of bots, and their methods and parameters in the protocol."""

from typing import Any, NamedTuple

from exchange.domain.enums import Side, TimeInForce


class PlaceRequest(NamedTuple):
    """Place an order. Without `price_micros` it is a market order."""

    side: Side
    instrument_id: str
    size_milli: int
    price_micros: int | None = None
    time_in_force: TimeInForce | None = None
    post_only: bool = False


class EditRequest(NamedTuple):
    """Change an order. `size_milli` is its new total size, including the filled part."""

    order_id: int
    size_milli: int
    price_micros: int


class CancelRequest(NamedTuple):
    """Cancel one order."""

    order_id: int


class CancelAllRequest(NamedTuple):
    """Cancel all open orders."""


class ClosePositionRequest(NamedTuple):
    """Close a position at market."""

    instrument_id: str


class InstrumentsRequest(NamedTuple):
    """List the instruments."""


class AccountRequest(NamedTuple):
    """Query the balance and the positions."""


class IndexRequest(NamedTuple):
    """Query the index price of an asset."""

    asset: str


class TickersRequest(NamedTuple):
    """Query the tickers of an asset."""

    asset: str


class SubscribeRequest(NamedTuple):
    """Subscribe to channels."""

    channels: tuple[str, ...]


BotRequest = (
    PlaceRequest
    | EditRequest
    | CancelRequest
    | CancelAllRequest
    | ClosePositionRequest
    | InstrumentsRequest
    | AccountRequest
    | IndexRequest
    | TickersRequest
    | SubscribeRequest
)


def method_and_params(request: BotRequest) -> tuple[str, dict[str, Any]]:
    """Return the protocol method of a request and its parameters."""
    match request:
        case PlaceRequest(side, instrument_id, size_milli, price_micros, time_in_force, post_only):
            params: dict[str, Any] = {"instrument_id": instrument_id, "amount": size_milli}
            params |= {"type": "market"} if price_micros is None else {"price": price_micros}
            if time_in_force is not None:
                params["time_in_force"] = time_in_force
            if post_only:
                params |= {"post_only": True, "reject_post_only": True}
            return "private/buy" if side == "bid" else "private/sell", params
        case EditRequest(order_id, size_milli, price_micros):
            return "private/edit", {"order_id": order_id, "amount": size_milli, "price": price_micros}
        case CancelRequest(order_id):
            return "private/cancel", {"order_id": order_id}
        case CancelAllRequest():
            return "private/cancel_all", {}
        case ClosePositionRequest(instrument_id):
            return "private/close_position", {"instrument_id": instrument_id}
        case InstrumentsRequest():
            return "public/get_instruments", {}
        case AccountRequest():
            return "private/get_account", {}
        case IndexRequest(asset):
            return "public/get_index_price", {"asset": asset}
        case TickersRequest(asset):
            return "public/get_tickers", {"asset": asset}
        case SubscribeRequest(channels):
            return "public/subscribe", {"channels": list(channels)}
