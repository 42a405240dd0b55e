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
from exchange.domain.enums import InstrumentState
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
from exchange.domain.rules import RULES_VERSION, Rules, market_of, validation_error
from exchange.domain.units import NUMBER_MAX, PRICE_STEP_MICROS, SIZE_MAX_MILLI, US_PER_SECOND
from exchange.matching.accounts import FEES, INSURANCE, Account
from exchange.matching.book import OrderBook
from exchange.matching.cancellation import cancel_each, cancel_unaffordable_bids
from exchange.matching.fees import fee_schedule_of
from exchange.matching.index_update import sum_bid_locks, update_margins, within_limits
from exchange.matching.liquidation import liquidate
from exchange.matching.listing import list_all_series, list_instrument, margin_rates_of, set_margin_rates, set_marks
from exchange.matching.margin_profiles import MarginRates, cash_secured_rates
from exchange.matching.settlement import expired_series, settle
from exchange.matching.state import Changes, State


def initialize(state: State, command: Genesis) -> list[Event]:
    """Begin: from here on these rules hold."""
    assert not state.accounts and not state.books, "a genesis command in the middle of a journal"
    assert command.rules_version == RULES_VERSION, f"rules version {command.rules_version} is not known"
    assert validation_error(command.rules) is None, "contradictory rules"
    state.set_rules(command.rules)
    state.rules_version = command.rules_version
    return [Configured(command.rules, command.rules_version), *_open_own_accounts(state)]


def start_session(state: State, command: StartSession) -> list[Event]:
    """The server came up: whoever asked for cancel-on-disconnect and was cut off by a crash gets it now."""
    outcome = Changes()
    outcome.events.append(SessionStarted(command.program_version))
    for account in state.accounts.values():
        if account.cancel_on_disconnect:
            _cut_off(state, outcome, account, still_enabled=False)
    return outcome.take_events()


def open_account(state: State, command: OpenAccount) -> list[Event]:
    if command.user_id in state.accounts:
        return [Refused(command.user_id, Reason.ACCOUNT_EXISTS)]
    if not 0 <= command.cash_micros <= state.cash_room_micros:
        return [Refused(command.user_id, Reason.INVALID_AMOUNT)]
    outcome = Changes()
    account = state.accounts[command.user_id] = Account(command.user_id)
    outcome.events.append(AccountOpened(command.user_id))
    _pay(state, outcome, account, command.cash_micros)
    return outcome.take_events()


def deposit(state: State, command: Deposit) -> list[Event]:
    account = state.accounts.get(command.user_id)
    if account is None:
        return [Refused(command.user_id, Reason.UNKNOWN_USER)]
    if not 0 < command.amount_micros <= state.cash_room_micros:
        return [Refused(command.user_id, Reason.INVALID_AMOUNT)]
    outcome = Changes()
    outcome.events.append(Deposited(command.user_id, command.amount_micros))
    _pay(state, outcome, account, command.amount_micros)
    return outcome.take_events()


