"""The account: Deribit's methods for positions and the account summary."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from exchange.domain.enums import Side
from exchange.domain.units import PRICE_MAX_MICROS, SIZE_MAX_MILLI, cost_micros
from exchange.gateway import params as p
from exchange.gateway import queries
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit import shapes
from exchange.gateway.deribit import units as u
from exchange.gateway.deribit.market import CURRENCY, KINDS, asset_filter
from exchange.gateway.instrument_ids import listed_id
from exchange.gateway.jsonrpc import invalid_params
from exchange.gateway.limits import SIMULATED_MAX
from exchange.gateway.methods import Method
from exchange.matching.fees import fee_schedule_of
from exchange.projections import wire_types as w
from exchange.projections.views import Views

_PORTFOLIO = (
    "currency", "balance", "margin_balance", "equity", "maintenance_margin", "initial_margin", "available_funds",
    "available_withdrawal_funds", "spot_reserve", "additional_reserve",
)  # fmt: skip
# There are no futures, no reserves, and fees have no balance of their own.
_ZERO = (
    "futures_pl", "futures_session_rpl", "futures_session_upl", "spot_reserve", "additional_reserve", "fee_balance",
)  # fmt: skip
_decode_sizes = msgspec.json.Decoder(dict[str, Decimal]).decode


def positions(caller: Caller, params: d.CurrencyParams) -> list[shapes.Position]:
    asset = asset_filter(params.currency, caller.views)
    if params.kind not in KINDS:
        return []
    return [shapes.position(one) for one in caller.views.positions(caller.user_id, asset).positions]


def position(caller: Caller, params: d.InstrumentParams) -> shapes.Position:
    """The position in one instrument; one of size 0 if the user has none, as on Deribit."""
    views, instrument_id = caller.views, listed_id(params.instrument_name, caller.views)
    held = views.positions(caller.user_id, views.instruments[instrument_id].asset).positions
    found = next((one for one in held if one.instrument_id == instrument_id), None)
    return no_position(views, instrument_id) if found is None else shapes.position(found)


def no_position(views: Views, instrument_id: str) -> shapes.Position:
    """A position of size 0 in a listed instrument."""
    ticker = views.ticker(instrument_id)
    return shapes.position(
        w.PositionDetails(instrument_id, 0, None, 0, ticker.mark_micros, ticker.index_micros, 0, 0, 0, 0, 0, None)
    )


def summary(caller: Caller, params: d.AccountParams) -> shapes.AccountSummary:
    if params.currency not in (CURRENCY, "any"):
        raise invalid_params("currency", f"an account holds {CURRENCY} only: ask for the currency {CURRENCY}")
    return shapes.account_summary(caller.views, caller.user_id, params.extended)


def summaries(caller: Caller, params: d.AccountParams) -> dict[str, Any]:
    """The summary in USDC; with `extended` also the names of the account."""
    names = _names(caller) if params.extended else {}
    return names | {"summaries": [shapes.account_summary(caller.views, caller.user_id, False)]}


def subaccounts(caller: Caller, params: d.SubaccountsParams) -> list[dict[str, Any]]:
    """The one account of the user."""
    account = _names(caller) | {
        "email": "",
        "is_password": False,
        "login_enabled": False,
        "margin_model": shapes.MARGIN_MODEL,
        "receive_notifications": False,
        "security_keys_enabled": False,
    }
    if params.with_portfolio:
        of = shapes.account_summary(caller.views, caller.user_id, False)
        account["portfolio"] = {"usdc": {name: getattr(of, name) for name in _PORTFOLIO}}
    return [account]


def subaccounts_details(caller: Caller, params: d.SubaccountsDetailsParams) -> list[dict[str, Any]]:
    """The positions of the one account, and its open orders if they are asked for."""
    asset = asset_filter(params.currency, caller.views)
    held = caller.views.positions(caller.user_id, asset).positions
    found: dict[str, Any] = {
        "uid": shapes.account_number(caller.views, caller.user_id),
        "positions": [shapes.position(one) for one in held],
    }
    if params.with_open_orders:
        found["open_orders"] = [
            shapes.order(one)
            for one in caller.views.open_orders(caller.user_id)
            if asset is None or one.instrument_id.startswith(f"{asset}_")
        ]
    return [found]


def user_locks(caller: Caller, _params: d.DeribitParams) -> list[dict[str, Any]]:
    """Whether the account is suspended."""
    locked = caller.views.account(caller.user_id).suspended
    message = {"message": "the administrator suspended the account"} if locked else {}
    return [{"currency": CURRENCY, "locked": locked} | message]


def simulation(caller: Caller, params: d.SimulatePortfolioParams) -> dict[str, Any]:
    """The account with other positions. Cash does not move: premiums of the contracts are not paid."""
    if params.currency not in (CURRENCY, "any"):
        raise invalid_params("currency", f"an account holds {CURRENCY} only: ask for the currency {CURRENCY}")
    sizes = params.simulated_positions
    if isinstance(sizes, str):
        try:
            sizes = _decode_sizes(sizes)
        except msgspec.DecodeError as error:
            detail = "simulated_positions must be an object of sizes by instrument_name"
            raise invalid_params("simulated_positions", detail) from error
    views = caller.views
    quantities = {name: u.milli_of(size, "simulated_positions") for name, size in (sizes or {}).items()}
    if any(abs(milli) > SIZE_MAX_MILLI for milli in quantities.values()) or len(quantities) > SIMULATED_MAX:
        detail = f"send up to {SIMULATED_MAX} positions, each of up to {SIZE_MAX_MILLI // 1_000} contracts"
        raise invalid_params("simulated_positions", detail)
    found = queries.simulate(caller, p.SimulateParams(quantities, params.add_positions))
    if found.available_micros is None or found.locked_micros is None or found.maintenance_micros is None:
        raise invalid_params("simulated_positions", "the margins are beyond the largest number: send smaller positions")
    cash_micros = found.available_micros + found.locked_micros
    value_micros = sum(
        cost_micros(views.valuation(one.instrument_id)[1] or 0, one.quantity_milli) for one in found.positions
    )
    greeks = shapes.greeks_fields(found.greeks)
    initial, maintenance = u.price(found.locked_micros), u.price(found.maintenance_micros)
    return greeks | {
        "currency": CURRENCY,
        "balance": u.price(cash_micros),
        "margin_balance": u.price(cash_micros),
        "equity": u.price(cash_micros + value_micros),
        "options_value": u.price(value_micros),
        "available_funds": u.price(found.available_micros),
        "available_withdrawal_funds": u.price(found.available_micros),
        "initial_margin": initial,
        "maintenance_margin": maintenance,
        "projected_initial_margin": initial,
        "projected_maintenance_margin": maintenance,
        "projected_delta_total": greeks["delta_total"],
        **dict.fromkeys(_ZERO, 0.0),
        "margin_model": shapes.MARGIN_MODEL,
        "portfolio_margining_enabled": False,
        "cross_collateral_enabled": False,
    }


def _names(caller: Caller) -> dict[str, Any]:
    user_id = caller.user_id
    number = shapes.account_number(caller.views, user_id)
    return {"id": number, "username": user_id, "system_name": user_id, "type": "main"}


def margins(native: Method) -> Callable[[Caller, d.MarginsParams], dict[str, float]]:
    """The method for what an order would lock on each side; `native` is the one of `/` for one side."""

    def handle(caller: Caller, params: d.MarginsParams) -> dict[str, float]:
        instrument_id = listed_id(params.instrument_name, caller.views)
        milli, micros = u.milli_of(params.amount, "amount"), u.micros_of(params.price, "price")
        sides: tuple[Side, Side] = ("bid", "ask")
        bid, ask = (native.handle(caller, p.MarginParams(instrument_id, side, milli, micros)) for side in sides)
        lowest, highest = caller.views.price_band(instrument_id) or (0, PRICE_MAX_MICROS)
        return {
            "buy": u.price(bid.needed_micros),
            "sell": u.price(ask.needed_micros),
            **_fees(caller.views, instrument_id, milli, micros),
            "min_price": u.price(lowest),
            "max_price": u.price(highest),
        }

    return handle


def _fees(views: Views, instrument_id: str, size_milli: int, price_micros: int) -> dict[str, float]:
    """The fees of the order for each side and role; 0 without an index price, as for its fills."""
    index = views.indexes.get(views.instruments[instrument_id].asset)
    of = fee_schedule_of(views.rules)
    terms = (cost_micros(price_micros, size_milli), size_milli, 0 if index is None else index.price_micros)
    fees = {"taker": u.price(of.taker_fee_micros(*terms)), "maker": u.price(of.maker_fee_micros(*terms))}
    return {f"{side}_{role}_fee": fee for side in ("buy", "sell") for role, fee in fees.items()}
