"""The methods that only read: market data, and the caller's own orders, trades and account."""

from __future__ import annotations

from exchange.domain.reasons import Reason
from exchange.gateway import params as p
from exchange.gateway import results as r
from exchange.gateway.caller import Caller
from exchange.gateway.instrument_ids import known_id, known_id_or_none, listed_id
from exchange.gateway.jsonrpc import RpcError, invalid_params, refused
from exchange.projections import wire_types as w
from exchange.projections.balances import null_if_unsafe
from exchange.projections.candles import range_of
from exchange.projections.record_page import RecordPage
from exchange.projections.timeline import SeqRange
from exchange.projections.wire_types import (
    AccountView,
    Balance,
    IndexPrice,
    Instrument,
    MomentResult,
    OrderView,
    Settlement,
    Ticker,
    Timeline,
    Trade,
    UserSettlement,
    UserTrade,
)


def instruments(caller: Caller, params: p.AssetFilter) -> list[Instrument]:
    return caller.views.live_instruments(params.asset)


def order_book(caller: Caller, params: p.OrderBookParams) -> r.OrderBookResult:
    views = caller.views
    instrument_id = listed_id(params.instrument_id, views)
    depth = views.depths[instrument_id]
    bids, asks = depth.bids(params.depth), depth.asks(params.depth)
    lowest, highest = views.price_band(instrument_id) or (None, None)
    return r.OrderBookResult(instrument_id, views.seq, views.ts_us, bids, asks, lowest, highest)


def trades(caller: Caller, params: p.TradesParams) -> list[Trade]:
    if params.needs_history:
        return caller.exchange.trades_in(known_id(params.instrument_id, caller.views), _page(params))
    return caller.views.trades(listed_id(params.instrument_id, caller.views), params.count, params.before)


def ticker(caller: Caller, params: p.InstrumentRef) -> Ticker:
    return caller.views.ticker(listed_id(params.instrument_id, caller.views))


def tickers(caller: Caller, params: p.AssetFilter) -> list[Ticker]:
    views = caller.views
    return [views.ticker(instrument.instrument_id) for instrument in views.live_instruments(params.asset)]


def index_price(caller: Caller, params: p.AssetRef) -> IndexPrice:
    index = caller.views.indexes.get(params.asset)
    if index is None:
        if not caller.views.knows_asset(params.asset):
            raise refused(Reason.UNKNOWN_ASSET)
        detail = f"{params.asset} has no index price yet: subscribe to index.{params.asset} to receive the first one"
        raise invalid_params("asset", detail, Reason.UNKNOWN_ASSET.value)
    return index


def index_prices(caller: Caller, _params: p.ReadParams) -> list[IndexPrice]:
    return list(caller.views.indexes.values())


def mark_surface(caller: Caller, params: p.AssetRef) -> w.MarkSurface:
    surface = caller.views.mark_surface(params.asset)
    if surface is None:
        index_price(caller, params)
        detail = f"the marks of {params.asset} follow no surface: the rules have version {caller.views.rules_version}"
        raise invalid_params("asset", detail, Reason.UNKNOWN_ASSET.value)
    return surface


def candles(caller: Caller, params: p.CandlesParams) -> w.Candles:
    """The history answers it: the read models have no candle but the running ones."""
    views, exchange, start_us, end_us = caller.views, caller.exchange, params.start_us, params.end_us
    if start_us is not None and params.count is not None:
        raise invalid_params("count", "give start_us or count, not both: count means the last candles up to end_us")
    if start_us is not None and end_us is not None and start_us > end_us:
        raise invalid_params("start_us", f"start_us {start_us} is after end_us {end_us}: give an earlier start")
    try:
        wanted = range_of(params.resolution, start_us, end_us, params.count, views.ts_us)
    except ValueError as error:
        raise invalid_params("start_us", str(error)) from error
    if params.instrument_id is not None and params.asset is None:
        return w.Candles(exchange.candles_of(listed_id(params.instrument_id, views), wanted), views.seq)
    if params.asset is None or params.instrument_id is not None:
        raise invalid_params("instrument_id", "give exactly one of instrument_id and asset")
    if not views.knows_asset(params.asset):
        raise refused(Reason.UNKNOWN_ASSET)
    return w.Candles(exchange.index_candles(params.asset, wanted), views.seq)