def withdraw_cash(state: State, command: Withdraw) -> list[Event]:
    """Only what is available can be withdrawn, never what is locked."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return [Refused(command.user_id, Reason.UNKNOWN_USER)]
    if command.amount_micros <= 0:
        return [Refused(command.user_id, Reason.INVALID_AMOUNT)]
    if command.amount_micros > account.available_micros:
        return [Refused(command.user_id, Reason.INSUFFICIENT_BALANCE)]
    outcome = Changes()
    outcome.events.append(Withdrawn(command.user_id, command.amount_micros))
    _pay(state, outcome, account, -command.amount_micros)
    return outcome.take_events()


def create_instrument(state: State, ts_us: int, command: CreateInstrument) -> list[Event]:
    terms = _terms(command)
    if terms is None or terms.expiration_s * 1_000_000 <= ts_us:
        return [Refused(None, Reason.INVALID_TERMS)]
    if terms.instrument_id in state.books:
        return [Refused(None, Reason.INSTRUMENT_EXISTS)]
    outcome = Changes()
    book = list_instrument(state, outcome, terms, command.tick_micros, command.min_size_milli)
    set_marks(state, outcome, book.asset, [book])
    return outcome.take_events()


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
    if validation_error(rules) or (state.market is not None and market_of(rules) is None):
        return [Refused(None, Reason.INVALID_RULES)]
    rates = {book.instrument_id: _rates(rules, book) for book in state.books.values()}
    if not within_limits(state, fee_schedule_of(rules), rates):
        return [Refused(None, Reason.EXPOSURE_ABOVE_MAXIMUM)]
    state.set_rules(rules)
    outcome = Changes()
    outcome.events.append(RulesChanged(rules))
    outcome.events += _open_own_accounts(state)
    for instrument_id, new in rates.items():
        set_margin_rates(state.books[instrument_id], new)
    for account in state.accounts.values():
        outcome.track(account)
        account.locked_micros = account.margin_micros + sum_bid_locks(account, state.charges)
        update_margins(outcome, account)
        account.evict(rules.finished_orders_kept)
        cancel_unaffordable_bids(state, outcome, account)
    for index in state.indexes.values():
        index.listed = None
    list_all_series(state, outcome, ts_us)
    liquidate(state, outcome, state.accounts.values())
    return outcome.take_events()


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
    outcome = Changes()
    _cut_off(state, outcome, account, command.still_enabled)
    return outcome.take_events()


def end_day(state: State, ts_us: int, command: EndDay) -> list[Event]:
    """08:00 UTC has passed: series that are due expire, and in a market settle; elsewhere day orders end."""
    assert command.day_end_us <= ts_us, "the day ended before its end"
    outcome = Changes()
    outcome.events.append(DayEnded(command.day_end_us))
    live = [book for book in state.books.values() if book.state != "expired"]
    expired = [book for book in live if book.expiration_us <= command.day_end_us]
    for book in live:
        if book.expiration_us <= command.day_end_us:
            cancel_each(state, outcome, book.resting(), "instrument_expired")
            state.evict_closed(book)
            outcome.events.append(InstrumentStateChanged(book.instrument_id, "expired"))
        else:
            day_orders = [order for order in book.resting() if order.time_in_force == "day"]
            cancel_each(state, outcome, day_orders, "day_end")
    if state.market is not None:
        settle(state, outcome, expired_series(state, expired))
        list_all_series(state, outcome, ts_us)
        liquidate(state, outcome, state.accounts.values())
    return outcome.take_events()


def _open_own_accounts(state: State) -> list[Event]:
    """Open the exchange's own accounts that the rules need and that are missing."""
    fees = state.rules.fees
    needed = [FEES] if state.market is not None or fees.maker_premium_ppm or fees.taker_premium_ppm else []
    if state.market is not None:
        needed.append(INSURANCE)
    missing = [user_id for user_id in needed if user_id not in state.accounts]
    return [event for user_id in missing for event in open_account(state, OpenAccount(user_id, 0))]


def _rates(rules: Rules, book: OrderBook) -> MarginRates:
    """What a short of this book must lock by the rules, at its mark where it has one."""
    if book.mark_micros is None:
        return cash_secured_rates(book.strike_micros)
    return margin_rates_of(rules, book, book.index_micros, book.mark_micros)


def _terms(command: CreateInstrument) -> InstrumentTerms | None:
    tick, min_size = command.tick_micros, command.min_size_milli
    if tick <= 0 or tick % PRICE_STEP_MICROS or not 0 < min_size <= SIZE_MAX_MILLI:
        return None
    try:
        return parse_instrument_id(command.instrument_id)
    except ValueError:
        return None


def _pay(state: State, outcome: Changes, account: Account, amount_micros: int) -> None:
    outcome.track(account)
    account.cash_micros += amount_micros
    state.total_cash_micros += amount_micros


def _cut_off(state: State, outcome: Changes, account: Account, still_enabled: bool) -> None:
    orders = list(account.open_orders.values())
    cancel_each(state, outcome, orders, "cancel_on_disconnect")
    account.cancel_on_disconnect = still_enabled
    outcome.events.append(AllCancelled(account.user_id, len(orders)))
