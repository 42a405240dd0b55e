"""Settlement: the payout of every position in an expired series, and the insurance for accounts that cannot pay."""

from typing import NamedTuple

from msgspec import UNSET

from exchange.domain.commands import SettleSeries
from exchange.domain.events import (
    DeliveryPriceSet,
    PositionSettled,
    SeriesDelisted,
    SettlementDelayed,
    ShortfallCovered,
)
from exchange.domain.reasons import Reason
from exchange.domain.units import (
    MILLI_PER_CONTRACT,
    NUMBER_MAX,
    PRICE_MAX_MICROS,
    PRICE_STEP_MICROS,
    US_PER_DAY,
    US_PER_SECOND,
)
from exchange.matching.accounts import FEES, INSURANCE, Account, Position
from exchange.matching.apportion import apportion
from exchange.matching.book import OrderBook
from exchange.matching.cancellation import cancel_unaffordable_bids
from exchange.matching.index import IndexState
from exchange.matching.insurance import conclude_settlement
from exchange.matching.liquidation import liquidate
from exchange.matching.margin_profiles import intrinsic_micros
from exchange.matching.refusal import FailedCheck, Figures, Result
from exchange.matching.state import Changes, State


class ExpiredSeries(NamedTuple):
    """The instruments of one asset that expire together, and their delivery price, None if it is not known."""

    books: list[OrderBook]
    delivery_micros: int | None

    @property
    def asset(self) -> str:
        return self.books[0].asset

    @property
    def expiration_s(self) -> int:
        return self.books[0].expiration_us // US_PER_SECOND


class Payout(NamedTuple):
    """The settlement of one position: a positive payout is paid to its account, less the fee; a negative one by it."""

    account: Account
    position: Position
    payout_micros: int
    fee_micros: int


def settle_series(state: State, ts_us: int, command: SettleSeries) -> Result:
    """Settle a series whose settlement is delayed, at the price that the administrator gives."""
    books = [
        book
        for book in state.books.values()
        if book.asset == command.asset and book.expiration_us == command.expiration_s * US_PER_SECOND
    ]
    expired = ExpiredSeries(books, command.price_micros)
    if failed := _why_not_settled(state, ts_us, expired, command.price_micros):
        return failed
    changes = Changes()
    settle(state, changes, [expired])
    liquidate(state, ts_us, changes, state.accounts.values())
    return changes.take_events()


def expired_series(state: State, books: list[OrderBook]) -> list[ExpiredSeries]:
    """Group books that have just expired into series; the delivery price is the average of the index."""
    series: dict[tuple[int, str], list[OrderBook]] = {}
    for book in sorted(books, key=lambda book: book.expiration_us):
        series.setdefault((book.expiration_us, book.asset), []).append(book)
    expired = []
    for (expiration_us, asset), listed in series.items():
        index = state.indexes.get(asset)
        expired.append(ExpiredSeries(listed, _average_micros(state, index, listed, expiration_us) if index else None))
    return expired


def _average_micros(state: State, index: IndexState, listed: list[OrderBook], expiration_us: int) -> int | None:
    """Return the average of the index before an expiration; None if the administrator must give the price.

    It is rounded to the micro, by rules version 1 to the smallest tick of the series.
    """
    if not state.has_fair_market:
        return index.delivery_micros(expiration_us, min(book.tick_micros for book in listed))
    age_max_s = state.settlement_rules.price_age_max_s
    if age_max_s and expiration_us - index.ts_us > age_max_s * US_PER_SECOND:
        return None
    return index.delivery_micros(expiration_us, 1)


