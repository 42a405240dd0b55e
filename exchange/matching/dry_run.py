"""What an order would do if it were placed now: it is tried on a copy of what it meets, and nothing is changed."""

from collections import OrderedDict
from copy import copy
from typing import NamedTuple

from msgspec import structs

from exchange.domain.commands import PlaceOrder
from exchange.domain.events import Event, Refused
from exchange.domain.reasons import Reason
from exchange.matching.accounts import FEES, Account, Position
from exchange.matching.book import BookSide, Order, OrderBook
from exchange.matching.margin_profiles import nanos_to_micros
from exchange.matching.orders import lock_needed, place, size_to_place_milli, why_not_placed
from exchange.matching.state import State


class MarginQuote(NamedTuple):
    """What a limit order would lock more, what one short contract locks and must keep, and which check refuses it."""

    needed_micros: int
    initial_micros: int | None
    maintenance_micros: int | None
    reason: Reason | None


def dry_run(state: State, ts_us: int, command: PlaceOrder) -> list[Event]:
    """The events that the order would cause. Ids begin with 0: a new order and its trades have none yet."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return [Refused(command.user_id, Reason.UNKNOWN_USER)]
    return place(_scratch_state(state, account, command), ts_us, command)


def margin_quote(state: State, ts_us: int, command: PlaceOrder) -> MarginQuote:
    """What a limit order would need. A mark, and so margins that follow it, needs an index."""
    account, book = state.accounts.get(command.user_id), state.books.get(command.instrument_id)
    if account is None:
        return MarginQuote(0, None, None, Reason.UNKNOWN_USER)
    if book is None:
        return MarginQuote(0, None, None, Reason.INSTRUMENT_NOT_FOUND)
    size = size_to_place_milli(account, book, command)
    reason = why_not_placed(state, ts_us, account, book, None, command, size)
    assert command.price_micros is not None, "what a market order needs is not known before it trades"
    needed = max(0, lock_needed(state, account, book, command.side, command.price_micros, max(0, size)))
    if book.mark_micros is None:
        return MarginQuote(needed, None, None, reason)
    initial, maintenance = (nanos_to_micros(nanos, 1_000) for nanos in (book.initial_nanos, book.maintenance_nanos))
    return MarginQuote(needed, initial, maintenance, reason)


def _scratch_state(state: State, account: Account, command: PlaceOrder) -> State:
    """The state as far as the order can see it: its book down to where it stops, and who has an order there."""
    stage = State(state.rules, state.rules_version)
    stage.next_order_id = stage.next_trade_id = 0
    stage.is_halted = state.is_halted
    stage.indexes = state.indexes
    book = state.books.get(command.instrument_id)
    user = _copied_account(stage, account)
    if fees := state.accounts.get(FEES):
        _copied_account(stage, fees)
    known = account.client_orders.get(command.client_order_id) if command.client_order_id is not None else None
    if known is not None and known.client_order_id is not None:
        user.client_orders[known.client_order_id] = known
    if book is not None:
        _copy_book(stage, state, book, account, command)
    open_orders_max = account.open_orders_max if account.open_orders_max is not None else state.rules.open_orders_max
    user.open_orders_max = open_orders_max - len(account.open_orders) + len(user.open_orders)
    return stage


def _copied_account(stage: State, account: Account) -> Account:
    copied = stage.accounts.get(account.user_id)
    if copied is None:
        copied = stage.accounts[account.user_id] = structs.replace(
            account, positions={}, open_orders={}, closed_orders=OrderedDict(), client_orders={}
        )
    return copied


def _copy_book(stage: State, state: State, book: OrderBook, account: Account, command: PlaceOrder) -> None:
    copied = copy(book)
    copied.bids, copied.asks = BookSide(is_bid=True), BookSide(is_bid=False)
    stage.add(copied)
    _copy_holding(stage, account, copied)
    wanted_milli = command.size_milli
    for maker in book.opposite(command.side).crosses(command.price_micros):
        if wanted_milli <= 0:
            break
        _copy_order(stage, state, maker, copied)
        if maker.user_id != account.user_id or state.rules.self_trade_prevention == "off":
            wanted_milli -= maker.remaining_milli
    for order in account.open_orders.values():
        if order.book is book and order.side == command.side:
            _copy_order(stage, state, order, copied)


def _copy_holding(stage: State, account: Account, book: OrderBook) -> None:
    holding = account.positions.get(book.instrument_id)
    if holding is not None:
        copied: Position = structs.replace(holding, book=book)
        stage.accounts[account.user_id].positions[book.instrument_id] = copied


def _copy_order(stage: State, state: State, order: Order, book: OrderBook) -> None:
    owner = state.accounts[order.user_id]
    if owner.user_id not in stage.accounts or book.instrument_id not in stage.accounts[owner.user_id].positions:
        _copied_account(stage, owner)
        _copy_holding(stage, owner, book)
    account = stage.accounts[owner.user_id]
    copied = structs.replace(order, book=book, level=None, before=None, after=None)
    account.open_orders[order.order_id] = copied
    if order.client_order_id is not None:
        account.client_orders[order.client_order_id] = copied
    assert order.price_micros is not None, "a market order rests"
    book.side(order.side).append(copied, order.price_micros)
