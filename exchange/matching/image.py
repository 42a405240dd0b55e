"""The state as canonical bytes and back, and its digest.

The bytes are MessagePack of nested arrays in a fixed order: books in order of listing, levels best first, orders in
queue order, accounts in order of opening. Two states are equal if and only if their bytes are.
"""

import hashlib
from typing import Any

import msgspec

from exchange.domain.instruments import parse_instrument_id
from exchange.domain.rules import Rules
from exchange.matching.accounts import Account, Holding
from exchange.matching.book import Book, BookSide, Order
from exchange.matching.state import State

_encoder = msgspec.msgpack.Encoder()


def encode_state(state: State) -> bytes:
    """The canonical image of the whole state."""
    return _encoder.encode(
        [
            msgspec.to_builtins(state.rules),
            state.rules_version,
            state.next_order_id,
            state.next_trade_id,
            state.total_cash_micros,
            [_account_row(account) for account in state.accounts.values()],
            [_book_row(book) for book in state.books.values()],
        ]
    )


def digest(state: State) -> str:
    """SHA-256 of the image, in hexadecimal."""
    return hashlib.sha256(encode_state(state)).hexdigest()


def decode_state(image: bytes) -> State:
    """The state of which `image` was taken. Bytes that are no such image raise whatever comes first."""
    rules, rules_version, next_order_id, next_trade_id, total_cash, accounts, books = msgspec.msgpack.decode(image)
    state = State(msgspec.convert(rules, Rules), rules_version)
    state.next_order_id = next_order_id
    state.next_trade_id = next_trade_id
    state.total_cash_micros = total_cash
    for user_id, cash, locked, cancel_on_disconnect, _, _ in accounts:
        state.accounts[user_id] = Account(user_id, cash, locked, cancel_on_disconnect)
    for row in books:
        _restore_book(state, *row)
    for user_id, _, _, _, holdings, finished in accounts:
        account = state.accounts[user_id]
        for instrument_id, position, open_asks, collateral in holdings:
            account.holdings[instrument_id] = Holding(state.books[instrument_id], position, open_asks, collateral)
        for row in finished:  # the instrument, then the order
            order = Order(row[1], account, state.books[row[0]], *row[2:])
            account.finished_orders[order.order_id] = order
            if order.client_order_id is not None:
                account.client_orders[order.client_order_id] = order
        account.open_orders = dict(sorted(account.open_orders.items()))
    return state


def _account_row(account: Account) -> list[Any]:
    return [
        account.user_id,
        account.cash_micros,
        account.locked_micros,
        account.cancel_on_disconnect,
        [
            [instrument_id, holding.position_milli, holding.open_asks_milli, holding.collateral_micros]
            for instrument_id, holding in account.holdings.items()
        ],
        [[order.book.instrument_id, *_order_row(order)] for order in account.finished_orders.values()],
    ]


def _book_row(book: Book) -> list[Any]:
    return [
        book.instrument_id,
        book.tick_micros,
        book.min_size_milli,
        book.state,
        _side_rows(book.bids),
        _side_rows(book.asks),
    ]


def _side_rows(side: BookSide) -> list[Any]:
    return [[order.account.user_id, *_order_row(order)] for level in side for order in level]


def _order_row(order: Order) -> list[Any]:
    return [
        order.order_id,
        order.side,
        order.type,
        order.time_in_force,
        order.post_only,
        order.client_order_id,
        order.price_micros,
        order.size_milli,
        order.remaining_milli,
        order.original_price_micros,
        order.original_size_milli,
    ]


def _restore_book(
    state: State, instrument_id: str, tick: int, min_size: int, book_state: Any, bids: list[Any], asks: list[Any]
) -> None:
    book = state.books[instrument_id] = Book(parse_instrument_id(instrument_id), tick, min_size, book_state)
    for side, rows in ((book.bids, bids), (book.asks, asks)):
        for row in rows:  # the user, then the order
            account = state.accounts[row[0]]
            order = Order(row[1], account, book, *row[2:])
            assert order.price_micros is not None
            side.append(order, order.price_micros)
            account.open_orders[order.order_id] = order
            if order.client_order_id is not None:
                account.client_orders[order.client_order_id] = order
