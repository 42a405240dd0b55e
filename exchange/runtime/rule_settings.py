"""Rules as operators write them: settings like `market.fees=deribit`, TOML or JSON files, series rules as `SOL:10`."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from exchange.amounts import parse_usdc
from exchange.domain.rules import FEE_PROFILES, Fees, Rules, Series, market_of, validation_error
from exchange.outside_text import TableError, read_table
from exchange.runtime.rule_faults import sentence_of
from exchange.runtime.server_settings import DEFAULT_RULES

_FORWARDS = ["market", "forwards"]
# Rules that may be missing.
_WITHOUT_DEFAULT = ("market", "market.forwards", "market.settlement.settled_kept_days")
_PROFILES = " or ".join(FEE_PROFILES)


class RulesError(ValueError):
    """Invalid rules. The message names the wrong value and the possible ones."""


def edited_rules(rules: Rules, settings: Iterable[str]) -> Rules:
    """The rules with these settings, each like `market.index_age_max_s=30`.

    Raises RulesError if a name or a value is invalid, or if the rules contradict themselves.
    """
    for setting in settings:
        fields: dict[str, Any] = msgspec.to_builtins(rules)
        name, equals, text = setting.partition("=")
        *groups, last = name.split(".")
        group: Any = fields
        for part in groups:
            group = _part_of(group, part)
        # These have no default, and any expiration may be added.
        is_new = name in _WITHOUT_DEFAULT or groups == _FORWARDS
        if groups == _FORWARDS and group is None and isinstance(market := fields.get("market"), dict):
            group = market["forwards"] = {}
        if not equals or not isinstance(group, dict) or (last not in group and not is_new):
            raise RulesError(f"--set {setting}: expected NAME=VALUE with one of these names: {_names(rules)}")
        group[last] = _value(text)
        rules = _rules(fields, f"--set {setting}")
    return _sound(rules)


def read_rules(file: Path) -> Rules:
    """Read rules from a TOML or JSON file. Others are those of a new journal. Raises RulesError, InputError."""
    try:
        fields = read_table(file)
    except TableError as error:
        raise RulesError(str(error)) from error
    market, fees = fields.setdefault("market", {}), fields.get("fees")
    if isinstance(fees, str) and fees in FEE_PROFILES and isinstance(market, dict) and "fees" in market:
        raise RulesError(f"{file}: fees = {fees!r} and market.fees set the same fees: remove one of them")
    return _sound(_rules(fields, str(file)), f"{file}: ")


def parse_series(text: str) -> Series:
    """Parse `ASSET:SPACING[:STRIKES_EACH_SIDE[:TICK]]`, spacing and tick in USDC. Raises RulesError."""
    asset, *numbers = text.split(":")
    if not 1 <= len(numbers) <= 3 or not all(number.isascii() and number.isdecimal() for number in numbers[:2]):
        raise RulesError(
            f"{text!r} is not a series rule: expected ASSET:SPACING[:STRIKES_EACH_SIDE[:TICK]], "
            "such as SOL:10 or BTC:1000:8:5"
        )
    names = ("strike_spacing_usdc", "strikes_each_side")
    fields: dict[str, Any] = {"asset": asset.upper(), **dict(zip(names, map(int, numbers[:2]), strict=False))}
    try:
        if len(numbers) == 3:
            fields["tick_micros"] = parse_usdc(numbers[2])
        return msgspec.convert(fields, Series)
    except msgspec.ValidationError as error:
        raise RulesError(f"{text!r} is not a series rule: {sentence_of(str(error))}") from error
    except ValueError as error:
        raise RulesError(f"{text!r} is not a series rule: {error}") from error


def with_series(rules: Rules, series: Sequence[Series]) -> Rules:
    """The rules with these series rules, which replace earlier ones of their assets. Raises RulesError."""
    if not series:
        return rules
    market = market_of(rules)
    if market is None:
        raise RulesError("rules without a market cannot list series: add a market with --set market={}")
    assets = [one.asset for one in series]
    kept = [one for one in market.series if one.asset not in assets]
    return _sound(replace(rules, market=replace(market, series=(*kept, *series))))


def flat_settings(rules: Rules) -> dict[str, str]:
    """Every rule by the name that `edited_rules` accepts, with its value as it is written there."""
    return dict(_leaves(msgspec.to_builtins(rules)))


def _rules(fields: dict[str, Any], where: str) -> Rules:
    """The rules with these fields. The message of a RulesError begins with `where`, the place they were written."""
    _spell_fees_out(fields, where)
    if fields.get("market", ...) is None:
        del fields["market"]
    try:
        return msgspec.convert(fields, Rules)
    except msgspec.ValidationError as error:
        names = f"; the rules are {_names(DEFAULT_RULES)}" if "unknown field" in str(error) else ""
        raise RulesError(f"{where}: {sentence_of(str(error))}{names}") from error


def _spell_fees_out(fields: dict[str, Any], where: str) -> None:
    """Replace the short forms of fees by their fields.

    `fees=deribit` is a whole profile, `market.fees=deribit` only its fees of the index. `fees=100/200` are the fees of
    maker and taker in parts per million of the premium.
    """
    market = fields.get("market")
    if isinstance(name := fields.get("fees"), str):
        maker, _, taker = name.partition("/")
        if maker.isdecimal() and taker.isdecimal():
            fields["fees"] = msgspec.to_builtins(Fees(int(maker), int(taker)))
        elif name in FEE_PROFILES:
            fields["fees"] = {}
            if isinstance(market, dict):
                market["fees"] = name
            elif name != "none":
                raise RulesError(f"{where}: {name!r} sets index fees, which need a market: add market={{}}")
        else:
            how = f"expected fees=MAKER/TAKER in parts per million, such as fees=100/200, or fees={_PROFILES}"
            raise RulesError(f"{where}: {name!r} is not valid for fees: {how}")
    if isinstance(market, dict) and isinstance(name := market.get("fees"), str):
        if name not in FEE_PROFILES:
            raise RulesError(f"{where}: {name!r} is not a fee profile: expected {_PROFILES}")
        market["fees"] = msgspec.to_builtins(FEE_PROFILES[name])


def _sound(rules: Rules, where: str = "") -> Rules:
    if (sentence := validation_error(rules)) is not None:
        raise RulesError(f"{where}these rules contradict themselves: {sentence}")
    return rules


def _part_of(group: Any, name: str) -> Any:
    """The part of a group with this name; among series rules, the one of this asset. None if there is none."""
    if isinstance(group, dict):
        return group.get(name)
    if isinstance(group, list | tuple):
        return next((one for one in group if one["asset"] == name), None)
    return None


def _names(rules: Rules) -> str:
    """The names of all rules that can be set, for error messages."""
    names = [*flat_settings(rules), *(["market"] if market_of(rules) is None else ["market.series", "market.forwards"])]
    return ", ".join(dict.fromkeys(names))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted names and their values: text unchanged, other values in JSON."""
    group = value
    if isinstance(value, list | tuple) and value:
        group = {one["asset"]: {part: one[part] for part in one if part != "asset"} for one in value}
    if isinstance(group, dict):
        for part, inner in group.items():
            yield from _leaves(inner, f"{name}.{part}" if name else part)
    else:
        yield name, value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _value(text: str) -> Any:
    """Decode JSON. Text that is not JSON stays text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
