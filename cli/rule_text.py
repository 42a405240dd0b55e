"""Rules as text: the value that --set takes, and the same in USDC, contracts and percent."""

from collections.abc import Iterator

from exchange.amounts import cash, contracts
from exchange.domain.rules import Rules
from exchange.runtime.rule_settings import flat_settings

# The columns of a table of rules; the last one is optional.
RULE_COLUMNS = ("rule", "", "as --set takes it")


def rule_rows(rules: Rules) -> Iterator[tuple[str, str, str]]:
    """Yield each rule: its name, its value for people, and its value as --set takes it if that is another text."""
    for name, value in flat_settings(rules).items():
        shown = readable(name, value)
        yield name, shown, "" if shown == value else value


def readable(name: str, value: str) -> str:
    """The value of one rule in USDC, contracts, percent or seconds, by the unit in its name."""
    if name.startswith("market.forwards.") and value.removeprefix("-").isdecimal():
        sign = "-" if value.startswith("-") else ""
        return f"{sign}{_percent(abs(int(value)))} a year"
    if not value.isdecimal():
        return value
    if name.endswith("_micros"):
        return f"{cash(int(value))} USDC"
    if name.endswith("_milli"):
        return f"{contracts(int(value))} contracts"
    if name.endswith("_ppm"):
        return _percent(int(value))
    if name.endswith("_s"):
        return f"{value} s"
    return f"{value} USDC" if name.endswith("_usdc") else value


def _percent(ppm: int) -> str:
    # 1 % is 10,000 parts per million.
    whole, part = divmod(ppm, 10_000)
    return f"{whole}{f'.{part:04d}'.rstrip('0') if part else ''} %"
