"""The streams, trades.* and user.*: what a command has to tell on them, for those who listen and those who missed it.

Live or years later from the journal, the texts are made here, and so they are the same to the letter.
"""

from collections import deque
from collections.abc import Container, Iterator
from copy import copy
from itertools import islice

import msgspec

from exchange.gateway.channels import USER_KINDS
from exchange.gateway.jsonrpc import stream_text
from exchange.gateway.limits import RECENT_MAX
from exchange.projections.shapes import Balance, OrderView, Trade, UserTrade
from exchange.projections.views import Change, Views

Key = tuple[str, str]  # a channel's name, and for user.* the user


class Told(msgspec.Struct, frozen=True):
    """What command `seq` has to tell. It stays as it is, whatever later commands change."""

    seq: int
    orders: list[OrderView]
    user_trades: list[tuple[str, UserTrade]]
    balances: list[Balance]
    trades: list[Trade]


class Recent:
    """What the last commands told, so that who was away for a moment need not wait until the journal is read."""

    def __init__(self, seq: int) -> None:
        self.next_seq = seq + 1  # of the first command that has not told anything yet
        self._told: deque[Told] = deque(maxlen=RECENT_MAX)

    def restart(self, seq: int) -> None:
        """Forget everything: what comes next is the command after `seq`."""
        self.next_seq = seq + 1
        self._told.clear()

    def add(self, told: Told) -> None:
        assert told.seq == self.next_seq, "a command was skipped"
        self.next_seq += 1
        self._told.append(told)

    def between(self, first_seq: int, last_seq: int) -> list[Told] | None:
        """What these commands told; None where the first of them is forgotten."""
        start = first_seq - (self.next_seq - len(self._told))
        return None if start < 0 else list(islice(self._told, start, start + last_seq + 1 - first_seq))


def key_of(channel_name: str, user_id: str) -> Key:
    """The key of a stream as `user_id` has it."""
    return channel_name, user_id if channel_name in USER_KINDS else ""


def told_of(change: Change, views: Views) -> Told:
    """What a command has to tell. To be called before the next one is projected."""
    return Told(
        change.seq,
        [copy(order) for order in change.orders.values()],
        change.user_trades,
        [views.balance(user_id) for user_id in change.balances],
        change.trades,
    )


def texts(told: Told, wanted: Container[Key]) -> Iterator[tuple[Key, bytes]]:
    """The notifications of one command on the wanted streams: orders, then trades, then balances, then the tape."""
    orders: dict[Key, list[OrderView]] = {}
    for order in told.orders:
        orders.setdefault(("user.orders", order.user_id), []).append(order)
    user_trades: dict[Key, list[UserTrade]] = {}
    for user_id, trade in told.user_trades:
        user_trades.setdefault(("user.trades", user_id), []).append(trade)
    for streams in (orders, user_trades):
        for key, data in streams.items():
            if key in wanted:
                yield key, stream_text(key[0], told.seq, data)
    for balance in told.balances:
        if (key := ("user.balance", balance.user_id)) in wanted:
            yield key, stream_text(key[0], told.seq, balance)
    if told.trades and (key := (f"trades.{told.trades[0].instrument_id}", "")) in wanted:
        yield key, stream_text(key[0], told.seq, told.trades)
