"""Stream channels, which are all channels but books, tickers and quotes: the notifications that one command causes.

Live notifications and replayed ones are encoded here, so their texts are identical.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator
from copy import copy
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from exchange.catch_up.limits import RECENT_MAX, RECENT_SIZE_MAX
from exchange.domain.instruments import asset_of
from exchange.projections.balances import PositionRecord
from exchange.projections.fold import Change
from exchange.projections.views import Views
from exchange.projections.wire_types import (
    Balance,
    IndexPrice,
    Instrument,
    MarketStatus,
    MarkSurface,
    MmpTriggerView,
    OrderView,
    PositionView,
    Settlement,
    SharedLoss,
    Trade,
    UserChanges,
    UserTrade,
)

_encode_json = msgspec.json.Encoder().encode

# Channel name and user id. The user id is empty for channels that are the same for all users.
Key = tuple[str, str]


class PositionSnapshot(NamedTuple):
    """A position and its valuation after one command. An index price may change the positions of all accounts."""

    user_id: str
    instrument_id: str
    position: PositionRecord
    mark_micros: int | None
    value_micros: int | None


class CommandUpdate(msgspec.Struct, frozen=True):
    """The changes of command `seq` that stream channels report. Later commands do not alter them.

    `size` counts the items, as a measure of the memory that it takes.
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
    losses: dict[str, SharedLoss] = {}
    surfaces: list[MarkSurface] = []
    mmp_triggers: list[tuple[str, MmpTriggerView]] = []
    size: int = 1


_CHANGES = "user.changes"
# In place of an update of which no stream is remembered.
_NOTHING = CommandUpdate(0, [], [], [], [], [], None, [], [], None)


class RecentUpdates:
    """Recent updates in memory, so that clients which connect again soon need no journal read.

    Only streams with listeners are remembered, and those that had one within the last RECENT_MAX commands. For as many
    commands after a start everything is remembered, because all clients connect again then.
    """

    def __init__(self, seq: int) -> None:
        self.next_seq = seq + 1  # the first command that is not published yet
        self._updates: deque[CommandUpdate] = deque()
        self._size = 0
        # The last command of which everything is remembered.
        self._complete_seq = seq + RECENT_MAX
        # The first command of which a stream is remembered, and the first one without a listener.
        self._since: dict[Key, int] = {}
        self._idle: dict[Key, int] = {}

    def restart(self, seq: int) -> None:
        """Forget everything. The next update is that of the command after `seq`."""
        self.next_seq = seq + 1
        self._updates.clear()
        self._size = 0
        self._complete_seq = min(self._complete_seq, seq)
        self._since = dict.fromkeys(self._since, seq + 1)

    def listen(self, key: Key) -> None:
        """Remember this stream from the next command on: it has a listener."""
        self._idle.pop(key, None)
        self._since.setdefault(key, self.next_seq)

    def unlisten(self, key: Key) -> None:
        """Remember this stream for RECENT_MAX more commands: its last listener is gone."""
        self._idle[key] = self.next_seq

    def add_replayed(self, change: Change, views: Views, remaining: int) -> None:
        """Remember a command that a start replays; `remaining` more follow it.

        A client that lost its connection in a crash finds what it missed in memory.
        """
        if remaining < RECENT_MAX:
            if change.seq != self.next_seq:
                self.restart(change.seq - 1)
            self.append(update_of(change, views))

    def take_over(self, replayed: RecentUpdates) -> None:
        """Begin with these updates, unless they end with another command."""
        if replayed.next_seq == self.next_seq:
            self._updates, self._size = replayed._updates, replayed._size

    def add(self, change: Change, views: Views) -> CommandUpdate | None:
        """Remember the next command. Returns its update; None if no stream is remembered.

        Call it before the next command is projected.
        """
        assert change.seq == self.next_seq, "a command was skipped"
        if change.seq <= self._complete_seq:
            return self.append(update_of(change, views))
        if self._idle:
            self._forget_idle()
        if self._since:
            return self.append(update_of(change, views, self._since))
        # The older ones are released one by one: all at once, they would stop the exchange for 100 ms.
        self.append(_NOTHING)
        return None

    def between(self, first_seq: int, last_seq: int, wanted: Iterable[Key] = ()) -> list[CommandUpdate] | None:
        """The updates of these commands, both included; None if a wanted stream of one of them is not remembered."""
        start = first_seq - (self.next_seq - len(self._updates))
        if start < 0:
            return None
        if last_seq > self._complete_seq:
            first_partial = max(first_seq, self._complete_seq + 1)
            if any(self._since.get(key, self.next_seq) > first_partial for key in wanted):
                return None
        return list(islice(self._updates, start, start + last_seq + 1 - first_seq))

    def append(self, update: CommandUpdate) -> CommandUpdate:
        """Remember the update of the next command, and forget the oldest ones beyond the limits."""
        self.next_seq += 1
        self._updates.append(update)
        self._size += update.size
        while len(self._updates) > RECENT_MAX or self._size > RECENT_SIZE_MAX:
            self._size -= self._updates.popleft().size
        return update

    def _forget_idle(self) -> None:
        """Forget streams that had no listener for RECENT_MAX commands. They became idle in the order of the dict."""
        while self._idle and (first := next(iter(self._idle.items())))[1] + RECENT_MAX <= self.next_seq:
            del self._idle[first[0]]
            del self._since[first[0]]


def key_of(channel_name: str, user_id: str) -> Key:
    """The key of a stream channel for `user_id`."""
    return channel_name, user_id if channel_name.startswith("user.") else ""


