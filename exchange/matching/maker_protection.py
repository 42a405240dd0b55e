"""Market maker protection: the configuration of MMP groups, and what happens when fills reach a limit.

A limit takes effect within the command: right after the fill that reaches it, before the next fill. Fills count if the
quote was the maker and if it was the taker. Source of the rules:
https://support.deribit.com/hc/en-us/articles/25944738804509-Deribit-MMP
"""

from msgspec import UNSET

from exchange.domain.black76 import ONE
from exchange.domain.commands import ResetMmp, SetMmpConfig
from exchange.domain.enums import MmpLimit
from exchange.domain.events import MmpConfigSet, MmpResetDone, MmpTriggered
from exchange.domain.forwards import ForwardCurve
from exchange.domain.reasons import Reason
from exchange.domain.smile import Slice
from exchange.domain.units import (
    MILLI_PER_CONTRACT,
    MMP_GROUPS_MAX,
    MMP_SECONDS_MAX,
    NUMBER_MAX,
    US_PER_SECOND,
)
from exchange.matching.book import Order, OrderBook
from exchange.matching.cancellation import cancel_each
from exchange.matching.mmp_groups import MmpGroup
from exchange.matching.refusal import FailedCheck, Figures, Result
from exchange.matching.state import Changes, State

# A volatility point is one part in a hundred.
_POINTS = 100


def set_mmp_config(state: State, command: SetMmpConfig) -> Result:
    """Create a group, replace its limits, or remove it (`interval_s` of 0) and cancel its quotes.

    New limits count from zero. A freeze stays: only time or a reset ends it.
    """
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    known = account.mmp_groups.get(command.mmp_group)
    if failed := _why_bad_config(state, command, known, len(account.mmp_groups)):
        return failed
    changes = Changes()
    limits = command.quantity_limit_milli, command.delta_limit_milli, command.vega_limit_micros
    if known is not None and not command.interval_s:
        limits = UNSET, UNSET, UNSET
        cancel_each(state, changes, known.resting(), "mmp_removed")
        del account.mmp_groups[known.name]
    else:
        group = MmpGroup(command.mmp_group, command.asset, command.interval_s, command.frozen_s, *limits)
        if known is not None:
            group.bids, group.asks, group.frozen_until_us = known.bids, known.asks, known.frozen_until_us
        account.mmp_groups[group.name] = group
    changes.events.append(
        MmpConfigSet(account.user_id, command.mmp_group, command.asset, command.interval_s, command.frozen_s, *limits)
    )
    return changes.take_events()


