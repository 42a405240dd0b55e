"""Events as sentences for people."""

from itertools import islice

from msgspec import UNSET

from exchange.amounts import cash, contracts, short_time, usdc
from exchange.domain.events import (
    AccountOpened,
    AccountReset,
    AllCancelled,
    BalanceChanged,
    CancelOnDisconnectSet,
    CommandLost,
    Configured,
    DayEnded,
    DebtRepaid,
    DeliveryPriceSet,
    Deposited,
    Event,
    Forked,
    HaltSet,
    IndexPriceSet,
    InstrumentCreated,
    InstrumentStateChanged,
    LimitsSet,
    LinkedOrdersPlaced,
    LiquidationFeeCharged,
    LiquidationStarted,
    LossShared,
    MarginsChanged,
    MarketReopening,
    MarksSet,
    MassQuoted,
    MmpConfigSet,
    MmpResetDone,
    MmpTriggered,
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    OrderRepeated,
    PositionChanged,
    PositionSettled,
    PositionTakenOver,
    PostOnlyBegan,
    QuoteRefused,
    Refused,
    RulesChanged,
    SeriesDelisted,
    SeriesPaused,
    SeriesResumed,
    SessionEnded,
    SessionStarted,
    SettlementDelayed,
    ShortfallCovered,
    SurfaceSet,
    SuspensionSet,
    Traded,
    TriggerOrderActivated,
    TriggerOrderEdited,
    TriggerOrderEnded,
    TriggerOrderPlaced,
    TriggersContinued,
    Withdrawn,
)
from exchange.domain.units import MILLI_PER_CONTRACT, US_PER_SECOND
from exchange.history.quote_text import describe_quotes
from exchange.history_db.trigger_text import describe_trigger

# Marks in one line. The --json output of the commands has all of them.
_MARKS_SHOWN = 3


def describe(event: Event, instrument_id: str | None = None) -> str:
    """Describe an event in one line. With `instrument_id`, lines about many instruments show only that one."""
    match event:
        case OrderAccepted():
            return _accepted(event)
        case Traded():
            return _traded(event)
        case OrderEdited(cause="reduce_only"):
            return (
                f"order {event.order_id} of {event.user_id} shrinks with the position to "
                f"{contracts(event.size_milli)}, {contracts(event.remaining_milli)} remaining"
            )
        case OrderEdited():
            queue = "keeps its place in the queue" if event.kept_place else "goes to the back of the queue"
            return (
                f"order {event.order_id} of {event.user_id} is edited to {contracts(event.size_milli)} "
                f"@ {usdc(event.price_micros)}, {contracts(event.remaining_milli)} remaining; it {queue}"
            )
        case OrderCancelled():
            return (
                f"order {event.order_id} of {event.user_id} is cancelled ({_reason(event)}), "
                f"{contracts(event.remaining_milli)} remaining"
            )
        case OrderRepeated():
            return f"order {event.order_id} of {event.user_id} was sent again: nothing changes"
        case AllCancelled():
            return f"{_counted(event.count, 'order')} of {event.user_id} cancelled in total"
        case PositionChanged():
            return (
                f"{event.user_id} now has a position of {contracts(event.quantity_milli)} {event.instrument_id}, "
                f"margin {cash(event.locked_micros)}"
            )
        case MarginsChanged():
            return _margins(event, instrument_id)
        case BalanceChanged():
            return _balance(event)
        case Refused():
            return f"refused: {event.reason.value}" + (f", sent by {event.user_id}" if event.user_id else "")
        case _:
            return _describe_market(event, instrument_id)


def affects(event: Event, user_id: str | None, instrument_id: str | None) -> bool:
    """Return True if an event is about this user and this instrument. None stands for any."""
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
    terms = "".join(
        (
            ", market limit" if event.type == "market_limit" else "",
            ", post-only" if event.post_only else "",
            ", reduce-only" if event.reduce_only is True else "",
            f", showing {contracts(event.display_milli)}" if isinstance(event.display_milli, int) else "",
            ", liquidation" if event.liquidation is True else "",
            f", {event.client_order_id!r}" if event.client_order_id else "",
            f", label {event.label!r}" if event.label else "",
            f", placed by trigger order {event.trigger_order_id}" if event.trigger_order_id else "",
        )
    )
    return (
        f"order {event.order_id}: {event.user_id} {_verb(event.side)} {contracts(event.size_milli)} "
        f"{event.instrument_id} {price}, {event.time_in_force}{terms}"
    )


