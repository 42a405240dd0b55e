"""The results of the methods whose answer is not a read model by itself. Fields are encoded in this order."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from exchange.domain.rules import Rules
from exchange.keys.key import Right
from exchange.projections.order_timeline import TimelineStep
from exchange.projections.wire_types import (
    WIRE_NAMES,
    AccountSummary,
    Balance,
    BookLevel,
    Instrument,
    OrderView,
    PositionView,
    Receipt,
    UserTrade,
)

Ok = Literal["ok"]


class LoginResult(msgspec.Struct, frozen=True, gc=False):
    """`right` and `expires_us` are those of the key that opened the account, if one did."""

    user_id: str
    right: Right | UnsetType = UNSET
    expires_us: int | UnsetType = UNSET


class SubscribeResult(msgspec.Struct, frozen=True):
    """The channels, and the first command that their streams publish live."""

    channels: list[str]
    seq: int


class VersionResult(msgspec.Struct, frozen=True, gc=False):
    version: str


class HaltResult(msgspec.Struct, frozen=True, gc=False):
    """`halted`: only reading and cancelling are possible."""

    halted: bool
    seq: int


class ConfirmedTime(msgspec.Struct, frozen=True, gc=False):
    """Exchange time, and the jump of the system clock that was accepted; 0 if it had not jumped."""

    ts_us: int
    jump_us: int


class MetricsResult(msgspec.Struct, frozen=True):
    """The figures of the running exchange, by the names of its metrics with their labels."""

    ts_us: int
    metrics: dict[str, float | None]


class HeadResult(msgspec.Struct, frozen=True, gc=False):
    """The last command of the journal."""

    seq: int
    ts_us: int
    hash: str


class OrderBookResult(
    msgspec.Struct, frozen=True, rename={"min_price_micros": "min_price", "max_price_micros": "max_price"}
):
    """The best levels of a book, best first, as of command `seq`."""

    instrument_id: str
    seq: int
    ts_us: int
    bids: list[BookLevel]
    asks: list[BookLevel]
    min_price_micros: int | None
    max_price_micros: int | None


class AccountsResult(msgspec.Struct, frozen=True):
    """Accounts in the order in which they were opened, as of command `seq`."""

    accounts: list[AccountSummary]
    seq: int


class InsuranceResult(msgspec.Struct, frozen=True, gc=False, rename={"balance_micros": "balance"}):
    """The cash of the insurance."""

    balance_micros: int
    seq: int


class OrderResult(msgspec.Struct, omit_defaults=True):
    """The order after the command, and its trades: all of them if the order is a `duplicate`."""

    order: OrderView
    trades: list[UserTrade]
    seq: int
    duplicate: bool = False
    receipt: Receipt | UnsetType = UNSET


class DryRunResult(msgspec.Struct, omit_defaults=True):
    """The effects that an order would have: its state, its trades, and the user's balance and position after it."""

    order: OrderView
    trades: list[UserTrade]
    dry_run: bool
    balance: Balance
    position: PositionView
    duplicate: bool = False


class RulesDryRunResult(msgspec.Struct, frozen=True):
    """The effects that a change of rules would have: the accounts that it would liquidate, in that order."""

    rules: Rules
    rules_version: int
    liquidated: list[str]
    seq: int
    dry_run: bool


class TimelineResult(msgspec.Struct, frozen=True):
    """The life of one order, oldest step first."""

    steps: list[TimelineStep]


class SeqResult(msgspec.Struct, frozen=True, gc=False):
    """The command that recorded the change."""

    seq: int
    receipt: Receipt | UnsetType = UNSET


class InstrumentResult(msgspec.Struct, frozen=True):
    instrument: Instrument
    seq: int


class PauseResult(msgspec.Struct, frozen=True, kw_only=True):
    """The instrument that was named; or, for an asset or a series, the `count` of instruments that changed."""

    instrument: Instrument | UnsetType = UNSET
    count: int | UnsetType = UNSET
    seq: int


class SuspensionResult(msgspec.Struct, frozen=True, gc=False):
    user_id: str
    suspended: bool
    seq: int


class UserLimitsResult(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """The user's own limits. Without one, the limit of the rules applies."""

    user_id: str
    open_orders_max: int | None
    position_max_milli: int | None
    seq: int
