"""Dry runs: of an order, in a scratch copy of the part of the state that it can meet; and of an account's positions."""

from collections.abc import Mapping
from typing import NamedTuple

from exchange.domain.commands import PlaceOrder
from exchange.domain.events import Event
from exchange.domain.margin_rates import nanos_to_micros
from exchange.domain.reasons import Reason
from exchange.domain.units import MILLI_PER_CONTRACT
from exchange.matching.accounts import FEES, INSURANCE, Account
from exchange.matching.apply import apply
from exchange.matching.book import Order, OrderBook
from exchange.matching.links import Links, OrderPair
from exchange.matching.order_checks import lock_needed, size_to_place_milli, why_not_placed
from exchange.matching.state import State


class OrderMargins(NamedTuple):
    """The sum that a limit order would lock, the margins of one short contract, and the reason of a refusal.

    The margins are None while the instrument has no mark price. `reason` is None if the order would be accepted.
    """

    needed_micros: int
    initial_micros: int | None
    maintenance_micros: int | None
    reason: Reason | None


def dry_run(state: State, ts_us: int, command: PlaceOrder) -> list[Event]:
    """Return the events that the order would cause now; `state` does not change.

    The ids of new orders and trades begin with 0, because they have none yet.
    """
    return apply(_scratch_state(state, command), ts_us, command)


def margin_quote(state: State, ts_us: int, command: PlaceOrder) -> OrderMargins:
    """Return the margins of a limit order. A market order has none, because its price is not known before it trades."""
    account, book = state.accounts.get(command.user_id), state.books.get(command.instrument_id)
    if account is None:
        return OrderMargins(0, None, None, Reason.UNKNOWN_USER)
    if book is None:
        return OrderMargins(0, None, None, state.why_not_listed(command.instrument_id))
    size = size_to_place_milli(account, book, command)
    failed = why_not_placed(state, ts_us, account, book, None, command, size)
    reason = failed.reason if failed is not None else None
    assert command.price_micros is not None, "a margin quote for a market order"
    needed = max(0, lock_needed(state, account, book, command.side, command.price_micros, max(0, size)))
    if book.mark_micros is None:
        return OrderMargins(needed, None, None, reason)
    initial = nanos_to_micros(book.initial_nanos, MILLI_PER_CONTRACT)
    maintenance = nanos_to_micros(book.maintenance_nanos, MILLI_PER_CONTRACT)
    return OrderMargins(needed, initial, maintenance, reason)


def simulated_account(state: State, user_id: str, quantities: Mapping[str, int], replaces: bool) -> Account:
    """Return a copy of an account without orders, with these contracts added, in millicontracts by instrument.

    `replaces`: they take the place of all its positions. The margins of open orders stay. No cash moves: premiums and
    fees of the contracts are not paid. `state` does not change. Raises KeyError for an unknown instrument.
    """
    account = state.accounts[user_id]
    copied = account.copy_without_orders()
    for exposed in account.exposures.values():
        for position in exposed.values():
            of_copy = copied.positions[position.book.instrument_id] = position.copy_to(position.book)
            copied.file_exposure(of_copy)
            if replaces:
                copied.move(of_copy, -of_copy.position_milli, 0)
                copied.update_margin(of_copy)
    for instrument_id, contracts_milli in quantities.items():
        position = copied.position(state.books[instrument_id])
        copied.move(position, contracts_milli, 0)
        copied.update_margin(position)
    return copied


