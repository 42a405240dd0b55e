"""Commands: requests to the exchange, with names in the imperative. The journal holds their canonical JSON.

Old journals must replay, so a tag (`kind`) never changes its meaning, a field never changes its unit, and a new field
has a default. The JSON is canonical because its fields are in the order of this file.
"""

import msgspec
from msgspec import UNSET, UnsetType

from exchange.domain.enums import (
    FillCondition,
    LinkType,
    OptionType,
    OrderType,
    Side,
    TimeInForce,
    Trigger,
    TriggerType,
)
from exchange.domain.rules import FIRST_RULES_VERSION, Rules


class _Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, tag_field="kind"):
    pass


class Genesis(_Command, frozen=True, tag="genesis"):
    """The first command of every journal, with the rules for the commands after it."""

    rules: Rules = Rules()
    rules_version: int = FIRST_RULES_VERSION
    note: str = ""


class StartSession(_Command, frozen=True, tag="start_session"):
    """A run of the server begins. Cancel-on-disconnect takes effect for the connections of the previous run."""

    program_version: str


class EndSession(_Command, frozen=True, tag="end_session"):
    """A run of the server ends normally. A run without this command still runs, or ended in a crash."""


class Fork(_Command, frozen=True, tag="fork"):
    """The journal was forked: up to seq `parent_seq` it is a copy of the journal named `parent`.

    `parent_hash` is the hash of `parent_seq` in hexadecimal, to which this command is chained.
    """

    parent: str
    parent_seq: int
    parent_hash: str


class RecordLoss(_Command, frozen=True, tag="lost"):
    """In place of a command that the journal lost, after the operator accepted the loss: it has no effect.

    The last one of a loss carries the ids of the next order and the next trade, so that no id is given out twice.
    """

    next_order_id: int | UnsetType = UNSET
    next_trade_id: int | UnsetType = UNSET


class OpenAccount(_Command, frozen=True, tag="open_account"):
    """Open an account for `user_id` with `cash_micros` of paper money."""

    user_id: str
    cash_micros: int


class Deposit(_Command, frozen=True, tag="deposit"):
    """Pay cash into an account."""

    user_id: str
    amount_micros: int


class Withdraw(_Command, frozen=True, tag="withdraw"):
    """Pay cash out of an account."""

    user_id: str
    amount_micros: int


class ResetAccount(_Command, frozen=True, tag="reset_account"):
    """Give an account without positions its starting cash again."""

    user_id: str


class CreateInstrument(_Command, frozen=True, tag="create_instrument"):
    """List the option that `instrument_id` describes.

    `decimal_strike`: the strike may have decimals. Without it such an id is refused, as it was before there were any.
    """

    instrument_id: str
    tick_micros: int
    min_size_milli: int
    decimal_strike: bool | UnsetType = UNSET


class PauseInstrument(_Command, frozen=True, tag="pause_instrument"):
    """Refuse new orders and edits (1014); cancelling stays possible."""

    instrument_id: str


class ResumeInstrument(_Command, frozen=True, tag="resume_instrument"):
    """Accept new orders and edits in a paused instrument again."""

    instrument_id: str


class PlaceOrder(_Command, frozen=True, tag="place_order"):
    """Place an order. `price_micros` is None for market and market_limit orders, and only for them.

    `reduce_only` limits the size to the position that the order reduces. The field is True or missing, because journals
    older than it have no such field. `label` is the user's own name for a group of orders: several orders may have the
    same one. `reprices` is True or missing: a post-only order that would trade then gets the best price at which it
    rests; without it the order is refused. `display_milli` is the part of an iceberg order that the book shows at once.
    If the command comes after `valid_until_us`, it is refused.
    `connection` is the number of the connection that sent it, if that has cancel-on-disconnect for its own orders.
    """

    user_id: str
    instrument_id: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price_micros: int | None
    size_milli: int
    post_only: bool = False
    client_order_id: str | None = None
    reduce_only: bool | UnsetType = UNSET
    label: str | UnsetType = UNSET
    reprices: bool | UnsetType = UNSET
    display_milli: int | UnsetType = UNSET
    valid_until_us: int | UnsetType = UNSET
    connection: int | UnsetType = UNSET


class PlaceTriggerOrder(_Command, frozen=True, tag="place_trigger_order"):
    """Place an order that waits for a price and places another order then.

    `trigger_price_micros` is None for trailing stops, and `trigger_offset_micros` for all others. `price_micros` is the
    limit of the order to place, None if that is a market order. The other fields are those of the order to place.
    """

    user_id: str
    instrument_id: str
    side: Side
    type: TriggerType
    trigger: Trigger
    trigger_price_micros: int | None
    trigger_offset_micros: int | None
    time_in_force: TimeInForce
    price_micros: int | None
    size_milli: int
    post_only: bool = False
    client_order_id: str | None = None
    reduce_only: bool | UnsetType = UNSET
    label: str | UnsetType = UNSET
    reprices: bool | UnsetType = UNSET
    display_milli: int | UnsetType = UNSET
    valid_until_us: int | UnsetType = UNSET
    connection: int | UnsetType = UNSET


