"""Every command but orders, index prices and settlements: rules, runs, accounts, cash, instruments, end of day."""

from msgspec import UNSET

from exchange.domain.commands import (
    ChangeRules,
    CreateInstrument,
    Deposit,
    Disconnect,
    EndDay,
    Genesis,
    OpenAccount,
    PauseSeries,
    RecordLoss,
    ResetAccount,
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
    AccountReset,
    AllCancelled,
    CancelOnDisconnectSet,
    CommandLost,
    Configured,
    DayEnded,
    Deposited,
    Event,
    HaltSet,
    InstrumentStateChanged,
    LimitsSet,
    RulesChanged,
    SeriesPaused,
    SeriesResumed,
    SessionEnded,
    SessionStarted,
    SuspensionSet,
    Withdrawn,
)
from exchange.domain.expirations import expirations_error
from exchange.domain.forwards import basis_of, distance_error
from exchange.domain.instruments import LAST_EXPIRATION_S, InstrumentTerms, has_decimal_strike, parse_instrument_id
from exchange.domain.margin_rates import MarginRates, margin_rates
from exchange.domain.reasons import Reason
from exchange.domain.rules import (
    FAIR_MARKET_VERSION,
    FIRST_RULES_VERSION,
    RULES_VERSION,
    Rules,
    floor_error,
    market_of,
    validation_error,
    version_error,
)
from exchange.domain.units import NUMBER_MAX, PRICE_STEP_MICROS, SIZE_MAX_MILLI, US_PER_SECOND
from exchange.matching.accounts import FEES, INSURANCE, Account
from exchange.matching.book import OrderBook
from exchange.matching.cancellation import cancel_each, cancel_triggers, cancel_unaffordable_bids
from exchange.matching.closed_orders import ClosedOrders
from exchange.matching.connections import cancel_of_connection, cancel_of_lost_connections, release_orders
from exchange.matching.fees import fee_schedule_of
from exchange.matching.index import IndexState
from exchange.matching.index_update import sum_bid_locks, update_margins, within_limits
from exchange.matching.insurance import repay_debt
from exchange.matching.liquidation import liquidate
from exchange.matching.listing import (
    Mark,
    apply_marks,
    list_all_series,
    list_instrument,
    margin_rates_of,
    set_margin_rates,
    set_marks,
)
from exchange.matching.refusal import FailedCheck, Figures, Result
from exchange.matching.reopening import end_run, reopen, reopen_before_start
from exchange.matching.settlement import delist, expired_series, settle
from exchange.matching.state import Changes, State
from exchange.matching.surface import Smiles, add_smiles, model_marks, set_all_bands, tell_smiles


def initialize(state: State, command: Genesis) -> list[Event]:
    """Set the first rules, and open the exchange's own accounts."""
    assert not state.accounts and not state.books, "a genesis command in the middle of a journal"
    version = command.rules_version
    assert FIRST_RULES_VERSION <= version <= RULES_VERSION, f"rules version {version} is not known"
    assert validation_error(command.rules, version) is None, "contradictory rules"
    assert floor_error(Rules(), command.rules, 0) is None, "a floor above the cash of the insurance"
    state.set_rules(command.rules, version)
    return [Configured(command.rules, command.rules_version), *_open_own_accounts(state)]


def start_session(state: State, command: StartSession) -> list[Event]:
    """Note that a run of the server began, and carry out cancel-on-disconnect for accounts that a crash cut off."""
    changes = Changes()
    changes.events.append(SessionStarted(command.program_version))
    for account in state.accounts.values():
        if account.cancel_on_disconnect:
            _cut_off(state, changes, account, still_enabled=False)
        else:
            # No connection of the run before is left.
            cancel_of_lost_connections(state, changes, account)
    changes.events += reopen(state, after_run=True)
    return changes.take_events()


def end_session(state: State) -> list[Event]:
    """Note that a run of the server ends normally."""
    end_run(state)
    return [SessionEnded()]


def record_loss(state: State, command: RecordLoss) -> list[Event]:
    """Skip the ids of orders and trades that the lost commands may have given out."""
    state.next_order_id = max(state.next_order_id, command.next_order_id or 0)
    state.next_trade_id = max(state.next_trade_id, command.next_trade_id or 0)
    return [CommandLost(state.next_order_id, state.next_trade_id)]


def open_account(state: State, command: OpenAccount) -> Result:
    """Open an account with its starting cash."""
    if command.user_id in state.accounts:
        return FailedCheck(Reason.ACCOUNT_EXISTS)
    if not 0 <= command.cash_micros <= state.cash_room_micros:
        return _invalid_amount(state, command.cash_micros)
    return _opened_account(state, command.user_id, command.cash_micros)