def update_of(change: Change, views: Views, wanted: Container[Key] | None = None) -> CommandUpdate:
    """The update of one command, with those streams of users that are `wanted`; None: with all of them.

    Call it before the next command is projected.
    """
    orders, positions, balances = list(change.orders.values()), list(change.positions.items()), list(change.balances)
    if wanted is not None:
        orders = [order for order in orders if _is_wanted("user.orders", order.user_id, wanted)]
        positions = [item for item in positions if _is_wanted("user.positions", item[0][0], wanted)]
        balances = [user_id for user_id in balances if ("user.balance", user_id) in wanted]
    return CommandUpdate(
        change.seq,
        [copy(order) for order in orders],
        change.user_trades,
        [PositionSnapshot(*key, position.copy(), *views.valuation(key[1])) for key, position in positions],
        [views.balance(user_id) for user_id in balances],
        change.trades,
        change.index,
        [copy(instrument) for instrument in change.instruments.values()],
        change.settlements,
        change.halted,
        change.losses,
        list(change.surfaces.values()),
        change.mmp_triggers,
        1 + len(orders) + 3 * len(change.trades) + len(positions) + len(balances) + len(change.instruments),
    )


def _is_wanted(channel_name: str, user_id: str, wanted: Container[Key]) -> bool:
    """True if the stream is wanted, or that of all changes of the user."""
    return (channel_name, user_id) in wanted or (_CHANGES, user_id) in wanted


def encode(update: CommandUpdate, wanted: Container[Key]) -> Iterator[tuple[Key, bytes]]:
    """The notifications of one command on the wanted streams.

    The order is fixed: the user's orders, trades, positions, balance, losses, MMP triggers and changes, then the public
    channels.
    """
    for key, data in _items_of(update, wanted):
        if key in wanted:
            yield key, message_text(key[0], update.seq, data)


def message_text(channel_name: str, seq: int, data: Any) -> bytes:
    """The message of a stream about command `seq`."""
    return b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":%b,"seq":%d,"data":%b}}' % (
        _encode_json(channel_name),
        seq,
        _encode_json(data),
    )


def _items_of(update: CommandUpdate, wanted: Container[Key]) -> Iterator[tuple[Key, Any]]:
    yield from _by_key((("user.orders", order.user_id), order) for order in update.orders).items()
    yield from _by_key((("user.trades", user_id), trade) for user_id, trade in update.user_trades).items()
    yield from _positions(update.positions, wanted).items()
    for balance in update.balances:
        yield ("user.balance", balance.user_id), balance
    for user_id, loss in update.losses.items():
        yield ("user.losses", user_id), loss
    if update.mmp_triggers:
        yield from _by_key((("user.mmp_trigger", user_id), it) for user_id, it in update.mmp_triggers).items()
    yield from _user_changes(update, wanted).items()
    yield from _by_key(((f"trades.{trade.instrument_id}", ""), trade) for trade in update.trades).items()
    yield from _trades_of_assets(update.trades, wanted).items()
    if update.index is not None:
        yield (f"index.{update.index.asset}", ""), update.index
    for surface in update.surfaces:
        yield (f"surface.{surface.asset}", ""), surface
    yield from _by_key(((f"instruments.{one.asset}", ""), one) for one in update.instruments).items()
    if update.settlements:
        yield ("settlement", ""), update.settlements
    if update.losses:
        yield ("losses", ""), _sum_of(update.losses.values())
    if update.halted is not None:
        yield ("status", ""), MarketStatus(update.halted)


def _sum_of(losses: Iterable[SharedLoss]) -> SharedLoss:
    """All shares of a loss together."""
    shares = list(losses)
    amount_micros, won_micros = sum(one.amount_micros for one in shares), sum(one.won_micros for one in shares)
    return SharedLoss(shares[0].seq, shares[0].ts_us, amount_micros, won_micros)


def _user_changes(update: CommandUpdate, wanted: Container[Key]) -> dict[Key, UserChanges]:
    """Orders, trades and positions together, of the wanted users only."""
    users = dict.fromkeys([order.user_id for order in update.orders])
    users |= dict.fromkeys([user_id for user_id, _ in update.user_trades])
    users |= dict.fromkeys([snapshot.user_id for snapshot in update.positions])
    return {
        (_CHANGES, user_id): UserChanges(
            [order for order in update.orders if order.user_id == user_id],
            [trade for of_user, trade in update.user_trades if of_user == user_id],
            [
                position.view(instrument_id, mark_micros, value_micros)
                for of_user, instrument_id, position, mark_micros, value_micros in update.positions
                if of_user == user_id
            ],
        )
        for user_id in users
        if (_CHANGES, user_id) in wanted
    }


def _positions(snapshots: list[PositionSnapshot], wanted: Container[Key]) -> dict[Key, list[PositionView]]:
    """Views of the wanted positions only: computing them takes longer than all the other items."""
    positions: dict[Key, list[PositionView]] = {}
    for user_id, instrument_id, position, mark_micros, value_micros in snapshots:
        if (key := ("user.positions", user_id)) in wanted:
            positions.setdefault(key, []).append(position.view(instrument_id, mark_micros, value_micros))
    return positions


def _trades_of_assets(trades: list[Trade], wanted: Container[Key]) -> dict[Key, list[Trade]]:
    """The trades by asset, of the wanted assets only: few clients subscribe to all trades of an asset."""
    by_key: dict[Key, list[Trade]] = {}
    for trade in trades:
        if (key := (f"trades.{asset_of(trade.instrument_id)}", "")) in wanted:
            by_key.setdefault(key, []).append(trade)
    return by_key


def _by_key(items: Iterable[tuple[Key, Any]]) -> dict[Key, list[Any]]:
    by_key: dict[Key, list[Any]] = {}
    for key, item in items:
        by_key.setdefault(key, []).append(item)
    return by_key
