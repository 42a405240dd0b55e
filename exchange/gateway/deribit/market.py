"""Market data: Deribit's public methods on the read models."""

from __future__ import annotations

from typing import Any

from exchange.domain.reasons import Reason
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit import shapes
from exchange.gateway.deribit import units as u
from exchange.gateway.instrument_ids import listed_id
from exchange.gateway.jsonrpc import invalid_params, refused
from exchange.projections import wire_types as w
from exchange.projections.settlements import SERIES_KEPT
from exchange.projections.views import Views

CURRENCY = "USDC"
KINDS = ("option", "any")


def assets_of(views: Views) -> list[str]:
    """The assets of the listed instruments, in order of listing."""
    return list(dict.fromkeys(one.asset for one in views.instruments.values()))


def asset_filter(currency: str, views: Views) -> str | None:
    """The asset that a currency stands for; None for all. Raises RpcError if the exchange has no such currency."""
    if currency in (CURRENCY, "any"):
        return None
    if not views.knows_asset(currency):
        raise invalid_params("currency", f"unknown currency {currency!r}: use {CURRENCY}, an asset, or any")
    return currency


def asset_of_index(index_name: str, views: Views, param: str = "index_name") -> str:
    """The asset of an index such as `sol_usdc`. Raises RpcError if there is none."""
    asset = index_name.removesuffix("_usdc").upper()
    if shapes.index_name(asset) != index_name or not views.knows_asset(asset):
        raise invalid_params(param, f"unknown index {index_name!r}: public/get_index_price_names lists them")
    return asset


def live(views: Views, params: d.CurrencyParams) -> list[w.Instrument]:
    """The instruments that have not expired, of a currency and a kind. There are options only."""
    asset = asset_filter(params.currency, views)
    return views.live_instruments(asset) if params.kind in KINDS else []


def contract_size(caller: Caller, params: d.InstrumentParams) -> dict[str, float]:
    listed = caller.views.instruments[listed_id(params.instrument_name, caller.views)]
    return {"contract_size": u.amount(listed.contract_size_milli)}


def currencies(caller: Caller, _params: d.DeribitParams) -> list[dict[str, Any]]:
    """USDC, in which all options are settled, and the assets."""
    assets = {asset: asset for asset in assets_of(caller.views)}
    return [
        {
            "coin_type": "INTERNAL",
            "currency": currency,
            "currency_long": name,
            "fee_precision": 6,
            "decimals": 6,
            "in_cross_collateral_pool": False,
            "min_confirmations": 0,
            "min_withdrawal_fee": 0.0,
            "withdrawal_fee": 0.0,
            "withdrawal_priorities": [],
        }
        for currency, name in ({CURRENCY: "USD Coin"} | assets).items()
    ]


def index_price(caller: Caller, params: d.IndexParams) -> dict[str, float]:
    index = caller.views.indexes.get(asset_of_index(params.index_name, caller.views))
    if index is None:
        raise refused(Reason.INDEX_STALE)
    price = u.price(index.price_micros)
    return {"index_price": price, "estimated_delivery_price": price}


def index_names(caller: Caller, params: d.IndexNamesParams) -> list[Any]:
    names = [shapes.index_name(asset) for asset in assets_of(caller.views)]
    if not params.extended:
        return list(names)
    no_combos = {"future_combo_creation_enabled": False, "option_combo_creation_enabled": False}
    return [{"name": name} | no_combos for name in names]


def expirations(caller: Caller, params: d.ExpirationsParams) -> dict[str, Any]:
    """The expirations of the options that have not expired; `grouped` groups them by asset."""
    views, is_grouped = caller.views, params.currency == "grouped"
    asset = None if is_grouped else asset_filter(params.currency, views)
    if params.currency_pair is not None:
        asset = asset_of_index(params.currency_pair, views, "currency_pair")
    found: dict[str, dict[int, str]] = {}
    for one in views.live_instruments(asset) if params.kind in KINDS else []:
        by_time = found.setdefault(one.asset if is_grouped else "", {})
        by_time[one.expiration_s] = one.instrument_id.split("-")[1]
    options = {of: {"option": [by_time[at] for at in sorted(by_time)]} for of, by_time in found.items()}
    if is_grouped:
        return {of.lower(): expiring for of, expiring in options.items()}
    return options.get("", {"option": []})


def trade_volumes(caller: Caller, _params: d.DeribitParams) -> list[dict[str, Any]]:
    """The contracts that were traded in the last 24 hours, by asset."""
    views, found = caller.views, []
    for asset in assets_of(views):
        volumes = {"call": 0, "put": 0}
        for one in views.live_instruments(asset):
            volumes[one.option_type] += views.day_statistics(one.instrument_id).volume_milli
        found.append(
            {
                "currency": asset,
                "currency_pair": shapes.index_name(asset),
                "calls_volume": u.amount(volumes["call"]),
                "puts_volume": u.amount(volumes["put"]),
                "futures_volume": 0.0,
                "spot_volume": 0.0,
            }
        )
    return found


def no_announcements(_caller: Caller, _params: d.DeribitParams) -> list[Any]:
    """There are none."""
    return []


def order_book_by_id(caller: Caller, params: d.BookByIdParams) -> shapes.Book:
    """The book of the option with this number."""
    wanted = params.instrument_id
    found = next((name for name in caller.views.instruments if shapes.instrument_number(name) == wanted), None)
    if found is None:
        raise refused(Reason.INSTRUMENT_NOT_FOUND)
    return shapes.book(caller.views, found, params.depth)


def ticker(caller: Caller, params: d.InstrumentParams) -> shapes.Ticker:
    return shapes.ticker(caller.views, listed_id(params.instrument_name, caller.views))


def order_book(caller: Caller, params: d.BookParams) -> shapes.Book:
    return shapes.book(caller.views, listed_id(params.instrument_name, caller.views), params.depth)


def book_summaries(caller: Caller, params: d.CurrencyParams) -> list[shapes.BookSummary]:
    return [shapes.book_summary(caller.views, one.instrument_id) for one in live(caller.views, params)]


def book_summary(caller: Caller, params: d.InstrumentParams) -> list[shapes.BookSummary]:
    return [shapes.book_summary(caller.views, listed_id(params.instrument_name, caller.views))]


def no_transfers(_caller: Caller, _params: d.DeribitParams) -> dict[str, Any]:
    """Deposits, withdrawals or transfers of coins: there are none, because accounts hold play money."""
    return {"count": 0, "data": []}


def delivery_prices(caller: Caller, params: d.DeliveryPricesParams) -> dict[str, Any]:
    asset = asset_of_index(params.index_name, caller.views)
    settled = caller.views.settlements.delivered(asset, SERIES_KEPT, None)
    total = len(settled)
    data = [
        {"date": shapes.date_of(one.expiration_s), "delivery_price": u.price(one.delivery_price_micros)}
        for one in settled[params.offset : params.offset + params.count]
        if one.delivery_price_micros is not None
    ]
    return {"data": data, "records_total": total}


def time(caller: Caller, _params: d.DeribitParams) -> int:
    return u.ms(caller.exchange.now_us())


def status(caller: Caller, _params: d.DeribitParams) -> dict[str, Any]:
    """Whether trading is locked: everywhere, or for the assets that are reopening."""
    if caller.exchange.is_halted:
        return {"locked": "true", "locked_indices": [shapes.index_name(asset) for asset in assets_of(caller.views)]}
    reopening = [shapes.index_name(asset) for asset in caller.exchange.reopening()]
    return {"locked": "partial" if reopening else "false", "locked_indices": reopening}
