"""Orders: place, edit, cancel. First every check, which only reads; then the changes, of which none can fail."""

from msgspec import UNSET

from exchange.domain.commands import CancelAll, CancelOrder, CancelUserOrders, EditOrder, PlaceOrder
from exchange.domain.enums import CancelReason, Side
from exchange.domain.events import AllCancelled, Event, OrderEdited, OrderRepeated, Refused
from exchange.domain.reasons import Reason
from exchange.domain.units import NUMBER_MAX, PRICE_MAX_MICROS, SIZE_MAX_MILLI, US_PER_SECOND, cost_micros
from exchange.matching.accounts import Account
from exchange.matching.book import Order, OrderBook
from exchange.matching.cancellation import cancel_each, cancel_resting
from exchange.matching.execution import accept, trade_and_rest
from exchange.matching.fills import BuyingPower, can_pay
from exchange.matching.liquidation import liquidate_traders
from exchange.matching.margin_profiles import collateral_micros
from exchange.matching.state import Changes, State


def place(state: State, ts_us: int, command: PlaceOrder) -> list[Event]:
    """Accept an order, trade it as far as it goes, and rest or cancel what remains."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return [Refused(command.user_id, Reason.UNKNOWN_USER)]
    known = account.client_orders.get(command.client_order_id) if command.client_order_id is not None else None
    if known is not None and _same_order(known, command):
        return [OrderRepeated(known.order_id, account.user_id)]
    book = state.books.get(command.instrument_id)
    size = size_to_place_milli(account, book, command)
    if reason := why_not_placed(state, ts_us, account, book, known, command, size):
        return [Refused(account.user_id, reason)]
    assert book is not None, "an order in no instrument passed every check"

    outcome = Changes()
    accept(
        state,
        outcome,
        Order(
            state.next_order_id,
            account.user_id,
            book,
            command.side,
            command.type,
            command.time_in_force,
            command.post_only,
            command.client_order_id,
            command.price_micros,
            size,
            size,
            command.price_micros,
            command.size_milli,
            command.reduce_only is True,
        ),
    )
    liquidate_traders(state, outcome)
    return outcome.take_events()


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

    outcome = Changes()
    previous_remaining = order.remaining_milli
    keeps_place = price == previous_price and size < order.size_milli
    outcome.track_for(account, order)
    account.release(order, state.charges)
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
        account.reserve(order, state.charges)
    else:
        trade_and_rest(state, outcome, order)
        liquidate_traders(state, outcome)
    return outcome.take_events()


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
    outcome = Changes()
    cancel_resting(state, outcome, order, "user_request")
    return outcome.take_events()


def cancel_all(state: State, command: CancelAll | CancelUserOrders, reason: CancelReason) -> list[Event]:
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
    outcome = Changes()
    cancel_each(state, outcome, orders, reason)
    outcome.events.append(AllCancelled(account.user_id, len(orders)))
    return outcome.take_events()


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
        and known.reduce_only == (command.reduce_only is True)
    )


def size_to_place_milli(account: Account, book: OrderBook | None, command: PlaceOrder) -> int:
    """How much of the order is placed: of a reduce-only one, what brings the position nearer to zero."""
    if command.reduce_only is UNSET or book is None:
        return command.size_milli
    return min(command.size_milli, _reducible_milli(account, book, command.side))


def _reducible_milli(account: Account, book: OrderBook, side: Side) -> int:
    """The position on the other side, of which orders on this side bring the account nearer to zero."""
    holding = account.positions.get(book.instrument_id)
    position = holding.position_milli if holding is not None else 0
    return max(0, -position if side == "bid" else position)


def why_not_placed(
    state: State,
    ts_us: int,
    account: Account,
    book: OrderBook | None,
    known: Order | None,
    command: PlaceOrder,
    size: int,
) -> Reason | None:
    """The first check that refuses the order, in the one order of them; `size` is what a reduce-only one comes to."""
    price, side = command.price_micros, command.side
    if account.is_suspended:
        return Reason.USER_SUSPENDED
    if book is None:
        return Reason.INSTRUMENT_NOT_FOUND
    if reason := _why_closed(state, ts_us, book):
        return reason
    if command.reduce_only is not UNSET and not _reducible_milli(account, book, side):
        return Reason.NOTHING_TO_REDUCE
    if reason := _why_bad_size(book, command.size_milli, 0, price) or _why_bad_price(book, price):
        return reason
    if known is not None:
        return Reason.CLIENT_ORDER_ID_USED
    open_orders_max = account.open_orders_max if account.open_orders_max is not None else state.rules.open_orders_max
    if len(account.open_orders) >= open_orders_max:
        return Reason.TOO_MANY_OPEN_ORDERS
    if command.reduce_only is UNSET and _is_beyond_limit(state, account, book, side, size, None):
        return Reason.POSITION_ABOVE_MAXIMUM
    if command.post_only and _would_trade(state, account, book, side, price):
        return Reason.POST_ONLY_WOULD_TRADE
    if side == "ask" and _is_stale(state, ts_us, book) and ask_lock_needed(account, book, size) > 0:
        return Reason.INDEX_STALE
    if price is None:
        enough = can_pay(state, account, book, side, size, command.time_in_force == "fok")
    elif side == "bid" and command.time_in_force in ("ioc", "fok"):
        needed = state.charges.bid_lock_micros(price, size)
        enough = needed <= account.available_micros or BuyingPower(state, account, book, side).pays(needed, size)
    else:
        enough = is_available(account, lock_needed(state, account, book, side, price, size))
    return None if enough else Reason.INSUFFICIENT_BALANCE


def _why_not_edited(
    state: State, ts_us: int, account: Account, order: Order, price: int, size: int, remaining: int
) -> Reason | None:
    book = order.book
    filled = size - remaining
    if account.is_suspended:
        return Reason.USER_SUSPENDED
    if reason := _why_closed(state, ts_us, book) or _why_bad_size(book, size, filled, price):
        return reason
    if reason := _why_bad_price(book, price):
        return reason
    if _is_beyond_limit(state, account, book, order.side, remaining, order):
        return Reason.POSITION_ABOVE_MAXIMUM
    if order.post_only and _would_trade(state, account, book, order.side, price):
        return Reason.POST_ONLY_WOULD_TRADE
    more = edit_lock_needed(state, account, order, price, remaining)
    if order.side == "ask" and more > 0 and _is_stale(state, ts_us, book):
        return Reason.INDEX_STALE
    return None if is_available(account, more) else Reason.INSUFFICIENT_BALANCE


def is_available(account: Account, needed_micros: int) -> bool:
    """Whether so much more can be locked: what needs nothing more always can, even under a margin call."""
    return needed_micros <= max(0, account.available_micros)


def _why_closed(state: State, ts_us: int, book: OrderBook) -> Reason | None:
    if state.is_halted:
        return Reason.EXCHANGE_HALTED
    if book.state == "expired" or ts_us >= book.expiration_us:
        return Reason.INSTRUMENT_EXPIRED
    return Reason.INSTRUMENT_PAUSED if book.state == "paused" else None


def _is_stale(state: State, ts_us: int, book: OrderBook) -> bool:
    """Whether the last index price is too old to say what a sale must lock."""
    index = state.indexes.get(book.asset)
    if index is None or state.market is None or not state.market.index_age_max_s:
        return False
    return ts_us - index.ts_us > state.market.index_age_max_s * US_PER_SECOND


def _is_beyond_limit(
    state: State, account: Account, book: OrderBook, side: Side, size_milli: int, edited: Order | None
) -> bool:
    """Whether position, open orders on this side and so much more could come to more than the account may have."""
    limit_milli = account.position_max_milli
    if limit_milli is None:
        limit_milli = state.market.position_max_milli if state.market is not None else 0
    if not limit_milli:
        return False
    holding = account.positions.get(book.instrument_id)
    position = holding.position_milli if holding is not None else 0
    open_milli = sum(
        order.remaining_milli
        for order in account.open_orders.values()
        if order.book is book and order.side == side and order is not edited
    )
    return (position if side == "bid" else -position) + open_milli + size_milli > limit_milli


def _why_bad_size(book: OrderBook, size_milli: int, filled_milli: int, price_micros: int | None) -> Reason | None:
    if size_milli < book.min_size_milli:
        return Reason.SIZE_BELOW_MINIMUM
    if size_milli > SIZE_MAX_MILLI:
        return Reason.SIZE_ABOVE_MAXIMUM
    if size_milli <= filled_milli:
        return Reason.SIZE_NOT_ABOVE_FILLED
    if price_micros is not None and cost_micros(price_micros, size_milli) > NUMBER_MAX:
        return Reason.COST_ABOVE_MAXIMUM
    return None


def _why_bad_price(book: OrderBook, price_micros: int | None) -> Reason | None:
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
        return account.open_orders.get(order_id) or account.closed_orders.get(order_id)
    return account.client_orders.get(client_order_id) if client_order_id is not None else None


def _would_trade(state: State, account: Account, book: OrderBook, side: Side, price_micros: int | None) -> bool:
    """Whether anything at this price would trade; the user's own orders would be cancelled and do not count."""
    own_trade = state.rules.self_trade_prevention == "off"
    return any(own_trade or maker.user_id != account.user_id for maker in book.opposite(side).crosses(price_micros))


def lock_needed(state: State, account: Account, book: OrderBook, side: Side, price_micros: int, size_milli: int) -> int:
    """How much more would be locked by `size_milli` more at this price."""
    if side == "bid":
        return state.charges.bid_lock_micros(price_micros, size_milli)
    return ask_lock_needed(account, book, size_milli)


def ask_lock_needed(account: Account, book: OrderBook, size_milli: int) -> int:
    """How much more collateral offering `size_milli` more would lock."""
    holding = account.positions.get(book.instrument_id)
    if holding is None:
        return collateral_micros(book, size_milli)
    return collateral_micros(book, size_milli - holding.free_milli) - holding.collateral_micros


def edit_lock_needed(state: State, account: Account, order: Order, price_micros: int, remaining_milli: int) -> int:
    """How much more an open order would lock with this price and remainder; negative: how much less."""
    if order.side == "bid":
        assert order.price_micros is not None
        held = state.charges.bid_lock_micros(order.price_micros, order.remaining_milli)
        return state.charges.bid_lock_micros(price_micros, remaining_milli) - held
    return ask_lock_needed(account, order.book, remaining_milli - order.remaining_milli)
