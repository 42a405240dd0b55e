"""The newest trades and finished orders. A snapshot holds many, and clients ask for few of them.

Those that a snapshot holds stay encoded until they are first read. To add one more or to make the next snapshot decodes
nothing. They also stay compressed: to decompress them would take most of the time of a restore.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from exchange.projections.wire_types import OrderView

_T = TypeVar("_T")

# They find where each item of an image begins, without decoding it.
_split_list = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_split_dict = msgspec.msgpack.Decoder(dict[int, msgspec.Raw]).decode


class Encoded(NamedTuple):
    """Trades or orders as MessagePack, which `decompress` makes of `content`; None: which `content` is."""

    content: bytes
    decompress: Callable[[bytes], bytes] | None = None

    def plain(self) -> bytes:
        """Return the MessagePack."""
        return self.content if self.decompress is None else self.decompress(self.content)


class RecentTrades(Generic[_T]):
    """The newest `kept` trades, oldest first. `decode` decodes `image`, the trades of a snapshot."""

    __slots__ = ("_decode", "_image", "_trades")

    def __init__(
        self,
        kept: int,
        trades: Iterable[_T] = (),
        image: Encoded | None = None,
        decode: Callable[[bytes], list[_T]] | None = None,
    ) -> None:
        self._trades = deque(trades, kept)
        self._image = image
        self._decode = decode

    def append(self, trade: _T) -> None:
        """Add the newest trade; the oldest one goes if there are too many."""
        self._trades.append(trade)

    def copy(self) -> "RecentTrades[_T]":
        """Return a copy. It shares the trades, which never change."""
        return RecentTrades(self._trades.maxlen or 0, self._trades, self._image, self._decode)

    def encoded(self, encode: Callable[[list[Any]], Encoded]) -> Encoded:
        """Return the list of trades as `encode` encodes it. Those of a snapshot stay encoded unless they were read."""
        if self._image is None:
            return encode(list(self._trades))
        if self._trades:
            items = [*_split_list(self._image.plain()), *self._trades]
            self._image = encode(items[-(self._trades.maxlen or 0) :])
            self._trades.clear()
        return self._image

    @property
    def is_encoded(self) -> bool:
        """True if all trades are those of a snapshot, and were not read since."""
        return self._image is not None and not self._trades

    def __iter__(self) -> Iterator[_T]:
        return iter(self._decoded())

    def __reversed__(self) -> Iterator[_T]:
        return reversed(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def __getitem__(self, index: int) -> _T:
        return self._decoded()[index]

    def _decoded(self) -> deque[_T]:
        image, decode = self._image, self._decode
        if image is not None and decode is not None:
            self._trades = deque([*decode(image.plain()), *self._trades], self._trades.maxlen)
            self._image = None
        return self._trades


class FinishedOrders(Mapping[int, OrderView]):
    """The newest finished orders of a user by id, in the order of their end. `decode` decodes `image`, as above."""

    __slots__ = ("_decode", "_image", "_kept", "_orders")

    def __init__(
        self,
        orders: Iterable[OrderView] = (),
        image: Encoded | None = None,
        decode: Callable[[bytes], dict[int, OrderView]] | None = None,
    ) -> None:
        self._orders = OrderedDict((order.order_id, order) for order in orders)
        self._image = image
        self._decode = decode
        # How many the last `add` kept: applied once the image is decoded.
        self._kept: int | None = None

    def copy(self) -> "FinishedOrders":
        """Return a copy. It shares the orders, which never change."""
        copied = FinishedOrders(self._orders.values(), self._image, self._decode)
        copied._kept = self._kept
        return copied

    def add(self, order: OrderView, kept: int) -> None:
        """Add the newest order; the oldest ones go if there are more than `kept`."""
        self._orders[order.order_id] = order
        self._kept = kept
        if self._image is None:
            self.keep(kept)

    def keep(self, kept: int) -> None:
        """Drop all but the newest `kept` orders."""
        orders = self._decoded()
        while len(orders) > kept:
            orders.popitem(last=False)

    def encoded(self, encode: Callable[[dict[int, Any]], Encoded]) -> Encoded:
        """Return the orders as `encode` encodes them by id. Those of a snapshot stay encoded unless they were read."""
        if self._image is None:
            return encode(dict(self._orders))
        if self._orders:
            items = [*_split_dict(self._image.plain()).items(), *self._orders.items()]
            self._image = encode(dict(items if self._kept is None else items[max(0, len(items) - self._kept) :]))
            self._orders.clear()
        return self._image

    @property
    def is_empty(self) -> bool:
        """True if there are no orders, neither those of a snapshot nor newer ones."""
        return self._image is None and not self._orders

    @property
    def is_encoded(self) -> bool:
        """True if all orders are those of a snapshot, and were not read since."""
        return self._image is not None and not self._orders

    def __getitem__(self, order_id: int) -> OrderView:
        return self._decoded()[order_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def _decoded(self) -> OrderedDict[int, OrderView]:
        image, decode = self._image, self._decode
        if image is not None and decode is not None:
            self._image = None
            self._orders = OrderedDict([*decode(image.plain()).items(), *self._orders.items()])
            if self._kept is not None:
                self.keep(self._kept)
        return self._orders
