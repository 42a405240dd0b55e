"""Numbers: Deribit writes prices in USDC and amounts in contracts as decimals, and times in milliseconds.

Both ways are exact: a price or an amount that is no whole number of micros or millicontracts is refused, never rounded.
"""

from decimal import Decimal

from exchange.domain.reasons import Reason
from exchange.domain.units import MICROS_PER_USDC, MILLI_PER_CONTRACT, NUMBER_MAX
from exchange.gateway.jsonrpc import invalid_params, refused

US_PER_MS = 1_000


def micros_of(price: Decimal, param: str) -> int:
    """A price in micros. Raises RpcError if it is no multiple of a micro, as for any price off the tick."""
    if not _is_in_range(price, MICROS_PER_USDC):
        raise invalid_params(param, f"{param} is beyond the largest price")
    micros = int(price * MICROS_PER_USDC)
    # Decimal numbers compare without rounding; products may be rounded.
    if Decimal(micros).scaleb(-6) != price:
        raise refused(Reason.PRICE_OFF_TICK)
    return micros


def milli_of(amount: Decimal, param: str) -> int:
    """An amount in millicontracts. Raises RpcError -32602 if it is no multiple of 0.001."""
    if not _is_in_range(amount, MILLI_PER_CONTRACT):
        raise invalid_params(param, f"{param} is beyond the largest amount")
    milli = int(amount * MILLI_PER_CONTRACT)
    if Decimal(milli).scaleb(-3) != amount:
        raise invalid_params(param, f"{param} must be a multiple of 0.001")
    return milli


def us_of(timestamp_ms: int) -> int:
    """A time in microseconds."""
    return timestamp_ms * US_PER_MS


def price(micros: int) -> float:
    """A price in USDC. The text of the number is the exact decimal, up to a billion USDC (15 digits)."""
    return micros / MICROS_PER_USDC


def price_or_none(micros: int | None) -> float | None:
    return None if micros is None else micros / MICROS_PER_USDC


def price_or_zero(micros: int | None) -> float:
    """A price in USDC, 0 if there is none, as Deribit writes it."""
    return 0.0 if micros is None else micros / MICROS_PER_USDC


def amount(milli: int) -> float:
    """An amount in contracts."""
    return milli / MILLI_PER_CONTRACT


def ms(us: int) -> int:
    """A time in milliseconds."""
    return us // US_PER_MS


def _is_in_range(number: Decimal, scale: int) -> bool:
    # Compared before it is multiplied: a short text may be a number of a billion digits. `abs` would round it.
    return number.is_finite() and -(NUMBER_MAX // scale) <= number <= NUMBER_MAX // scale
