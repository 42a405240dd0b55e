"""The figures behind a refusal: what was asked for, and what the check held it against."""

from typing import NamedTuple

from exchange.domain.commands import (
    CancelOrder,
    ChangeRules,
    Command,
    Deposit,
    EditOrder,
    OpenAccount,
    PlaceOrder,
    SetIndexPrice,
    SettleSeries,
    Withdraw,
)
from exchange.domain.enums import Side
from exchange.domain.reasons import Reason
from exchange.domain.rules import validation_error
from exchange.domain.units import (
    MILLI_PER_CONTRACT,
    NUMBER_MAX,
    PRICE_MAX_MICROS,
    SIZE_MAX_MILLI,
    US_PER_SECOND,
    cost_micros,
)
from exchange.matching.accounts import Account
from exchange.matching.book import Order, OrderBook
from exchange.matching.fills import released_micros
from exchange.matching.margin_profiles import collateral_micros
from exchange.matching.orders import edit_lock_needed, find_order, lock_needed, size_to_place_milli
from exchange.matching.state import State

Figures = dict[str, int | str]


class _Terms(NamedTuple):
    """What an order was to be: placed so, or edited to it. `added_milli` is what would still have to be traded of it:
    what remains of an edited one, what reduces the position of one that is only to do that.
    """

    account: Account
    book: OrderBook
    side: Side
    price_micros: int | None
    size_milli: int
    added_milli: int
    edited: Order | None = None
    never_rests: bool = False


def refusal_figures(state: State, ts_us: int, command: Command, reason: Reason) -> Figures:
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
        case SetIndexPrice():
            return _index_refused(state, command, reason)
        case SettleSeries():
            return _settlement_refused(state, ts_us, command, reason)
        case ChangeRules() if reason == Reason.INVALID_RULES:
            return {"contradiction": validation_error(command.rules) or "the market would be taken away"}
        case _:
            return {}


def _index_refused(state: State, command: SetIndexPrice, reason: Reason) -> Figures:
    match reason:
        case Reason.INVALID_INDEX_PRICE:
            return {"price_micros": command.price_micros, "max_price_micros": PRICE_MAX_MICROS}
        case Reason.INDEX_JUMP:
            assert state.market is not None, "a jump without a market"
            last_micros = state.indexes[command.asset].price_micros
            return {
                "price_micros": command.price_micros,
                "last_price_micros": last_micros,
                "index_jump_max": state.market.index_jump_max,
            }
        case _:
            return {}


def _settlement_refused(state: State, ts_us: int, command: SettleSeries, reason: Reason) -> Figures:
    match reason:
        case Reason.SERIES_NOT_EXPIRED:
            return {"ts_us": ts_us, "expiration_us": command.expiration_s * US_PER_SECOND}
        case Reason.SERIES_SETTLED:
            settled = [
                book.delivery_micros
                for book in state.books.values()
                if book.asset == command.asset and book.expiration_us == command.expiration_s * US_PER_SECOND
            ]
            return {"delivery_price_micros": next(price for price in settled if price is not None)}
        case Reason.INVALID_DELIVERY_PRICE:
            return {"price_micros": command.price_micros, "max_price_micros": PRICE_MAX_MICROS}
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
        size = command.size_milli
        added = size_to_place_milli(account, book, command)
        never_rests = command.time_in_force in ("ioc", "fok")
        return _Terms(account, book, command.side, command.price_micros, size, added, None, never_rests)
    order = find_order(account, command.order_id, command.client_order_id)
    if order is None:
        return None
    price = order.price_micros if command.price_micros is None else command.price_micros
    size = order.size_milli if command.size_milli is None else command.size_milli
    return _Terms(account, order.book, order.side, price, size, size - order.size_milli + order.remaining_milli, order)


def _order_refused(state: State, ts_us: int, command: Command, terms: _Terms, reason: Reason) -> Figures:
    account, book, price, size, edited = terms.account, terms.book, terms.price_micros, terms.size_milli, terms.edited
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
            own_max = account.open_orders_max
            most = state.rules.open_orders_max if own_max is None else own_max
            return {"open_orders": len(account.open_orders), "open_orders_max": most}
        case Reason.NOTHING_TO_REDUCE:
            return {"side": terms.side, "position_milli": _position_milli(terms)}
        case Reason.POSITION_ABOVE_MAXIMUM:
            return _position_above_maximum(state, terms)
        case Reason.INDEX_STALE:
            assert state.market is not None, "an index without a market"
            index_ts_us, age_max_s = state.indexes[book.asset].ts_us, state.market.index_age_max_s
            return {"ts_us": ts_us, "index_ts_us": index_ts_us, "index_age_max_s": age_max_s}
        case Reason.POST_ONLY_WOULD_TRADE if price is not None:
            return {"price_micros": price} | _best_price(state, terms)
        case Reason.ORDER_ALREADY_FILLED | Reason.ORDER_ALREADY_CANCELLED if edited is not None:
            return {"order_id": edited.order_id}
        case Reason.INSUFFICIENT_BALANCE:
            return _insufficient_balance(state, terms)
        case _:
            return {}


def _position_milli(terms: _Terms) -> int:
    holding = terms.account.positions.get(terms.book.instrument_id)
    return holding.position_milli if holding is not None else 0


def _position_above_maximum(state: State, terms: _Terms) -> Figures:
    account = terms.account
    open_milli = sum(
        order.remaining_milli
        for order in account.open_orders.values()
        if order.book is terms.book and order.side == terms.side and order is not terms.edited
    )
    own_max = account.position_max_milli
    of_rules = state.market.position_max_milli if state.market is not None else 0
    return {
        "position_milli": _position_milli(terms),
        "open_orders_milli": open_milli,
        "size_milli": terms.added_milli,
        "position_max_milli": of_rules if own_max is None else own_max,
    }


def _insufficient_balance(state: State, terms: _Terms) -> Figures:
    """A market order has no sum that it needs: what it would meet stands beside what is available."""
    account, book, side, price = terms.account, terms.book, terms.side, terms.price_micros
    figures: Figures = {}
    if price is not None and terms.edited is not None:
        figures["needed_micros"] = edit_lock_needed(state, account, terms.edited, price, terms.added_milli)
    elif price is not None:
        figures["needed_micros"] = lock_needed(state, account, book, side, price, terms.added_milli)
    figures["available_micros"] = account.available_micros
    if side == "bid" and terms.never_rests:
        figures |= _freed(state, terms)
    if price is None and side == "bid":
        figures |= _best_price(state, terms)
    if price is None and side == "ask":
        figures["collateral_per_contract_micros"] = collateral_micros(book, MILLI_PER_CONTRACT)
    return figures


def _freed(state: State, terms: _Terms) -> Figures:
    """What buying back a short may count on besides, as long as there is cash that no bid locks."""
    holding = terms.account.positions.get(terms.book.instrument_id)
    if state.market is None or holding is None:
        return {}
    freed = released_micros(terms.book, -holding.free_milli, terms.added_milli)
    return {"freed_micros": freed, "cash_beyond_bids_micros": terms.account.cash_micros - terms.account.bids_micros}


def _best_price(state: State, terms: _Terms) -> Figures:
    """The best price on the other side that the order would trade at."""
    own_trade = state.rules.self_trade_prevention == "off"
    for order in terms.book.opposite(terms.side).crosses(terms.price_micros):
        if (own_trade or order.user_id != terms.account.user_id) and order.price_micros is not None:
            return {"best_price_micros": order.price_micros}
    return {}
