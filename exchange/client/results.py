"""The results of the client's methods, and the options of an order.

Prices are in micros of USDC and sizes in millicontracts. Where a field has no unit in its name, it is named as in
docs/protocol.md.
"""

from typing import TypedDict

import msgspec

from exchange.domain.enums import Side, TimeInForce
from exchange.domain.rules import Rules
from exchange.projections.wire_types import Balance, BookLevel, OrderView, PositionView, UserTrade


class OrderOptions(TypedDict, total=False):
    """Optional parameters of `private/buy` and `private/sell`; docs/protocol.md describes them."""

    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    client_order_id: str
    dry_run: bool


class PlaceResult(msgspec.Struct):
    """The result of an order, an edit, or a closed position.

    `trades` are the trades it made at once. `duplicate` is true if the client_order_id was used before: `order` is
    then the earlier order. `dry_run` is true if nothing was recorded: `balance` and `position` are then the account's
    balance and position as the order would leave them.
    """

    order: OrderView
    trades: list[UserTrade]
    seq: int = 0
    duplicate: bool = False
    dry_run: bool = False
    balance: Balance | None = None
    position: PositionView | None = None


class CancelResult(msgspec.Struct):
    """The cancelled order, and the `seq` of the command that cancelled it."""

    order: OrderView
    seq: int


class CancelAllResult(msgspec.Struct):
    """How many orders were cancelled, their ids, and the `seq` of the command that cancelled them."""

    cancelled: int
    order_ids: list[int]
    seq: int


class OrderBookSnapshot(msgspec.Struct):
    """An order book after command `seq`, the best price first on each side."""

    instrument_id: str
    seq: int
    ts_us: int
    bids: list[BookLevel]
    asks: list[BookLevel]


class MarginResult(msgspec.Struct):
    """The cash an order would lock (`needed`) and whether the exchange would accept it (`passes`).

    `amount` is in millicontracts. `price`, `needed` and `available` are in micros of USDC, as are `initial_margin` and
    `maintenance_margin`, which are those of one short contract. `reason` and `detail` say why it would not pass.
    """

    instrument_id: str
    side: Side
    amount: int
    price: int
    needed: int
    available: int
    passes: bool
    initial_margin: int | None = None
    maintenance_margin: int | None = None
    reason: str | None = None
    detail: str | None = None


class DeliveryPrice(msgspec.Struct):
    """The price, in micros of USDC, at which the options of `asset` that expired at `expiration` settled.

    `expiration` is in seconds since 1970 (UTC).
    """

    asset: str
    expiration: int
    delivery_price: int
    seq: int
    ts_us: int


class RulesResult(msgspec.Struct):
    """The rules in force."""

    rules: Rules


class TimeResult(msgspec.Struct):
    """Exchange time."""

    ts_us: int
