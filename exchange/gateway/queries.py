"""The methods that only read: markets, and what is the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exchange.domain.reasons import Reason
from exchange.gateway import params as p
from exchange.gateway.instrument_ids import listed_id, listed_id_or_none
from exchange.gateway.jsonrpc import invalid_params, refused
from exchange.projections.wire_types import IndexPrice, Ticker

if TYPE_CHECKING:
    from exchange.gateway.session import Session


def instruments(session: Session, params: p.AssetFilter) -> Any:
    return session.views.live_instruments(params.asset)


def order_book(session: Session, params: p.OrderBookParams) -> Any:
    views = session.views
    instrument_id = listed_id(params.instrument_id, views)
    depth = views.depths[instrument_id]
    return {
        "instrument_id": instrument_id,
        "seq": views.seq,
        "ts_us": views.ts_us,
        "bids": depth.bids(params.depth),
        "asks": depth.asks(params.depth),
    }


def trades(session: Session, params: p.TradesParams) -> Any:
    return session.views.tape.trades(listed_id(params.instrument_id, session.views), params.count, params.before)


def ticker(session: Session, params: p.InstrumentRef) -> Ticker:
    return session.views.ticker(listed_id(params.instrument_id, session.views))


def tickers(session: Session, params: p.AssetFilter) -> list[Ticker]:
    views = session.views
    return [views.ticker(instrument.instrument_id) for instrument in views.live_instruments(params.asset)]


def index_price(session: Session, params: p.AssetRef) -> IndexPrice:
    index = session.views.indexes.get(params.asset)
    if index is None:
        if not session.views.knows_asset(params.asset):
            raise refused(Reason.UNKNOWN_ASSET)
        detail = f"{params.asset} has no index price yet; index.{params.asset} tells of the first"
        raise invalid_params("asset", detail, Reason.UNKNOWN_ASSET.value)
    return index


def settlements(session: Session, params: p.SettlementsParams) -> Any:
    return session.views.settlements.newest(params.count, params.before, params.asset)


def delivery_prices(session: Session, params: p.DeliveryPricesParams) -> Any:
    return [
        {
            "asset": one.asset,
            "expiration": one.expiration_s,
            "delivery_price": one.delivery_price_micros,
            "seq": one.seq,
            "ts_us": one.ts_us,
        }
        for one in session.views.settlements.delivered(params.asset, params.count, params.before)
    ]


def insurance(session: Session, _params: p.NoParams) -> Any:
    funds = session.views.balances.users.get("insurance")
    return {"balance": 0 if funds is None else funds.cash_micros, "seq": session.views.seq}


def status(session: Session, _params: p.NoParams) -> Any:
    return {"halted": session.desk.is_halted, "seq": session.views.seq}


def rules(session: Session, _params: p.NoParams) -> Any:
    return {"rules": session.views.rules, "seq": session.views.seq}


def open_orders(session: Session, params: p.InstrumentFilter) -> Any:
    return session.views.orders.open_orders(session.user_id, listed_id_or_none(params.instrument_id, session.views))


def order_history(session: Session, params: p.HistoryParams) -> Any:
    instrument_id = listed_id_or_none(params.instrument_id, session.views)
    return session.views.orders.history(session.user_id, params.count, params.before, instrument_id)


def user_trades(session: Session, params: p.HistoryParams) -> Any:
    instrument_id = listed_id_or_none(params.instrument_id, session.views)
    return session.views.tape.user_trades(session.user_id, params.count, params.before, instrument_id)


def user_settlements(session: Session, params: p.UserSettlementsParams) -> Any:
    return session.views.settlements.newest_of(session.user_id, params.count, params.before)


def balance(session: Session, _params: p.NoParams) -> Any:
    return session.views.balance(session.user_id)


def account(session: Session, _params: p.NoParams) -> Any:
    return session.views.account(session.user_id)
