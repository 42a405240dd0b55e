"""Events: the effects of a command, as past facts. Projections, answers and SQL views are built from them alone.

Events hold resulting values (`remaining`, `cash`), not only differences, so that a reader needs no arithmetic. Every
command causes at least one event. Time and sequence number are those of the command; an event does not repeat them.
"""

import msgspec
from msgspec import UNSET, UnsetType

from exchange.domain.enums import (
    CancelReason,
    EditCause,
    FillCondition,
    InstrumentState,
    LinkType,
    MmpLimit,
    OptionType,
    OrderType,
    Side,
    TimeInForce,
    Trigger,
    TriggerEnd,
    TriggerType,
)
from exchange.domain.reasons import Reason
from exchange.domain.rules import Rules

# Instruments in one event. A longer row would need a page of its own in the journal.
INSTRUMENTS_MAX = 20


class _Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, tag_field="kind"):
    pass


class Configured(_Event, frozen=True, tag="configured"):
    """The first rules of the exchange."""

    rules: Rules
    rules_version: int


class SessionStarted(_Event, frozen=True, tag="session_started"):
    """A run of the server began."""

    program_version: str


class SessionEnded(_Event, frozen=True, tag="session_ended"):
    """A run of the server ended normally."""


class Forked(_Event, frozen=True, tag="forked"):
    """The journal was forked from `parent`, after its seq `parent_seq`."""

    parent: str
    parent_seq: int
    parent_hash: str


class CommandLost(_Event, frozen=True, tag="command_lost"):
    """The command of this seq was lost, and nothing is known of it. Order and trade ids continue with these."""

    next_order_id: int
    next_trade_id: int


class AccountOpened(_Event, frozen=True, tag="account_opened"):
    """A new account."""

    user_id: str


class Deposited(_Event, frozen=True, tag="deposited"):
    """Cash was paid into an account."""

    user_id: str
    amount_micros: int


class Withdrawn(_Event, frozen=True, tag="withdrawn"):
    """Cash was paid out of an account."""

    user_id: str
    amount_micros: int


class AccountReset(_Event, frozen=True, tag="account_reset"):
    """`amount_micros` were paid into an account, or out if negative: it repays its debt and has its starting cash."""

    user_id: str
    amount_micros: int


class InstrumentCreated(_Event, frozen=True, tag="instrument_created"):
    """An instrument was listed."""

    instrument_id: str
    asset: str
    option_type: OptionType
    strike_micros: int
    expiration_s: int
    tick_micros: int
    min_size_milli: int


class InstrumentStateChanged(_Event, frozen=True, tag="instrument_state_changed"):
    """An instrument was paused, resumed or expired."""

    instrument_id: str
    state: InstrumentState


class OrderAccepted(_Event, frozen=True, tag="order_accepted"):
    """A new order. `liquidation`: the exchange placed it, to buy back a short.

    `reduce_only` and `liquidation` are True or missing, and `label` is missing if the order has none.
    `trigger_order_id` is the trigger order that placed it, if one did. `display_milli` is the part of an iceberg order
    that the book shows at once.
    """

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
    reduce_only: bool | UnsetType = UNSET
    liquidation: bool | UnsetType = UNSET
    label: str | UnsetType = UNSET
    trigger_order_id: int | UnsetType = UNSET
    display_milli: int | UnsetType = UNSET


class OrderRepeated(_Event, frozen=True, tag="order_repeated"):
    """The client sent the same order again under its `client_order_id`; nothing changed."""

    order_id: int
    user_id: str


class OrderEdited(_Event, frozen=True, tag="order_edited"):
    """A resting order has new terms. Without `kept_place` it left the book and entered again.

    `cause`: the exchange made the order smaller; missing if its user edited it. `displayed_milli` is the part of an
    iceberg order that the book shows, and `previous_displayed_milli` the one before; both are missing for others.
    """

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
    cause: EditCause | UnsetType = UNSET
    displayed_milli: int | UnsetType = UNSET
    previous_displayed_milli: int | UnsetType = UNSET


class Traded(_Event, frozen=True, tag="traded"):
    """A fill at the maker's price. `*_remaining_milli` is the remainder of each order after the fill.

    `maker_refilled_milli`: the fill took all that an iceberg order showed. It shows so much again, at the back of its
    queue.
    """

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
    maker_refilled_milli: int | UnsetType = UNSET


