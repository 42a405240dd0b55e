"""Everything but orders: the founding, sessions, accounts and cash, instruments, and the end of the day."""

from exchange.domain.commands import (
    CreateInstrument,
    Deposit,
    Disconnect,
    EndDay,
    Genesis,
    OpenAccount,
    SetCancelOnDisconnect,
    StartSession,
    Withdraw,
)
from exchange.domain.events import (
    AccountOpened,
    AllCancelled,
    CancelOnDisconnectSet,
    Configured,
    DayEnded,
    Deposited,
    Event,
    InstrumentCreated,
    InstrumentStateChanged,
    Refused,
    SessionStarted,
    Withdrawn,
)
from exchange.domain.instruments import InstrumentTerms, parse_instrument_id
from exchange.domain.reasons import Reason
from exchange.domain.rules import RULES_VERSION
from exchange.domain.units import NUMBER_MAX, PRICE_STEP_MICROS, SIZE_MAX_MILLI
from exchange.domain.words import InstrumentState
from exchange.matching.accounts import Account
from exchange.matching.book import Book
from exchange.matching.endings import withdraw_each
from exchange.matching.state import Outcome, State


def found(state: State, command: Genesis) -> list[Event]:
    """Begin: from here on these rules hold."""
    assert not state.accounts and not state.books, "a genesis command in the middle of a journal"
    assert command.rules_version == RULES_VERSION, f"rules version {command.rules_version} is not known"
    state.rules = command.rules
    state.rules_version = command.rules_version
    events: list[Event] = [Configured(command.rules, command.rules_version)]
    fees = command.rules.fees
    if fees.maker_premium_ppm or fees.taker_premium_ppm:
        events += open_account(state, OpenAccount("fees", 0))
    return events


def start_session(state: State, command: StartSession) -> list[Event]:
    """The server came up: whoever asked for cancel-on-disconnect and was cut off by a crash gets it now."""
    outcome = Outcome()
    outcome.events.append(SessionStarted(command.program_version))
    for account in state.accounts.values():
        if account.cancel_on_disconnect:
            _cut_off(state, outcome, account, still_enabled=False)
    return outcome.close()


def open_account(state: State, command: OpenAccount) -> list[Event]:
    if command.user_id in state.accounts:
        return [Refused(command.user_id, Reason.ACCOUNT_EXISTS)]
    if not 0 <= command.cash_micros <= NUMBER_MAX - state.total_cash_micros:
        return [Refused(command.user_id, Reason.INVALID_AMOUNT)]
    outcome = Outcome()
    account = state.accounts[command.user_id] = Account(command.user_id)
    outcome.events.append(AccountOpened(command.user_id))
    _pay(state, outcome, account, command.cash_micros)
    return outcome.close()


def deposit(state: State, command: Deposit) -> list[Event]:
    account = state.accounts.get(command.user_id)
    if account is None:
        return [Refused(command.user_id, Reason.UNKNOWN_USER)]
    if not 0 < command.amount_micros <= NUMBER_MAX - state.total_cash_micros:
        return [Refused(command.user_id, Reason.INVALID_AMOUNT)]
    outcome = Outcome()
    outcome.events.append(Deposited(command.user_id, command.amount_micros))
    _pay(state, outcome, account, command.amount_micros)
    return outcome.close()


def withdraw_cash(state: State, command: Withdraw) -> list[Event]:
    """Only what is available can be withdrawn, never what is locked."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return [Refused(command.user_id, Reason.UNKNOWN_USER)]
    if command.amount_micros <= 0:
        return [Refused(command.user_id, Reason.INVALID_AMOUNT)]
    if command.amount_micros > account.available_micros:
        return [Refused(command.user_id, Reason.INSUFFICIENT_BALANCE)]
    outcome = Outcome()
    outcome.events.append(Withdrawn(command.user_id, command.amount_micros))
    _pay(state, outcome, account, -command.amount_micros)
    return outcome.close()


def create_instrument(state: State, ts_us: int, command: CreateInstrument) -> list[Event]:
    terms = _terms(command)
    if terms is None or terms.expiration_s * 1_000_000 <= ts_us:
        return [Refused(None, Reason.INVALID_TERMS)]
    if terms.instrument_id in state.books:
        return [Refused(None, Reason.INSTRUMENT_EXISTS)]
    state.books[terms.instrument_id] = Book(terms, command.tick_micros, command.min_size_milli, "open")
    return [
        InstrumentCreated(
            terms.instrument_id,
            terms.asset,
            terms.option_type,
            terms.strike_micros,
            terms.expiration_s,
            command.tick_micros,
            command.min_size_milli,
        )
    ]


def change_instrument_state(state: State, ts_us: int, instrument_id: str, new_state: InstrumentState) -> list[Event]:
    """Pause or resume. An expired instrument stays expired."""
    book = state.books.get(instrument_id)
    if book is None:
        return [Refused(None, Reason.INSTRUMENT_NOT_FOUND)]
    if book.state == "expired" or ts_us >= book.expiration_us:
        return [Refused(None, Reason.INSTRUMENT_EXPIRED)]
    book.state = new_state
    return [InstrumentStateChanged(instrument_id, new_state)]


def set_cancel_on_disconnect(state: State, command: SetCancelOnDisconnect) -> list[Event]:
    account = state.accounts.get(command.user_id)
    if account is None:
        return [Refused(command.user_id, Reason.UNKNOWN_USER)]
    account.cancel_on_disconnect = command.enabled
    return [CancelOnDisconnectSet(command.user_id, command.enabled)]


def disconnect(state: State, command: Disconnect) -> list[Event]:
    """A connection with cancel-on-disconnect is gone: the user's orders go with it."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return [Refused(command.user_id, Reason.UNKNOWN_USER)]
    outcome = Outcome()
    _cut_off(state, outcome, account, command.still_enabled)
    return outcome.close()


def end_day(state: State, ts_us: int, command: EndDay) -> list[Event]:
    """08:00 UTC has passed: series that are due expire and their orders end; elsewhere day orders end."""
    assert command.day_end_us <= ts_us, "the day ended before its end"
    outcome = Outcome()
    outcome.events.append(DayEnded(command.day_end_us))
    for book in state.books.values():
        if book.state == "expired":
            continue
        if book.expiration_us <= command.day_end_us:
            withdraw_each(state, outcome, book.resting(), "instrument_expired")
            book.state = "expired"
            outcome.events.append(InstrumentStateChanged(book.instrument_id, "expired"))
        else:
            day_orders = [order for order in book.resting() if order.time_in_force == "day"]
            withdraw_each(state, outcome, day_orders, "day_end")
    return outcome.close()


def _terms(command: CreateInstrument) -> InstrumentTerms | None:
    tick, min_size = command.tick_micros, command.min_size_milli
    if tick <= 0 or tick % PRICE_STEP_MICROS or not 0 < min_size <= SIZE_MAX_MILLI:
        return None
    try:
        return parse_instrument_id(command.instrument_id)
    except ValueError:
        return None


def _pay(state: State, outcome: Outcome, account: Account, amount_micros: int) -> None:
    outcome.touch(account)
    account.cash_micros += amount_micros
    state.total_cash_micros += amount_micros


def _cut_off(state: State, outcome: Outcome, account: Account, still_enabled: bool) -> None:
    orders = list(account.open_orders.values())
    withdraw_each(state, outcome, orders, "cancel_on_disconnect")
    account.cancel_on_disconnect = still_enabled
    outcome.events.append(AllCancelled(account.user_id, len(orders)))
