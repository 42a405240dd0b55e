"""Everything but orders: the founding, rules, sessions, accounts and cash, instruments, and the end of the day."""

from exchange.domain.commands import (
    ChangeRules,
    CreateInstrument,
    Deposit,
    Disconnect,
    EndDay,
    Genesis,
    OpenAccount,
    PauseSeries,
    ResumeSeries,
    SetCancelOnDisconnect,
    SetHalt,
    SetLimits,
    SetSuspended,
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
    HaltSet,
    InstrumentStateChanged,
    LimitsSet,
    Refused,
    RulesChanged,
    SeriesPaused,
    SeriesResumed,
    SessionStarted,
    SuspensionSet,
    Withdrawn,
)
from exchange.domain.instruments import InstrumentTerms, parse_instrument_id
from exchange.domain.reasons import Reason
from exchange.domain.rules import RULES_VERSION, Rules, contradiction, market_of
from exchange.domain.units import NUMBER_MAX, PRICE_STEP_MICROS, SIZE_MAX_MILLI, US_PER_SECOND
from exchange.domain.words import InstrumentState
from exchange.matching.accounts import FEES, INSURANCE, Account
from exchange.matching.book import Book
from exchange.matching.charges import charges_of
from exchange.matching.collateral import Rates, cash_secured_rates
from exchange.matching.endings import trim_bids, withdraw_each
from exchange.matching.liquidation import liquidate
from exchange.matching.listing import list_all_series, list_instrument, rates_of, set_marks, set_rates
from exchange.matching.margins import can_carry, remargin, sum_bid_locks
from exchange.matching.settlement import expired_series, settle
from exchange.matching.state import Outcome, State


def found(state: State, command: Genesis) -> list[Event]:
    """Begin: from here on these rules hold."""
    assert not state.accounts and not state.books, "a genesis command in the middle of a journal"
    assert command.rules_version == RULES_VERSION, f"rules version {command.rules_version} is not known"
    assert contradiction(command.rules) is None, "contradictory rules"
    state.play_by(command.rules)
    state.rules_version = command.rules_version
    return [Configured(command.rules, command.rules_version), *_open_own_accounts(state)]


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
    if not 0 <= command.cash_micros <= state.cash_room_micros:
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
    if not 0 < command.amount_micros <= state.cash_room_micros:
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
    outcome = Outcome()
    book = list_instrument(state, outcome, terms, command.tick_micros, command.min_size_milli)
    set_marks(state, outcome, book.asset, [book])
    return outcome.close()


def change_instrument_state(state: State, ts_us: int, instrument_id: str, new_state: InstrumentState) -> list[Event]:
    """Pause or resume. An expired instrument stays expired."""
    book = state.books.get(instrument_id)
    if book is None:
        return [Refused(None, Reason.INSTRUMENT_NOT_FOUND)]
    if book.state == "expired" or ts_us >= book.expiration_us:
        return [Refused(None, Reason.INSTRUMENT_EXPIRED)]
    book.state = new_state
    return [InstrumentStateChanged(instrument_id, new_state)]


