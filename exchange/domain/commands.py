"""Commands: what is asked of the exchange, in the imperative. The journal holds their canonical JSON.

A tag (`kind`) never changes its meaning and a field keeps its unit for ever, for old journals must replay; a new field
gets a default. Fields are written in the order given here, which is what makes the JSON canonical.
"""

import msgspec
from msgspec import UNSET, UnsetType

from exchange.domain.enums import OrderType, Side, TimeInForce
from exchange.domain.rules import RULES_VERSION, Rules


class _Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, tag_field="kind"):
    pass


class Genesis(_Command, frozen=True, tag="genesis"):
    """The first command of every journal: by which rules everything after it is decided."""

    rules: Rules = Rules()
    rules_version: int = RULES_VERSION
    note: str = ""


class StartSession(_Command, frozen=True, tag="start_session"):
    """The server came up. Connections of the run before are gone: cancel-on-disconnect takes effect for them."""

    program_version: str


class EndSession(_Command, frozen=True, tag="end_session"):
    """The server goes down in good order. A session without this one ended in a crash."""


class Fork(_Command, frozen=True, tag="fork"):
    """From here on this is an exchange of its own: up to seq `parent_seq` it was the journal named `parent`.

    `parent_hash` is the hash of that journal there, in hexadecimal, and so the one that this command is chained to.
    """

    parent: str
    parent_seq: int
    parent_hash: str


class OpenAccount(_Command, frozen=True, tag="open_account"):
    """Open an account for `user_id` with `cash_micros` of paper money."""

    user_id: str
    cash_micros: int


class Deposit(_Command, frozen=True, tag="deposit"):
    user_id: str
    amount_micros: int


class Withdraw(_Command, frozen=True, tag="withdraw"):
    user_id: str
    amount_micros: int


class CreateInstrument(_Command, frozen=True, tag="create_instrument"):
    """List the option that `instrument_id` describes."""

    instrument_id: str
    tick_micros: int
    min_size_milli: int


class PauseInstrument(_Command, frozen=True, tag="pause_instrument"):
    """Refuse new orders and edits (1014); cancelling stays possible."""

    instrument_id: str


class ResumeInstrument(_Command, frozen=True, tag="resume_instrument"):
    instrument_id: str


class PlaceOrder(_Command, frozen=True, tag="place_order"):
    """`price_micros` is None for market orders, and only for them.

    `reduce_only`: of the size only what brings the position nearer to zero, for orders that never rest.
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
    reduce_only: bool | UnsetType = UNSET  # only ever True: journals written before it was known have no such field


class EditOrder(_Command, frozen=True, tag="edit_order"):
    """Give an open order a new price, a new total size (`size_milli`, filled part included), or both.

    The order is named by `order_id` or by `client_order_id`, never by both.
    """

    user_id: str
    order_id: int | None = None
    client_order_id: str | None = None
    price_micros: int | None = None
    size_milli: int | None = None


class CancelOrder(_Command, frozen=True, tag="cancel_order"):
    """Named by `order_id` or by `client_order_id`; where `instrument_id` is given, the order must be in it."""

    user_id: str
    order_id: int | None = None
    client_order_id: str | None = None
    instrument_id: str | None = None


class CancelAll(_Command, frozen=True, tag="cancel_all"):
    """Cancel every open order of the user, in one instrument or in all of them."""

    user_id: str
    instrument_id: str | None = None


class SetCancelOnDisconnect(_Command, frozen=True, tag="set_cancel_on_disconnect"):
    """Whether the user's orders are to be cancelled when the connection, or the server itself, goes."""

    user_id: str
    enabled: bool


class Disconnect(_Command, frozen=True, tag="disconnect"):
    """A connection with cancel-on-disconnect is gone. `still_enabled`: the user has another such connection."""

    user_id: str
    still_enabled: bool


class SetIndexPrice(_Command, frozen=True, tag="set_index_price"):
    """The index of `asset` is at `price_micros` from here on. `forced`: however far it jumps."""

    asset: str
    price_micros: int
    forced: bool = False


class SettleSeries(_Command, frozen=True, tag="settle_series"):
    """Settle an expired series that waits for a delivery price, at this one."""

    asset: str
    expiration_s: int
    price_micros: int


class PauseSeries(_Command, frozen=True, tag="pause_series"):
    """Pause every live instrument of `asset` (None: of all) that expires at `expiration_s` (None: whenever)."""

    asset: str | None = None
    expiration_s: int | None = None


class ResumeSeries(_Command, frozen=True, tag="resume_series"):
    asset: str | None = None
    expiration_s: int | None = None


class SetHalt(_Command, frozen=True, tag="set_halt"):
    """While halted, new orders and edits are refused everywhere (1009); reads and cancellations go on."""

    halted: bool


class SetSuspended(_Command, frozen=True, tag="set_suspended"):
    """A suspended user's new orders and edits are refused (1025); what is open stays and may be cancelled."""

    user_id: str
    suspended: bool


class SetLimits(_Command, frozen=True, tag="set_limits"):
    """The user's own limits, in place of those of the rules; None: those of the rules hold."""

    user_id: str
    open_orders_max: int | None = None
    position_max_milli: int | None = None


class CancelUserOrders(_Command, frozen=True, tag="cancel_user_orders"):
    """The administrator cancels the user's open orders, in one instrument or in all of them."""

    user_id: str
    instrument_id: str | None = None


class ChangeRules(_Command, frozen=True, tag="change_rules"):
    """From here on these rules hold, all of them."""

    rules: Rules


class EndDay(_Command, frozen=True, tag="end_day"):
    """The clock passed 08:00 UTC: day orders end, series with `expiration <= day_end_us` expire, others list."""

    day_end_us: int


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
    | StartSession
    | EndSession
    | Fork
    | Genesis
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
encode_command = _encoder.encode  # to canonical JSON, as bytes
decode_command = _decoder.decode  # raises msgspec.ValidationError for a command this program does not know


def encode_commands(commands: list[Command]) -> list[str]:
    """The canonical JSON of each. Encoded in one go, which takes half the time: JSON has no line breaks within."""
    return _encoder.encode_lines(commands).decode().split("\n")[:-1]