class PlaceLinkedOrders(_Command, frozen=True, tag="place_linked_orders"):
    """Place two or three orders of one user, of which a fill or the end of one acts on the others. All or none.

    The first order is the primary. `link` is OCO (two orders), OTO (two) or OTOCO (three): the primary of OTO and OTOCO
    places the others when it fills, and in OCO, and between the last two of OTOCO, one cancels the other.
    `fill_condition`: any fill acts in full (first_hit), only that of the last contract (complete_fill), or each fill in
    proportion (incremental).
    """

    user_id: str
    link: LinkType
    fill_condition: FillCondition
    orders: list[PlaceOrder | PlaceTriggerOrder]


class ContinueTriggers(_Command, frozen=True, tag="continue_triggers"):
    """Trigger the orders that a price has met and that one command could not all trigger."""


class EditOrder(_Command, frozen=True, tag="edit_order"):
    """Give an open order a new price, a new total size (`size_milli`, filled part included), or both.

    An untriggered order may also get another trigger price or, a trailing stop, another offset.

    The order is named by one of `order_id`, `client_order_id` and `label`; a label must be that of one open order only.
    If `instrument_id` is given, the order must be in that. If the command comes after `valid_until_us`, it is refused.
    """

    user_id: str
    order_id: int | None = None
    client_order_id: str | None = None
    price_micros: int | None = None
    size_milli: int | None = None
    label: str | UnsetType = UNSET
    instrument_id: str | UnsetType = UNSET
    trigger_price_micros: int | UnsetType = UNSET
    trigger_offset_micros: int | UnsetType = UNSET
    valid_until_us: int | UnsetType = UNSET


class CancelOrder(_Command, frozen=True, tag="cancel_order"):
    """Cancel the order with this `order_id`, `client_order_id` or `label`; a label must be that of one open order only.

    If `instrument_id` is given, the order must be in that.
    """

    user_id: str
    order_id: int | None = None
    client_order_id: str | None = None
    instrument_id: str | None = None
    label: str | UnsetType = UNSET


class CancelAll(_Command, frozen=True, tag="cancel_all"):
    """Cancel every open order of the user that fits: by instrument, asset, type of option, and label."""

    user_id: str
    instrument_id: str | None = None
    asset: str | UnsetType = UNSET
    option_type: OptionType | UnsetType = UNSET
    label: str | UnsetType = UNSET


