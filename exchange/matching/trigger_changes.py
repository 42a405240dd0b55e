"""Trigger orders: place, edit and cancel them while they wait. They lock nothing until they are triggered."""

from msgspec import UNSET, UnsetType

from exchange.domain.commands import CancelOrder, EditOrder, PlaceOrder, PlaceTriggerOrder
from exchange.domain.enums import Trigger
from exchange.domain.events import Event, OrderRepeated, TriggerOrderEdited, TriggerOrderPlaced
from exchange.domain.reasons import Reason
from exchange.domain.units import INSTRUMENT_TRIGGERS_MAX, PRICE_MAX_MICROS, USER_TRIGGERS_MAX
from exchange.matching.accounts import Account
from exchange.matching.book import OrderBook
from exchange.matching.cancellation import remove_trigger, smallest_milli
from exchange.matching.order_checks import too_late, why_bad_display, why_bad_price, why_bad_size, why_closed
from exchange.matching.refusal import FailedCheck, Result
from exchange.matching.state import State
from exchange.matching.trigger_orders import TriggerLists, TriggerOrder


def place_trigger(state: State, ts_us: int, command: PlaceTriggerOrder) -> Result:
    """Accept an order that waits for a price, unless the price meets it already."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    if command.valid_until_us is not UNSET and ts_us > command.valid_until_us:
        return too_late(ts_us, command.valid_until_us)
    known = account.find_trigger(None, command.client_order_id)
    if known is not None and same_trigger(known, command):
        return [OrderRepeated(known.order_id, account.user_id)]
    book = state.books.get(command.instrument_id)
    used_by_id = None if known is None else known.order_id
    if used_by_id is None and (order := account.find_client_order(command.client_order_id)) is not None:
        used_by_id = order.order_id
    if failed := why_trigger_not_placed(state, ts_us, account, book, used_by_id, command):
        return failed
    assert book is not None, "a trigger order in no instrument passed every check"
    placed = new_trigger(account, book, command, state.next_order_id)
    state.next_order_id += 1
    return [file_new_trigger(state, account, placed)]


def new_trigger(account: Account, book: OrderBook, command: PlaceTriggerOrder, order_id: int) -> TriggerOrder:
    """Return the trigger order of a command, which waits for nothing yet."""
    return TriggerOrder(
        order_id,
        account.user_id,
        book,
        command.side,
        command.type,
        command.trigger,
        command.trigger_price_micros or 0,
        command.trigger_offset_micros,
        command.time_in_force,
        command.price_micros,
        command.size_milli,
        command.post_only,
        command.client_order_id,
        command.reduce_only is True,
        command.label or None,
        (command.trigger_price_micros, command.trigger_offset_micros, command.price_micros, command.size_milli),
        reprices=command.reprices is True,
        display_milli=command.display_milli or 0,
        connection=command.connection or 0,
    )


def file_new_trigger(state: State, account: Account, order: TriggerOrder, part_of: int | UnsetType = UNSET) -> Event:
    """Let a new order wait, for fills of its primary or else for its price, and tell that it was placed."""
    reference_micros = None
    if order.trigger is not None:
        reference_micros = reference_of(state, order.book, order.trigger)
        if not order.primary_order_id:
            begin_to_trail(order, reference_micros)
    account.file_trigger(order)
    add_trigger(state, order)
    return TriggerOrderPlaced(
        order.order_id,
        account.user_id,
        order.book.instrument_id,
        order.side,
        order.type,
        order.trigger,
        order.original[0],
        order.original[1],
        reference_micros,
        order.time_in_force,
        order.price_micros,
        order.size_milli,
        order.post_only,
        order.client_order_id,
        order.reduce_only or UNSET,
        order.label or UNSET,
        order.display_milli or UNSET,
        order.primary_order_id or UNSET,
        part_of,
    )


def edit_trigger(state: State, ts_us: int, order: TriggerOrder, command: EditOrder) -> Result:
    """Give an untriggered order another trigger price or offset, price or size."""
    account = state.accounts[order.user_id]
    is_trailing, has_limit = order.offset_micros is not None, order.price_micros is not None
    if (
        (is_trailing and command.trigger_price_micros is not UNSET)
        or (not is_trailing and command.trigger_offset_micros is not UNSET)
        or (not has_limit and command.price_micros is not None)
        or (order.trigger is None and command.trigger_price_micros is not UNSET)
    ):
        return FailedCheck(Reason.TERMS_DO_NOT_FIT, {"order_id": order.order_id})
    level, offset = command.trigger_price_micros or None, command.trigger_offset_micros or None
    price = order.price_micros if command.price_micros is None else command.price_micros
    size = order.size_milli if command.size_milli is None else command.size_milli
    if failed := _why_not_open(state, ts_us, account, order.book):
        return failed
    size_min_milli = smallest_milli(state, order.book, order.reduce_only)
    # The part that fills of the primary have released cannot be taken back.
    released_milli = _released_milli(state, order)
    if failed := why_bad_size(size_min_milli, size, released_milli, price) or why_bad_price(order.book, price):
        return failed
    display = order.display_milli
    if display and (failed := why_bad_display(order.book, display, max(size, display))):
        return failed
    if command.trigger_price_micros is not UNSET or command.trigger_offset_micros is not UNSET:
        assert order.trigger is not None, "a plain order has a trigger price"
        reference_micros = reference_of(state, order.book, order.trigger)
        if order.primary_order_id:
            # Its price counts from the fill of its primary on.
            if failed := why_invalid_level(level, offset):
                return failed
            level = level or 0
        elif failed := _why_bad_level(reference_micros, level, offset, order.waits_for_rise, order.trigger):
            return failed
        if level is None:
            level = _level_at_offset(order, offset)
            assert reference_micros is not None, "a trailing stop without a reference"
            if failed := _why_met(reference_micros, level, order.waits_for_rise):
                return failed
        remove_trigger(state, order)
        order.level_micros, order.offset_micros = level, offset
        add_trigger(state, order)
    order.price_micros, order.size_milli = price, size
    shown_level = None if is_trailing or order.trigger is None else order.level_micros
    names = (order.order_id, account.user_id, order.book.instrument_id)
    return [TriggerOrderEdited(*names, shown_level, order.offset_micros, price, size)]


def _released_milli(state: State, order: TriggerOrder) -> int:
    if not order.primary_order_id:
        return 0
    assert state.links is not None, "a secondary without a primary"
    return state.links.primaries[order.primary_order_id].secondaries[order.order_id]


def add_trigger(state: State, order: TriggerOrder) -> None:
    """Put an order into the lists, which are there only while an order waits."""
    if state.triggers is None:
        state.triggers = TriggerLists()
    state.triggers.add(order)


def named_trigger(state: State, command: EditOrder | CancelOrder, failed: FailedCheck) -> TriggerOrder | FailedCheck:
    """Return the untriggered order that the command names, if no other order fits; else why there is none.

    `failed` is the reason why the command names no order in the book.
    """
    account = state.accounts.get(command.user_id)
    if account is None or failed.reason is not Reason.ORDER_NOT_FOUND:
        return failed
    instrument_id = None if command.instrument_id is UNSET else command.instrument_id
    order: TriggerOrder | None = None
    if command.label is UNSET:
        order = account.find_trigger(command.order_id, command.client_order_id)
    else:
        for one in account.triggers.values():
            if one.label == command.label and instrument_id in (None, one.book.instrument_id):
                order = one
    if order is None or instrument_id not in (None, order.book.instrument_id):
        return failed
    # The terms of an order that is due cannot change any more. It can still be cancelled.
    if order.status is None and (order.shown_micros is None or isinstance(command, CancelOrder)):
        return order
    reason = Reason.ORDER_ALREADY_CANCELLED if order.status == "cancelled" else Reason.ORDER_TRIGGERED
    return FailedCheck(reason, {"order_id": order.order_id})


def reference_of(state: State, book: OrderBook, trigger: Trigger) -> int | None:
    """Return the price that a trigger order of the instrument waits for, as it is now; None if there is none yet."""
    if trigger == "index_price":
        index = state.indexes.get(book.asset)
        return None if index is None else index.price_micros
    return book.mark_micros if trigger == "mark_price" else book.last_micros


def begin_to_trail(order: TriggerOrder, reference_micros: int | None) -> None:
    """Let a trailing stop follow the price from now on. Other orders keep their level."""
    if order.offset_micros is None:
        return
    assert reference_micros is not None, "a trailing stop without a reference"
    order.level_micros = reference_micros + (order.offset_micros if order.waits_for_rise else -order.offset_micros)


def _level_at_offset(order: TriggerOrder, offset_micros: int | None) -> int:
    """Return the level of a trailing stop with another offset from the best price that it has seen."""
    assert order.offset_micros is not None and offset_micros is not None, "only a trailing stop trails"
    more_micros = offset_micros - order.offset_micros
    return order.level_micros + (more_micros if order.waits_for_rise else -more_micros)


def _why_not_open(state: State, ts_us: int, account: Account, book: OrderBook) -> FailedCheck | None:
    if account.is_suspended:
        return FailedCheck(Reason.USER_SUSPENDED)
    if state.is_halted or book.state != "open" or ts_us >= book.expiration_us:
        return why_closed(state, ts_us, book)
    return None


def why_trigger_not_placed(
    state: State,
    ts_us: int,
    account: Account,
    book: OrderBook | None,
    used_by_id: int | None,
    command: PlaceTriggerOrder,
) -> FailedCheck | None:
    """Return the first check that a new trigger order fails. Those of the order that it places come when it does."""
    if failed := why_not_waiting(state, ts_us, account, book, used_by_id, command):
        return failed
    assert book is not None, "a trigger order in no instrument passed a check"
    reference_micros = reference_of(state, book, command.trigger)
    is_take = command.type == "take_market" or command.type == "take_limit"
    waits_for_rise = (command.side == "bid") != is_take
    return _why_bad_level(
        reference_micros, command.trigger_price_micros, command.trigger_offset_micros, waits_for_rise, command.trigger
    )


def why_not_waiting(
    state: State,
    ts_us: int,
    account: Account,
    book: OrderBook | None,
    used_by_id: int | None,
    command: PlaceTriggerOrder | PlaceOrder,
    before: int = 0,
) -> FailedCheck | None:
    """Return the first check that an order fails which waits for a price or a fill, but for those of its price.

    `before`: as many orders of the same command wait, too.
    """
    if account.is_suspended:
        return FailedCheck(Reason.USER_SUSPENDED)
    if book is None:
        return FailedCheck(state.why_not_listed(command.instrument_id))
    if failed := _why_not_open(state, ts_us, account, book):
        return failed
    price, size_min_milli = command.price_micros, smallest_milli(state, book, command.reduce_only is True)
    if failed := why_bad_size(size_min_milli, command.size_milli, 0, price) or why_bad_price(book, price):
        return failed
    if command.display_milli is not UNSET and (
        failed := why_bad_display(book, command.display_milli, command.size_milli)
    ):
        return failed
    if used_by_id is not None:
        return FailedCheck(Reason.CLIENT_ORDER_ID_USED, {"used_by_order_id": used_by_id})
    in_instrument = account.trigger_counts.get(book.instrument_id, 0) + before
    if in_instrument >= INSTRUMENT_TRIGGERS_MAX or len(account.triggers) + before >= USER_TRIGGERS_MAX:
        return FailedCheck(Reason.TOO_MANY_TRIGGER_ORDERS, {"trigger_orders": len(account.triggers)})
    return None


def why_invalid_level(level_micros: int | None, offset_micros: int | None) -> FailedCheck | None:
    """Fail if no order can have this trigger price, or this offset, whatever the market is."""
    wanted = level_micros if offset_micros is None else offset_micros
    if wanted is None or not 0 < wanted <= PRICE_MAX_MICROS:
        return FailedCheck(Reason.TRIGGER_PRICE_INVALID, {"max_price_micros": PRICE_MAX_MICROS})
    return None


def why_no_reference(reference_micros: int | None, offset_micros: int | None, trigger: Trigger) -> FailedCheck | None:
    """Fail if there is no price to wait for.

    Before its first trade, an instrument has no last price, and no order for it is met.
    """
    if reference_micros is not None or (trigger == "last_price" and offset_micros is None):
        return None
    return FailedCheck(Reason.NO_TRIGGER_PRICE)


def _why_bad_level(
    reference_micros: int | None,
    level_micros: int | None,
    offset_micros: int | None,
    waits_for_rise: bool,
    trigger: Trigger,
) -> FailedCheck | None:
    """Fail if the price meets the order already, as on Deribit, or if there is no price to wait for."""
    if failed := why_invalid_level(level_micros, offset_micros) or why_no_reference(
        reference_micros, offset_micros, trigger
    ):
        return failed
    if level_micros is None or reference_micros is None:
        return None
    return _why_met(reference_micros, level_micros, waits_for_rise)


def _why_met(reference_micros: int, level_micros: int, waits_for_rise: bool) -> FailedCheck | None:
    """Fail if the price meets the order already."""
    if waits_for_rise and reference_micros >= level_micros:
        reason = Reason.TRIGGER_PRICE_TOO_LOW
    elif not waits_for_rise and reference_micros <= level_micros:
        reason = Reason.TRIGGER_PRICE_TOO_HIGH
    else:
        return None
    return FailedCheck(reason, {"trigger_price_micros": level_micros, "shown_micros": reference_micros})


def same_trigger(known: TriggerOrder, command: PlaceTriggerOrder) -> bool:
    """True if `command` repeats the one that placed `known`."""
    terms = (command.trigger_price_micros, command.trigger_offset_micros, command.price_micros, command.size_milli)
    return (
        known.original == terms
        and known.book.instrument_id == command.instrument_id
        and known.side == command.side
        and known.type == command.type
        and known.trigger == command.trigger
        and known.time_in_force == command.time_in_force
        and known.post_only == command.post_only
        and known.reduce_only == (command.reduce_only is True)
        and known.label == (command.label or None)
        and known.reprices == (command.reprices is True)
        and known.display_milli == (command.display_milli or 0)
    )
