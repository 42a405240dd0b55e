"""Events: what a command caused, as past facts. They are all that projections, answers and SQL views are built from.

Events carry resulting values (`remaining`, `cash`), not only differences, so that a reader needs no arithmetic of ours.
Every command causes at least one event. Time and sequence number are those of the command, and stand beside the event.
"""

import msgspec
from msgspec import UNSET, UnsetType

from exchange.domain.enums import CancelReason, InstrumentState, OptionType, OrderType, Side, TimeInForce
from exchange.domain.reasons import Reason
from exchange.domain.rules import Rules

INSTRUMENTS_MAX = 20  # of one event that tells of many: longer rows would take pages of their own in the journal


class _Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, tag_field="kind"):
    pass


class Configured(_Event, frozen=True, tag="configured"):
    rules: Rules
    rules_version: int


class SessionStarted(_Event, frozen=True, tag="session_started"):
    program_version: str


class SessionEnded(_Event, frozen=True, tag="session_ended"):
    pass


class Forked(_Event, frozen=True, tag="forked"):
    parent: str
    parent_seq: int
    parent_hash: str


class AccountOpened(_Event, frozen=True, tag="account_opened"):
    user_id: str


class Deposited(_Event, frozen=True, tag="deposited"):
    user_id: str
    amount_micros: int


class Withdrawn(_Event, frozen=True, tag="withdrawn"):
    user_id: str
    amount_micros: int


class InstrumentCreated(_Event, frozen=True, tag="instrument_created"):
    instrument_id: str
    asset: str
    option_type: OptionType
    strike_micros: int
    expiration_s: int
    tick_micros: int
    min_size_milli: int


class InstrumentStateChanged(_Event, frozen=True, tag="instrument_state_changed"):
    instrument_id: str
    state: InstrumentState


class OrderAccepted(_Event, frozen=True, tag="order_accepted"):
    order_id: int
    user_id: str
    instrument_id: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price_micros: int | None
    size_milli: int
    post_only: bool
    client_order_id: str | None
    reduce_only: bool | UnsetType = UNSET  # only ever True
    liquidation: bool | UnsetType = UNSET  # only ever True: the exchange placed it, to buy back a short


class OrderRepeated(_Event, frozen=True, tag="order_repeated"):
    """The same order came again under its `client_order_id`; nothing changed."""

    order_id: int
    user_id: str


class OrderEdited(_Event, frozen=True, tag="order_edited"):
    """New terms of a resting order. Without `kept_place` it left the book and entered again at the back."""

    order_id: int
    user_id: str
    instrument_id: str
    side: Side
    price_micros: int
    size_milli: int
    remaining_milli: int
    kept_place: bool
    previous_price_micros: int
    previous_remaining_milli: int


class Traded(_Event, frozen=True, tag="traded"):
    """A fill, at the maker's price. `*_remaining_milli` is what each order still wants after it."""

    trade_id: int
    instrument_id: str
    price_micros: int
    size_milli: int
    taker_side: Side
    maker_order_id: int
    maker_user_id: str
    maker_remaining_milli: int
    maker_fee_micros: int
    taker_order_id: int
    taker_user_id: str
    taker_remaining_milli: int
    taker_fee_micros: int


class OrderCancelled(_Event, frozen=True, tag="order_cancelled"):
    """`remaining_milli` is what was taken back. `price_micros` is None for a market order."""

    order_id: int
    user_id: str
    instrument_id: str
    side: Side
    price_micros: int | None
    remaining_milli: int
    reason: CancelReason


class AllCancelled(_Event, frozen=True, tag="all_cancelled"):
    """Closes a mass cancellation: how many orders it ended."""

    user_id: str
    count: int


class PositionChanged(_Event, frozen=True, tag="position_changed"):
    """`quantity_milli` is negative for a short; `locked_micros` is the collateral the instrument holds of the user."""

    user_id: str
    instrument_id: str
    quantity_milli: int
    locked_micros: int


class MarginsChanged(_Event, frozen=True, tag="margins_changed"):
    """The collateral of positions that are what they were: an index price, or other rules, ask for more or for less.

    `locked_micros` by instrument, in order of listing; those whose collateral stays the same are not in it. Of more
    than INSTRUMENTS_MAX, several events tell.
    """

    user_id: str
    locked_micros: dict[str, int]


