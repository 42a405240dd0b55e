"""Encoding of the state as canonical bytes, its decoding, and its digest.

The bytes are MessagePack of nested arrays in a fixed order: books in order of listing, levels best first, orders in
order of their queue, accounts in order of opening. Two states are equal if and only if their bytes are equal.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from exchange.domain.instruments import parse_instrument_id
from exchange.domain.rules import Rules
from exchange.domain.smile import Smile
from exchange.matching.accounts import INSURANCE, Account, Position
from exchange.matching.book import BookSide, Order, OrderBook
from exchange.matching.closed_orders import NO_ORDERS, ClosedOrders, order_row
from exchange.matching.index import IndexState
from exchange.matching.links import Links, OrderPair, Primary
from exchange.matching.mmp_groups import MmpGroup
from exchange.matching.state import State
from exchange.matching.surface import set_all_bands
from exchange.matching.trigger_changes import add_trigger
from exchange.matching.trigger_orders import TriggerOrder

_encoder = msgspec.msgpack.Encoder()
# Those without the groups of trigger orders, which follow.
_ACCOUNT_FIELDS = 11
# The fields of a trigger order before its original terms.
_TRIGGER_TERMS = 14
# Untriggered orders, and those that ended. MMP groups follow, orders that depend on a connection, and links.
_TRIGGER_GROUPS = 2
# The fields, the positions, and the encoded closed orders.
_AccountRow = tuple[list[Any], list[Any], msgspec.Raw]
decode = msgspec.msgpack.Decoder(
    tuple[dict[str, Any], int, int, int, int, bool, list[Any], list[_AccountRow], list[Any]]
).decode


def encode_state(state: State) -> bytes:
    """Return the whole state as canonical bytes."""
    return _encode(state, lambda account: account.closed_orders.encoded())


def copy_state(state: State) -> State:
    """Return a copy. It shares the encoded closed orders, so it takes a small part of the time of an image."""
    copied = decode_state(_encode(state, lambda account: NO_ORDERS))
    for user_id, account in copied.accounts.items():
        encoded = state.accounts[user_id].closed_orders.encoded()
        account.closed_orders = ClosedOrders(user_id, copied.books, encoded)
    return copied


def _encode(state: State, closed_orders: Callable[[Account], bytes]) -> bytes:
    links = _link_rows(state.links)
    return _encoder.encode(
        [
            msgspec.to_builtins(state.rules),
            state.rules_version,
            state.next_order_id,
            state.next_trade_id,
            state.total_cash_micros,
            state.is_halted,
            [_index_row(asset, index) for asset, index in state.indexes.items()],
            [_account_row(it, closed_orders(it), links.get(it.user_id)) for it in state.accounts.values()],
            [_book_row(book) for book in state.books.values()],
        ]
    )


def digest(state: State) -> str:
    """Return the SHA-256 of the encoded state, in hexadecimal."""
    return hashlib.sha256(encode_state(state)).hexdigest()


def decode_state(image: bytes) -> State:
    """Return the state that `encode_state` encoded as `image`. Other bytes raise an exception of any type."""
    rules, version, next_order_id, next_trade_id, total_cash, is_halted, indexes, accounts, books = decode(image)
    state = State(msgspec.convert(rules, Rules), version)
    state.next_order_id = next_order_id
    state.next_trade_id = next_trade_id
    state.total_cash_micros = total_cash
    state.is_halted = is_halted
    for asset, price, ts_us, window_sum, window_us, *smiles in indexes:
        index = state.indexes[asset] = IndexState(price, ts_us, int(window_sum), window_us)
        if smiles and isinstance(smiles[-1], int):
            index.reopens_us = smiles.pop()
        index.smiles = {expiration_us: Smile(*parameters) for expiration_us, *parameters in smiles}
    for fields, _, _ in accounts:
        account = Account(*fields[:_ACCOUNT_FIELDS])
        state.accounts[account.user_id] = account
        if account.cash_micros < 0 and account.user_id != INSURANCE:
            state.note_overdrawn(account)
    for row in books:
        _restore_book(state, *row)
    for fields, positions, closed_orders in accounts:
        account = state.accounts[fields[0]]
        groups = fields[_ACCOUNT_FIELDS:]
        _restore_triggers(state, account, groups[:_TRIGGER_GROUPS])
        for rows in groups[_TRIGGER_GROUPS : _TRIGGER_GROUPS + 1]:
            _restore_mmp_groups(account, rows)
        for rows in groups[_TRIGGER_GROUPS + 1 : _TRIGGER_GROUPS + 2]:
            _restore_connections(account, rows)
        for pairs, primaries in groups[_TRIGGER_GROUPS + 2 :]:
            _restore_links(state, account, pairs, primaries)
        for instrument_id, *numbers in positions:
            position = account.positions[instrument_id] = Position(state.books[instrument_id], *numbers)
            # Most positions are empty, and an empty one is no exposure.
            if position.position_milli or position.open_asks_milli:
                account.file_exposure(position)
        # A copy: the image of one account must not keep the image of the whole state in memory.
        account.closed_orders = ClosedOrders(account.user_id, state.books, bytes(closed_orders))
        account.open_orders = dict(sorted(account.open_orders.items()))
    set_all_bands(state)
    return state


def _index_row(asset: str, index: IndexState) -> list[Any]:
    """The sum of prices over time can exceed the 64 bits of MessagePack, so it is written in digits."""
    smiles = [[expiration_us, *smile] for expiration_us, smile in index.smiles.items()]
    # Not in the states of an open market, whose bytes stay as they are.
    phase = [] if index.reopens_us is None else [index.reopens_us]
    return [asset, index.price_micros, index.ts_us, str(index.window_sum), index.window_us, *smiles, *phase]


def _account_row(account: Account, closed_orders: bytes, links: list[Any] | None) -> list[Any]:
    triggers: list[Any] = []
    dependent = [[it.order_id, it.connection] for it in account.open_orders.values() if it.connection]
    dependent += [[it.order_id, it.connection] for it in account.triggers.values() if it.connection]
    # Each list is there if it, or one after it, has items, so that the bytes of states without them stay as they are.
    has_dependent = bool(dependent or links)
    has_groups = bool(account.mmp_groups or has_dependent)
    if account.triggers or account.closed_triggers or has_groups:
        triggers = [[_trigger_row(it) for it in some.values()] for some in (account.triggers, account.closed_triggers)]
    return [
        [
            account.user_id,
            account.cash_micros,
            account.locked_micros,
            account.margin_micros,
            account.maintenance_micros,
            account.shortfall_micros,
            account.cancel_on_disconnect,
            account.is_suspended,
            account.open_orders_max,
            account.position_max_milli,
            # Not in the states of rules version 1 and of accounts with neither trigger orders nor MMP groups, whose
            # bytes stay as they are.
            *((account.prices_below,) if account.prices_below or triggers else ()),
            *triggers,
            *(([_group_row(it) for it in account.mmp_groups.values()],) if has_groups else ()),
            *((dependent,) if has_dependent else ()),
            *((links,) if links else ()),
        ],
        [
            [
                instrument_id,
                position.position_milli,
                position.open_asks_milli,
                position.collateral_micros,
                position.maintenance_micros,
            ]
            for instrument_id, position in account.positions.items()
        ],
        msgspec.Raw(closed_orders),
    ]


def _trigger_row(order: TriggerOrder) -> list[Any]:
    return [
        order.order_id,
        order.book.instrument_id,
        order.side,
        order.type,
        order.trigger,
        order.level_micros,
        order.offset_micros,
        order.time_in_force,
        order.price_micros,
        order.size_milli,
        order.post_only,
        order.client_order_id,
        order.reduce_only,
        order.label,
        order.original,
        order.shown_micros,
        order.status,
        # Not in the rows of other orders, whose bytes stay as they are.
        *_optional_fields(order),
    ]


def _optional_fields(order: TriggerOrder) -> tuple[Any, ...]:
    if order.primary_order_id:
        return order.reprices, order.display_milli, order.primary_order_id
    if order.display_milli:
        return order.reprices, order.display_milli
    return (True,) if order.reprices else ()


def _restore_triggers(state: State, account: Account, groups: list[Any]) -> None:
    """Restore untriggered orders and those that ended from their rows, if there are any."""
    for rows in groups:
        for row in rows:
            order_id, instrument_id, *terms = row[:_TRIGGER_TERMS]
            original, *ends = row[_TRIGGER_TERMS:]
            values: list[Any] = [*terms, tuple(original), *ends]
            book = state.books.get(instrument_id) or OrderBook.delisted(instrument_id)
            order = TriggerOrder(order_id, account.user_id, book, *values)
            account.file_trigger(order)
            if order.status is None:
                add_trigger(state, order)


def _group_row(group: MmpGroup) -> list[Any]:
    """The sums of delta and vega can exceed the 64 bits of MessagePack, so they are written in digits."""
    limits = (group.quantity_limit_milli, group.delta_limit_milli, group.vega_limit_micros)
    return [
        group.name,
        group.asset,
        group.interval_s,
        group.frozen_s,
        [None if limit is UNSET else limit for limit in limits],
        group.frozen_until_us,
        [group.started_us, group.quantity_milli, str(group.delta), str(group.vega)],
        [[order.order_id, order.quote_set_id] for order in group.resting()],
    ]


def _restore_mmp_groups(account: Account, rows: list[Any]) -> None:
    """Restore the groups and the marks of their quotes. The open orders must be there already."""
    for name, asset, interval_s, frozen_s, limits, frozen_until_us, sums, quotes in rows:
        group = MmpGroup(name, asset, interval_s, frozen_s, *[UNSET if it is None else it for it in limits])
        group.frozen_until_us = frozen_until_us
        group.started_us, group.quantity_milli = sums[0], sums[1]
        group.delta, group.vega = int(sums[2]), int(sums[3])
        for order_id, quote_set_id in quotes:
            order = account.open_orders[order_id]
            order.mmp_group, order.quote_set_id = name, quote_set_id
            group.file(order)
        account.mmp_groups[name] = group


def _restore_connections(account: Account, rows: list[Any]) -> None:
    """Restore which orders depend on their connections. Orders and trigger orders must be there already."""
    for order_id, connection in rows:
        if order_id in account.open_orders:
            account.open_orders[order_id].connection = connection
        else:
            account.triggers[order_id].connection = connection


def _link_rows(links: Links | None) -> dict[str, list[Any]]:
    """Return the pairs and the primaries of each user that has some, in order of their ids."""
    rows: dict[str, list[Any]] = {}
    if links is None:
        return rows
    for order_id, pair in sorted(links.pairs.items()):
        # A pair is filed under both of its orders.
        if order_id == pair.first_id:
            pairs, _ = rows.setdefault(pair.user_id, [[], []])
            pairs.append([pair.condition, pair.first_id, pair.second_id])
    for order_id, primary in sorted(links.primaries.items()):
        _, primaries = rows.setdefault(primary.user_id, [[], []])
        secondaries = list(primary.secondaries.items())
        primaries.append([primary.condition, order_id, secondaries, primary.price_micros])
    return rows


def _restore_links(state: State, account: Account, pairs: list[Any], primaries: list[Any]) -> None:
    links = state.links
    if links is None:
        links = state.links = Links()
    for condition, first_id, second_id in pairs:
        links.add_pair(OrderPair(account.user_id, condition, first_id, second_id))
    for condition, order_id, secondaries, price_micros in primaries:
        links.primaries[order_id] = Primary(account.user_id, condition, order_id, dict(secondaries), price_micros)


def _book_row(book: OrderBook) -> list[Any]:
    return [
        book.instrument_id,
        book.tick_micros,
        book.min_size_milli,
        book.state,
        [
            book.last_micros,
            book.index_micros,
            book.mark_micros,
            book.initial_nanos,
            book.maintenance_nanos,
            book.delivery_micros,
        ],
        _side_rows(book.bids),
        _side_rows(book.asks),
    ]


def _side_rows(side: BookSide) -> list[Any]:
    return [[order.user_id, *order_row(order)] for level in side for order in level]


def _restore_book(
    state: State,
    instrument_id: str,
    tick: int,
    min_size: int,
    book_state: Any,
    values: list[Any],
    bids: list[Any],
    asks: list[Any],
) -> None:
    book = OrderBook(parse_instrument_id(instrument_id), tick, min_size, book_state, state.next_number)
    state.add(book)
    book.last_micros, book.index_micros, book.mark_micros = values[:3]
    book.initial_nanos, book.maintenance_nanos, book.delivery_micros = values[3:]
    for side, rows in ((book.bids, bids), (book.asks, asks)):
        # Each row is the user, then the order.
        for row in rows:
            account = state.accounts[row[0]]
            order = Order(row[1], account.user_id, book, *row[2:])
            assert order.price_micros is not None
            side.append(order, order.price_micros)
            account.file_resting(order)