def deposit(state: State, command: Deposit) -> Result:
    """Pay cash into an account."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    if not 0 < command.amount_micros <= state.cash_room_micros:
        return _invalid_amount(state, command.amount_micros)
    changes = Changes()
    changes.events.append(Deposited(command.user_id, command.amount_micros))
    _pay(state, changes, account, command.amount_micros)
    if state.has_fair_market:
        repay_debt(state, changes, account)
    return changes.take_events()


def withdraw_cash(state: State, command: Withdraw) -> Result:
    """Pay cash out of an account; cash that is locked cannot be withdrawn."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    if command.amount_micros <= 0:
        return _invalid_amount(state, command.amount_micros)
    if command.amount_micros > account.available_micros:
        figures: Figures = {"needed_micros": command.amount_micros, "available_micros": account.available_micros}
        return FailedCheck(Reason.INSUFFICIENT_BALANCE, figures)
    changes = Changes()
    changes.events.append(Withdrawn(command.user_id, command.amount_micros))
    _pay(state, changes, account, -command.amount_micros)
    return changes.take_events()


def reset_account(state: State, command: ResetAccount) -> Result:
    """Cancel the orders of an account, repay its debt, and give it the starting cash. It must have no positions."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    positions = sum(1 for position in account.positions.values() if position.position_milli)
    if positions or account.user_id in (FEES, INSURANCE):
        return FailedCheck(Reason.POSITIONS_OPEN, {"positions": positions})
    debt_micros = account.shortfall_micros if state.has_fair_market else 0
    amount_micros = state.rules.starting_cash_micros + debt_micros - account.cash_micros
    if amount_micros > state.cash_room_micros:
        return _invalid_amount(state, amount_micros)
    changes = Changes()
    changes.events.append(AccountReset(account.user_id, amount_micros))
    cancel_each(state, changes, list(account.open_orders.values()), "admin")
    cancel_triggers(state, changes, list(account.triggers.values()), "admin")
    _pay(state, changes, account, amount_micros)
    if state.has_fair_market:
        repay_debt(state, changes, account)
        state.note_overdrawn(account)
    account.prices_below = 0
    return changes.take_events()


def create_instrument(state: State, ts_us: int, command: CreateInstrument) -> Result:
    """List an instrument by command."""
    terms = _terms(command)
    if terms is None or terms.expiration_s * 1_000_000 <= ts_us:
        return FailedCheck(Reason.INVALID_TERMS)
    if terms.expiration_s > LAST_EXPIRATION_S and state.rules_version >= FAIR_MARKET_VERSION:
        return FailedCheck(Reason.INVALID_TERMS)
    if terms.instrument_id in state.books:
        return FailedCheck(Reason.INSTRUMENT_EXISTS)
    changes = Changes()
    book = list_instrument(state, changes, terms, command.tick_micros, command.min_size_milli)
    set_marks(state, changes, book.asset, [book])
    return changes.take_events()


def change_instrument_state(state: State, ts_us: int, instrument_id: str, new_state: InstrumentState) -> Result:
    """Pause or resume an instrument. An expired instrument stays expired."""
    book = state.books.get(instrument_id)
    if book is None:
        return FailedCheck(state.why_not_listed(instrument_id))
    if book.state == "expired" or ts_us >= book.expiration_us:
        return FailedCheck(Reason.INSTRUMENT_EXPIRED)
    book.state = new_state
    return [InstrumentStateChanged(instrument_id, new_state)]


def change_series_state(
    state: State, ts_us: int, command: PauseSeries | ResumeSeries, new_state: InstrumentState
) -> Result:
    """Pause or resume the live instruments of an asset and an expiration; None stands for any of them."""
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
        return FailedCheck(Reason.UNKNOWN_SERIES)
    events: list[Event] = []
    for book in named:
        if book.state != new_state:
            book.state = new_state
            events.append(InstrumentStateChanged(book.instrument_id, new_state))
    done = SeriesPaused if new_state == "paused" else SeriesResumed
    return [*events, done(asset, expiration_s, len(events))]


def set_halt(state: State, command: SetHalt) -> list[Event]:
    """Halt all trading, or end the halt."""
    ends = state.is_halted and not command.halted
    state.is_halted = command.halted
    return [HaltSet(command.halted), *(reopen(state) if ends else [])]


def set_suspended(state: State, command: SetSuspended) -> Result:
    """Suspend an account, or end its suspension."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    account.is_suspended = command.suspended
    return [SuspensionSet(command.user_id, command.suspended)]