class BalanceChanged(_Event, frozen=True, tag="balance_changed"):
    """Cash is all the user owns, locked is the part that bids and collateral hold; available is the rest.

    Where shorts are margined, locked may come to exceed cash, and cash below `maintenance_micros` is liquidated.
    """

    user_id: str
    cash_micros: int
    locked_micros: int
    maintenance_micros: int | UnsetType = UNSET  # only where it is not zero


class CancelOnDisconnectSet(_Event, frozen=True, tag="cancel_on_disconnect_set"):
    user_id: str
    enabled: bool


class DayEnded(_Event, frozen=True, tag="day_ended"):
    day_end_us: int


class IndexPriceSet(_Event, frozen=True, tag="index_price_set"):
    asset: str
    price_micros: int


class MarksSet(_Event, frozen=True, tag="marks_set"):
    """What contracts of `asset` are worth from here on: mark prices in micros by instrument, in order of listing.

    Of more than INSTRUMENTS_MAX, several events tell.
    """

    asset: str
    marks: dict[str, int]


class LiquidationStarted(_Event, frozen=True, tag="liquidation_started"):
    """The account's cash was below its maintenance margin: its orders are cancelled, then its shorts bought back."""

    user_id: str
    cash_micros: int
    maintenance_micros: int


class DeliveryPriceSet(_Event, frozen=True, tag="delivery_price_set"):
    """At what price the series settles: the average of the index over its last 30 minutes, or the administrator's."""

    asset: str
    expiration_s: int
    price_micros: int


class SettlementDelayed(_Event, frozen=True, tag="settlement_delayed"):
    """A series expired and cannot be settled by itself: it waits, closed, for the administrator's price."""

    asset: str
    expiration_s: int


class PositionSettled(_Event, frozen=True, tag="position_settled"):
    """A position of `quantity_milli` ended in cash: `payout_micros` (negative: the user pays), less the fee."""

    user_id: str
    instrument_id: str
    quantity_milli: int
    payout_micros: int
    fee_micros: int


class ShortfallCovered(_Event, frozen=True, tag="shortfall_covered"):
    """The insurance paid `amount_micros` that the account could not; it has paid `shortfall_micros` in all for it."""

    user_id: str
    amount_micros: int
    shortfall_micros: int


class SeriesPaused(_Event, frozen=True, tag="series_paused"):
    """How many instruments were paused; each has an event of its own before this one."""

    asset: str | None
    expiration_s: int | None
    count: int


class SeriesResumed(_Event, frozen=True, tag="series_resumed"):
    asset: str | None
    expiration_s: int | None
    count: int


class HaltSet(_Event, frozen=True, tag="halt_set"):
    halted: bool


class SuspensionSet(_Event, frozen=True, tag="suspension_set"):
    user_id: str
    suspended: bool


class LimitsSet(_Event, frozen=True, tag="limits_set"):
    user_id: str
    open_orders_max: int | None
    position_max_milli: int | None


class RulesChanged(_Event, frozen=True, tag="rules_changed"):
    rules: Rules


class Refused(_Event, frozen=True, tag="refused"):
    """The command was recorded and changed nothing, for `reason`."""

    user_id: str | None
    reason: Reason


Event = (
    OrderAccepted
    | Traded
    | OrderCancelled
    | OrderEdited
    | OrderRepeated
    | AllCancelled
    | PositionChanged
    | MarginsChanged
    | BalanceChanged
    | Refused
    | Configured
    | SessionStarted
    | SessionEnded
    | Forked
    | AccountOpened
    | Deposited
    | Withdrawn
    | InstrumentCreated
    | InstrumentStateChanged
    | CancelOnDisconnectSet
    | DayEnded
    | IndexPriceSet
    | MarksSet
    | LiquidationStarted
    | DeliveryPriceSet
    | SettlementDelayed
    | PositionSettled
    | ShortfallCovered
    | SeriesPaused
    | SeriesResumed
    | HaltSet
    | SuspensionSet
    | LimitsSet
    | RulesChanged
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
encode_event = _encoder.encode
decode_event = _decoder.decode


def encode_events(events: list[Event]) -> list[str]:
    """The canonical JSON of each. Encoded in one go, which takes half the time: JSON has no line breaks within."""
    return _encoder.encode_lines(events).decode().split("\n")[:-1]
