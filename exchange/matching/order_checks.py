"""The checks of an order before it is placed or edited. They only read; the first that fails names the refusal."""

from typing import NamedTuple

from msgspec import UNSET

from exchange.domain.commands import PlaceOrder
from exchange.domain.enums import Side
from exchange.domain.reasons import Reason
from exchange.domain.rules import FAIR_MARKET_VERSION
from exchange.domain.units import (
    DISPLAY_MIN_SIZES,
    HIDDEN_TIMES_VISIBLE_MAX,
    MILLI_PER_CONTRACT,
    NUMBER_MAX,
    PRICE_MAX_MICROS,
    SIZE_MAX_MILLI,
    US_PER_SECOND,
)
from exchange.matching.accounts import Account
from exchange.matching.book import Order, OrderBook
from exchange.matching.fills import BuyingPower, can_pay, released_micros
from exchange.matching.margin_profiles import collateral_micros
from exchange.matching.possible_fills import first_maker
from exchange.matching.refusal import FailedCheck, Figures
from exchange.matching.reopening import why_not_reopened
from exchange.matching.state import State


class Edit(NamedTuple):
    """The terms of an open order after an edit. `remaining_milli` is the part of the new size that is not filled."""

    order: Order
    price_micros: int
    size_milli: int
    remaining_milli: int


def why_not_placed(
    state: State,
    ts_us: int,
    account: Account,
    book: OrderBook | None,
    used_by_id: int | None,
    command: PlaceOrder,
    size_milli: int,
) -> FailedCheck | None:
    """Return the first check that the order fails, None if it may be placed.

    `used_by_id` is the order of the same user with the same client_order_id. `size_milli` is the size to place, which
    for a reduce-only order may be less than the size of the command.
    """
    price, side = command.price_micros, command.side
    if account.is_suspended:
        return FailedCheck(Reason.USER_SUSPENDED)
    if book is None:
        return FailedCheck(state.why_not_listed(command.instrument_id))
    if state.is_halted or book.state != "open" or ts_us >= book.expiration_us:
        return why_closed(state, ts_us, book)
    if state.has_fair_market and (failed := why_not_reopened(state, ts_us, book, command.post_only)):
        return failed
    if command.reduce_only is not UNSET and not _reducible_milli(account, book, side):
        return FailedCheck(
            Reason.NOTHING_TO_REDUCE, {"side": side, "position_milli": account.position_milli(book.instrument_id)}
        )
    size_min_milli = _size_min_milli(state, account, book, command)
    if failed := why_bad_size(size_min_milli, command.size_milli, 0, price) or why_bad_price(book, price):
        return failed
    if price is None and command.type == "market_limit":
        return FailedCheck(Reason.NO_OPPOSITE_PRICE)
    if command.display_milli is not UNSET and (
        failed := why_bad_display(book, command.display_milli, command.size_milli)
    ):
        return failed
    if price is not None and (failed := _why_beyond_band(book, price)):
        return failed
    if used_by_id is not None:
        return FailedCheck(Reason.CLIENT_ORDER_ID_USED, {"used_by_order_id": used_by_id})
    open_orders_max = account.open_orders_max if account.open_orders_max is not None else state.rules.open_orders_max
    if len(account.open_orders) >= open_orders_max:
        return FailedCheck(
            Reason.TOO_MANY_OPEN_ORDERS,
            {"open_orders": len(account.open_orders), "open_orders_max": open_orders_max},
        )
    if command.reduce_only is UNSET and (failed := _why_beyond_limit(state, account, book, side, size_milli, None)):
        return failed
    if command.post_only and (failed := why_would_trade(state, account, book, side, price)):
        return failed
    if side == "ask" and _is_stale(state, ts_us, book) and ask_lock_needed(account, book, size_milli) > 0:
        return _index_stale(state, ts_us, book)
    if price is None:
        enough = can_pay(state, account, book, side, size_milli, command.time_in_force == "fok")
    elif side == "bid" and command.time_in_force in ("ioc", "fok"):
        needed = state.fee_schedule.bid_lock_micros(price, size_milli)
        enough = needed <= account.available_micros or BuyingPower(state, account, book, side).pays(needed, size_milli)
    else:
        enough = is_available(account, lock_needed(state, account, book, side, price, size_milli))
    return None if enough else _cannot_place(state, account, book, command, size_milli)