def set_limits(state: State, command: SetLimits) -> Result:
    """Set limits of one account; None means that the limit of the rules applies."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    limits = command.open_orders_max, command.position_max_milli
    if not all(limit is None or 0 <= limit <= NUMBER_MAX for limit in limits):
        return FailedCheck(Reason.INVALID_LIMITS)
    account.open_orders_max, account.position_max_milli = limits
    return [LimitsSet(command.user_id, *limits)]


def change_rules(state: State, ts_us: int, command: ChangeRules) -> Result:
    """Replace the rules, and update everything that is derived from them: margins, locks, series, liquidations."""
    rules = command.rules
    version = state.rules_version if command.rules_version is UNSET else command.rules_version
    if failed := _why_rules_invalid(state, ts_us, rules, version):
        return failed
    rates = {book.instrument_id: _rates(rules, book) for book in state.books.values()}
    marks = _new_marks(state, rules, version)
    for of_asset in marks.values():
        rates |= {book.instrument_id: mark.rates for book, mark in of_asset.items()}
    if not within_limits(state, fee_schedule_of(rules), rates):
        return FailedCheck(Reason.EXPOSURE_ABOVE_MAXIMUM)
    state.set_rules(rules, version)
    changes = Changes()
    changes.events.append(RulesChanged(rules, UNSET if version == FIRST_RULES_VERSION else version))
    changes.events += _open_own_accounts(state)
    for instrument_id, new in rates.items():
        set_margin_rates(state.books[instrument_id], new)
    for asset, of_asset in marks.items():
        index = state.indexes[asset]
        smiles = _smiles_of(rules, asset, index, list(of_asset))
        tell_smiles(changes, asset, index.smiles, smiles)
        index.smiles = smiles
        apply_marks(changes, asset, index.price_micros, of_asset)
    set_all_bands(state)
    for account in state.accounts.values():
        changes.track(account)
        account.locked_micros = account.margin_micros + sum_bid_locks(account, state.fee_schedule)
        update_margins(changes, account)
        account.closed_orders.evict(rules.finished_orders_kept)
        account.evict_triggers(rules.finished_orders_kept)
        cancel_unaffordable_bids(state, changes, account)
    for index in state.indexes.values():
        index.listed = None
    list_all_series(state, changes, ts_us)
    liquidate(state, ts_us, changes, state.accounts.values())
    return changes.take_events()


def set_cancel_on_disconnect(state: State, command: SetCancelOnDisconnect) -> Result:
    """Switch cancel-on-disconnect of one account on or off."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    account.cancel_on_disconnect = command.enabled
    if command.released is not UNSET:
        release_orders(account, command.released)
    return [CancelOnDisconnectSet(command.user_id, command.enabled, command.connection, command.released)]


def disconnect(state: State, command: Disconnect) -> Result:
    """Cancel the user's orders, or those of one connection, because one with cancel-on-disconnect was lost."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    changes = Changes()
    if command.connection is UNSET:
        _cut_off(state, changes, account, command.still_enabled)
    else:
        account.cancel_on_disconnect = command.still_enabled
        cancel_of_connection(state, changes, account, command.connection)
    return changes.take_events()


def end_day(state: State, ts_us: int, command: EndDay) -> list[Event]:
    """End the exchange day at 08:00 UTC: expire and settle the series that are due, and cancel the other day orders.

    Without a market, series expire and are not settled.
    """
    assert command.day_end_us <= ts_us, "the day ended before its end"
    changes = Changes()
    changes.events.append(DayEnded(command.day_end_us))
    if command.is_before_start is True:
        changes.events += reopen_before_start(state)
    live = [book for book in state.books.values() if book.state != "expired"]
    expired = [book for book in live if book.expiration_us <= command.day_end_us]
    for book in live:
        if book.expiration_us <= command.day_end_us:
            cancel_each(state, changes, book.resting(), "instrument_expired")
            if index := state.indexes.get(book.asset):
                index.smiles.pop(book.expiration_us, None)
            state.expire(book)
            changes.events.append(InstrumentStateChanged(book.instrument_id, "expired"))
        else:
            day_orders = [order for order in book.resting() if order.time_in_force == "day"]
            cancel_each(state, changes, day_orders, "day_end")
    if state.triggers is not None:
        _end_day_of_triggers(state, changes)
    if state.market is not None:
        settle(state, changes, expired_series(state, expired))
        delist(state, changes, command.day_end_us)
        list_all_series(state, changes, ts_us)
        liquidate(state, ts_us, changes, state.accounts.values())
    return changes.take_events()


def _end_day_of_triggers(state: State, changes: Changes) -> None:
    """Cancel the untriggered orders of expired instruments, and those that were placed for the day, oldest first."""
    assert state.triggers is not None, "there are no trigger orders"
    for _, order in sorted(state.triggers.orders.items()):
        if order.book.state == "expired":
            cancel_triggers(state, changes, [order], "instrument_expired")
        elif order.time_in_force == "day":
            cancel_triggers(state, changes, [order], "day_end")


def _open_own_accounts(state: State) -> list[Event]:
    """Open the exchange's own accounts that the rules need and that are missing."""
    fees = state.rules.fees
    needed = [FEES] if state.market is not None or fees.maker_premium_ppm or fees.taker_premium_ppm else []
    if state.market is not None:
        needed.append(INSURANCE)
    missing = [user_id for user_id in needed if user_id not in state.accounts]
    return [event for user_id in missing for event in _opened_account(state, user_id, 0)]