def historical_volatility(caller: Caller, params: p.VolatilityParams) -> list[w.HistoricalVolatility]:
    """The history answers it: the read models keep the last index price alone."""
    views = caller.views
    if not views.knows_asset(params.asset):
        raise refused(Reason.UNKNOWN_ASSET)
    end_us = views.ts_us if params.end_us is None else min(params.end_us, views.ts_us)
    return caller.exchange.historical_volatilities(params.asset, params.count, end_us)


def timeline(caller: Caller, params: p.TimelineParams) -> Timeline:
    """The history answers it, as it does for moments."""
    wanted = _seq_range(params)
    if params.asset is not None and not caller.views.knows_asset(params.asset):
        raise refused(Reason.UNKNOWN_ASSET)
    found = caller.exchange.timeline(wanted, params.buckets, params.asset)
    if found is None:
        raise _nothing_between(params)
    return found


def moment(caller: Caller, params: p.MomentParams) -> MomentResult:
    if params.seq is not None and params.ts_us is not None:
        raise invalid_params("seq", "give seq or ts_us, not both")
    return caller.exchange.moment_after(params.seq, params.ts_us, params.by, params.count)


def settlements(caller: Caller, params: p.SettlementsParams) -> list[Settlement]:
    return caller.views.settlements.newest(params.count, params.before, params.asset)


def delivery_prices(caller: Caller, params: p.DeliveryPricesParams) -> list[w.DeliveryPrice]:
    settled = caller.views.settlements.delivered(params.asset, params.count, params.before)
    return [
        w.DeliveryPrice(one.asset, one.expiration_s, one.delivery_price_micros, one.seq, one.ts_us)
        for one in settled
        if one.delivery_price_micros is not None
    ]


def insurance(caller: Caller, _params: p.ReadParams) -> r.InsuranceResult:
    funds = caller.views.balances.users.get("insurance")
    return r.InsuranceResult(0 if funds is None else funds.cash_micros, caller.views.seq)


def time(caller: Caller, _params: p.NoParams) -> w.TimeResult:
    return w.TimeResult(caller.exchange.now_us())


def status(caller: Caller, _params: p.ReadParams) -> w.ExchangeStatus:
    exchange = caller.exchange
    return w.ExchangeStatus(exchange.is_halted, w.reopening_view(exchange.reopening()), caller.views.seq)


def head(caller: Caller, _params: p.ReadParams) -> r.HeadResult:
    return r.HeadResult(caller.views.seq, caller.views.ts_us, caller.exchange.head_hash.hex())


def rules(caller: Caller, _params: p.ReadParams) -> w.RulesResult:
    return w.RulesResult(caller.views.rules, caller.views.seq, caller.views.rules_version)


def open_orders(caller: Caller, params: p.OpenOrdersParams) -> list[OrderView]:
    instrument_id = known_id_or_none(params.instrument_id, caller.views)
    return caller.views.open_orders(caller.user_id, instrument_id, params.label)


def order(caller: Caller, params: p.LabelledOrderRef) -> OrderView:
    p.check_order_name(params)
    found = caller.views.find_order(caller.user_id, params.order_id, params.client_order_id, params.label)
    if found is None:
        raise refused(Reason.ORDER_NOT_FOUND)
    return found


def order_history(caller: Caller, params: p.OrderHistoryParams) -> list[OrderView]:
    instrument_id = known_id_or_none(params.instrument_id, caller.views)
    if params.needs_history:
        return caller.exchange.orders_in(caller.user_id, _page(params), instrument_id, params.label)
    return caller.views.finished_orders(caller.user_id, params.count, params.before, instrument_id, params.label)


def user_trades(caller: Caller, params: p.UserTradesParams) -> list[UserTrade]:
    instrument_id = known_id_or_none(params.instrument_id, caller.views)
    if params.needs_history:
        found = caller.exchange.user_trades_in(caller.user_id, _page(params), instrument_id, params.order_id)
        if found is None:
            raise refused(Reason.ORDER_NOT_FOUND)
        return found
    return caller.views.user_trades(caller.user_id, params.count, params.before, instrument_id)