def why_not_edited(state: State, ts_us: int, account: Account, edit: Edit) -> FailedCheck | None:
    """Return the first check that the edit fails, None if the order may have these terms."""
    order, price, size, remaining = edit
    book = order.book
    if account.is_suspended:
        return FailedCheck(Reason.USER_SUSPENDED)
    if state.is_halted or book.state != "open" or ts_us >= book.expiration_us:
        return why_closed(state, ts_us, book)
    if state.has_fair_market and (failed := why_not_reopened(state, ts_us, book, order.post_only)):
        return failed
    # A reduce-only order may be as small as the position.
    size_min_milli = 1 if order.reduce_only else book.min_size_milli
    if failed := why_bad_size(size_min_milli, size, size - remaining, price) or why_bad_price(book, price):
        return failed
    # An order may become smaller than the part that it shows.
    if order.display_milli and (failed := why_bad_display(book, order.display_milli, max(size, order.display_milli))):
        return failed
    if price != order.price_micros and (failed := _why_beyond_band(book, price)):
        return failed
    if not order.reduce_only and (failed := _why_beyond_limit(state, account, book, order.side, remaining, order)):
        return failed
    if order.post_only and (failed := why_would_trade(state, account, book, order.side, price)):
        return failed
    more = edit_lock_needed(state, account, order, price, remaining)
    if order.side == "ask" and more > 0 and _is_stale(state, ts_us, book):
        return _index_stale(state, ts_us, book)
    if is_available(account, more):
        return None
    figures: Figures = {"needed_micros": more, "available_micros": account.available_micros}
    return FailedCheck(Reason.INSUFFICIENT_BALANCE, figures)


def size_to_place_milli(account: Account, book: OrderBook | None, command: PlaceOrder) -> int:
    """Return the size of the command; for a reduce-only order, at most the position that it would reduce."""
    if command.reduce_only is UNSET or book is None:
        return command.size_milli
    return min(command.size_milli, _reducible_milli(account, book, command.side))


def too_late(ts_us: int, valid_until_us: int) -> FailedCheck:
    """The refusal of a command that came after the time until which it is valid."""
    return FailedCheck(Reason.VALID_UNTIL_PASSED, {"ts_us": ts_us, "valid_until_us": valid_until_us})


def resting_price_micros(state: State, account: Account, book: OrderBook, side: Side, price_micros: int) -> int:
    """Return the price nearest to `price_micros` at which an order does not trade: one tick from the best opposite one.

    The rule is Deribit's for `post_only`: a price that would trade becomes one just below the spread
    (https://docs.deribit.com/api-reference/trading/private-buy). The price stays if it is invalid or does not trade, or
    if no price is left on that side of the opposite one; the checks then refuse the order.
    """
    if why_bad_price(book, price_micros) or _why_beyond_band(book, price_micros):
        return price_micros
    best_micros = best_price_micros(state, account, book, side, price_micros)
    if best_micros is None:
        return price_micros
    nearest_micros = best_micros - book.tick_micros if side == "bid" else best_micros + book.tick_micros
    return nearest_micros if 0 < nearest_micros <= PRICE_MAX_MICROS else price_micros


def is_available(account: Account, needed_micros: int) -> bool:
    """True if the account can lock so much more. To lock nothing more is always possible, even under a margin call."""
    return needed_micros <= 0 or needed_micros <= account.cash_micros - account.locked_micros


def lock_needed(state: State, account: Account, book: OrderBook, side: Side, price_micros: int, size_milli: int) -> int:
    """Return how many micros more an order of `size_milli` at this price would lock."""
    if side == "bid":
        return state.fee_schedule.bid_lock_micros(price_micros, size_milli)
    return ask_lock_needed(account, book, size_milli)


def ask_lock_needed(account: Account, book: OrderBook, size_milli: int) -> int:
    """Return how many micros of collateral an ask of `size_milli` would lock more."""
    position = account.positions.get(book.instrument_id)
    if position is None:
        return collateral_micros(book, size_milli)
    return collateral_micros(book, size_milli - position.free_milli) - position.collateral_micros


def edit_lock_needed(state: State, account: Account, order: Order, price_micros: int, remaining_milli: int) -> int:
    """Return how many micros more an open order would lock with this price and remainder; negative if less."""
    if order.side == "bid":
        assert order.price_micros is not None
        locked = state.fee_schedule.bid_lock_micros(order.price_micros, order.remaining_milli)
        return state.fee_schedule.bid_lock_micros(price_micros, remaining_milli) - locked
    return ask_lock_needed(account, order.book, remaining_milli - order.remaining_milli)