def _opened_account(state: State, user_id: str, cash_micros: int) -> list[Event]:
    changes = Changes()
    account = state.accounts[user_id] = Account(user_id)
    account.closed_orders = ClosedOrders(user_id, state.books)
    changes.events.append(AccountOpened(user_id))
    _pay(state, changes, account, cash_micros)
    return changes.take_events()


def _invalid_amount(state: State, amount_micros: int) -> FailedCheck:
    figures: Figures = {"amount_micros": amount_micros, "all_cash_micros": state.total_cash_micros}
    return FailedCheck(Reason.INVALID_AMOUNT, figures)


def _why_rules_invalid(state: State, ts_us: int, rules: Rules, version: int) -> FailedCheck | None:
    contradiction = version_error(state.rules_version, version) or validation_error(rules, version)
    if contradiction is None:
        contradiction = expirations_error(rules, version, ts_us) or distance_error(rules, version, ts_us)
    if contradiction is None and state.market is not None and market_of(rules) is None:
        contradiction = "the market would be taken away"
    if contradiction is None and market_of(rules) is not None:
        insurance = state.accounts.get(INSURANCE)
        contradiction = floor_error(state.rules, rules, 0 if insurance is None else insurance.cash_micros)
    return None if contradiction is None else FailedCheck(Reason.INVALID_RULES, {"contradiction": contradiction})


def _rates(rules: Rules, book: OrderBook) -> MarginRates:
    """Return the margin rates of an instrument by these rules: its strike if it has no mark."""
    return margin_rates(rules, book.is_call, book.strike_micros, book.index_micros, book.mark_micros)


def _new_marks(state: State, rules: Rules, version: int) -> dict[str, dict[OrderBook, Mark]]:
    """Return the marks of the live instruments of each asset whose marks change with the rules.

    These are all if the version becomes one with a fair market, and else those whose forwards change.
    """
    market = market_of(rules)
    if state.market is None or market is None or version < FAIR_MARKET_VERSION:
        return {}
    marks: dict[str, dict[OrderBook, Mark]] = {}
    for asset, index in state.indexes.items():
        if state.has_fair_market and basis_of(state.market, asset) == basis_of(market, asset):
            continue
        live = list(state.live.get(asset, {}).values())
        smiles = _smiles_of(rules, asset, index, live)
        prices = model_marks(market, asset, smiles, live, index.price_micros, index.ts_us)
        marks[asset] = {
            book: Mark(price, margin_rates_of(rules, book, index.price_micros, price)) for book, price in prices.items()
        }
    return marks


def _smiles_of(rules: Rules, asset: str, index: IndexState, live: list[OrderBook]) -> Smiles:
    market = market_of(rules)
    assert market is not None, "an index without a market"
    return add_smiles(market, asset, index.smiles, live, index.ts_us)


def _terms(command: CreateInstrument) -> InstrumentTerms | None:
    """Parse the instrument's id; None if the id, the tick or the minimum size is not valid."""
    tick, min_size = command.tick_micros, command.min_size_milli
    if tick <= 0 or tick % PRICE_STEP_MICROS or not 0 < min_size <= SIZE_MAX_MILLI:
        return None
    if has_decimal_strike(command.instrument_id) and command.decimal_strike is UNSET:
        return None
    try:
        return parse_instrument_id(command.instrument_id)
    except ValueError:
        return None


def _pay(state: State, changes: Changes, account: Account, amount_micros: int) -> None:
    """Add cash to an account, or take it out if negative; the total cash of the exchange changes with it."""
    changes.track(account)
    account.cash_micros += amount_micros
    state.total_cash_micros += amount_micros


def _cut_off(state: State, changes: Changes, account: Account, still_enabled: bool) -> None:
    """Carry out cancel-on-disconnect."""
    orders, triggers = list(account.open_orders.values()), list(account.triggers.values())
    ended = changes.count_ended()
    cancel_each(state, changes, orders, "cancel_on_disconnect")
    cancel_triggers(state, changes, triggers, "cancel_on_disconnect")
    account.cancel_on_disconnect = still_enabled
    changes.events.append(AllCancelled(account.user_id, changes.count_ended() - ended))
