"""Orders: place, edit, cancel. First every check, which only reads; then the changes, of which none can fail."""

from exchange.domain.commands import CancelAll, CancelOrder, EditOrder, PlaceOrder
from exchange.domain.events import (
    AllCancelled,
    Event,
    OrderAccepted,
    OrderEdited,
    OrderRepeated,
    Refused,
)
from exchange.domain.reasons import Reason
from exchange.domain.units import NUMBER_MAX, PRICE_MAX_MICROS, SIZE_MAX_MILLI, cost_micros
from exchange.domain.words import CancelReason, Side
from exchange.matching.accounts import Account, bid_lock_micros
from exchange.matching.book import Book, Order
from exchange.matching.collateral import collateral_micros
from exchange.matching.endings import end, withdraw, withdraw_each
from exchange.matching.fills import can_pay, fillable, match
from exchange.matching.state import Outcome, State


def place(state: State, ts_us: int, command: PlaceOrder) -> list[Event]:
    """Accept an order, trade it as far as it goes, and rest or cancel what remains."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return [Refused(command.user_id, Reason.UNKNOWN_USER)]
    known = account.client_orders.get(command.client_order_id) if command.client_order_id is not None else None
    if known is not None and _same_order(known, command):
        return [OrderRepeated(known.order_id, account.user_id)]
    book = state.books.get(command.instrument_id)
    if book is None:
        return [Refused(account.user_id, Reason.INSTRUMENT_NOT_FOUND)]
    if reason := _why_not_placed(state, ts_us, account, book, known, command):
        return [Refused(account.user_id, reason)]

    outcome = Outcome()
    order = Order(
        state.next_order_id,
        account,
        book,
        command.side,
        command.type,
        command.time_in_force,
        command.post_only,
        command.client_order_id,
        command.price_micros,
        command.size_milli,
        command.size_milli,
        command.price_micros,
        command.size_milli,
    )
    state.next_order_id += 1
    outcome.events.append(
        OrderAccepted(
            order.order_id,
            account.user_id,
            book.instrument_id,
            order.side,
            order.type,
            order.time_in_force,
            order.price_micros,
            order.size_milli,
            order.post_only,
            order.client_order_id,
        )
    )
    if order.client_order_id is not None:
        account.client_orders[order.client_order_id] = order
    account.open_orders[order.order_id] = order
    _trade_and_rest(state, outcome, order)
    return outcome.close()


def edit(state: State, ts_us: int, command: EditOrder) -> list[Event]:
    """Give an open order another price or size. Same price and a smaller size keep its place in the queue."""
    account = state.accounts.get(command.user_id)
    order = find_order(account, command.order_id, command.client_order_id)
    if account is None or order is None:
        return [Refused(command.user_id, Reason.ORDER_NOT_FOUND)]
    if order.level is None:
        return [Refused(command.user_id, _why_finished(order))]
    previous_price = order.price_micros
    assert previous_price is not None, "a market order rests"
    price = previous_price if command.price_micros is None else command.price_micros
    size = order.size_milli if command.size_milli is None else command.size_milli
    remaining = size - order.size_milli + order.remaining_milli
    if reason := _why_not_edited(state, ts_us, account, order, price, size, remaining):
        return [Refused(command.user_id, reason)]

    outcome = Outcome()
    previous_remaining = order.remaining_milli
    keeps_place = price == previous_price and size < order.size_milli
    outcome.touch_for(order)
    account.release(order, state.rules.fees)
    if not keeps_place:
        order.book.side(order.side).remove(order)
        order.price_micros = price
    order.size_milli = size
    order.remaining_milli = remaining
    outcome.events.append(
        OrderEdited(
            order.order_id,
            account.user_id,
            order.book.instrument_id,
            order.side,
            price,
            size,
            remaining,
            keeps_place,
            previous_price,
            previous_remaining,
        )
    )
    if keeps_place:
        account.reserve(order, state.rules.fees)
    else:
        _trade_and_rest(state, outcome, order)
    return outcome.close()


def cancel(state: State, command: CancelOrder) -> list[Event]:
    """Cancel one open order of the user."""
    account = state.accounts.get(command.user_id)
    if command.instrument_id is not None and command.instrument_id not in state.books:
        return [Refused(command.user_id, Reason.INSTRUMENT_NOT_FOUND)]
    order = find_order(account, command.order_id, command.client_order_id)
    if order is None or command.instrument_id not in (None, order.book.instrument_id):
        return [Refused(command.user_id, Reason.ORDER_NOT_FOUND)]
    if order.level is None:
        return [Refused(command.user_id, _why_finished(order))]
    outcome = Outcome()
    withdraw(state, outcome, order, "user_request")
    return outcome.close()


def cancel_all(state: State, command: CancelAll) -> list[Event]:
    """Cancel the user's open orders, oldest first, in one instrument or in all."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return [Refused(command.user_id, Reason.UNKNOWN_USER)]
    if command.instrument_id is not None and command.instrument_id not in state.books:
        return [Refused(command.user_id, Reason.INSTRUMENT_NOT_FOUND)]
    orders = [
        order
        for order in account.open_orders.values()
        if command.instrument_id is None or order.book.instrument_id == command.instrument_id
    ]
    outcome = Outcome()
    withdraw_each(state, outcome, orders, "user_request")
    outcome.events.append(AllCancelled(account.user_id, len(orders)))
    return outcome.close()


def _same_order(known: Order, command: PlaceOrder) -> bool:
    """Whether `command` asks for `known` once more, as it was placed."""
    return (
        known.book.instrument_id == command.instrument_id
        and known.side == command.side
        and known.type == command.type
        and known.time_in_force == command.time_in_force
        and known.post_only == command.post_only
        and known.original_price_micros == command.price_micros
        and known.original_size_milli == command.size_milli
    )


