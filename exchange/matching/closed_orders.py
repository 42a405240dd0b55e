"""The newest closed orders of an account. Commands seldom ask for one, so those of an image stay encoded.

To add an order, to drop old ones, to search for an id that no closed order has, and to encode all of them again decodes
nothing. So a state is restored fast, and its open orders and positions lie close together in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from exchange.matching.book import Order, OrderBook

# An image is decoded at the latest after so many searches: then they took as long as to decode it.
SEARCHES_MAX = 50

_encode = msgspec.msgpack.Encoder().encode
_decode_rows = msgspec.msgpack.Decoder(list[list[Any]]).decode
# It finds where each row begins, without decoding it.
_split_rows = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode

# No closed orders, encoded.
NO_ORDERS = _encode([])


class ClosedOrders(Mapping[int, Order]):
    """Closed orders by id, in order of closing."""

    __slots__ = ("_books", "_client_orders", "_image", "_image_count", "_orders", "_searches", "_user_id")

    def __init__(self, user_id: str = "", books: Mapping[str, OrderBook] | None = None, image: bytes = b"") -> None:
        """`image` holds the orders of `user_id` in `books` as `encoded` returns them; no bytes: none."""
        self._user_id = user_id
        # Not `or`: a state without instruments has an empty dict, which gets them later.
        self._books = {} if books is None else books
        self._image = image
        # So many of the newest rows of the image are kept; None: all, which were not counted yet.
        self._image_count: int | None = None
        self._searches = 0
        # The orders that are newer than the image. The second holds those that have a client_order_id.
        self._orders: OrderedDict[int, Order] = OrderedDict()
        self._client_orders: dict[str, Order] = {}

    def add(self, order: Order, kept: int) -> None:
        """Add an order that closes now, and keep the newest `kept` orders."""
        self._file(order)
        if self._image or len(self._orders) > kept:
            self.evict(kept)

    def evict(self, kept: int) -> None:
        """Drop all but the newest `kept` orders."""
        if self._image:
            count = len(_split_rows(self._image)) if self._image_count is None else self._image_count
            self._image_count = min(count, max(0, kept - len(self._orders)))
        while len(self._orders) > kept:
            _, evicted = self._orders.popitem(last=False)
            if evicted.client_order_id is not None:
                del self._client_orders[evicted.client_order_id]

    def find(self, order_id: int) -> Order | None:
        """Return the closed order with this id; None if there is none."""
        self._decode_if_it_has(order_id)
        return self._orders.get(order_id)

    def find_client_order(self, client_order_id: str) -> Order | None:
        """Return the closed order with this client_order_id; None if there is none."""
        self._decode_if_it_has(client_order_id)
        return self._client_orders.get(client_order_id)

    def encoded(self) -> bytes:
        """Return the orders as canonical bytes, and keep them encoded until they are read."""
        if self._orders or self._image_count is not None:
            rows: list[Any] = [[order.book.instrument_id, *order_row(order)] for order in self._orders.values()]
            if self._image:
                older = _split_rows(self._image)
                rows = (older if self._image_count is None else older[len(older) - self._image_count :]) + rows
            self._image, self._image_count = _encode(rows), None
            self._orders.clear()
            self._client_orders.clear()
        return self._image or NO_ORDERS

    def __getitem__(self, order_id: int) -> Order:
        return self._decoded()[order_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def _decode_if_it_has(self, key: int | str) -> None:
        """Decode the image if it could hold an order with this id."""
        if self._image:
            self._searches += 1
            if self._searches > SEARCHES_MAX or _encode(key) in self._image:
                self._decoded()

    def _decoded(self) -> OrderedDict[int, Order]:
        if self._image:
            rows, newer = _decode_rows(self._image), self._orders
            if self._image_count is not None:
                rows = rows[len(rows) - self._image_count :]
            self._image, self._image_count = b"", None
            self._orders = OrderedDict()
            delisted: dict[str, OrderBook] = {}
            # Each row is the instrument, then the order.
            for row in rows:
                book = self._books.get(row[0]) or delisted.get(row[0])
                if book is None:
                    book = delisted[row[0]] = OrderBook.delisted(row[0])
                self._file(Order(row[1], self._user_id, book, *row[2:]))
            self._orders.update(newer)
        return self._orders

    def _file(self, order: Order) -> None:
        self._orders[order.order_id] = order
        if order.client_order_id is not None:
            self._client_orders[order.client_order_id] = order


def order_row(order: Order) -> list[Any]:
    """The fields of an order in an image, without its user and its book."""
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
        order.reduce_only,
        # Rows end with the last of these that an order has, so that the bytes of older rows stay as they are.
        *_optional_fields(order),
    ]


def _optional_fields(order: Order) -> tuple[Any, ...]:
    if order.display_milli:
        return order.label, order.reprices, order.display_milli, order.shown_milli
    if order.reprices:
        return order.label, True
    return () if order.label is None else (order.label,)
