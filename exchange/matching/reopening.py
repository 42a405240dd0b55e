"""Reopening of the market after a halt or a crash, from rules version 2 on, so that stale quotes are not picked off.

Until the next index price of an asset, its orders can only be cancelled. Then only post-only orders are accepted, for a
time in the rules. `IndexState.reopens_us` is the phase of each asset; docs/market.md has the rules.
"""

from collections.abc import Mapping

from exchange.domain.events import Event, MarketReopening, PostOnlyBegan
from exchange.domain.reasons import Reason
from exchange.domain.rules import FAIR_MARKET_VERSION, Rules, market_of, settlement_rules_of
from exchange.domain.units import US_PER_SECOND
from exchange.matching.book import OrderBook
from exchange.matching.index import CANCEL_ONLY, ENDED, IndexState
from exchange.matching.refusal import FailedCheck, Figures
from exchange.matching.state import State


def has_reopening(state: State) -> bool:
    """True if the rules let the market reopen in phases."""
    return state.has_fair_market and state.settlement_rules.post_only_s > 0


def phases_at(rules: Rules, rules_version: int, reopens_us: Mapping[str, int], ts_us: int) -> dict[str, int]:
    """Return the assets that are reopening at `ts_us`, with the end of their time of post-only orders.

    It is CANCEL_ONLY while it has not begun. `reopens_us` are the values of `IndexState.reopens_us`.
    """
    has_fair_market = market_of(rules) is not None and rules_version >= FAIR_MARKET_VERSION
    if not has_fair_market or not settlement_rules_of(rules).post_only_s:
        return {}
    return {asset: until_us for asset, until_us in reopens_us.items() if until_us == CANCEL_ONLY or until_us > ts_us}


def phases_of(state: State, ts_us: int) -> dict[str, int]:
    """The same of a state."""
    reopens_us = {asset: index.reopens_us for asset, index in state.indexes.items() if index.reopens_us is not None}
    return phases_at(state.rules, state.rules_version, reopens_us, ts_us)


def reopen(state: State, after_run: bool = False) -> list[Event]:
    """Begin the reopening, after a halt or (`after_run`) a run of the server; a run that ended normally needs none."""
    is_reopening = False
    for index in state.indexes.values():
        if after_run and index.reopens_us == ENDED:
            index.reopens_us = None
        elif has_reopening(state):
            index.reopens_us = CANCEL_ONLY
            is_reopening = True
    return [MarketReopening(state.settlement_rules.post_only_s)] if is_reopening else []


def reopen_before_start(state: State) -> list[Event]:
    """Begin the reopening before the first command of a run of the server, unless the run before ended normally."""
    crashed = [index for index in state.indexes.values() if index.reopens_us != ENDED]
    if not crashed or not has_reopening(state):
        return []
    for index in crashed:
        index.reopens_us = CANCEL_ONLY
    return [MarketReopening(state.settlement_rules.post_only_s)]


def end_run(state: State) -> None:
    """Note that a run of the server ends normally."""
    if has_reopening(state):
        for index in state.indexes.values():
            index.reopens_us = ENDED


def begin_post_only(state: State, ts_us: int, asset: str, index: IndexState) -> list[Event]:
    """Let the first index price of a reopening asset begin the time of post-only orders."""
    if index.reopens_us != CANCEL_ONLY or not has_reopening(state):
        return []
    index.reopens_us = ts_us + state.settlement_rules.post_only_s * US_PER_SECOND
    return [PostOnlyBegan(asset, index.reopens_us)]


def is_reopening(state: State, ts_us: int, asset: str) -> bool:
    """True while the orders of the asset can only be cancelled, or only post-only orders are accepted."""
    index = state.indexes.get(asset)
    if index is None or index.reopens_us is None or not has_reopening(state):
        return False
    return index.reopens_us == CANCEL_ONLY or ts_us < index.reopens_us


def why_not_reopened(state: State, ts_us: int, book: OrderBook, is_post_only: bool) -> FailedCheck | None:
    """Fail if an order cannot be placed or edited yet."""
    index = state.indexes.get(book.asset)
    if index is None or index.reopens_us is None or not has_reopening(state):
        return None
    if index.reopens_us == CANCEL_ONLY:
        return FailedCheck(Reason.CANCEL_ONLY)
    if is_post_only or ts_us >= index.reopens_us:
        return None
    figures: Figures = {"ts_us": ts_us, "until_us": index.reopens_us}
    return FailedCheck(Reason.POST_ONLY_PHASE, figures)