def _margins(event: MarginsChanged, instrument_id: str | None) -> str:
    locked = event.locked_micros
    if instrument_id is not None:
        return f"{event.user_id}'s margin in {instrument_id} is now {cash(locked[instrument_id])}"
    return f"{event.user_id}'s margin in {_counted(len(locked), 'instrument')} is now {cash(sum(locked.values()))}"


def _balance(event: BalanceChanged) -> str:
    has = f"{event.user_id} now has {cash(event.cash_micros)} USDC"
    maintenance = (
        f", maintenance margin {cash(event.maintenance_micros)}" if isinstance(event.maintenance_micros, int) else ""
    )
    if event.locked_micros > max(0, event.cash_micros):
        return f"{has}, and {cash(event.locked_micros)} is locked{maintenance}"
    return f"{has}, {cash(event.locked_micros)} of it locked{maintenance}"


def _traded(event: Traded) -> str:
    preposition = "from" if event.taker_side == "bid" else "to"
    fees = event.maker_fee_micros + event.taker_fee_micros
    return (
        f"trade {event.trade_id}: {event.taker_user_id} {_verb(event.taker_side)} {contracts(event.size_milli)} "
        f"{event.instrument_id} {preposition} {event.maker_user_id} @ {usdc(event.price_micros)}, "
        f"{cash(event.price_micros * event.size_milli // MILLI_PER_CONTRACT)} USDC"
        f" (orders {event.taker_order_id} and {event.maker_order_id})" + (f", fees {cash(fees)}" if fees else "")
    )


def _describe_market(event: Event, instrument_id: str | None) -> str:
    match event:
        case TriggerOrderPlaced() | TriggerOrderEdited() | TriggerOrderEnded() | TriggersContinued():
            return describe_trigger(event)
        case LinkedOrdersPlaced() | TriggerOrderActivated():
            return describe_trigger(event)
        case MassQuoted() | QuoteRefused() | MmpConfigSet() | MmpTriggered() | MmpResetDone():
            return describe_quotes(event)
        case IndexPriceSet():
            return f"the index of {event.asset} is {usdc(event.price_micros)}"
        case MarksSet():
            return f"{event.asset} marks: {_marks(event, instrument_id)}"
        case SurfaceSet():
            smiles = (f"{_series(event.asset, smile[0])} {smile[1] / 10_000:g} %" for smile in event.smiles)
            return f"volatility at the money: {', '.join(smiles)}"
        case LiquidationStarted():
            return (
                f"{event.user_id} is liquidated: {cash(event.cash_micros)} USDC, "
                f"below the maintenance margin of {cash(event.maintenance_micros)}"
            )
        case DeliveryPriceSet():
            return f"{_series(event.asset, event.expiration_s)} settle at {usdc(event.price_micros)}"
        case SettlementDelayed():
            return f"{_series(event.asset, event.expiration_s)} cannot settle yet: there is no delivery price"
        case SeriesDelisted():
            return f"{_series(event.asset, event.expiration_s)} are no longer listed"
        case PositionSettled():
            verb = "receives" if event.payout_micros > 0 else "pays"
            amount = f"{cash(abs(event.payout_micros))} USDC" if event.payout_micros else "nothing"
            fee = f", fee {cash(event.fee_micros)}" if event.fee_micros else ""
            return f"{event.user_id} {verb} {amount} for {contracts(event.quantity_milli)} {event.instrument_id}{fee}"
        case ShortfallCovered():
            return (
                f"the insurance pays {cash(event.amount_micros)} USDC that {event.user_id} lacks, "
                f"{cash(event.shortfall_micros)} in total"
            )
        case LiquidationFeeCharged():
            return f"{event.user_id} pays a liquidation fee of {cash(event.amount_micros)} USDC to the insurance"
        case PositionTakenOver():
            what = f"{contracts(event.quantity_milli)} {event.instrument_id} of {event.user_id}"
            return f"the insurance takes over {what} at the mark of {usdc(event.price_micros)}"
        case DebtRepaid():
            left = f", {cash(event.shortfall_micros)} left" if event.shortfall_micros else ""
            return f"{event.user_id} repays {cash(event.amount_micros)} USDC of its debt to the insurance{left}"
        case LossShared():
            return (
                f"{event.user_id}, who won {cash(event.won_micros)} USDC, bears {cash(event.amount_micros)} USDC "
                "of the losses that the insurance does not pay"
            )
        case _:
            return _describe_administration(event)