def reset_mmp(state: State, command: ResetMmp) -> Result:
    """End the freeze of a group, and set its sums to zero."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    group = account.mmp_groups.get(command.mmp_group)
    if group is None:
        return FailedCheck(Reason.MMP_GROUP_UNKNOWN)
    group.frozen_until_us = None
    group.restart()
    return [MmpResetDone(account.user_id, group.name)]


def protect(state: State, changes: Changes, maker: Order, taker: Order, size_milli: int) -> bool:
    """Count a fill for the groups of both orders. True if the group of `taker` is frozen, so that it must stop."""
    for order in (maker, taker):
        if order.mmp_group is not None:
            _count(state, changes, order, size_milli)
    return is_frozen(state, taker)


def is_frozen(state: State, order: Order) -> bool:
    """True if the group of the order is frozen. No quote may rest then."""
    if order.mmp_group is None:
        return False
    return state.accounts[order.user_id].mmp_groups[order.mmp_group].frozen_until_us is not None


def delta_nano(state: State, book: OrderBook) -> int | None:
    """Return the delta of an option by its model, in billionths, as of the last index price; None without a model."""
    model = _slice_of(state, book)
    return None if model is None else model.delta_nano(book.strike_micros, book.is_call)


def _count(state: State, changes: Changes, order: Order, size_milli: int) -> None:
    assert order.mmp_group is not None, "an order without a group is counted"
    group = state.accounts[order.user_id].mmp_groups[order.mmp_group]
    if group.frozen_until_us is not None:
        return
    group.begin_interval(state.now_us)
    group.quantity_milli += size_milli
    if group.counts_greeks:
        book = order.book
        signed_milli = size_milli if order.side == "bid" else -size_milli
        model = _slice_of(state, book)
        if model is None:
            # Without a model, an option counts like its underlying.
            group.delta += signed_milli * (ONE if book.is_call else -ONE)
        else:
            group.delta += signed_milli * model.delta_nano(book.strike_micros, book.is_call)
            group.vega += signed_milli * model.vega_micros(book.strike_micros)
    if limit := _limit_reached(group):
        _freeze(state, changes, order.user_id, group, limit)


def _limit_reached(group: MmpGroup) -> MmpLimit | None:
    """Return the first limit that the sums reach. Delta and vega count in both directions."""
    if group.quantity_limit_milli is not UNSET and group.quantity_milli >= group.quantity_limit_milli:
        return "quantity"
    if group.delta_limit_milli is not UNSET and abs(group.delta) >= group.delta_limit_milli * ONE:
        return "delta"
    if group.vega_limit_micros is not UNSET:
        limit = group.vega_limit_micros * MILLI_PER_CONTRACT * _POINTS
        return "vega" if abs(group.vega) >= limit else None
    return None


def _freeze(state: State, changes: Changes, user_id: str, group: MmpGroup, limit: MmpLimit) -> None:
    """Cancel the group's resting quotes, and refuse new ones from now on."""
    group.frozen_until_us = state.now_us + group.frozen_s * US_PER_SECOND if group.frozen_s else 0
    greeks = (group.delta // ONE, group.vega // (MILLI_PER_CONTRACT * _POINTS)) if group.counts_greeks else ()
    changes.events.append(
        MmpTriggered(user_id, group.name, group.asset, limit, group.frozen_until_us, group.quantity_milli, *greeks)
    )
    group.restart()
    cancel_each(state, changes, group.resting(), "mmp_trigger")


def _slice_of(state: State, book: OrderBook) -> Slice | None:
    """Return the smile of an option's expiration at the last index price; None if there is none."""
    index, market = state.indexes.get(book.asset), state.market
    if index is None or market is None or book.expiration_us not in index.smiles:
        return None
    forward = ForwardCurve(market, book.asset, index.price_micros, index.ts_us).at(book.expiration_us)
    return Slice(index.smiles[book.expiration_us], forward, book.expiration_us - index.ts_us)


def _why_bad_config(state: State, command: SetMmpConfig, known: MmpGroup | None, groups: int) -> FailedCheck | None:
    """Fail if a group cannot have these terms. Limits of zero are refused: they would freeze it with any fill."""
    if known is None and not command.interval_s:
        return FailedCheck(Reason.MMP_GROUP_UNKNOWN)
    if not any(book.asset == command.asset for book in state.books.values()):
        return FailedCheck(Reason.UNKNOWN_ASSET)
    if known is not None and known.asset != command.asset:
        return FailedCheck(Reason.MMP_GROUP_OF_OTHER_ASSET, {"asset": known.asset})
    if not 0 <= command.interval_s <= MMP_SECONDS_MAX or not 0 <= command.frozen_s <= MMP_SECONDS_MAX:
        figures: Figures = {"interval_s": command.interval_s, "frozen_s": command.frozen_s}
        return FailedCheck(Reason.INVALID_MMP_CONFIG, {**figures, "max_s": MMP_SECONDS_MAX})
    if not command.interval_s:
        return None
    limits = [command.quantity_limit_milli, command.delta_limit_milli, command.vega_limit_micros]
    given = [limit for limit in limits if isinstance(limit, int)]
    if not given or not all(0 < limit <= NUMBER_MAX for limit in given):
        return FailedCheck(Reason.INVALID_MMP_CONFIG, {"limits": ", ".join(str(limit) for limit in given) or "none"})
    if known is None and groups >= MMP_GROUPS_MAX:
        return FailedCheck(Reason.TOO_MANY_MMP_GROUPS, {"groups": groups, "max_groups": MMP_GROUPS_MAX})
    needs_model = command.delta_limit_milli is not UNSET or command.vega_limit_micros is not UNSET
    if needs_model and not state.has_fair_market:
        return FailedCheck(Reason.NO_MODEL)
    return None
