"""The figures behind a refusal: what was asked for, and what the check held it against."""

from typing import NamedTuple

from exchange.domain.commands import CancelOrder, Command, Deposit, EditOrder, OpenAccount, PlaceOrder, Withdraw
from exchange.domain.reasons import Reason
from exchange.domain.units import NUMBER_MAX, PRICE_MAX_MICROS, SIZE_MAX_MILLI, cost_micros
from exchange.domain.words import Side
from exchange.matching.accounts import Account
from exchange.matching.book import Book, Order
from exchange.matching.orders import edit_lock_needed, find_order, lock_needed
from exchange.matching.state import State

Figures = dict[str, int | str]


class _Terms(NamedTuple):
    """What an order was to be: placed so, or edited to it."""

    account: Account
    book: Book
    side: Side
    price_micros: int | None
    size_milli: int
    edited: Order | None = None


def figures_of(state: State, ts_us: int, command: Command, reason: Reason) -> Figures:
    """By name, each with its unit in it; empty where the reason says everything. `state` is the one that refused."""
    if isinstance(command, EditOrder | CancelOrder) and reason == Reason.ORDER_NOT_FOUND:
        return _order_not_found(state, command)
    terms = _terms(state, command)
    if terms is not None:
        return _order_refused(state, ts_us, command, terms, reason)
    match command:
        case Withdraw() if reason == Reason.INSUFFICIENT_BALANCE:
            available = state.accounts[command.user_id].available_micros
            return {"needed_micros": command.amount_micros, "available_micros": available}
        case Deposit() | Withdraw() if reason == Reason.INVALID_AMOUNT:
            return {"amount_micros": command.amount_micros, "all_cash_micros": state.total_cash_micros}
        case OpenAccount() if reason == Reason.INVALID_AMOUNT:
            return {"amount_micros": command.cash_micros, "all_cash_micros": state.total_cash_micros}
        case _:
            return {}


def _order_not_found(state: State, command: EditOrder | CancelOrder) -> Figures:
    """Whose order it was instead, and in what, as far as that is still known."""
    figures: Figures = {"orders_so_far": state.next_order_id - 1}
    for account in state.accounts.values():
        is_own = account.user_id == command.user_id
        if is_own or command.order_id is not None:
            order = find_order(account, command.order_id, command.client_order_id)
            if order is not None:
                figures |= {"owner": account.user_id, "instrument_id": order.book.instrument_id}
    return figures


def _terms(state: State, command: Command) -> _Terms | None:
    """What a placing or an edit asked for; None for anything else, and where user, order or instrument is unknown."""
    if not isinstance(command, PlaceOrder | EditOrder) or command.user_id not in state.accounts:
        return None
    account = state.accounts[command.user_id]
    if isinstance(command, PlaceOrder):
        book = state.books.get(command.instrument_id)
        if book is None:
            return None
        return _Terms(account, book, command.side, command.price_micros, command.size_milli)
    order = find_order(account, command.order_id, command.client_order_id)
    if order is None:
        return None
    price = order.price_micros if command.price_micros is None else command.price_micros
    size = order.size_milli if command.size_milli is None else command.size_milli
    return _Terms(account, order.book, order.side, price, size, order)


def _order_refused(state: State, ts_us: int, command: Command, terms: _Terms, reason: Reason) -> Figures:
    account, book, _, price, size, edited = terms
    match reason:
        case Reason.INSTRUMENT_EXPIRED:
            return {"ts_us": ts_us, "expiration_us": book.expiration_us}
        case Reason.SIZE_BELOW_MINIMUM:
            return {"size_milli": size, "min_size_milli": book.min_size_milli}
        case Reason.SIZE_ABOVE_MAXIMUM:
            return {"size_milli": size, "max_size_milli": SIZE_MAX_MILLI}
        case Reason.SIZE_NOT_ABOVE_FILLED if edited is not None:
            return {"size_milli": size, "filled_milli": edited.size_milli - edited.remaining_milli}
        case Reason.COST_ABOVE_MAXIMUM if price is not None:
            return {"cost_micros": cost_micros(price, size), "max_cost_micros": NUMBER_MAX}
        case Reason.PRICE_OFF_TICK if price is not None:
            return {"price_micros": price, "tick_micros": book.tick_micros}
        case Reason.PRICE_NOT_POSITIVE if price is not None:
            return {"price_micros": price}
        case Reason.PRICE_ABOVE_MAXIMUM if price is not None:
            return {"price_micros": price, "max_price_micros": PRICE_MAX_MICROS}
        case Reason.CLIENT_ORDER_ID_USED if isinstance(command, PlaceOrder) and command.client_order_id is not None:
            return {"used_by_order_id": account.client_orders[command.client_order_id].order_id}
        case Reason.TOO_MANY_OPEN_ORDERS:
            return {"open_orders": len(account.open_orders), "open_orders_max": state.rules.open_orders_max}
        case Reason.POST_ONLY_WOULD_TRADE if price is not None:
            return {"price_micros": price} | _best_price(state, terms)
        case Reason.ORDER_ALREADY_FILLED | Reason.ORDER_ALREADY_CANCELLED if edited is not None:
            return {"order_id": edited.order_id}
        case Reason.INSUFFICIENT_BALANCE:
            return _insufficient_balance(state, terms)
        case _:
            return {}


def _insufficient_balance(state: State, terms: _Terms) -> Figures:
    """A market order has no sum that it needs: what it would meet stands beside what is available."""
    account, book, side, price, size, edited = terms
    available: Figures = {"available_micros": account.available_micros}
    if price is not None and edited is not None:
        remaining = size - edited.size_milli + edited.remaining_milli
        return {"needed_micros": edit_lock_needed(state, edited, price, remaining)} | available
    if price is not None:
        return {"needed_micros": lock_needed(state, account, book, side, price, size)} | available
    if side == "bid":
        return available | _best_price(state, terms)
    return available | {"collateral_per_contract_micros": book.strike_micros}


def _best_price(state: State, terms: _Terms) -> Figures:
    """The best price on the other side that the order would trade at."""
    own_trade = state.rules.self_trade_prevention == "off"
    for order in terms.book.opposite(terms.side).crosses(terms.price_micros):
        if (own_trade or order.account is not terms.account) and order.price_micros is not None:
            return {"best_price_micros": order.price_micros}
    return {}