class OrderCancelled(_Event, frozen=True, tag="order_cancelled"):
    """An order was cancelled with this remainder. `price_micros` is None for a market order.

    `displayed_milli` is the part of an iceberg order that the book showed; missing for others. `linked_order_id`: the
    fill or the end of this order of the user caused it.
    """

    order_id: int
    user_id: str
    instrument_id: str
    side: Side
    price_micros: int | None
    remaining_milli: int
    reason: CancelReason
    displayed_milli: int | UnsetType = UNSET
    linked_order_id: int | UnsetType = UNSET


class AllCancelled(_Event, frozen=True, tag="all_cancelled"):
    """The last event of a mass cancellation, with the number of cancelled orders."""

    user_id: str
    count: int


class MassQuoted(_Event, frozen=True, tag="mass_quoted"):
    """The last event of a mass quote about its quotes. `orders` are those that it placed or changed, with their sets.

    The id of the quote set is empty if the quote has none. `unchanged` are the orders that already had these terms.
    """

    user_id: str
    mmp_group: str
    quote_id: str
    orders: list[tuple[int, str]]
    unchanged: list[int]


class QuoteRefused(_Event, frozen=True, tag="quote_refused"):
    """One side of a quote in a mass quote was refused. The quote that it would have replaced stays as it is."""

    user_id: str
    instrument_id: str
    side: Side
    reason: Reason


class MmpConfigSet(_Event, frozen=True, tag="mmp_config_set"):
    """An MMP group has these limits. `interval_s` of 0: it was removed. Missing limits are not checked."""

    user_id: str
    mmp_group: str
    asset: str
    interval_s: int
    frozen_s: int
    quantity_limit_milli: int | UnsetType = UNSET
    delta_limit_milli: int | UnsetType = UNSET
    vega_limit_micros: int | UnsetType = UNSET


class MmpTriggered(_Event, frozen=True, tag="mmp_triggered"):
    """The fills of an MMP group reached a limit. Its open quotes are cancelled in the events after this one.

    `frozen_until_us` of 0: until ResetMmp. The sums are those of the interval: `delta_milli` and `vega_micros` are net,
    rounded down, and missing if the group has neither limit.
    """

    user_id: str
    mmp_group: str
    asset: str
    limit: MmpLimit
    frozen_until_us: int
    quantity_milli: int
    delta_milli: int | UnsetType = UNSET
    vega_micros: int | UnsetType = UNSET


class MmpResetDone(_Event, frozen=True, tag="mmp_reset"):
    """The freeze of an MMP group ended by command, and its sums are zero again."""

    user_id: str
    mmp_group: str


class TriggerOrderPlaced(_Event, frozen=True, tag="trigger_order_placed"):
    """A new order that waits for a price. The fields are those of the command.

    `reference_micros` is the price that it waits for, as it is now; None for a last price before the first trade.
    `primary_order_id`: it waits for fills of this order first, and then, if it has a `trigger`, for that price. Such an
    order can be a plain one, without a trigger. `part_of`: a fill split it from this order, which waits on with the
    rest.
    """

    order_id: int
    user_id: str
    instrument_id: str
    side: Side
    type: TriggerType | OrderType
    trigger: Trigger | None
    trigger_price_micros: int | None
    trigger_offset_micros: int | None
    reference_micros: int | None
    time_in_force: TimeInForce
    price_micros: int | None
    size_milli: int
    post_only: bool
    client_order_id: str | None
    reduce_only: bool | UnsetType = UNSET
    label: str | UnsetType = UNSET
    display_milli: int | UnsetType = UNSET
    primary_order_id: int | UnsetType = UNSET
    part_of: int | UnsetType = UNSET


class TriggerOrderEdited(_Event, frozen=True, tag="trigger_order_edited"):
    """An untriggered order has new terms. `cause`: the exchange made it smaller; missing if its user edited it."""

    order_id: int
    user_id: str
    instrument_id: str
    trigger_price_micros: int | None
    trigger_offset_micros: int | None
    price_micros: int | None
    size_milli: int
    cause: EditCause | UnsetType = UNSET


class TriggerOrderEnded(_Event, frozen=True, tag="trigger_order_ended"):
    """A trigger order ended. The order that it placed, if any, is the next event.

    `shown_micros` is the price that met it, or that of the fill which it waited for; missing if it was cancelled, and
    then `cancel_reason` is there. `refusal` says why the order to place was refused, if it was. `linked_order_id`: the
    fill or the end of this order of the user cancelled it.
    """

    order_id: int
    user_id: str
    instrument_id: str
    status: TriggerEnd
    shown_micros: int | UnsetType = UNSET
    refusal: Reason | UnsetType = UNSET
    cancel_reason: CancelReason | UnsetType = UNSET
    linked_order_id: int | UnsetType = UNSET


