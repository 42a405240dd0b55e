"""Commands: what is asked of the exchange, in the imperative. The journal holds their canonical JSON.

A tag (`kind`) never changes its meaning and a field keeps its unit for ever, for old journals must replay; a new field
gets a default. Fields are written in the order given here, which is what makes the JSON canonical.
"""

import msgspec

from exchange.domain.rules import RULES_VERSION, Rules
from exchange.domain.words import OrderType, Side, TimeInForce


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
    """`price_micros` is None for market orders, and only for them."""

    user_id: str
    instrument_id: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price_micros: int | None
    size_milli: int
    post_only: bool = False
    client_order_id: str | None = None


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


class EndDay(_Command, frozen=True, tag="end_day"):
    """The clock passed 08:00 UTC: day orders end, and series with `expiration <= day_end_us` expire."""

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
    | EndDay
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
