"""What held when a trade happened, and settlements of single options: records of the history."""

from collections.abc import Sequence
from typing import NamedTuple

from exchange.projections.black_scholes import Volatility


class TradeMoment(NamedTuple):
    """The prices when a trade happened, and the volatility that its price implies.

    `before` are the prices of the trades before it, the newest first. `forward_micros` is the price of the asset that
    the volatility is about. The others are about the user's order: `completes_order`, it was filled by the trade.
    """

    index_micros: int | None
    mark_micros: int | None
    volatility: Volatility | None
    before: Sequence[int] = ()
    completes_order: bool = False
    forward_micros: int | None = None
    order_type: str = "limit"
    is_reduce_only: bool = False
    is_post_only: bool = False


class OptionSettlement(NamedTuple):
    """The settlement of an option: of one position, or of all long ones together.

    `id` rises with each settlement. `delivery_micros` is the price of the asset, `value_micros` that of one contract.
    """

    id: int
    ts_us: int
    instrument_id: str
    quantity_milli: int
    delivery_micros: int
    value_micros: int
    payout_micros: int


class MarkPrice(NamedTuple):
    """A mark price in micros, from this time on."""

    ts_us: int
    mark_micros: int
