"""Rules as people write them: settings such as `market.fees=deribit`, files in TOML or JSON, `SOL:10` for a series."""

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from exchange.amounts import parse_usdc
from exchange.domain.rules import FEE_PROFILES, Fees, Rules, Series, market_of, validation_error
from exchange.runtime.server_settings import DEFAULT_RULES

_PROFILES = " or ".join(FEE_PROFILES)


class RulesError(ValueError):
    """There can be no such rules; the message names the value that is wrong, and says what is possible."""


def edited_rules(rules: Rules, settings: Iterable[str]) -> Rules:
    """The rules with these settings, lines like `market.index_age_max_s=30`.

    RulesError where there is no such rule, no such value of it, or where together they contradict themselves.
    """
    for setting in settings:
        fields: dict[str, Any] = msgspec.to_builtins(rules)
        name, equals, text = setting.partition("=")
        *groups, last = name.split(".")
        group: Any = fields
        for part in groups:
            group = _part_of(group, part)
        if not equals or not isinstance(group, dict) or (last not in group and name != "market"):
            raise RulesError(f"--set {setting}: write NAME=VALUE, with one of these names: {_names(rules)}")
        group[last] = _value(text)
        rules = _rules(fields, f"--set {setting}")
    return _sound(rules)


def read_rules(file: Path) -> Rules:
    """The rules in a file, TOML or JSON; what it does not name is as in new journals. RulesError, OSError."""
    try:
        text = file.read_text(encoding="utf-8")
        fields = msgspec.json.decode(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.DecodeError) as error:
        raise RulesError(f"{file} is neither TOML nor JSON: {error}") from error
    market, fees = fields.setdefault("market", {}), fields.get("fees")
    if isinstance(fees, str) and fees in FEE_PROFILES and isinstance(market, dict) and "fees" in market:
        raise RulesError(f"{file}: fees = {fees!r} says what market.fees says too: leave one of them out")
    return _sound(_rules(fields, str(file)), f"{file}: ")


def parse_series(text: str) -> Series:
    """What `ASSET:SPACING[:STRIKES_EACH_SIDE[:TICK]]` lists, spacing and tick in USDC; RulesError."""
    asset, *numbers = text.split(":")
    if not 1 <= len(numbers) <= 3 or not all(number.isascii() and number.isdecimal() for number in numbers[:2]):
        raise RulesError(
            f"{text!r} is no series: write ASSET:SPACING[:STRIKES_EACH_SIDE[:TICK]], such as SOL:10 or BTC:1000:8:5"
        )
    names = ("strike_spacing_usdc", "strikes_each_side")
    fields: dict[str, Any] = {"asset": asset.upper(), **dict(zip(names, map(int, numbers[:2]), strict=False))}
    try:
        if len(numbers) == 3:
            fields["tick_micros"] = parse_usdc(numbers[2])
        return msgspec.convert(fields, Series)
    except ValueError as error:  # msgspec's too
        raise RulesError(f"{text!r} is no series: {error}") from error


def with_series(rules: Rules, series: Sequence[Series]) -> Rules:
    """The rules, and these assets listed so, in place of how they were; RulesError where that cannot be."""
    if not series:
        return rules
    market = market_of(rules)
    if market is None:
        raise RulesError("rules without a market list no series: give them one with --set market={}")
    assets = [one.asset for one in series]
    kept = [one for one in market.series if one.asset not in assets]
    return _sound(replace(rules, market=replace(market, series=(*kept, *series))))


def flat_settings(rules: Rules) -> dict[str, str]:
    """Every rule by the name that `edited_rules` knows it by, with its value as it is written there."""
    return dict(_leaves(msgspec.to_builtins(rules)))


def _rules(fields: dict[str, Any], where: str) -> Rules:
    """The rules that these fields make; `where` they are written begins the message of a RulesError."""
    _spell_fees_out(fields, where)
    if fields.get("market", ...) is None:
        del fields["market"]
    try:
        return msgspec.convert(fields, Rules)
    except msgspec.ValidationError as error:
        names = f"; the rules are {_names(DEFAULT_RULES)}" if "unknown field" in str(error) else ""
        raise RulesError(f"{where}: {error}{names}") from error


def _spell_fees_out(fields: dict[str, Any], where: str) -> None:
    """Fees may be named: `fees=deribit` is all of a profile, `market.fees=deribit` its fees of the index, and
    `fees=100/200` those of maker and taker in parts per million of the premium.
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
                raise RulesError(f"{where}: these are fees of an index, and rules without a market have none")
        else:
            how = f"write fees=MAKER/TAKER in parts per million, such as fees=100/200, or fees={_PROFILES}"
            raise RulesError(f"{where}: {name!r} are no fees: {how}")
    if isinstance(market, dict) and isinstance(name := market.get("fees"), str):
        if name not in FEE_PROFILES:
            raise RulesError(f"{where}: {name!r} is no profile of fees: write {_PROFILES}")
        market["fees"] = msgspec.to_builtins(FEE_PROFILES[name])


def _sound(rules: Rules, where: str = "") -> Rules:
    if (sentence := validation_error(rules)) is not None:
        raise RulesError(f"{where}these rules contradict themselves: {sentence}")
    return rules


def _part_of(group: Any, name: str) -> Any:
    """What a group holds under this name; among series the one of this asset. None where there is nothing."""
    if isinstance(group, dict):
        return group.get(name)
    if isinstance(group, list | tuple):
        return next((one for one in group if one["asset"] == name), None)
    return None


def _names(rules: Rules) -> str:
    """Everything that can be set."""
    names = [*flat_settings(rules), "market" if market_of(rules) is None else "market.series"]
    return ", ".join(dict.fromkeys(names))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Names with dots between their parts, and values in JSON, or as they are where they are text."""
    group = value
    if isinstance(value, list | tuple) and value:
        group = {one["asset"]: {part: one[part] for part in one if part != "asset"} for one in value}
    if isinstance(group, dict):
        for part, inner in group.items():
            yield from _leaves(inner, f"{name}.{part}" if name else part)
    else:
        yield name, value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _value(text: str) -> Any:
    """JSON where it is that, else the text itself."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
