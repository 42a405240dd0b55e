"""Recorded commands as text: one line per command, or more in a narrow terminal."""

from typing import Any

import msgspec

from exchange.amounts import contracts, iso_time, short_time, usdc
from exchange.cli.output import columns, folded, printable, screen_width
from exchange.domain.units import US_PER_SECOND

# Below the time.
_INDENT = " " * 10
# Fields that a command turns on or off: here False is shown, too.
_SWITCHES = ("enabled", "halted", "suspended")


def record_line(seq: int, ts_us: int, payload: str) -> str:
    """One line with seq, time, kind, user, instrument and the other fields of a command.

    If the terminal is too narrow for it, instrument and fields are on lines of their own.
    """
    fields = msgspec.json.decode(payload, type=dict[str, Any])
    kind, user_id = str(fields.pop("kind", "?")), str(fields.pop("user_id", None) or "")
    instrument_id = str(fields.pop("instrument_id", None) or "")
    first = ((str(seq), -8), (iso_time(ts_us), 27), (kind, 17), (user_id, 10))
    rest = printable(_place_order(fields) if kind == "place_order" else fields_text(fields))
    line = columns(*first, (instrument_id, 25), (rest, 0))
    if len(line) <= (width := screen_width()):
        return line
    below = folded(f"{instrument_id}  {rest}".strip(), width - len(_INDENT)).replace("\n", f"\n{_INDENT}")
    return f"{columns(*first)}\n{_INDENT}{below}"


def _place_order(fields: dict[str, Any]) -> str:
    """The fields of an order: `bid 1 @ 1.50 gtc`, then the others."""
    size, price = contracts(fields.pop("size_milli")), fields.pop("price_micros")
    side, type_, time_in_force = fields.pop("side"), fields.pop("type"), fields.pop("time_in_force")
    where = type_ if price is None else f"@ {usdc(price)}"
    return f"{side} {size} {where} {time_in_force} {fields_text(fields)}"


def fields_text(fields: dict[str, Any]) -> str:
    """All fields that are set, in USDC, contracts and UTC."""
    return " ".join(
        f"{_without_unit(name)}={_value(name, value)}" for name, value in fields.items() if _is_shown(name, value)
    )


def _is_shown(name: str, value: Any) -> bool:
    """True if the field is set. False counts as not set, except for switches."""
    return value is not None and (value is not False or name in _SWITCHES) and value != ""


def _without_unit(name: str) -> str:
    for unit in ("_micros", "_milli", "_us"):
        name = name.removesuffix(unit)
    return name


def _value(name: str, value: Any) -> str:
    match value:
        case dict():
            return "{" + fields_text(value) + "}"
        case list():
            return "[" + ", ".join(_value(name, inner) for inner in value) + "]"
        case bool():
            return "yes" if value else "no"
        case int() if name.endswith("_micros"):
            return usdc(value)
        case int() if name.endswith("_milli"):
            return contracts(value)
        case int() if name.endswith("_us"):
            return iso_time(value)
        case int() if name == "expiration_s":
            return short_time(value * US_PER_SECOND)
        case _:
            return str(value)
