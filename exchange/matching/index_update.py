"""Effects of a new index price or of new rules on all accounts: marks, margins, and the limits of both."""

from collections.abc import Mapping

from exchange.domain.commands import SetIndexPrice
from exchange.domain.events import IndexPriceSet
from exchange.domain.margin_rates import MarginRates, nanos_to_micros
from exchange.domain.reasons import Reason
from exchange.domain.rules import Market
from exchange.domain.units import NUMBER_MAX, PRICE_MAX_MICROS
from exchange.matching.accounts import Account, Position
from exchange.matching.book import OrderBook
from exchange.matching.fees import FeeSchedule
from exchange.matching.index import IndexState
from exchange.matching.liquidation import liquidate
from exchange.matching.listing import apply_marks, list_series, marks_at
from exchange.matching.refusal import FailedCheck, Figures, Result
from exchange.matching.reopening import begin_post_only, is_reopening
from exchange.matching.state import Changes, State
from exchange.matching.surface import Smiles, add_smiles, fitted_smiles, set_bands, tell_smiles


def set_index_price(state: State, ts_us: int, command: SetIndexPrice) -> Result:
    """Set the index price of an asset, or refuse it.

    Then list the missing instruments of the asset's series rule, update marks and margins on the asset, and liquidate
    accounts below their maintenance margin.
    """
    asset, price_micros = command.asset, command.price_micros
    if failed := _why_not_set(state, command):
        return failed
    assert state.market is not None
    live = list(state.live.get(asset, {}).values())
    smiles = _smiles_at(state, asset, live, price_micros, ts_us)
    marks = marks_at(state, asset, live, price_micros, ts_us, smiles)
    rates = {book.instrument_id: mark.rates for book, mark in marks.items()}
    if not within_limits(state, state.fee_schedule, rates):
        return FailedCheck(Reason.EXPOSURE_ABOVE_MAXIMUM)
    changes = Changes()
    index = state.indexes.get(asset)
    if index is None:
        index = state.indexes[asset] = IndexState(price_micros, ts_us)
    else:
        index.move(price_micros, ts_us)
    changes.events.append(IndexPriceSet(asset, price_micros))
    changes.events += begin_post_only(state, ts_us, asset, index)
    for series in state.market.series:
        if series.asset == asset:
            listed = list_series(state, changes, ts_us, series)
            if state.has_fair_market:
                smiles = add_smiles(state.market, asset, smiles, listed, ts_us)
            marks |= marks_at(state, asset, listed, price_micros, ts_us, smiles)
    tell_smiles(changes, asset, index.smiles, smiles)
    index.smiles = smiles
    apply_marks(changes, asset, price_micros, marks)
    if state.has_fair_market:
        set_bands(state.market, asset, index, marks)
    for account in state.accounts.values():
        if account.exposures.get(asset):
            update_margins(changes, account, asset)
    liquidate(state, ts_us, changes, state.accounts.values(), by_index_price=not is_reopening(state, ts_us, asset))
    return changes.take_events()


def _smiles_at(state: State, asset: str, live: list[OrderBook], price_micros: int, ts_us: int) -> Smiles:
    """Return the smiles of the asset at this index price; none without a fair market."""
    if not state.has_fair_market:
        return {}
    assert state.market is not None
    index = state.indexes.get(asset)
    if index is None:
        return add_smiles(state.market, asset, {}, live, ts_us)
    return fitted_smiles(state.market, asset, index.smiles, live, price_micros, ts_us)


def update_margins(changes: Changes, account: Account, asset: str | None = None) -> None:
    """Update the account's margins after a change of rates, on one asset or (None) on all."""
    changes.track(account)
    positions = [
        position
        for name in (account.exposures if asset is None else (asset,))
        for position in account.exposures.get(name, {}).values()
        # The others have no margin at any rate.
        if position.open_asks_milli > position.position_milli or position.collateral_micros
    ]
    if not positions:
        return
    if len(positions) > 1:
        positions.sort(key=_listing_number)
    changes.track_margins(account.user_id, positions)
    for position in positions:
        account.update_margin(position)


def within_limits(
    state: State, fees: FeeSchedule, rates: Mapping[str, MarginRates], limit_micros: int = NUMBER_MAX
) -> bool:
    """True if at these rates and fees the locks and margins of every account stay within the limit.

    O(accounts) if no account comes near the limit, otherwise O(positions).
    """
    growth = _growth(state, rates)
    far_below_micros = limit_micros // growth if growth is not None and fees is state.fee_schedule else -1
    for account in state.accounts.values():
        # The sums stay within the limit even if all margins grow by the whole factor. Margins are rounded up; a whole
        # factor covers this: the ceiling of a product is at most the product of the ceiling.
        if account.locked_micros <= far_below_micros and account.maintenance_micros <= far_below_micros:
            continue
        locked = account.margin_micros
        maintenance = account.maintenance_micros
        for instrument_id, position in account.positions.items():
            if new := rates.get(instrument_id):
                uncovered, short = position.open_asks_milli - position.position_milli, -position.position_milli
                locked += nanos_to_micros(new.initial_nanos, max(0, uncovered)) - position.collateral_micros
                maintenance += nanos_to_micros(new.maintenance_nanos, max(0, short)) - position.maintenance_micros
        bids = account.bids_micros
        if fees is not state.fee_schedule:
            bids = sum_bid_locks(account, fees)
        if locked + bids > limit_micros or maintenance > limit_micros:
            return False
    return True


def _growth(state: State, rates: Mapping[str, MarginRates]) -> int | None:
    """A whole number by which no rate grows more; None if a rate was 0 and no longer is."""
    growth = 1
    for instrument_id, new in rates.items():
        book = state.books[instrument_id]
        for old_nanos, new_nanos in (
            (book.initial_nanos, new.initial_nanos),
            (book.maintenance_nanos, new.maintenance_nanos),
        ):
            if new_nanos > old_nanos * growth:
                if not old_nanos:
                    return None
                growth = -(-new_nanos // old_nanos)
    return growth


def sum_bid_locks(account: Account, fees: FeeSchedule) -> int:
    """Return the sum that the account's open bids lock with these fees."""
    return sum(
        fees.bid_lock_micros(order.price_micros, order.remaining_milli)
        for order in account.open_orders.values()
        if order.side == "bid" and order.price_micros is not None
    )


def _why_not_set(state: State, command: SetIndexPrice) -> FailedCheck | None:
    market, asset, price_micros = state.market, command.asset, command.price_micros
    if market is None:
        return FailedCheck(Reason.NO_MARKET)
    if not _is_known(state, market, asset):
        return FailedCheck(Reason.UNKNOWN_ASSET)
    figures: Figures = {"price_micros": price_micros}
    if not 0 < price_micros <= PRICE_MAX_MICROS:
        return FailedCheck(Reason.INVALID_INDEX_PRICE, figures | {"max_price_micros": PRICE_MAX_MICROS})
    index = state.indexes.get(asset)
    if index is not None and market.index_jump_max and not command.forced:
        low, high = sorted((index.price_micros, price_micros))
        if high > low * market.index_jump_max:
            figures |= {"last_price_micros": index.price_micros, "index_jump_max": market.index_jump_max}
            return FailedCheck(Reason.INDEX_JUMP, figures)
    return None


def _is_known(state: State, market: Market, asset: str) -> bool:
    """True if an instrument on the asset is listed, or a rule lists some."""
    if asset in state.indexes or any(series.asset == asset for series in market.series):
        return True
    return any(book.asset == asset for book in state.books.values())


def _listing_number(position: Position) -> int:
    return position.book.number