def _scratch_state(state: State, command: PlaceOrder) -> State:
    """Copy the part of the state that the order can meet: its book down to its last fill, and the accounts there."""
    scratch = State(state.rules, state.rules_version)
    scratch.next_order_id = scratch.next_trade_id = 0
    scratch.is_halted = state.is_halted
    scratch.indexes = state.indexes
    account = state.accounts.get(command.user_id)
    if account is None:
        return scratch
    user = _copy_account(scratch, account)
    for own in (FEES, INSURANCE):
        if own in state.accounts:
            _copy_account(scratch, state.accounts[own])
    known = account.find_client_order(command.client_order_id)
    if known is not None and known.client_order_id is not None:
        user.client_orders[known.client_order_id] = known
    # Only their client_order_ids matter.
    user.triggers, user.closed_triggers = account.triggers, account.closed_triggers
    user.client_triggers = account.client_triggers
    book = state.books.get(command.instrument_id)
    if book is not None:
        _copy_book(scratch, state, book, account, command)
    # Only some of the open orders are copied, so the limit is lowered by the number of those that are missing.
    open_orders_max = account.open_orders_max if account.open_orders_max is not None else state.rules.open_orders_max
    user.open_orders_max = open_orders_max - len(account.open_orders) + len(user.open_orders)
    return scratch


def _copy_account(scratch: State, account: Account) -> Account:
    """Copy an account without its orders and positions, unless it is copied already."""
    copied = scratch.accounts.get(account.user_id)
    if copied is None:
        copied = scratch.accounts[account.user_id] = account.copy_without_orders()
    return copied


def _copy_book(scratch: State, state: State, book: OrderBook, account: Account, command: PlaceOrder) -> None:
    """Copy a book with the orders that the new order could trade with, and the user's own orders on its side."""
    copied = book.copy_without_orders()
    scratch.add(copied)
    _copy_position(scratch, account, copied)
    wanted_milli = command.size_milli
    opposite, limit_micros = book.opposite(command.side), book.limit_micros(command.side, command.price_micros)
    for level in opposite:
        if wanted_milli <= 0 or (limit_micros is not None and not opposite.reaches(level, limit_micros)):
            break
        in_turn = False
        for maker in level:
            is_paired = maker.user_id != account.user_id and _is_paired(state, maker)
            # Of an iceberg order a part trades, and then the orders behind it; a reduce-only or a linked order may
            # shrink or end instead.
            in_turn = in_turn or maker.reduce_only or maker.display_milli > 0 or is_paired
            if wanted_milli <= 0 and not in_turn:
                break
            _copy_order(scratch, state, maker, copied)
            if is_paired:
                _copy_pair(scratch, state, maker)
            counts = maker.user_id != account.user_id or state.rules.self_trade_prevention == "off"
            if counts and not maker.reduce_only and not is_paired:
                wanted_milli -= maker.remaining_milli
    for order in account.open_orders.values():
        if order.book is book and order.side == command.side:
            _copy_order(scratch, state, order, copied)


def _is_paired(state: State, order: Order) -> bool:
    return state.links is not None and order.order_id in state.links.pairs


def _copy_pair(scratch: State, state: State, order: Order) -> None:
    """Let a fill of the order end the other one of its pair, if that is copied, too."""
    assert state.links is not None, "an order in no pair"
    if scratch.links is None:
        scratch.links = Links()
    if order.order_id not in scratch.links.pairs:
        pair = state.links.pairs[order.order_id]
        scratch.links.add_pair(OrderPair(pair.user_id, pair.condition, pair.first_id, pair.second_id))


def _copy_position(scratch: State, account: Account, book: OrderBook) -> None:
    position = account.positions.get(book.instrument_id)
    if position is not None:
        copied = position.copy_to(book)
        owner = scratch.accounts[account.user_id]
        owner.positions[book.instrument_id] = copied
        owner.file_exposure(copied)


def _copy_order(scratch: State, state: State, order: Order, book: OrderBook) -> None:
    owner = state.accounts[order.user_id]
    if owner.user_id not in scratch.accounts or book.instrument_id not in scratch.accounts[owner.user_id].positions:
        _copy_account(scratch, owner)
        _copy_position(scratch, owner, book)
    account = scratch.accounts[owner.user_id]
    copied = order.copy_to(book)
    account.file_resting(copied)
    assert order.price_micros is not None, "a market order rests"
    book.side(order.side).append(copied, order.price_micros)
