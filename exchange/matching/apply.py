"""`apply`: one command in, its events out. Everything the exchange ever decides is decided below this function."""

from exchange.domain.commands import (
    CancelAll,
    CancelOrder,
    Command,
    CreateInstrument,
    Deposit,
    Disconnect,
    EditOrder,
    EndDay,
    EndSession,
    Fork,
    Genesis,
    OpenAccount,
    PauseInstrument,
    PlaceOrder,
    ResumeInstrument,
    SetCancelOnDisconnect,
    StartSession,
    Withdraw,
)
from exchange.domain.events import Event, Forked, SessionEnded
from exchange.matching.administration import (
    change_instrument_state,
    create_instrument,
    deposit,
    disconnect,
    end_day,
    found,
    open_account,
    set_cancel_on_disconnect,
    start_session,
    withdraw_cash,
)
from exchange.matching.orders import cancel, cancel_all, edit, place
from exchange.matching.state import State


def apply(state: State, ts_us: int, command: Command) -> list[Event]:
    """Carry out `command` at `ts_us` (microseconds since the epoch) and return what it caused, at least one event.

    The same commands on the same state give the same events, on every machine. A business refusal is an event.
    AssertionError means that the state is broken: the caller must stop.
    """
    match command:
        case PlaceOrder():
            return place(state, ts_us, command)
        case CancelOrder():
            return cancel(state, command)
        case EditOrder():
            return edit(state, ts_us, command)
        case CancelAll():
            return cancel_all(state, command)
        case OpenAccount():
            return open_account(state, command)
        case Deposit():
            return deposit(state, command)
        case Withdraw():
            return withdraw_cash(state, command)
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
        case StartSession():
            return start_session(state, command)
        case EndSession():
            return [SessionEnded()]
        case Fork():
            return [Forked(command.parent, command.parent_seq, command.parent_hash)]
        case Genesis():
            return found(state, command)