def _why_not_placed(
    state: State, ts_us: int, account: Account, book: Book, known: Order | None, command: PlaceOrder
) -> Reason | None:
    price, size, side = command.price_micros, command.size_milli, command.side
    if reason := _why_closed(ts_us, book) or _why_bad_size(book, size, 0, price) or _why_bad_price(book, price):
        return reason
    if known is not None:
        return Reason.CLIENT_ORDER_ID_USED
    if len(account.open_orders) >= state.rules.open_orders_max:
        return Reason.TOO_MANY_OPEN_ORDERS
    if command.post_only and _would_trade(state, account, book, side, price):
        return Reason.POST_ONLY_WOULD_TRADE
    if price is None:
        enough = can_pay(state, account, book, side, size, command.time_in_force == "fok")
    else:
        enough = lock_needed(state, account, book, side, price, size) <= account.available_micros
    return None if enough else Reason.INSUFFICIENT_BALANCE


def _why_not_edited(
    state: State, ts_us: int, account: Account, order: Order, price: int, size: int, remaining: int
) -> Reason | None:
    book = order.book
    filled = size - remaining
    if reason := _why_closed(ts_us, book) or _why_bad_size(book, size, filled, price) or _why_bad_price(book, price):
        return reason
    if order.post_only and _would_trade(state, account, book, order.side, price):
        return Reason.POST_ONLY_WOULD_TRADE
    more = edit_lock_needed(state, order, price, remaining)
    return Reason.INSUFFICIENT_BALANCE if more > account.available_micros else None


def _why_closed(ts_us: int, book: Book) -> Reason | None:
    if book.state == "expired" or ts_us >= book.expiration_us:
        return Reason.INSTRUMENT_EXPIRED
    return Reason.INSTRUMENT_PAUSED if book.state == "paused" else None


def _why_bad_size(book: Book, size_milli: int, filled_milli: int, price_micros: int | None) -> Reason | None:
    if size_milli < book.min_size_milli:
        return Reason.SIZE_BELOW_MINIMUM
    if size_milli > SIZE_MAX_MILLI:
        return Reason.SIZE_ABOVE_MAXIMUM
    if size_milli <= filled_milli:
        return Reason.SIZE_NOT_ABOVE_FILLED
    if price_micros is not None and cost_micros(price_micros, size_milli) > NUMBER_MAX:
        return Reason.COST_ABOVE_MAXIMUM
    return None


def _why_bad_price(book: Book, price_micros: int | None) -> Reason | None:
    if price_micros is None:
        return None
    if price_micros <= 0:
        return Reason.PRICE_NOT_POSITIVE
    if price_micros % book.tick_micros:
        return Reason.PRICE_OFF_TICK
    return Reason.PRICE_ABOVE_MAXIMUM if price_micros > PRICE_MAX_MICROS else None


def _why_finished(order: Order) -> Reason:
    return Reason.ORDER_ALREADY_CANCELLED if order.remaining_milli else Reason.ORDER_ALREADY_FILLED


def find_order(account: Account | None, order_id: int | None, client_order_id: str | None) -> Order | None:
    """The user's own order of that name, open or lately finished."""
    if account is None:
        return None
    if order_id is not None:
        return account.open_orders.get(order_id) or account.finished_orders.get(order_id)
    return account.client_orders.get(client_order_id) if client_order_id is not None else None


def _would_trade(state: State, account: Account, book: Book, side: Side, price_micros: int | None) -> bool:
    """Whether anything at this price would trade; the user's own orders would be cancelled and do not count."""
    own_trade = state.rules.self_trade_prevention == "off"
    return any(own_trade or maker.account is not account for maker in book.opposite(side).crosses(price_micros))


def lock_needed(state: State, account: Account, book: Book, side: Side, price_micros: int, size_milli: int) -> int:
    """How much more would be locked by `size_milli` more at this price."""
    if side == "bid":
        return bid_lock_micros(state.rules.fees, price_micros, size_milli)
    holding = account.holdings.get(book.instrument_id)
    if holding is None:
        return collateral_micros(book, size_milli)
    return collateral_micros(book, size_milli - holding.free_milli) - holding.collateral_micros


def edit_lock_needed(state: State, order: Order, price_micros: int, remaining_milli: int) -> int:
    """How much more an open order would lock with this price and remainder; negative: how much less."""
    if order.side == "bid":
        assert order.price_micros is not None
        held = bid_lock_micros(state.rules.fees, order.price_micros, order.remaining_milli)
        return bid_lock_micros(state.rules.fees, price_micros, remaining_milli) - held
    more_milli = remaining_milli - order.remaining_milli
    return lock_needed(state, order.account, order.book, "ask", price_micros, more_milli)


def _trade_and_rest(state: State, outcome: Outcome, order: Order) -> None:
    """Trade an order that enters the book, then rest its remainder or cancel it."""
    account, rules = order.account, state.rules
    if order.price_micros is not None:
        outcome.touch_for(order)
        account.reserve(order, rules.fees)
    reason: CancelReason = "market_remainder" if order.price_micros is None else "ioc_remainder"
    if order.time_in_force == "fok" and fillable(state, order) < order.remaining_milli:
        reason = "fok_unfilled"
    elif not match(state, outcome, order):
        reason = "insufficient_balance"
    if not order.remaining_milli:
        account.finish(order, rules.finished_orders_kept)
    elif order.time_in_force in ("gtc", "day"):
        assert order.price_micros is not None, "a market order may not rest"
        order.book.side(order.side).append(order, order.price_micros)
    else:
        end(state, outcome, order, reason)