class LinkedOrdersPlaced(_Event, frozen=True, tag="linked_orders_placed"):
    """The first event of linked orders. `order_ids` are in the order of the command: the first is the primary."""

    user_id: str
    link: LinkType
    fill_condition: FillCondition
    order_ids: list[int]


class TriggerOrderActivated(_Event, frozen=True, tag="trigger_order_activated"):
    """A trigger order that waited for fills of its primary waits for its price from now on.

    `shown_micros` is the price of the fill, `trigger_price_micros` the price that triggers the order now, and
    `reference_micros` the price that it waits for.
    """

    order_id: int
    user_id: str
    instrument_id: str
    shown_micros: int
    trigger_price_micros: int
    reference_micros: int | None


class TriggersContinued(_Event, frozen=True, tag="triggers_continued"):
    """The command triggered orders that were left from earlier commands; `count` of them waited before it."""

    count: int


class PositionChanged(_Event, frozen=True, tag="position_changed"):
    """A position or its collateral, `locked_micros`, changed. `quantity_milli` is negative for a short."""

    user_id: str
    instrument_id: str
    quantity_milli: int
    locked_micros: int


class MarginsChanged(_Event, frozen=True, tag="margins_changed"):
    """The collateral of positions changed with the index price or the rules; their quantities did not change.

    `locked_micros` is by instrument, in order of listing, without instruments whose collateral did not change. More
    than INSTRUMENTS_MAX are split into several events.
    """

    user_id: str
    locked_micros: dict[str, int]


class BalanceChanged(_Event, frozen=True, tag="balance_changed"):
    """Cash or locks of a user changed. Bids and collateral lock `locked_micros` of the cash; the rest is available.

    If margins follow an index, the locked sum can exceed the cash. An account with less cash than `maintenance_micros`
    is liquidated; the field is missing if it is 0.
    """

    user_id: str
    cash_micros: int
    locked_micros: int
    maintenance_micros: int | UnsetType = UNSET


class CancelOnDisconnectSet(_Event, frozen=True, tag="cancel_on_disconnect_set"):
    """Cancel-on-disconnect was switched on or off: `enabled` for all orders of a user, or for those of `connection`.

    The orders of `released` no longer depend on that connection.
    """

    user_id: str
    enabled: bool
    connection: int | UnsetType = UNSET
    released: int | UnsetType = UNSET


class DayEnded(_Event, frozen=True, tag="day_ended"):
    """The exchange day ended at `day_end_us`."""

    day_end_us: int


class IndexPriceSet(_Event, frozen=True, tag="index_price_set"):
    """The index of `asset` has a new price."""

    asset: str
    price_micros: int


class SurfaceSet(_Event, frozen=True, tag="surface_set"):
    """New parameters of smiles on `asset`: expiration_s, level, skew and curvature in ppm, by expiration.

    Only those that changed.
    """

    asset: str
    smiles: list[tuple[int, int, int, int]]


class MarksSet(_Event, frozen=True, tag="marks_set"):
    """New mark prices on `asset`, in micros by instrument, in order of listing.

    More than INSTRUMENTS_MAX are split into several events.
    """

    asset: str
    marks: dict[str, int]


class LiquidationStarted(_Event, frozen=True, tag="liquidation_started"):
    """Cash fell below the maintenance margin: the account's orders are cancelled, then its positions are reduced."""

    user_id: str
    cash_micros: int
    maintenance_micros: int


class DeliveryPriceSet(_Event, frozen=True, tag="delivery_price_set"):
    """The delivery price of a series: the index average of its last 30 minutes, or the administrator's price."""

    asset: str
    expiration_s: int
    price_micros: int


class SettlementDelayed(_Event, frozen=True, tag="settlement_delayed"):
    """A series expired and could not be settled: it stays closed until the administrator gives a price."""

    asset: str
    expiration_s: int


class SeriesDelisted(_Event, frozen=True, tag="series_delisted"):
    """A series that was settled long ago is no longer listed. Its instruments stay expired for ever."""

    asset: str
    expiration_s: int


class PositionSettled(_Event, frozen=True, tag="position_settled"):
    """A position of `quantity_milli` was settled for `payout_micros` (negative: the user pays), less the fee."""

    user_id: str
    instrument_id: str
    quantity_milli: int
    payout_micros: int
    fee_micros: int


class LiquidationFeeCharged(_Event, frozen=True, tag="liquidation_fee_charged"):
    """A liquidated account paid a fee to the insurance, for an order of the exchange or (None) for a takeover."""

    user_id: str
    instrument_id: str
    order_id: int | None
    amount_micros: int