def _reducible_milli(account: Account, book: OrderBook, side: Side) -> int:
    """Return the part of the position that orders on `side` bring nearer to zero."""
    position_milli = account.position_milli(book.instrument_id)
    return max(0, -position_milli if side == "bid" else position_milli)


def why_closed(state: State, ts_us: int, book: OrderBook) -> FailedCheck:
    """The refusal of an order in an instrument that is not open for trading now."""
    if state.is_halted:
        return FailedCheck(Reason.EXCHANGE_HALTED)
    if book.state == "expired" or ts_us >= book.expiration_us:
        return FailedCheck(Reason.INSTRUMENT_EXPIRED, {"ts_us": ts_us, "expiration_us": book.expiration_us})
    return FailedCheck(Reason.INSTRUMENT_PAUSED)


def _size_min_milli(state: State, account: Account, book: OrderBook, command: PlaceOrder) -> int:
    """Return the smallest size of the order. A reduce-only order may close a position that is below the minimum."""
    if command.reduce_only is UNSET or state.rules_version < FAIR_MARKET_VERSION:
        return book.min_size_milli
    return min(book.min_size_milli, _reducible_milli(account, book, command.side))


def why_bad_size(
    size_min_milli: int, size_milli: int, filled_milli: int, price_micros: int | None
) -> FailedCheck | None:
    """Fail if an order cannot have this size. `price_micros` is None for a market order."""
    if size_milli < size_min_milli:
        figures: Figures = {"size_milli": size_milli, "min_size_milli": size_min_milli}
        return FailedCheck(Reason.SIZE_BELOW_MINIMUM, figures)
    if size_milli > SIZE_MAX_MILLI:
        return FailedCheck(Reason.SIZE_ABOVE_MAXIMUM, {"size_milli": size_milli, "max_size_milli": SIZE_MAX_MILLI})
    if size_milli <= filled_milli:
        return FailedCheck(Reason.SIZE_NOT_ABOVE_FILLED, {"size_milli": size_milli, "filled_milli": filled_milli})
    if price_micros is not None and (cost := price_micros * size_milli // MILLI_PER_CONTRACT) > NUMBER_MAX:
        return FailedCheck(Reason.COST_ABOVE_MAXIMUM, {"cost_micros": cost, "max_cost_micros": NUMBER_MAX})
    return None


def why_bad_display(book: OrderBook, display_milli: int, size_milli: int) -> FailedCheck | None:
    """Fail if an iceberg order of this size cannot show so much at once.

    The limits are Deribit's for `display_amount`: 100 times the minimum size, and a hidden part less than 100 times as
    large as the visible one (its private/buy, copied at
    https://docs-rfq.signalplus.com/deribit/rest/trading/buy-order.html).
    """
    if display_milli > size_milli:
        return FailedCheck(Reason.DISPLAY_ABOVE_SIZE, {"display_milli": display_milli, "size_milli": size_milli})
    display_min_milli = max(DISPLAY_MIN_SIZES * book.min_size_milli, size_milli // (HIDDEN_TIMES_VISIBLE_MAX + 1) + 1)
    if display_milli >= display_min_milli:
        return None
    figures: Figures = {"display_milli": display_milli, "min_display_milli": display_min_milli}
    return FailedCheck(Reason.DISPLAY_BELOW_MINIMUM, figures)


def why_bad_price(book: OrderBook, price_micros: int | None) -> FailedCheck | None:
    """Fail if no order can have this price, whatever the market is."""
    if price_micros is None:
        return None
    if price_micros <= 0:
        return FailedCheck(Reason.PRICE_NOT_POSITIVE, {"price_micros": price_micros})
    if price_micros % book.tick_micros:
        return FailedCheck(Reason.PRICE_OFF_TICK, {"price_micros": price_micros, "tick_micros": book.tick_micros})
    if price_micros > PRICE_MAX_MICROS:
        figures: Figures = {"price_micros": price_micros, "max_price_micros": PRICE_MAX_MICROS}
        return FailedCheck(Reason.PRICE_ABOVE_MAXIMUM, figures)
    return None


def _why_beyond_band(book: OrderBook, price_micros: int) -> FailedCheck | None:
    band = book.band
    if band is None or band[0] <= price_micros <= band[1]:
        return None
    figures: Figures = {"price_micros": price_micros, "min_price_micros": band[0], "max_price_micros": band[1]}
    return FailedCheck(Reason.PRICE_BEYOND_BAND, figures)


def _why_beyond_limit(
    state: State, account: Account, book: OrderBook, side: Side, size_milli: int, edited: Order | None
) -> FailedCheck | None:
    """Fail if position, open orders on this side and `size_milli` together could exceed the account's limit."""
    limit_milli = account.position_max_milli
    if limit_milli is None:
        limit_milli = state.market.position_max_milli if state.market is not None else 0
    if not limit_milli:
        return None
    position = account.positions.get(book.instrument_id)
    position_milli = position.position_milli if position is not None else 0
    if side == "bid":
        open_milli = account.open_bids_milli.get(book.instrument_id, 0)
    else:
        open_milli = position.open_asks_milli if position is not None else 0
    if edited is not None:
        open_milli -= edited.remaining_milli
    if (position_milli if side == "bid" else -position_milli) + open_milli + size_milli <= limit_milli:
        return None
    return FailedCheck(
        Reason.POSITION_ABOVE_MAXIMUM,
        {
            "position_milli": position_milli,
            "open_orders_milli": open_milli,
            "size_milli": size_milli,
            "position_max_milli": limit_milli,
        },
    )


def why_would_trade(
    state: State, account: Account, book: OrderBook, side: Side, price_micros: int | None
) -> FailedCheck | None:
    """Fail if an order at this price would trade. The user's own orders would be cancelled, so they do not count."""
    best_micros = best_price_micros(state, account, book, side, price_micros)
    if best_micros is None:
        return None
    if price_micros is None:
        return FailedCheck(Reason.POST_ONLY_WOULD_TRADE)
    figures: Figures = {"price_micros": price_micros, "best_price_micros": best_micros}
    return FailedCheck(Reason.POST_ONLY_WOULD_TRADE, figures)


def best_price_micros(
    state: State, account: Account, book: OrderBook, side: Side, limit_micros: int | None
) -> int | None:
    """Return the price of the first resting order that an order on `side` would trade with; None if there is none.

    This is the price of a market_limit order: it trades at the best price alone, and the rest stays there as a limit
    order (FIX 4.4, OrdType K, "market with left over as limit"; Deribit lists the type and states no rule).
    """
    opposite = book.opposite(side)
    best = opposite.best
    limit_micros = book.limit_micros(side, limit_micros)
    if best is None or (limit_micros is not None and not opposite.reaches(best, limit_micros)):
        return None
    maker = first_maker(state, account.user_id, book, side, limit_micros)
    return None if maker is None else maker.price_micros


def _is_stale(state: State, ts_us: int, book: OrderBook) -> bool:
    """True if the last index price is too old to compute the collateral of a sale."""
    index = state.indexes.get(book.asset)
    if index is None or state.market is None or not state.market.index_age_max_s:
        return False
    return ts_us - index.ts_us > state.market.index_age_max_s * US_PER_SECOND


def _index_stale(state: State, ts_us: int, book: OrderBook) -> FailedCheck:
    assert state.market is not None, "an index without a market"
    index_ts_us, age_max_s = state.indexes[book.asset].ts_us, state.market.index_age_max_s
    return FailedCheck(Reason.INDEX_STALE, {"ts_us": ts_us, "index_ts_us": index_ts_us, "index_age_max_s": age_max_s})


def _cannot_place(state: State, account: Account, book: OrderBook, command: PlaceOrder, size_milli: int) -> FailedCheck:
    """The refusal for lack of cash, with its figures.

    A market order has no fixed cost: its figures are the best price (buy) or the collateral per contract (sale).
    """
    side, price = command.side, command.price_micros
    figures: Figures = {}
    if price is not None:
        figures["needed_micros"] = lock_needed(state, account, book, side, price, size_milli)
    figures["available_micros"] = account.available_micros
    if side == "ask":
        if price is None:
            figures["collateral_per_contract_micros"] = collateral_micros(book, MILLI_PER_CONTRACT)
        return FailedCheck(Reason.INSUFFICIENT_BALANCE, figures)
    position = account.positions.get(book.instrument_id)
    if command.time_in_force in ("ioc", "fok") and position is not None and state.market is not None:
        figures["freed_micros"] = released_micros(book, -position.free_milli, size_milli)
        figures["cash_beyond_bids_micros"] = account.cash_micros - account.bids_micros
    if price is None and (best_micros := best_price_micros(state, account, book, side, None)) is not None:
        figures["best_price_micros"] = best_micros
    return FailedCheck(Reason.INSUFFICIENT_BALANCE, figures)
