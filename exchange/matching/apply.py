"""`apply`: one command in, its events out. Every decision of the exchange is made below this function."""

from exchange.domain.commands import (
    CancelAll,
    CancelOrder,
    CancelQuotes,
    CancelUserOrders,
    ChangeRules,
    Command,
    ContinueTriggers,
    CreateInstrument,
    Deposit,
    Disconnect,
    EditOrder,
    EndDay,
    EndSession,
    Fork,
    Genesis,
    MassQuote,
    OpenAccount,
    PauseInstrument,
    PauseSeries,
    PlaceLinkedOrders,
    PlaceOrder,
    PlaceTriggerOrder,
    RecordLoss,
    ResetAccount,
    ResetMmp,
    ResumeInstrument,
    ResumeSeries,
    SetCancelOnDisconnect,
    SetHalt,
    SetIndexPrice,
    SetLimits,
    SetMmpConfig,
    SetSuspended,
    SettleSeries,
    StartSession,
    Withdraw,
)
from exchange.domain.events import Event, Forked, Refused
from exchange.domain.reasons import Reason
from exchange.matching.administration import (
    change_instrument_state,
    change_rules,
    change_series_state,
    create_instrument,
    deposit,
    disconnect,
    end_day,
    end_session,
    initialize,
    open_account,
    record_loss,
    reset_account,
    set_cancel_on_disconnect,
    set_halt,
    set_limits,
    set_suspended,
    start_session,
    withdraw_cash,
)
from exchange.matching.index_update import set_index_price
from exchange.matching.linked_orders import place_linked
from exchange.matching.maker_protection import reset_mmp, set_mmp_config
from exchange.matching.mass_quotes import cancel_quotes, mass_quote
from exchange.matching.orders import cancel, cancel_all, edit, place
from exchange.matching.refusal import FailedCheck, Result
from exchange.matching.settlement import settle_series
from exchange.matching.state import State
from exchange.matching.trigger_changes import place_trigger
from exchange.matching.triggering import continue_triggers, trigger_orders


def apply(state: State, ts_us: int, command: Command) -> list[Event]:
    """Carry out `command` at `ts_us` (microseconds since the epoch) and return its events, at least one.

    The same commands on the same state cause the same events on every machine. A refusal is an event too.
    AssertionError means that the state is broken: the caller must stop.
    """
    state.now_us = ts_us
    result = _execute(state, ts_us, command)
    if isinstance(result, list):
        if state.triggers is not None:
            trigger_orders(state, ts_us, result)
        return result
    # Commands of the administrator that concern no single account have no user_id.
    user_id = getattr(command, "user_id", None)
    if result.reason is Reason.PRICE_BEYOND_BAND:
        figures = result.figures
        return [Refused(user_id, result.reason, (int(figures["min_price_micros"]), int(figures["max_price_micros"])))]
    return [Refused(user_id, result.reason)]


def why_refused(state: State, ts_us: int, command: Command) -> FailedCheck:
    """Return the check that `command` fails, with the figures that it compares.

    The caller must know that `state` refuses the command: a command that is accepted changes the state, and raises
    AssertionError here. A refusal changes nothing, so the state after it serves as well as the state before it.
    """
    state.now_us = ts_us
    result = _execute(state, ts_us, command)
    assert isinstance(result, FailedCheck), "the command was not refused"
    return result


def _execute(state: State, ts_us: int, command: Command) -> Result:
    match command:
        case PlaceOrder():
            return place(state, ts_us, command)
        case CancelOrder():
            return cancel(state, command)
        case EditOrder():
            return edit(state, ts_us, command)
        case CancelAll():
            return cancel_all(state, command, "user_request")
        case PlaceTriggerOrder():
            return place_trigger(state, ts_us, command)
        case PlaceLinkedOrders():
            return place_linked(state, ts_us, command)
        case ContinueTriggers():
            return continue_triggers(state)
        case MassQuote():
            return mass_quote(state, ts_us, command)
        case CancelQuotes():
            return cancel_quotes(state, command)
        case SetMmpConfig():
            return set_mmp_config(state, command)
        case ResetMmp():
            return reset_mmp(state, command)
        case OpenAccount():
            return open_account(state, command)
        case Deposit():
            return deposit(state, command)
        case Withdraw():
            return withdraw_cash(state, command)
        case ResetAccount():
            return reset_account(state, command)
        case CreateInstrument():
            return create_instrument(state, ts_us, command)
        case PauseInstrument():
            return change_instrument_state(state, ts_us, command.instrument_id, "paused")
        case ResumeInstrument():
            return change_instrument_state(state, ts_us, command.instrument_id, "open")
        case SetCancelOnDisconnect():
            return set_cancel_on_disconnect(state, command)
        case Disconnect():
            return disconnect(state, command)
        case EndDay():
            return end_day(state, ts_us, command)
        case SetIndexPrice():
            return set_index_price(state, ts_us, command)
        case SettleSeries():
            return settle_series(state, ts_us, command)
        case PauseSeries():
            return change_series_state(state, ts_us, command, "paused")
        case ResumeSeries():
            return change_series_state(state, ts_us, command, "open")
        case SetHalt():
            return set_halt(state, command)
        case SetSuspended():
            return set_suspended(state, command)
        case SetLimits():
            return set_limits(state, command)
        case CancelUserOrders():
            return cancel_all(state, command, "admin")
        case ChangeRules():
            return change_rules(state, ts_us, command)
        case StartSession():
            return start_session(state, command)
        case EndSession():
            return end_session(state)
        case Fork():
            return [Forked(command.parent, command.parent_seq, command.parent_hash)]
        case RecordLoss():
            return record_loss(state, command)
        case Genesis():
            return initialize(state, command)