class QuoteSide(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One side of a quote. `size_milli` is the size that is open after the command; 0 cancels, None leaves it.

    `post_only`: the side is refused if it would trade.
    """

    price_micros: int
    size_milli: int | None
    post_only: bool = False


class InstrumentQuote(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The quotes of one instrument in a mass quote. A side that is missing stays as it is."""

    instrument_id: str
    bid: QuoteSide | UnsetType = UNSET
    ask: QuoteSide | UnsetType = UNSET
    quote_set_id: str | UnsetType = UNSET


class MassQuote(_Command, frozen=True, tag="mass_quote"):
    """Place or replace many two-sided quotes of an MMP group. `quote_id` is the client's own name for the command."""

    user_id: str
    mmp_group: str
    quote_id: str
    quotes: list[InstrumentQuote]
    connection: int | UnsetType = UNSET


class CancelQuotes(_Command, frozen=True, tag="cancel_quotes"):
    """Cancel the user's quotes that fit: by instrument, asset, MMP group, quote set and delta.

    The delta of an option is that of its model mark, in millionths; negative for puts. Both limits are included.
    """

    user_id: str
    instrument_id: str | UnsetType = UNSET
    asset: str | UnsetType = UNSET
    mmp_group: str | UnsetType = UNSET
    quote_set_id: str | UnsetType = UNSET
    min_delta_ppm: int | UnsetType = UNSET
    max_delta_ppm: int | UnsetType = UNSET


class SetMmpConfig(_Command, frozen=True, tag="set_mmp_config"):
    """Set the limits of an MMP group, or create it. `interval_s` of 0 removes the group and cancels its quotes.

    `frozen_s` of 0: the group stays frozen until ResetMmp. A limit that is missing is not checked. The vega is in
    micros for a volatility that is one point higher.
    """

    user_id: str
    mmp_group: str
    asset: str
    interval_s: int
    frozen_s: int
    quantity_limit_milli: int | UnsetType = UNSET
    delta_limit_milli: int | UnsetType = UNSET
    vega_limit_micros: int | UnsetType = UNSET


class ResetMmp(_Command, frozen=True, tag="reset_mmp"):
    """End the freeze of an MMP group, and begin its next interval with the next fill."""

    user_id: str
    mmp_group: str


class SetCancelOnDisconnect(_Command, frozen=True, tag="set_cancel_on_disconnect"):
    """Switch cancel-on-disconnect: if enabled, a lost connection or a stopped server cancels the user's orders.

    `enabled` is about all orders of the user. `connection` is one that has it for its own orders from now on; commands
    that place orders name it. The orders of `released` no longer depend on that connection.
    """

    user_id: str
    enabled: bool
    connection: int | UnsetType = UNSET
    released: int | UnsetType = UNSET


class Disconnect(_Command, frozen=True, tag="disconnect"):
    """A connection with cancel-on-disconnect was lost. `still_enabled`: the user has another such connection.

    If `connection` is given, only the orders of that connection are cancelled.
    """

    user_id: str
    still_enabled: bool
    connection: int | UnsetType = UNSET


class SetIndexPrice(_Command, frozen=True, tag="set_index_price"):
    """Set the index price of `asset`. `forced` skips the check of `index_jump_max`."""

    asset: str
    price_micros: int
    forced: bool = False


class SettleSeries(_Command, frozen=True, tag="settle_series"):
    """Settle an expired series whose settlement is delayed, at this delivery price."""

    asset: str
    expiration_s: int
    price_micros: int


class PauseSeries(_Command, frozen=True, tag="pause_series"):
    """Pause every live instrument of `asset` (None: any asset) that expires at `expiration_s` (None: at any time)."""

    asset: str | None = None
    expiration_s: int | None = None


class ResumeSeries(_Command, frozen=True, tag="resume_series"):
    """Resume every live instrument of `asset` (None: any asset) that expires at `expiration_s` (None: at any time)."""

    asset: str | None = None
    expiration_s: int | None = None


class SetHalt(_Command, frozen=True, tag="set_halt"):
    """Halt the exchange, or end the halt. During a halt, new orders and edits are refused in all instruments (1009)."""

    halted: bool


class SetSuspended(_Command, frozen=True, tag="set_suspended"):
    """Suspend a user, or end the suspension. New orders and edits are refused (1025); open orders stay."""

    user_id: str
    suspended: bool


class SetLimits(_Command, frozen=True, tag="set_limits"):
    """Set the user's own limits, which replace those of the rules; None: the limit of the rules applies."""

    user_id: str
    open_orders_max: int | None = None
    position_max_milli: int | None = None


class CancelUserOrders(_Command, frozen=True, tag="cancel_user_orders"):
    """The administrator cancels the user's open orders, in one instrument or in all of them."""

    user_id: str
    instrument_id: str | None = None


class ChangeRules(_Command, frozen=True, tag="change_rules"):
    """Replace all rules by these. `rules_version` is a new version of the rules; it is missing if that stays."""

    rules: Rules
    rules_version: int | UnsetType = UNSET


class EndDay(_Command, frozen=True, tag="end_day"):
    """08:00 UTC has passed: day orders end, series with `expiration <= day_end_us` expire, new ones are listed.

    `is_before_start` is true before the StartSession of a run of the server: the run before may have crashed.
    """

    day_end_us: int
    is_before_start: bool | UnsetType = UNSET


Command = (
    PlaceOrder
    | CancelOrder
    | EditOrder
    | CancelAll
    | OpenAccount
    | Deposit
    | Withdraw
    | CreateInstrument
    | PauseInstrument
    | ResumeInstrument
    | SetCancelOnDisconnect
    | Disconnect
    | SetIndexPrice
    | EndDay
    | SettleSeries
    | PauseSeries
    | ResumeSeries
    | SetHalt
    | SetSuspended
    | SetLimits
    | CancelUserOrders
    | ChangeRules
    | ResetAccount
    | StartSession
    | EndSession
    | Fork
    | RecordLoss
    | PlaceTriggerOrder
    | ContinueTriggers
    | MassQuote
    | CancelQuotes
    | SetMmpConfig
    | ResetMmp
    | PlaceLinkedOrders
    | Genesis
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
# Encodes to canonical JSON, as bytes.
encode_command = _encoder.encode
# Raises msgspec.ValidationError for a command that this program does not know.
decode_command = _decoder.decode


def encode_commands(commands: list[Command]) -> list[str]:
    """Return the canonical JSON of each command.

    All are encoded together and split at line breaks, which JSON does not contain; this takes half the time.
    """
    return _encoder.encode_lines(commands).decode().split("\n")[:-1]
