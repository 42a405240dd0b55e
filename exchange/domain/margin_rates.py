"""Margin profiles: initial and maintenance margins of a short contract.

Margins per contract are in nanos, thousandths of a micro. With the factors 0.15, 0.10 and 0.075 of the standard
profile, every term is a whole number of nanos. The only rounding is the last step, up to the micro.
"""

from typing import NamedTuple

from exchange.domain.rules import Rules
from exchange.domain.units import MILLI_PER_CONTRACT

NANOS_PER_MICRO = 1_000
# Divides (nanos per contract * millicontracts) into micros.
NANOS_PER_CONTRACT_MICRO = NANOS_PER_MICRO * MILLI_PER_CONTRACT


class MarginRates(NamedTuple):
    """The margins of one short contract in nanos: what it locks, and the cash that the account needs to keep it."""

    initial_nanos: int
    maintenance_nanos: int


def margin_rates(
    rules: Rules, is_call: bool, strike_micros: int, index_micros: int | None, mark_micros: int | None
) -> MarginRates:
    """Return the margin rates of a short contract by the profile of the rules; those of its strike without a mark."""
    if rules.collateral == "cash_secured" or index_micros is None or mark_micros is None:
        return cash_secured_rates(strike_micros)
    return standard_rates(is_call, strike_micros, index_micros, mark_micros)


def cash_secured_rates(strike_micros: int) -> MarginRates:
    """The profile `cash_secured`: a short contract locks its strike."""
    return MarginRates(strike_micros * NANOS_PER_MICRO, 0)


def standard_rates(is_call: bool, strike_micros: int, index_micros: int, mark_micros: int) -> MarginRates:
    """The profile `standard`: Deribit's standard margin of a short option, with amounts in USDC.

    Source: "Standard Margin" on support.deribit.com; docs/market.md states the formulas.
    """
    mark_nanos = mark_micros * NANOS_PER_MICRO
    if is_call:
        out_of_money = max(strike_micros - index_micros, 0) * NANOS_PER_MICRO
        maintenance = 75 * index_micros + mark_nanos
        return MarginRates(max(150 * index_micros - out_of_money, 100 * index_micros) + mark_nanos, maintenance)
    out_of_money = max(index_micros - strike_micros, 0) * NANOS_PER_MICRO
    maintenance = max(75 * index_micros, 75 * mark_micros) + mark_nanos
    initial = max(150 * index_micros - out_of_money, 100 * index_micros) + mark_nanos
    return MarginRates(max(initial, maintenance), maintenance)


def nanos_to_micros(nanos: int, milli: int) -> int:
    """Return the margin in micros of `milli` millicontracts at `nanos` per contract, rounded up."""
    return -(-nanos * milli // NANOS_PER_CONTRACT_MICRO)
