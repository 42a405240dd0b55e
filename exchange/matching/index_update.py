"""What comes of a new index price or new rules for everyone: marks, margins, and whether these can be carried."""

from collections.abc import Mapping

from exchange.domain.commands import SetIndexPrice
from exchange.domain.events import Event, IndexPriceSet, Refused
from exchange.domain.reasons import Reason
from exchange.domain.rules import Market
from exchange.domain.units import NUMBER_MAX, PRICE_MAX_MICROS
from exchange.matching.accounts import Account, Position
from exchange.matching.fees import FeeSchedule
from exchange.matching.index import IndexState
from exchange.matching.liquidation import liquidate
from exchange.matching.listing import list_series, margin_rates_of, set_marks
from exchange.matching.margin_profiles import MarginRates, mark_micros, nanos_to_micros
from exchange.matching.state import Changes, State


def set_index_price(state: State, ts_us: int, command: SetIndexPrice) -> list[Event]:
    """Record the price; then list what it asks for, mark and margin everything on the asset, and liquidate."""
    asset, price_micros = command.asset, command.price_micros
    if reason := _why_not_set(state, command):
        return [Refused(None, reason)]
    assert state.market is not None
    outcome = Changes()
    index = state.indexes.get(asset)
    if index is None:
        state.indexes[asset] = IndexState(price_micros, ts_us)
    else:
        index.move(price_micros, ts_us)
    outcome.events.append(IndexPriceSet(asset, price_micros))
    for series in state.market.series:
        if series.asset == asset:
            list_series(state, outcome, ts_us, series)
    set_marks(state, outcome, asset, list(state.live.get(asset, {}).values()))
    for account in state.accounts.values():
        update_margins(outcome, account, asset)
    liquidate(state, outcome, state.accounts.values())
    return outcome.take_events()


def update_margins(outcome: Changes, account: Account, asset: str | None = None) -> None:
    """Bring the account's margins in line with new rates: of what it has or offers on one asset, or on all of them."""
    holdings = [h for h in account.positions.values() if asset in (None, h.book.asset) and not h.is_empty]
    for holding in sorted(holdings, key=_listing):
        outcome.track_margin(account, holding)
        account.update_margin(holding)


def within_limits(state: State, charges: FeeSchedule, rates: Mapping[str, MarginRates]) -> bool:
    """Whether what every account would lock and maintain at these rates and fees stays a number of the wire."""
    for account in state.accounts.values():
        locked = account.margin_micros
        maintained = account.maintenance_micros
        for instrument_id, holding in account.positions.items():
            if new := rates.get(instrument_id):
                uncovered, short = holding.open_asks_milli - holding.position_milli, -holding.position_milli
                locked += nanos_to_micros(new.initial_nanos, max(0, uncovered)) - holding.collateral_micros
                maintained += nanos_to_micros(new.maintenance_nanos, max(0, short)) - holding.maintenance_micros
        bids = account.bids_micros
        if charges is not state.charges:
            bids = sum_bid_locks(account, charges)
        if locked + bids > NUMBER_MAX or maintained > NUMBER_MAX:
            return False
    return True


def sum_bid_locks(account: Account, charges: FeeSchedule) -> int:
    """What the account's open bids lock with these fees."""
    return sum(
        charges.bid_lock_micros(order.price_micros, order.remaining_milli)
        for order in account.open_orders.values()
        if order.side == "bid" and order.price_micros is not None
    )


def _why_not_set(state: State, command: SetIndexPrice) -> Reason | None:
    market, asset, price_micros = state.market, command.asset, command.price_micros
    if market is None:
        return Reason.NO_MARKET
    if not _is_known(state, market, asset):
        return Reason.UNKNOWN_ASSET
    if not 0 < price_micros <= PRICE_MAX_MICROS:
        return Reason.INVALID_INDEX_PRICE
    index = state.indexes.get(asset)
    if index is not None and market.index_jump_max and not command.forced:
        low, high = sorted((index.price_micros, price_micros))
        if high > low * market.index_jump_max:
            return Reason.INDEX_JUMP
    rates = {
        book.instrument_id: margin_rates_of(
            state.rules, book, price_micros, mark_micros(book, price_micros, market.mark_spread_max_ppm)
        )
        for book in state.live.get(asset, {}).values()
    }
    return None if within_limits(state, state.charges, rates) else Reason.EXPOSURE_ABOVE_MAXIMUM


def _is_known(state: State, market: Market, asset: str) -> bool:
    """Whether anything is listed on the asset, or some rule lists something on it."""
    if asset in state.indexes or any(series.asset == asset for series in market.series):
        return True
    return any(book.asset == asset for book in state.books.values())


def _listing(holding: Position) -> int:
    return holding.book.number
