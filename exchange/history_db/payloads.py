"""Which texts of commands and events the history stores, because its views cannot make them from its tables."""

from msgspec import UNSET

from exchange.domain import commands as c
from exchange.domain import events as e


def stored_payload(command: c.Command, first: e.Event, payload: str) -> str | None:
    """Return `payload`, the JSON of a command, or None if the view `commands` makes the same text.

    `first` is the first event of the command.
    """
    return None if _is_in_tables(command, first) and c.encode_commands([command])[0] == payload else payload


def needs_json(text: str | None) -> bool:
    """True if SQLite may write the JSON of `text` in another way than the exchange does."""
    return text is not None and not (text.isascii() and text.isprintable() and '"' not in text and "\\" not in text)


def _is_in_tables(command: c.Command, first: e.Event) -> bool:
    """True if the tables hold each field of the command."""
    match command:
        case c.PlaceOrder():
            # The exchange makes an order smaller that would do more than to reduce a position.
            is_whole = isinstance(first, e.OrderAccepted) and first.size_milli == command.size_milli
            # The text of an empty label is not that of the order, which has none.
            is_plain = not needs_json(command.client_order_id) and not needs_json(command.label or None)
            is_plain = is_plain and command.label != ""
            is_plain = is_plain and command.reprices is UNSET and command.display_milli is UNSET
            is_plain = is_plain and command.valid_until_us is UNSET and command.type != "market_limit"
            is_plain = is_plain and command.connection is UNSET
            return is_whole and command.reduce_only is not False and is_plain
        case c.EditOrder():
            new = (command.price_micros, command.size_milli)
            is_named = command.order_id is not None and command.client_order_id is None
            is_named = is_named and command.label is UNSET and command.instrument_id is UNSET
            is_named = is_named and command.valid_until_us is UNSET
            return is_named and isinstance(first, e.OrderEdited) and new == (first.price_micros, first.size_milli)
        case c.CancelOrder():
            is_plain = command.client_order_id is None and command.instrument_id is None and command.label is UNSET
            return is_plain and bool(command.order_id) and not needs_json(command.user_id)
        case c.SetIndexPrice():
            return isinstance(first, e.IndexPriceSet)
        case _:
            return False
