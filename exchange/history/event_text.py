"""Events in words: a tape that people read."""

from itertools import islice

from exchange.amounts import cash, contracts, short_time, usdc
from exchange.domain.events import (
    AccountOpened,
    AllCancelled,
    BalanceChanged,
    CancelOnDisconnectSet,
    Configured,
    DayEnded,
    DeliveryPriceSet,
    Deposited,
    Event,
    Forked,
    HaltSet,
    IndexPriceSet,
    InstrumentCreated,
    InstrumentStateChanged,
    LimitsSet,
    LiquidationStarted,
    MarginsChanged,
    MarksSet,
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    OrderRepeated,
    PositionChanged,
    PositionSettled,
    Refused,
    RulesChanged,
    SeriesPaused,
    SeriesResumed,
    SessionEnded,
    SessionStarted,
    SettlementDelayed,
    ShortfallCovered,
    SuspensionSet,
    Traded,
    Withdrawn,
)
from exchange.domain.units import MILLI_PER_CONTRACT, US_PER_SECOND

_MARKS_SHOWN = 3  # of a line; --json has them all


def describe(event: Event, instrument_id: str | None = None) -> str:
    """What happened, in one line; of many marks only that of `instrument_id`, where it is named."""
    match event:
        case OrderAccepted():
            return _accepted(event)
        case Traded():
            return _traded(event)
        case OrderEdited():
            place = "keeps its place" if event.kept_place else "goes to the back of the queue"
            return (
                f"order {event.order_id} of {event.user_id} is now {contracts(event.size_milli)} "
                f"@ {usdc(event.price_micros)}, {contracts(event.remaining_milli)} to fill; it {place}"
            )
        case OrderCancelled():
            return (
                f"order {event.order_id} of {event.user_id} is cancelled ({event.reason}), "
                f"{contracts(event.remaining_milli)} unfilled"
            )
        case OrderRepeated():
            return f"order {event.order_id} of {event.user_id} came once more: nothing changes"
        case AllCancelled():
            return f"{_counted(event.count, 'order')} of {event.user_id} cancelled in all"
        case PositionChanged():
            return (
                f"{event.user_id} now holds {contracts(event.quantity_milli)} {event.instrument_id}, "
                f"collateral {cash(event.locked_micros)}"
            )
        case MarginsChanged():
            return _margins(event, instrument_id)
        case BalanceChanged():
            return _balance(event)
        case Refused():
            return f"refused: {event.reason.value}" + (f", asked by {event.user_id}" if event.user_id else "")
        case _:
            return _of_the_market(event, instrument_id)


def affects(event: Event, user_id: str | None, instrument_id: str | None) -> bool:
    """Whether an event is about this user and this instrument; None: any."""
    users = [getattr(event, name, None) for name in ("user_id", "maker_user_id", "taker_user_id")]
    if user_id is not None and user_id not in users:
        return False
    if isinstance(event, MarksSet):
        return instrument_id is None or instrument_id in event.marks
    if isinstance(event, MarginsChanged):
        return instrument_id is None or instrument_id in event.locked_micros
    return instrument_id is None or getattr(event, "instrument_id", None) == instrument_id


def _accepted(event: OrderAccepted) -> str:
    price = "at market" if event.price_micros is None else f"@ {usdc(event.price_micros)}"
    more = "".join(
        (
            ", post-only" if event.post_only else "",
            ", reduce-only" if event.reduce_only is True else "",
            ", to liquidate" if event.liquidation is True else "",
            f", {event.client_order_id!r}" if event.client_order_id else "",
        )
    )
    return (
        f"order {event.order_id}: {event.user_id} {_verb(event.side)} {contracts(event.size_milli)} "
        f"{event.instrument_id} {price}, {event.time_in_force}{more}"
    )


def _margins(event: MarginsChanged, instrument_id: str | None) -> str:
    """What is locked now for the positions, or for the one in question."""
    locked = event.locked_micros
    if instrument_id is not None:
        return f"{event.user_id}'s collateral in {instrument_id} is {cash(locked[instrument_id])} now"
    return f"{event.user_id}'s collateral in {_counted(len(locked), 'instrument')} is {cash(sum(locked.values()))} now"


def _balance(event: BalanceChanged) -> str:
    has = f"{event.user_id} now has {cash(event.cash_micros)} USDC"
    kept = f", {cash(event.maintenance_micros)} to be kept" if isinstance(event.maintenance_micros, int) else ""
    if event.locked_micros > max(0, event.cash_micros):
        return f"{has}, and {cash(event.locked_micros)} is locked{kept}"
    return f"{has}, {cash(event.locked_micros)} of it locked{kept}"


