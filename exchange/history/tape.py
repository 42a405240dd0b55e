"""Events in words: a tape that people read."""

from exchange.amounts import cash, contracts, short_time, usdc
from exchange.domain.events import (
    AccountOpened,
    AllCancelled,
    BalanceChanged,
    CancelOnDisconnectSet,
    Configured,
    DayEnded,
    Deposited,
    Event,
    Forked,
    InstrumentCreated,
    InstrumentStateChanged,
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    OrderRepeated,
    PositionChanged,
    Refused,
    SessionEnded,
    SessionStarted,
    Traded,
    Withdrawn,
)
from exchange.domain.units import MILLI_PER_CONTRACT, US_PER_SECOND


def in_words(event: Event) -> str:
    """What happened, in one line."""
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
            return f"{event.count} {'order' if event.count == 1 else 'orders'} of {event.user_id} cancelled in all"
        case PositionChanged():
            return (
                f"{event.user_id} now holds {contracts(event.quantity_milli)} {event.instrument_id}, "
                f"collateral {cash(event.locked_micros)}"
            )
        case BalanceChanged():
            return f"{event.user_id} now has {cash(event.cash_micros)} USDC, {cash(event.locked_micros)} of it locked"
        case Refused():
            return f"refused: {event.reason.value}" + (f", asked by {event.user_id}" if event.user_id else "")
        case _:
            return _administration(event)


def concerns(event: Event, user_id: str | None, instrument_id: str | None) -> bool:
    """Whether an event is about this user and this instrument; None: any."""
    users = [getattr(event, name, None) for name in ("user_id", "maker_user_id", "taker_user_id")]
    return (user_id is None or user_id in users) and (
        instrument_id is None or getattr(event, "instrument_id", None) == instrument_id
    )


def _accepted(event: OrderAccepted) -> str:
    price = "at market" if event.price_micros is None else f"@ {usdc(event.price_micros)}"
    more = (", post-only" if event.post_only else "") + (
        f", {event.client_order_id!r}" if event.client_order_id else ""
    )
    return (
        f"order {event.order_id}: {event.user_id} {_verb(event.side)} {contracts(event.size_milli)} "
        f"{event.instrument_id} {price}, {event.time_in_force}{more}"
    )


def _traded(event: Traded) -> str:
    preposition = "from" if event.taker_side == "bid" else "to"
    fees = event.maker_fee_micros + event.taker_fee_micros
    return (
        f"trade {event.trade_id}: {event.taker_user_id} {_verb(event.taker_side)} {contracts(event.size_milli)} "
        f"{event.instrument_id} {preposition} {event.maker_user_id} @ {usdc(event.price_micros)}, "
        f"{cash(event.price_micros * event.size_milli // MILLI_PER_CONTRACT)} USDC"
        f" (orders {event.taker_order_id} and {event.maker_order_id})" + (f", fees {cash(fees)}" if fees else "")
    )


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
        case _:
            raise AssertionError(f"an event without words: {event!r}")


def _verb(side: str) -> str:
    return "buys" if side == "bid" else "sells"