def settle(state: State, changes: Changes, series: list[ExpiredSeries]) -> None:
    """Settle every position in these series.

    A series without a delivery price is delayed. If the payouts exceed the largest number, all of them are delayed.
    """
    payouts = [_payouts(state, expired) for expired in series]
    within_limits = _within_limits(state, [payout for of_series in payouts for payout in of_series])
    nets: dict[str, int] = {}
    for expired, of_series in zip(series, payouts, strict=True):
        if expired.delivery_micros is None or not within_limits:
            changes.events.append(SettlementDelayed(expired.asset, expired.expiration_s))
            continue
        changes.events.append(DeliveryPriceSet(expired.asset, expired.expiration_s, expired.delivery_micros))
        for payout in of_series:
            _close_position(state, changes, payout, nets)
        _drop_positions(state, expired, expired.delivery_micros)
    if state.has_fair_market:
        _pay_all(state, changes, nets)
        conclude_settlement(state, changes, nets)
    else:
        _pay(state, changes, nets)
    for account in state.accounts.values():
        cancel_unaffordable_bids(state, changes, account)


def delist(state: State, changes: Changes, day_end_us: int) -> None:
    """Delist the series that were settled long enough before this end of a day, oldest first."""
    kept_days = state.settlement_rules.settled_kept_days
    if kept_days is UNSET:
        return
    newest_us = day_end_us - kept_days * US_PER_DAY
    settled = [book for book in state.books.values() if book.delivery_micros is not None]
    gone = [book for book in settled if book.expiration_us <= newest_us]
    if gone:
        state.delist(gone)
        series = dict.fromkeys((book.expiration_us // US_PER_SECOND, book.asset) for book in gone)
        changes.events += [SeriesDelisted(asset, expiration_s) for expiration_s, asset in sorted(series)]


def _why_not_settled(state: State, ts_us: int, expired: ExpiredSeries, price_micros: int) -> FailedCheck | None:
    if state.market is None:
        return FailedCheck(Reason.NO_MARKET)
    books = expired.books
    if not books:
        return FailedCheck(Reason.UNKNOWN_SERIES)
    figures: Figures
    if any(book.state != "expired" for book in books):
        figures = {"ts_us": ts_us, "expiration_us": books[0].expiration_us}
        return FailedCheck(Reason.SERIES_NOT_EXPIRED, figures)
    for book in books:
        if book.delivery_micros is not None:
            return FailedCheck(Reason.SERIES_SETTLED, {"delivery_price_micros": book.delivery_micros})
    step_micros = 1 if state.has_fair_market else PRICE_STEP_MICROS
    if not 0 < price_micros <= PRICE_MAX_MICROS or price_micros % step_micros:
        figures = {"price_micros": price_micros, "max_price_micros": PRICE_MAX_MICROS}
        return FailedCheck(Reason.INVALID_DELIVERY_PRICE, figures)
    if not _within_limits(state, _payouts(state, expired)):
        return FailedCheck(Reason.EXPOSURE_ABOVE_MAXIMUM)
    return None


def _payouts(state: State, expired: ExpiredSeries) -> list[Payout]:
    """Return the payouts by account in order of opening, then by instrument in order of listing."""
    delivery_micros = expired.delivery_micros
    if delivery_micros is None:
        return []
    fees = state.fee_schedule
    amounts = {book: _payouts_in(state, book, delivery_micros) for book in expired.books}
    payouts = []
    for account in state.accounts.values():
        for book, by_user in amounts.items():
            if account.user_id in by_user:
                payout, position = by_user[account.user_id], account.positions[book.instrument_id]
                size, fee = position.position_milli, 0
                if payout > 0:
                    fee = fees.delivery_fee_micros(payout, size, delivery_micros, book.expiration_us)
                payouts.append(Payout(account, position, payout, fee))
    return payouts


def _payouts_in(state: State, book: OrderBook, delivery_micros: int) -> dict[str, int]:
    """Return the payouts of the positions in one instrument, by account in order of opening. They sum to zero.

    The long positions receive the value of all their contracts, rounded down to the micro, and the short ones pay it:
    among the accounts of each side it is divided by the largest remainder method.
    """
    value_micros = intrinsic_micros(book.is_call, book.strike_micros, delivery_micros)
    sides: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for account in state.accounts.values():
        if size_milli := account.position_milli(book.instrument_id):
            sides[size_milli < 0][account.user_id] = abs(size_milli)
    payouts: dict[str, int] = {}
    for sizes, sign in zip(sides, (1, -1), strict=True):
        total_micros = value_micros * sum(sizes.values()) // MILLI_PER_CONTRACT
        shares = apportion(total_micros, list(sizes.values()))
        payouts |= {user_id: sign * share for user_id, share in zip(sizes, shares, strict=True)}
    return payouts


def _within_limits(state: State, payouts: list[Payout]) -> bool:
    """True if every number that results from these payouts stays within NUMBER_MAX."""
    nets: dict[str, int] = {}
    for payout in payouts:
        if abs(payout.payout_micros) > NUMBER_MAX:
            return False
        user_id = payout.account.user_id
        nets[user_id] = nets.get(user_id, 0) + payout.payout_micros - payout.fee_micros
    if not nets:
        return True
    if state.has_fair_market:
        return _fair_within_limits(state, nets)
    uncovered = sum(
        max(0, -(state.accounts[user_id].cash_micros + net)) for user_id, net in nets.items() if user_id != INSURANCE
    )
    insurance = state.accounts[INSURANCE].cash_micros + nets.get(INSURANCE, 0) - uncovered
    shortfalls = [account.shortfall_micros for account in state.accounts.values()]
    return state.total_cash_micros + max(0, -insurance) <= NUMBER_MAX and max(shortfalls) + uncovered <= NUMBER_MAX


def _fair_within_limits(state: State, nets: dict[str, int]) -> bool:
    """The same if accounts can owe cash: what they own together, and what they owe, stays within NUMBER_MAX."""
    cash = [account.cash_micros + nets.get(user_id, 0) for user_id, account in state.accounts.items()]
    owed_micros = sum(max(0, -amount) for amount in cash)
    shortfall_micros = sum(account.shortfall_micros for account in state.accounts.values())
    return sum(max(0, amount) for amount in cash) <= NUMBER_MAX and owed_micros + shortfall_micros <= NUMBER_MAX


def _close_position(state: State, changes: Changes, payout: Payout, nets: dict[str, int]) -> None:
    """Close a position, and add its payout to the net sum of its account."""
    account, position, payout_micros, fee = payout
    changes.track_position(account, position)
    changes.events.append(
        PositionSettled(account.user_id, position.book.instrument_id, position.position_milli, payout_micros, fee)
    )
    account.move(position, -position.position_milli, 0)
    account.update_margin(position)
    nets[account.user_id] = nets.get(account.user_id, 0) + payout_micros - fee
    if fee:
        nets[FEES] = nets.get(FEES, 0) + fee


def _drop_positions(state: State, expired: ExpiredSeries, delivery_micros: int) -> None:
    """Mark the series as settled, and remove its positions from all accounts."""
    for book in expired.books:
        book.delivery_micros = delivery_micros
        for account in state.accounts.values():
            account.positions.pop(book.instrument_id, None)


def _pay_all(state: State, changes: Changes, nets: dict[str, int]) -> None:
    """Pay every account its net sum, in order of opening. An account that cannot pay owes the cash."""
    for account in state.accounts.values():
        if net := nets.get(account.user_id, 0):
            changes.track(account)
            account.cash_micros += net
            if account.user_id != INSURANCE:
                state.note_overdrawn(account)


def _pay(state: State, changes: Changes, nets: dict[str, int]) -> None:
    """Pay every account its net sum, in order of opening. The insurance pays the sum that an account cannot pay."""
    insurance = state.accounts.get(INSURANCE)
    for account in state.accounts.values():
        net = nets.get(account.user_id, 0)
        if not net:
            continue
        changes.track(account)
        account.cash_micros += net
        if account.cash_micros < 0 and account is not insurance:
            assert insurance is not None, "a market without an insurance"
            missing = -account.cash_micros
            changes.track(insurance)
            insurance.cash_micros -= missing
            account.cash_micros = 0
            account.shortfall_micros += missing
            changes.events.append(ShortfallCovered(account.user_id, missing, account.shortfall_micros))
