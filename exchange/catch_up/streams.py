"""The streams, all channels but books and tickers: what a command tells on them, also to those who missed it.

Live or years later from the journal, the texts are made here, and so they are the same to the letter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator
from copy import copy
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from exchange.catch_up.limits import RECENT_MAX, RECENT_SIZE_MAX
from exchange.projections.balances import Position
from exchange.projections.views import Change, Views
from exchange.projections.wire_types import (
    Balance,
    IndexPrice,
    Instrument,
    MarketStatus,
    OrderView,
    PositionView,
    Settlement,
    Trade,
    UserTrade,
)

_encode_json = msgspec.json.Encoder().encode

Key = tuple[str, str]  # a channel's name, and for user.* the user


class PositionSnapshot(NamedTuple):
    """A position as it was, and what its contracts were worth: one index price may change those of all accounts."""

    user_id: str
    instrument_id: str
    position: Position
    mark_micros: int | None
    value_micros: int | None


class CommandUpdate(msgspec.Struct, frozen=True):
    """What command `seq` has to tell. It stays as it is, whatever later commands change.

    `size` is how many things it tells: what it takes to remember it.
    """

    seq: int
    orders: list[OrderView]
    user_trades: list[tuple[str, UserTrade]]
    positions: list[PositionSnapshot]
    balances: list[Balance]
    trades: list[Trade]
    index: IndexPrice | None
    instruments: list[Instrument]
    settlements: list[Settlement]
    halted: bool | None
    size: int = 1


class RecentUpdates:
    """What the last commands told, so that who was away for a moment need not wait until the journal is read."""

    def __init__(self, seq: int) -> None:
        self.next_seq = seq + 1  # of the first command that has not told anything yet
        self._told: deque[CommandUpdate] = deque()
        self._size = 0

    def restart(self, seq: int) -> None:
        """Forget everything: what comes next is the command after `seq`."""
        self.next_seq = seq + 1
        self._told.clear()
        self._size = 0

    def add(self, told: CommandUpdate) -> None:
        assert told.seq == self.next_seq, "a command was skipped"
        self.next_seq += 1
        self._told.append(told)
        self._size += told.size
        while len(self._told) > RECENT_MAX or self._size > RECENT_SIZE_MAX:
            self._size -= self._told.popleft().size

    def between(self, first_seq: int, last_seq: int) -> list[CommandUpdate] | None:
        """What these commands told; None where the first of them is forgotten."""
        start = first_seq - (self.next_seq - len(self._told))
        return None if start < 0 else list(islice(self._told, start, start + last_seq + 1 - first_seq))


def key_of(channel_name: str, user_id: str) -> Key:
    """The key of a stream as `user_id` has it."""
    return channel_name, user_id if channel_name.startswith("user.") else ""


def update_of(change: Change, views: Views) -> CommandUpdate:
    """What a command has to tell. To be called before the next one is projected."""
    return CommandUpdate(
        change.seq,
        [copy(order) for order in change.orders.values()],
        change.user_trades,
        [
            PositionSnapshot(*key, copy(position), *views.valuation(key[1]))
            for key, position in change.positions.items()
        ],
        [views.balance(user_id) for user_id in change.balances],
        change.trades,
        change.index,
        [copy(instrument) for instrument in change.instruments.values()],
        change.settlements,
        change.halted,
        1
        + len(change.orders)
        + 3 * len(change.trades)
        + len(change.positions)
        + len(change.balances)
        + len(change.instruments),
    )


def encode(told: CommandUpdate, wanted: Container[Key]) -> Iterator[tuple[Key, bytes]]:
    """The notifications of one command on the wanted streams.

    Orders come first, then what they traded, what positions and balances became, and what everybody may know.
    """
    for key, data in _items_of(told, wanted):
        if key in wanted:
            yield key, _text(key[0], told.seq, data)


def _text(channel_name: str, seq: int, data: Any) -> bytes:
    return b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":%b,"seq":%d,"data":%b}}' % (
        _encode_json(channel_name),
        seq,
        _encode_json(data),
    )


def _items_of(told: CommandUpdate, wanted: Container[Key]) -> Iterator[tuple[Key, Any]]:
    yield from _by_key((("user.orders", order.user_id), order) for order in told.orders).items()
    yield from _by_key((("user.trades", user_id), trade) for user_id, trade in told.user_trades).items()
    yield from _positions(told.positions, wanted).items()
    for balance in told.balances:
        yield ("user.balance", balance.user_id), balance
    yield from _by_key(((f"trades.{trade.instrument_id}", ""), trade) for trade in told.trades).items()
    if told.index is not None:
        yield (f"index.{told.index.asset}", ""), told.index
    yield from _by_key(((f"instruments.{one.asset}", ""), one) for one in told.instruments).items()
    if told.settlements:
        yield ("settlement", ""), told.settlements
    if told.halted is not None:
        yield ("status", ""), MarketStatus(told.halted)


def _positions(held: list[PositionSnapshot], wanted: Container[Key]) -> dict[Key, list[PositionView]]:
    """Only those that are wanted: to say how a position stands takes longer than all the rest."""
    positions: dict[Key, list[PositionView]] = {}
    for user_id, instrument_id, position, mark_micros, value_micros in held:
        if (key := ("user.positions", user_id)) in wanted:
            positions.setdefault(key, []).append(position.view(instrument_id, mark_micros, value_micros))
    return positions


def _by_key(items: Iterable[tuple[Key, Any]]) -> dict[Key, list[Any]]:
    by_key: dict[Key, list[Any]] = {}
    for key, item in items:
        by_key.setdefault(key, []).append(item)
    return by_key
