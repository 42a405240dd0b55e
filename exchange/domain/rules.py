"""The rules an exchange is born with: recorded in the genesis command, so that every replay plays by them."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from exchange.domain.units import NUMBER_MAX, PPM

RULES_VERSION = 1


class Fees(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parts per million of the premium (price times size), taken from each side of a fill, rounded down."""

    maker_premium_ppm: Annotated[int, Meta(ge=0, le=PPM)] = 0
    taker_premium_ppm: Annotated[int, Meta(ge=0, le=PPM)] = 0


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Configuration that decides outcomes. Cash in micros of USDC; `*_max` and `*_kept` are per user."""

    self_trade_prevention: Literal["cancel_resting", "off"] = "cancel_resting"
    fees: Fees = Fees()
    collateral: Literal["cash_secured"] = "cash_secured"
    starting_cash_micros: Annotated[int, Meta(ge=0, le=NUMBER_MAX)] = 10_000_000_000
    open_orders_max: Annotated[int, Meta(ge=0)] = 10_000
    finished_orders_kept: Annotated[int, Meta(ge=0)] = 10_000
