"""Settlement: what every position in an expired series is paid, and who pays it when its owner cannot."""

from typing import NamedTuple

from exchange.domain.commands import SettleSeries
from exchange.domain.events import (
    DeliveryPriceSet,
    Event,
    PositionSettled,
    Refused,
    SettlementDelayed,
    ShortfallCovered,
)
from exchange.domain.reasons import Reason
from exchange.domain.units import MILLI_PER_CONTRACT, NUMBER_MAX, PRICE_MAX_MICROS, PRICE_STEP_MICROS, US_PER_SECOND
from exchange.matching.accounts import FEES, INSURANCE, Account, Position
from exchange.matching.book import OrderBook
from exchange.matching.cancellation import cancel_unaffordable_bids
from exchange.matching.liquidation import liquidate
from exchange.matching.margin_profiles import intrinsic_micros
from exchange.matching.state import Changes, State


class Expired(NamedTuple):
    """The instruments of one asset that expire together, and the price at which they settle, if there is one."""

    books: list[OrderBook]
    delivery_micros: int | None

    @property
    def asset(self) -> str:
        return self.books[0].asset

    @property
    def expiration_s(self) -> int:
        return self.books[0].expiration_us // US_PER_SECOND


class Payout(NamedTuple):
    """What one position is paid, or pays; and the fee of who is paid."""

    account: Account
    holding: Position
    payout_micros: int
    fee_micros: int


def settle_series(state: State, command: SettleSeries) -> list[Event]:
    """Settle, at the administrator's price, a series that waits for one."""
    books = [
        book
        for book in state.books.values()
        if book.asset == command.asset and book.expiration_us == command.expiration_s * US_PER_SECOND
    ]
    expired = Expired(books, command.price_micros)
    if reason := _why_not_settled(state, expired):
        return [Refused(None, reason)]
    outcome = Changes()
    settle(state, outcome, [expired])
    liquidate(state, outcome, state.accounts.values())
    return outcome.take_events()


def expired_series(state: State, books: list[OrderBook]) -> list[Expired]:
    """These books, which have just expired, as series, each with the average of the index as its delivery price."""
    series: dict[tuple[int, str], list[OrderBook]] = {}
    for book in sorted(books, key=lambda book: book.expiration_us):
        series.setdefault((book.expiration_us, book.asset), []).append(book)
    found = []
    for (expiration_us, asset), together in series.items():
        index = state.indexes.get(asset)
        tick_micros = min(book.tick_micros for book in together)
        found.append(Expired(together, index.delivery_micros(expiration_us, tick_micros) if index else None))
    return found


def settle(state: State, outcome: Changes, series: list[Expired]) -> None:
    """Pay every position in these series. One without a price waits; all do if the payouts could not be carried."""
    payments = [_payments(state, one) for one in series]
    is_carried = _can_pay(state, [payment for paid in payments for payment in paid])
    nets: dict[str, int] = {}
    for one, paid in zip(series, payments, strict=True):
        if one.delivery_micros is None or not is_carried:
            outcome.events.append(SettlementDelayed(one.asset, one.expiration_s))
            continue
        outcome.events.append(DeliveryPriceSet(one.asset, one.expiration_s, one.delivery_micros))
        for payment in paid:
            _end_position(state, outcome, payment, nets)
        _drop_positions(state, one, one.delivery_micros)
    _pay(state, outcome, nets)
    for account in state.accounts.values():
        cancel_unaffordable_bids(state, outcome, account)


def _why_not_settled(state: State, expired: Expired) -> Reason | None:
    if state.market is None:
        return Reason.NO_MARKET
    if not expired.books:
        return Reason.UNKNOWN_SERIES
    if any(book.state != "expired" for book in expired.books):
        return Reason.SERIES_NOT_EXPIRED
    if any(book.delivery_micros is not None for book in expired.books):
        return Reason.SERIES_SETTLED
    price_micros = expired.delivery_micros
    assert price_micros is not None
    if not 0 < price_micros <= PRICE_MAX_MICROS or price_micros % PRICE_STEP_MICROS:
        return Reason.INVALID_DELIVERY_PRICE
    return None if _can_pay(state, _payments(state, expired)) else Reason.EXPOSURE_ABOVE_MAXIMUM


def _payments(state: State, expired: Expired) -> list[Payout]:
    """Accounts in order of opening, instruments in order of listing. Exact: prices are multiples of 1,000 micros."""
    delivery_micros = expired.delivery_micros
    if delivery_micros is None:
        return []
    payments = []
    for account in state.accounts.values():
        for book in expired.books:
            holding = account.positions.get(book.instrument_id)
            if holding is None or not holding.position_milli:
                continue
            quantity = holding.position_milli
            value = intrinsic_micros(book.is_call, book.strike_micros, delivery_micros)
            payout = value * quantity // MILLI_PER_CONTRACT
            fee = state.charges.delivery_fee_micros(payout, quantity, delivery_micros) if payout > 0 else 0
            payments.append(Payout(account, holding, payout, fee))
    return payments


def _can_pay(state: State, payments: list[Payout]) -> bool:
    """Whether every number that comes of these payments stays a number of the wire."""
    nets: dict[str, int] = {}
    for payment in payments:
        if abs(payment.payout_micros) > NUMBER_MAX:
            return False
        user_id = payment.account.user_id
        nets[user_id] = nets.get(user_id, 0) + payment.payout_micros - payment.fee_micros
    if not nets:
        return True
    uncovered = sum(
        max(0, -(state.accounts[user_id].cash_micros + net)) for user_id, net in nets.items() if user_id != INSURANCE
    )
    insurance = state.accounts[INSURANCE].cash_micros + nets.get(INSURANCE, 0) - uncovered
    shortfalls = [account.shortfall_micros for account in state.accounts.values()]
    return state.total_cash_micros + max(0, -insurance) <= NUMBER_MAX and max(shortfalls) + uncovered <= NUMBER_MAX


def _end_position(state: State, outcome: Changes, payment: Payout, nets: dict[str, int]) -> None:
    """A position ends; what it is paid is added to what its owner is due."""
    account, holding, payout, fee = payment
    outcome.track_position(account, holding)
    outcome.events.append(
        PositionSettled(account.user_id, holding.book.instrument_id, holding.position_milli, payout, fee)
    )
    holding.position_milli = 0
    account.update_margin(holding)
    nets[account.user_id] = nets.get(account.user_id, 0) + payout - fee
    if fee:
        nets[FEES] = nets.get(FEES, 0) + fee


def _drop_positions(state: State, expired: Expired, delivery_micros: int) -> None:
    """The series is settled: nobody has anything in it any more."""
    for book in expired.books:
        book.delivery_micros = delivery_micros
        for account in state.accounts.values():
            account.positions.pop(book.instrument_id, None)


def _pay(state: State, outcome: Changes, nets: dict[str, int]) -> None:
    """Pay every account what it is due, net, in order of opening; the insurance pays what one cannot."""
    insurance = state.accounts.get(INSURANCE)
    for account in state.accounts.values():
        net = nets.get(account.user_id, 0)
        if not net:
            continue
        outcome.track(account)
        account.cash_micros += net
        if account.cash_micros < 0 and account is not insurance:
            assert insurance is not None, "a market without an insurance"
            missing = -account.cash_micros
            outcome.track(insurance)
            insurance.cash_micros -= missing
            account.cash_micros = 0
            account.shortfall_micros += missing
            outcome.events.append(ShortfallCovered(account.user_id, missing, account.shortfall_micros))