def change_series_state(
    state: State, ts_us: int, command: PauseSeries | ResumeSeries, new_state: InstrumentState
) -> list[Event]:
    """Pause or resume every live instrument of an asset, of an expiration, of both, or all there are."""
    asset, expiration_s = command.asset, command.expiration_s
    named = [
        book
        for book in state.books.values()
        if book.state != "expired"
        and book.expiration_us > ts_us
        and asset in (None, book.asset)
        and expiration_s in (None, book.expiration_us // US_PER_SECOND)
    ]
    if not named and (asset is not None or expiration_s is not None):
        return [Refused(None, Reason.UNKNOWN_SERIES)]
    events: list[Event] = []
    for book in named:
        if book.state != new_state:
            book.state = new_state
            events.append(InstrumentStateChanged(book.instrument_id, new_state))
    done = SeriesPaused if new_state == "paused" else SeriesResumed
    return [*events, done(asset, expiration_s, len(events))]


def set_halt(state: State, command: SetHalt) -> list[Event]:
    state.is_halted = command.halted
    return [HaltSet(command.halted)]


def set_suspended(state: State, command: SetSuspended) -> list[Event]:
    account = state.accounts.get(command.user_id)
    if account is None:
        return [Refused(command.user_id, Reason.UNKNOWN_USER)]
    account.is_suspended = command.suspended
    return [SuspensionSet(command.user_id, command.suspended)]


def set_limits(state: State, command: SetLimits) -> list[Event]:
    account = state.accounts.get(command.user_id)
    if account is None:
        return [Refused(command.user_id, Reason.UNKNOWN_USER)]
    limits = command.open_orders_max, command.position_max_milli
    if not all(limit is None or 0 <= limit <= NUMBER_MAX for limit in limits):
        return [Refused(command.user_id, Reason.INVALID_LIMITS)]
    account.open_orders_max, account.position_max_milli = limits
    return [LimitsSet(command.user_id, *limits)]


def change_rules(state: State, ts_us: int, command: ChangeRules) -> list[Event]:
    """From here on other rules hold: whatever follows from rules is brought in line with them."""
    rules = command.rules
    if contradiction(rules) or (state.market is not None and market_of(rules) is None):
        return [Refused(None, Reason.INVALID_RULES)]
    rates = {book.instrument_id: _rates(rules, book) for book in state.books.values()}
    if not can_carry(state, charges_of(rules), rates):
        return [Refused(None, Reason.EXPOSURE_ABOVE_MAXIMUM)]
    state.play_by(rules)
    outcome = Outcome()
    outcome.events.append(RulesChanged(rules))
    outcome.events += _open_own_accounts(state)
    for instrument_id, new in rates.items():
        set_rates(state.books[instrument_id], new)
    for account in state.accounts.values():
        outcome.touch(account)
        account.locked_micros = account.margin_micros + sum_bid_locks(account, state.charges)
        remargin(outcome, account)
        account.forget(rules.finished_orders_kept)
        trim_bids(state, outcome, account)
    for index in state.indexes.values():
        index.listed = None
    list_all_series(state, outcome, ts_us)
    liquidate(state, outcome, state.accounts.values())
    return outcome.close()


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
    """08:00 UTC has passed: series that are due expire, and in a market settle; elsewhere day orders end."""
    assert command.day_end_us <= ts_us, "the day ended before its end"
    outcome = Outcome()
    outcome.events.append(DayEnded(command.day_end_us))
    live = [book for book in state.books.values() if book.state != "expired"]
    expired = [book for book in live if book.expiration_us <= command.day_end_us]
    for book in live:
        if book.expiration_us <= command.day_end_us:
            withdraw_each(state, outcome, book.resting(), "instrument_expired")
            state.close(book)
            outcome.events.append(InstrumentStateChanged(book.instrument_id, "expired"))
        else:
            day_orders = [order for order in book.resting() if order.time_in_force == "day"]
            withdraw_each(state, outcome, day_orders, "day_end")
    if state.market is not None:
        settle(state, outcome, expired_series(state, expired))
        list_all_series(state, outcome, ts_us)
        liquidate(state, outcome, state.accounts.values())
    return outcome.close()


def _open_own_accounts(state: State) -> list[Event]:
    """Open the exchange's own accounts that the rules need and that are missing."""
    fees = state.rules.fees
    needed = [FEES] if state.market is not None or fees.maker_premium_ppm or fees.taker_premium_ppm else []
    if state.market is not None:
        needed.append(INSURANCE)
    missing = [user_id for user_id in needed if user_id not in state.accounts]
    return [event for user_id in missing for event in open_account(state, OpenAccount(user_id, 0))]


def _rates(rules: Rules, book: Book) -> Rates:
    """What a short of this book must lock by the rules, at its mark where it has one."""
    if book.mark_micros is None:
        return cash_secured_rates(book.strike_micros)
    return rates_of(rules, book, book.index_micros, book.mark_micros)


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