class PositionTakenOver(_Event, frozen=True, tag="position_taken_over"):
    """The insurance took over `quantity_milli` contracts of an account at the mark; negative: a short."""

    user_id: str
    instrument_id: str
    quantity_milli: int
    price_micros: int


class DebtRepaid(_Event, frozen=True, tag="debt_repaid"):
    """An account repaid `amount_micros` of its debt to the insurance; `shortfall_micros` is the debt that is left."""

    user_id: str
    amount_micros: int
    shortfall_micros: int


class LossShared(_Event, frozen=True, tag="loss_shared"):
    """A winner of a settlement bore `amount_micros` of its losses that the insurance did not pay.

    `won_micros` is what the account won in the settlement, of which the amount is a share.
    """

    user_id: str
    amount_micros: int
    won_micros: int


class ShortfallCovered(_Event, frozen=True, tag="shortfall_covered"):
    """The insurance paid `amount_micros` that the account could not pay; `shortfall_micros` is the debt until now."""

    user_id: str
    amount_micros: int
    shortfall_micros: int


class SeriesPaused(_Event, frozen=True, tag="series_paused"):
    """The number of instruments that were paused together; each has an event of its own before this one."""

    asset: str | None
    expiration_s: int | None
    count: int


class SeriesResumed(_Event, frozen=True, tag="series_resumed"):
    """The number of instruments that were resumed together; each has an event of its own before this one."""

    asset: str | None
    expiration_s: int | None
    count: int


class HaltSet(_Event, frozen=True, tag="halt_set"):
    """A halt of the exchange began or ended."""

    halted: bool


class MarketReopening(_Event, frozen=True, tag="market_reopening"):
    """Orders can only be cancelled until the next index price of their asset.

    Then only post-only orders are accepted for `post_only_s`.
    """

    post_only_s: int


class PostOnlyBegan(_Event, frozen=True, tag="post_only_began"):
    """An index price of a reopening asset came: post-only orders are accepted, and others from `until_us` on."""

    asset: str
    until_us: int


class SuspensionSet(_Event, frozen=True, tag="suspension_set"):
    """A suspension of a user began or ended."""

    user_id: str
    suspended: bool


class LimitsSet(_Event, frozen=True, tag="limits_set"):
    """A user has new limits; None: the limit of the rules applies."""

    user_id: str
    open_orders_max: int | None
    position_max_milli: int | None


class RulesChanged(_Event, frozen=True, tag="rules_changed"):
    """These rules replaced the previous ones. `rules_version` is missing while it is 1."""

    rules: Rules
    rules_version: int | UnsetType = UNSET


class Refused(_Event, frozen=True, tag="refused"):
    """The command was refused for `reason` and changed nothing. It is recorded all the same.

    `band` are the lowest and the highest price that the band allowed; only if the price was beyond it.
    """

    user_id: str | None
    reason: Reason
    band: tuple[int, int] | UnsetType = UNSET


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
    | CommandLost
    | AccountOpened
    | Deposited
    | Withdrawn
    | InstrumentCreated
    | InstrumentStateChanged
    | CancelOnDisconnectSet
    | DayEnded
    | IndexPriceSet
    | MarksSet
    | SurfaceSet
    | LiquidationStarted
    | DeliveryPriceSet
    | SettlementDelayed
    | SeriesDelisted
    | PositionSettled
    | ShortfallCovered
    | LiquidationFeeCharged
    | PositionTakenOver
    | DebtRepaid
    | LossShared
    | AccountReset
    | MarketReopening
    | PostOnlyBegan
    | SeriesPaused
    | SeriesResumed
    | HaltSet
    | SuspensionSet
    | LimitsSet
    | RulesChanged
    | TriggerOrderPlaced
    | TriggerOrderEdited
    | TriggerOrderEnded
    | TriggersContinued
    | MassQuoted
    | QuoteRefused
    | MmpConfigSet
    | MmpTriggered
    | MmpResetDone
    | LinkedOrdersPlaced
    | TriggerOrderActivated
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
encode_event = _encoder.encode


def encode_event_array(events: list[Event]) -> bytes:
    """Return the canonical JSON of events in one array."""
    return _encoder.encode(events)


decode_event = _decoder.decode


def encode_events(events: list[Event]) -> list[str]:
    """Return the canonical JSON of each event.

    All are encoded together and split at line breaks, which JSON does not contain; this takes half the time.
    """
    return _encoder.encode_lines(events).decode().split("\n")[:-1]