def _marks(event: MarksSet, instrument_id: str | None) -> str:
    marks = {instrument_id: event.marks[instrument_id]} if instrument_id in event.marks else event.marks
    shown = [f"{name} {usdc(mark)}" for name, mark in islice(marks.items(), _MARKS_SHOWN)]
    more = len(marks) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _series(asset: str, expiration_s: int) -> str:
    return f"options on {asset} of {short_time(expiration_s * US_PER_SECOND)}"


def _selection(asset: str | None, expiration_s: int | None) -> str:
    on = f" on {asset}" if asset is not None else ""
    of = f" of {short_time(expiration_s * US_PER_SECOND)}" if expiration_s is not None else ""
    return on + of


def _reason(event: OrderCancelled) -> str:
    return event.reason if event.linked_order_id is UNSET else f"{event.reason} {event.linked_order_id}"


def _counted(count: int, one: str) -> str:
    return f"{count} {one if count == 1 else one + 's'}"


def _describe_administration(event: Event) -> str:
    match event:
        case Configured():
            return f"the exchange begins, rules version {event.rules_version}"
        case SessionStarted():
            return f"the server starts, version {event.program_version}"
        case SessionEnded():
            return "the server stops"
        case Forked():
            return f"this journal is a fork of {event.parent}; seq {event.parent_seq} is the last common command"
        case CommandLost():
            return f"this command was lost; the next order id is {event.next_order_id}"
        case AccountOpened():
            return f"account {event.user_id} is opened"
        case Deposited():
            return f"{event.user_id} deposits {cash(event.amount_micros)} USDC"
        case MarketReopening():
            return "the market reopens: until the next index price, orders can only be cancelled"
        case PostOnlyBegan():
            return f"only post-only orders on {event.asset} are accepted until {short_time(event.until_us)}"
        case AccountReset():
            return f"account {event.user_id} is reset to its starting cash; paid in: {cash(event.amount_micros)} USDC"
        case Withdrawn():
            return f"{event.user_id} withdraws {cash(event.amount_micros)} USDC"
        case InstrumentCreated():
            return (
                f"{event.instrument_id} is listed: tick {usdc(event.tick_micros)}, minimum size "
                f"{contracts(event.min_size_milli)}, expires {short_time(event.expiration_s * US_PER_SECOND)}"
            )
        case InstrumentStateChanged():
            return f"{event.instrument_id} is now {event.state}"
        case CancelOnDisconnectSet():
            switch = f"cancel-on-disconnect of {event.user_id} is {'on' if event.enabled else 'off'}"
            if event.connection is not UNSET:
                return f"{switch}; on for the orders of connection {event.connection}"
            return switch if event.released is UNSET else f"{switch}; off for those of connection {event.released}"
        case DayEnded():
            return f"the day ends, {short_time(event.day_end_us)}"
        case SeriesPaused():
            return f"{_counted(event.count, 'instrument')}{_selection(event.asset, event.expiration_s)} paused in total"
        case SeriesResumed():
            return (
                f"{_counted(event.count, 'instrument')}{_selection(event.asset, event.expiration_s)} resumed in total"
            )
        case HaltSet():
            return "the exchange is halted" if event.halted else "the exchange is no longer halted"
        case SuspensionSet():
            return f"{event.user_id} is {'suspended' if event.suspended else 'no longer suspended'}"
        case LimitsSet():
            return f"limits of {event.user_id}: {_limits(event)}"
        case RulesChanged():
            version = f", version {event.rules_version}" if event.rules_version else ""
            return f"new rules are in force{version}"
        case _:
            raise AssertionError(f"an event without a description: {event!r}")


def _limits(event: LimitsSet) -> str:
    orders, position_milli = event.open_orders_max, event.position_max_milli
    limits = [
        "open orders as in the rules" if orders is None else f"at most {_counted(orders, 'open order')}",
        "positions as in the rules"
        if position_milli is None
        else f"positions up to {contracts(position_milli)}"
        if position_milli
        else "positions of any size",
    ]
    return ", ".join(limits)


def _verb(side: str) -> str:
    return "buys" if side == "bid" else "sells"