def user_settlements(caller: Caller, params: p.UserSettlementsParams) -> list[UserSettlement]:
    return caller.views.settlements.newest_of(caller.user_id, params.count, params.before)


def balance(caller: Caller, _params: p.ReadParams) -> Balance:
    return caller.views.balance(caller.user_id)


def positions(caller: Caller, params: p.AssetFilter) -> w.PositionsResult:
    return caller.views.positions(caller.user_id, params.asset)


def simulate(caller: Caller, params: p.SimulateParams) -> w.SimulatedAccount:
    """Compute margins and Greeks of the account with other positions. Nothing is recorded.

    As `private/simulate_portfolio` of Deribit does, it adds them to the positions, or replaces these:
    https://docs.deribit.com/api-reference/account-management/private-simulate_portfolio.
    """
    views, quantities = caller.views, dict[str, int]()
    for name, quantity_milli in params.positions.items():
        instrument_id = listed_id(name, views)
        if views.instruments[instrument_id].state == "expired":
            raise refused(Reason.INSTRUMENT_EXPIRED)
        # Two spellings can name one instrument.
        quantities[instrument_id] = quantities.get(instrument_id, 0) + quantity_milli
    found = caller.exchange.simulate(caller.user_id, quantities, not params.add_positions)
    return w.SimulatedAccount(
        null_if_unsafe(found.cash_micros - found.locked_micros),
        null_if_unsafe(found.locked_micros),
        null_if_unsafe(found.maintenance_micros),
        [
            w.SimulatedPositionView(
                instrument_id,
                position.quantity_milli,
                null_if_unsafe(position.locked_micros),
                null_if_unsafe(position.maintenance_micros),
                views.greeks_of(instrument_id, position.quantity_milli),
            )
            for instrument_id, position in found.positions.items()
        ],
        views.greeks_by_asset({name: position.quantity_milli for name, position in found.positions.items()}),
        views.seq,
    )


def transaction_log(caller: Caller, params: p.RangeParams) -> w.TransactionsResult:
    """The history answers it: no read model keeps the log, so that orders and trades cost nothing for it."""
    return w.TransactionsResult(caller.exchange.transactions(caller.user_id, _page(params)), caller.views.seq)


def profit_history(caller: Caller, params: p.ProfitHistoryParams) -> w.ProfitHistory:
    """The history answers it, about the user who asks, or for the administrator about any user."""
    found = caller.exchange.profit_history(caller.user_id, _seq_range(params), params.points)
    if found is None:
        raise _nothing_between(params)
    return found


def account(caller: Caller, _params: p.ReadParams) -> AccountView:
    return caller.views.account(caller.user_id)


def _seq_range(params: p.SeqRangeParams) -> SeqRange:
    """Raises RpcError if an end is given twice, or if the range ends before it begins."""
    for seq, time_us in (("from_seq", "start_us"), ("to_seq", "end_us")):
        if getattr(params, seq) is not None and getattr(params, time_us) is not None:
            raise invalid_params(seq, f"give {seq} or {time_us}, not both")
    for first, last in (("from_seq", "to_seq"), ("start_us", "end_us")):
        begin, end = getattr(params, first), getattr(params, last)
        if begin is not None and end is not None and begin > end:
            raise invalid_params(first, f"{first} {begin} is after {last} {end}: give an earlier {first}")
    return SeqRange(params.from_seq, params.to_seq, params.start_us, params.end_us)


def _nothing_between(params: p.SeqRangeParams) -> RpcError:
    """The error of a question about a part of the journal that has no command."""
    given = [name for name in ("from_seq", "start_us", "to_seq", "end_us") if getattr(params, name) is not None]
    return invalid_params(given[0] if given else None, "no command lies in this range: ask for a longer one")


def _page(params: p.RangeParams) -> RecordPage:
    start_us, end_us = params.start_us, params.end_us
    if start_us is not None and end_us is not None and start_us > end_us:
        raise invalid_params("start_us", f"start_us {start_us} is after end_us {end_us}: give an earlier start")
    return RecordPage(params.count, params.before, start_us, end_us)