def _traded(event: Traded) -> str:
    preposition = "from" if event.taker_side == "bid" else "to"
    fees = event.maker_fee_micros + event.taker_fee_micros
    return (
        f"trade {event.trade_id}: {event.taker_user_id} {_verb(event.taker_side)} {contracts(event.size_milli)} "
        f"{event.instrument_id} {preposition} {event.maker_user_id} @ {usdc(event.price_micros)}, "
        f"{cash(event.price_micros * event.size_milli // MILLI_PER_CONTRACT)} USDC"
        f" (orders {event.taker_order_id} and {event.maker_order_id})" + (f", fees {cash(fees)}" if fees else "")
    )


def _of_the_market(event: Event, instrument_id: str | None) -> str:
    match event:
        case IndexPriceSet():
            return f"the index of {event.asset} is {usdc(event.price_micros)}"
        case MarksSet():
            return f"marks on {event.asset}: {_marks(event, instrument_id)}"
        case LiquidationStarted():
            return (
                f"{event.user_id} is liquidated: {cash(event.cash_micros)} USDC, "
                f"and {cash(event.maintenance_micros)} was to be kept"
            )
        case DeliveryPriceSet():
            return f"{_series(event.asset, event.expiration_s)} settle at {usdc(event.price_micros)}"
        case SettlementDelayed():
            return f"{_series(event.asset, event.expiration_s)} wait for a delivery price"
        case PositionSettled():
            is_paid = "is paid" if event.payout_micros > 0 else "pays"
            amount = f"{cash(abs(event.payout_micros))} USDC" if event.payout_micros else "nothing"
            fee = f", fee {cash(event.fee_micros)}" if event.fee_micros else ""
            return (
                f"{event.user_id} {is_paid} {amount} for {contracts(event.quantity_milli)} {event.instrument_id}{fee}"
            )
        case ShortfallCovered():
            return (
                f"the insurance pays {cash(event.amount_micros)} USDC that {event.user_id} cannot, "
                f"{cash(event.shortfall_micros)} in all"
            )
        case _:
            return _administration(event)


def _marks(event: MarksSet, instrument_id: str | None) -> str:
    marks = {instrument_id: event.marks[instrument_id]} if instrument_id in event.marks else event.marks
    shown = [f"{name} {usdc(mark)}" for name, mark in islice(marks.items(), _MARKS_SHOWN)]
    more = len(marks) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _series(asset: str, expiration_s: int) -> str:
    return f"options on {asset} of {short_time(expiration_s * US_PER_SECOND)}"


def _which(asset: str | None, expiration_s: int | None) -> str:
    on = f" on {asset}" if asset is not None else ""
    of = f" of {short_time(expiration_s * US_PER_SECOND)}" if expiration_s is not None else ""
    return on + of


def _counted(count: int, one: str) -> str:
    return f"{count} {one if count == 1 else one + 's'}"


def _administration(event: Event) -> str:
    match event:
        case Configured():
            return f"the exchange begins, rules version {event.rules_version}"
        case SessionStarted():
            return f"the server starts, version {event.program_version}"
        case SessionEnded():
            return "the server stops"
        case Forked():
            return f"from here on a fork of {event.parent}, whose seq {event.parent_seq} was the last in common"
        case AccountOpened():
            return f"account {event.user_id} is opened"
        case Deposited():
            return f"{event.user_id} pays in {cash(event.amount_micros)} USDC"
        case Withdrawn():
            return f"{event.user_id} takes out {cash(event.amount_micros)} USDC"
        case InstrumentCreated():
            return (
                f"{event.instrument_id} is listed: tick {usdc(event.tick_micros)}, "
                f"at least {contracts(event.min_size_milli)}, expires {short_time(event.expiration_s * US_PER_SECOND)}"
            )
        case InstrumentStateChanged():
            return f"{event.instrument_id} is now {event.state}"
        case CancelOnDisconnectSet():
            return f"cancel-on-disconnect of {event.user_id} is {'on' if event.enabled else 'off'}"
        case DayEnded():
            return f"the day ends, {short_time(event.day_end_us)}"
        case SeriesPaused():
            return f"{_counted(event.count, 'instrument')}{_which(event.asset, event.expiration_s)} paused in all"
        case SeriesResumed():
            return f"{_counted(event.count, 'instrument')}{_which(event.asset, event.expiration_s)} resumed in all"
        case HaltSet():
            return "the exchange is halted" if event.halted else "the exchange is no longer halted"
        case SuspensionSet():
            return f"{event.user_id} is {'suspended' if event.suspended else 'no longer suspended'}"
        case LimitsSet():
            return f"limits of {event.user_id}: {_limits(event)}"
        case RulesChanged():
            return "other rules hold from here on"
        case _:
            raise AssertionError(f"an event without words: {event!r}")


def _limits(event: LimitsSet) -> str:
    orders, position_milli = event.open_orders_max, event.position_max_milli
    limits = [
        "open orders as the rules say" if orders is None else f"{_counted(orders, 'open order')} at most",
        "positions as the rules say"
        if position_milli is None
        else f"positions up to {contracts(position_milli)}"
        if position_milli
        else "positions of any size",
    ]
    return ", ".join(limits)


def _verb(side: str) -> str:
    return "buys" if side == "bid" else "sells"
