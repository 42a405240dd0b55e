"""Settlements: the delivery price of every series, and the payouts of every user."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TypeVar

from exchange.projections.wire_types import Settlement, UserSettlement

SERIES_KEPT = 10_000
USER_SETTLEMENTS_KEPT = 10_000

_T = TypeVar("_T", bound=Settlement | UserSettlement)


class SettlementHistory:
    """The newest settlements. Each series is in it once: a settled one replaces a delayed one."""

    def __init__(self, series: Iterable[Settlement] = (), users: Mapping[str, Iterable[UserSettlement]] = {}) -> None:
        self.series = {(settlement.asset, settlement.expiration_s): settlement for settlement in series}
        self.users = {user_id: deque(settled, USER_SETTLEMENTS_KEPT) for user_id, settled in users.items()}

    def on_series(self, settlement: Settlement) -> None:
        """Add or replace a series, and drop the oldest beyond SERIES_KEPT."""
        key = (settlement.asset, settlement.expiration_s)
        # Removed first, so that the series moves to the end.
        self.series.pop(key, None)
        self.series[key] = settlement
        if len(self.series) > SERIES_KEPT:
            del self.series[next(iter(self.series))]

    def on_position(self, user_id: str, settled: UserSettlement) -> None:
        """Add the settlement of one position."""
        self.users.setdefault(user_id, deque(maxlen=USER_SETTLEMENTS_KEPT)).append(settled)

    def newest(self, count: int, before: int | None = None, asset: str | None = None) -> list[Settlement]:
        """Return `count` settlements with a `seq` below `before`, newest first.

        More than `count` if the last command of the page has more: the next page begins before that command.
        """
        return _page([one for one in self.series.values() if asset in (None, one.asset)], count, before)

    def newest_of(self, user_id: str, count: int, before: int | None = None) -> list[UserSettlement]:
        """Return the settlements of one user, in pages like those of `newest`."""
        return _page(self.users.get(user_id, ()), count, before)

    def delivered(self, asset: str, count: int, before_s: int | None = None) -> list[Settlement]:
        """Return `count` settled series of an asset that expired before `before_s`, the last to expire first."""
        settled = [
            one
            for one in self.series.values()
            if one.asset == asset and one.state == "settled" and (before_s is None or one.expiration_s < before_s)
        ]
        return sorted(settled, key=lambda one: -one.expiration_s)[:count]


def _page(oldest_first: Iterable[_T], count: int, before: int | None) -> list[_T]:
    """Return the newest `count` items, and all other items of the last command among them."""
    page: list[_T] = []
    for one in reversed(list(oldest_first)):
        if before is not None and one.seq >= before:
            continue
        if len(page) >= count and one.seq != page[-1].seq:
            break
        page.append(one)
    return page
