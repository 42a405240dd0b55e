"""The results of Deribit's methods: objects with the names, units and shapes of its documentation.

A field that Deribit documents as optional is left out if it does not apply here. `docs/deribit.md` has the others that
differ. Source: the schemas of https://docs.deribit.com/api-reference.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from exchange.domain.rules import market_of
from exchange.domain.units import US_PER_SECOND
from exchange.gateway.deribit import units as u
from exchange.matching.fees import is_friday
from exchange.projections import wire_types as w
from exchange.projections.black_scholes import Greeks
from exchange.projections.views import Views

PPM = 1_000_000
PERCENT = 100
MARGIN_MODEL = "segregated_sm"
DIRECTIONS = {"bid": "buy", "ask": "sell"}
_TIMES_IN_FORCE = {
    "gtc": "good_til_cancelled",
    "day": "good_til_day",
    "ioc": "immediate_or_cancel",
    "fok": "fill_or_kill",
}

# The reasons that Deribit names in its own way.
_CANCEL_REASONS = {
    "liquidation": "autoliquidation",
    "instrument_expired": "settlement",
    "mmp_removed": "mmp_config_curtailment",
}


class Order(msgspec.Struct, omit_defaults=True):
    """An order of the user."""

    order_id: str
    order_state: str
    order_type: str
    time_in_force: str
    instrument_name: str
    direction: str
    price: float | str
    amount: float
    filled_amount: float
    average_price: float
    label: str
    post_only: bool
    reduce_only: bool
    api: bool
    is_liquidation: bool
    creation_timestamp: int
    last_update_timestamp: int
    contracts: float
    max_show: float
    display_amount: float
    mmp: bool
    web: bool
    original_order_type: str | UnsetType = UNSET
    refresh_amount: float | UnsetType = UNSET
    quote: bool | UnsetType = UNSET
    mmp_group: str | UnsetType = UNSET
    quote_set_id: str | UnsetType = UNSET
    quote_id: str | UnsetType = UNSET
    mmp_cancelled: bool | UnsetType = UNSET
    cancel_reason: str | UnsetType = UNSET
    trigger: str | UnsetType = UNSET
    trigger_price: float | UnsetType = UNSET
    trigger_offset: float | UnsetType = UNSET
    trigger_reference_price: float | UnsetType = UNSET
    trigger_order_id: str | UnsetType = UNSET
    triggered: bool | UnsetType = UNSET
    trigger_fill_condition: str | UnsetType = UNSET
    oco_ref: str | UnsetType = UNSET
    oto_order_ids: list[str] | UnsetType = UNSET
    is_primary_otoco: bool | UnsetType = UNSET
    is_secondary_oto: bool | UnsetType = UNSET
    primary_order_id: str | UnsetType = UNSET


class PublicTrade(msgspec.Struct):
    """A trade, without its users. `trade_seq` is the id of the trade: it rises in each instrument, with gaps."""

    trade_id: str
    trade_seq: int
    instrument_name: str
    timestamp: int
    direction: str
    price: float
    amount: float
    contracts: float
    tick_direction: int
    index_price: float | UnsetType = UNSET
    mark_price: float | UnsetType = UNSET
    iv: float | UnsetType = UNSET
    liquidation: str | UnsetType = UNSET


class OwnTrade(msgspec.Struct):
    """A trade as one of its users sees it."""

    trade_id: str
    trade_seq: int
    instrument_name: str
    timestamp: int
    direction: str
    price: float
    amount: float
    contracts: float
    tick_direction: int
    state: str
    order_id: str
    fee: float
    fee_currency: str
    liquidity: str
    label: str
    matching_id: None
    mmp: bool
    api: bool
    order_type: str
    reduce_only: bool
    post_only: bool
    underlying_price: float | UnsetType = UNSET
    index_price: float | UnsetType = UNSET
    mark_price: float | UnsetType = UNSET
    iv: float | UnsetType = UNSET
    liquidation: str | UnsetType = UNSET


class Placed(msgspec.Struct):
    """An order and its trades, as the answer to buy, sell and edit."""

    order: Order
    trades: list[OwnTrade]


class Instrument(msgspec.Struct):
    """An option."""

    instrument_name: str
    instrument_id: int
    kind: str
    instrument_type: str
    base_currency: str
    counter_currency: str
    quote_currency: str
    settlement_currency: str
    settlement_period: str
    price_index: str
    option_type: str
    strike: float
    expiration_timestamp: int
    contract_size: float
    tick_size: float
    tick_size_steps: list[dict[str, float]]
    min_trade_amount: float
    maker_commission: float
    taker_commission: float
    is_active: bool
    state: str
    rfq: bool
    underlying_type: str
    creation_timestamp: int | UnsetType = UNSET


class Stats(msgspec.Struct):
    """The trades of the last 24 hours. `price_change` is in percent."""

    high: float | None
    low: float | None
    price_change: float | None
    volume: float
    volume_usd: float
    volume_notional: float


class OptionGreeks(msgspec.Struct):
    delta: float
    gamma: float
    vega: float
    theta: float
    rho: float


class Ticker(msgspec.Struct, kw_only=True):
    """The prices, volumes and Greeks of one option. Volatilities are in percent."""

    instrument_name: str
    timestamp: int
    state: str
    stats: Stats
    open_interest: float
    best_bid_price: float
    best_bid_amount: float
    best_ask_price: float
    best_ask_amount: float
    last_price: float | None
    mark_price: float | None
    min_price: float | None
    max_price: float | None
    index_price: float | None
    underlying_price: float | None
    underlying_index: str
    estimated_delivery_price: float | None
    interest_rate: float
    mark_iv: float
    bid_iv: float
    ask_iv: float
    greeks: OptionGreeks
    settlement_price: float | UnsetType = UNSET
    delivery_price: float | UnsetType = UNSET


class Book(Ticker, kw_only=True):
    """A book and the ticker. `change_id` is the seq of the last command."""

    change_id: int
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]


class BookSummary(msgspec.Struct, kw_only=True):
    """The ticker in short."""

    instrument_name: str
    creation_timestamp: int
    base_currency: str
    quote_currency: str
    bid_price: float | None
    ask_price: float | None
    mid_price: float | None
    last: float | None
    high: float | None
    low: float | None
    price_change: float | None
    mark_price: float | None
    mark_iv: float
    volume: float
    volume_usd: float
    volume_notional: float
    open_interest: float
    underlying_price: float | None
    underlying_index: str
    estimated_delivery_price: float | None
    interest_rate: float


class Position(msgspec.Struct):
    """A position in one option, with its margins and profits in USDC."""

    instrument_name: str
    kind: str
    direction: str
    size: float
    average_price: float
    mark_price: float
    index_price: float
    initial_margin: float
    maintenance_margin: float
    floating_profit_loss: float
    realized_profit_loss: float
    total_profit_loss: float
    delta: float
    gamma: float
    vega: float
    theta: float


class AccountSummary(msgspec.Struct):
    """The account in USDC."""

    currency: str
    balance: float
    equity: float
    available_funds: float
    available_withdrawal_funds: float
    margin_balance: float
    initial_margin: float
    maintenance_margin: float
    total_pl: float
    session_rpl: float
    session_upl: float
    options_pl: float
    options_session_rpl: float
    options_session_upl: float
    options_value: float
    options_delta: float
    options_gamma: float
    options_vega: float
    options_theta: float
    delta_total: float
    delta_total_map: dict[str, float]
    options_gamma_map: dict[str, float]
    options_vega_map: dict[str, float]
    options_theta_map: dict[str, float]
    portfolio_margining_enabled: bool
    cross_collateral_enabled: bool
    margin_model: str
    fee_balance: float
    projected_initial_margin: float
    projected_maintenance_margin: float
    projected_delta_total: float
    futures_pl: float
    futures_session_rpl: float
    futures_session_upl: float
    spot_reserve: float
    additional_reserve: float
    id: int | UnsetType = UNSET
    username: str | UnsetType = UNSET
    system_name: str | UnsetType = UNSET
    type: str | UnsetType = UNSET


def order(view: w.OrderView) -> Order:
    """An order as Deribit shows it."""
    shown = _plain_order(view)
    if view.link is not None:
        _tell_link(shown, view)
    return shown


def _tell_link(shown: Order, view: w.OrderView) -> None:
    """Tell of the orders that an order is linked to. A pair is known by the id of its first order."""
    assert view.fill_condition is not None and view.linked_order_ids, "a linked order without its link"
    first, *others = view.linked_order_ids
    is_pair = view.link == "one_cancels_other"
    shown.trigger_fill_condition = view.fill_condition
    if is_pair:
        shown.oco_ref = str(first)
    elif view.order_id == first:
        shown.oto_order_ids = [str(order_id) for order_id in others]
        shown.is_primary_otoco = True if len(others) == 2 else UNSET
    else:
        shown.is_secondary_oto = True
        shown.primary_order_id = str(first)
        shown.oco_ref = str(others[0]) if len(others) == 2 else UNSET


def _plain_order(view: w.OrderView) -> Order:
    is_priced = view.price_micros is not None
    has_trigger = view.trigger is not None
    shown = u.amount(view.size_milli if view.displayed_milli is None else view.displayed_milli)
    return Order(
        str(view.order_id),
        "open" if view.status == "partially_filled" else view.status,
        view.type,
        _TIMES_IN_FORCE[view.time_in_force],
        view.instrument_id,
        DIRECTIONS[view.side],
        u.price_or_zero(view.price_micros) if is_priced else "market_price",
        u.amount(view.size_milli),
        u.amount(view.filled_milli),
        u.price_or_zero(view.average_price_micros),
        view.label or "",
        view.post_only,
        view.reduce_only,
        not view.liquidation,
        view.liquidation,
        u.ms(view.created_us),
        u.ms(view.updated_us),
        u.amount(view.size_milli),
        shown,
        shown,
        False,
        False,
        UNSET if view.type != "market_limit" else "market_limit",
        UNSET if view.refresh_milli is None else u.amount(view.refresh_milli),
        UNSET if view.mmp_group is None else True,
        UNSET if view.mmp_group is None else view.mmp_group,
        UNSET if view.quote_set_id is None else view.quote_set_id,
        UNSET if view.quote_id is None else view.quote_id,
        True if view.cancel_reason == "mmp_trigger" else UNSET,
        UNSET if view.cancel_reason is None else _CANCEL_REASONS.get(view.cancel_reason, view.cancel_reason),
        UNSET if view.trigger is None else view.trigger,
        UNSET if view.trigger_price_micros is None else u.price(view.trigger_price_micros),
        UNSET if view.trigger_offset_micros is None else u.price(view.trigger_offset_micros),
        UNSET if view.trigger_reference_price_micros is None else u.price(view.trigger_reference_price_micros),
        UNSET if view.trigger_order_id is None else str(view.trigger_order_id),
        view.status == "triggered" if has_trigger else UNSET,
    )


def instrument_number(instrument_id: str) -> int:
    """Return the number of an option. It follows from the name alone, so it never changes."""
    return int.from_bytes(hashlib.sha256(instrument_id.encode()).digest()[:6], "big")


def instrument(views: Views, listed: w.Instrument) -> Instrument:
    """An option as Deribit shows it."""
    market = market_of(views.rules)
    maker_ppm = 0 if market is None else market.fees.maker_ppm
    taker_ppm = 0 if market is None else market.fees.taker_ppm
    return Instrument(
        listed.instrument_id,
        instrument_number(listed.instrument_id),
        "option",
        "linear",
        listed.asset,
        "USDC",
        "USDC",
        "USDC",
        _settlement_period(listed.expiration_s),
        index_name(listed.asset),
        listed.option_type,
        u.price(listed.strike_micros),
        1_000 * listed.expiration_s,
        u.amount(listed.contract_size_milli),
        u.price(listed.tick_micros),
        [],
        u.amount(listed.min_size_milli),
        maker_ppm / PPM,
        taker_ppm / PPM,
        listed.state == "open",
        state_of(listed),
        False,
        "crypto",
    )


def state_of(listed: w.Instrument) -> str:
    """The state of an option in the words of Deribit. Orders in a paused one can be cancelled, so it is locked."""
    if listed.state == "expired":
        return "settlement" if listed.delivery_price_micros is None else "delivered"
    return "open" if listed.state == "open" else "locked"


def ticker(views: Views, instrument_id: str) -> Ticker:
    """The ticker of an option as Deribit shows it."""
    return Ticker(**_ticker_fields(views, views.ticker(instrument_id)))


def book(views: Views, instrument_id: str, depth: int) -> Book:
    """The best levels of a book, and the ticker, as Deribit shows them."""
    levels = views.depths[instrument_id]
    return Book(
        **_ticker_fields(views, views.ticker(instrument_id)),
        change_id=views.seq,
        bids=[(u.price(level.price_micros), u.amount(level.size_milli)) for level in levels.bids(depth)],
        asks=[(u.price(level.price_micros), u.amount(level.size_milli)) for level in levels.asks(depth)],
    )


def book_summary(views: Views, instrument_id: str) -> BookSummary:
    """The ticker in short as Deribit shows it."""
    of, listed = views.ticker(instrument_id), views.instruments[instrument_id]
    stats = of.stats
    return BookSummary(
        instrument_name=instrument_id,
        creation_timestamp=u.ms(of.ts_us),
        base_currency=listed.asset,
        quote_currency="USDC",
        bid_price=u.price_or_none(of.best_bid_micros),
        ask_price=u.price_or_none(of.best_ask_micros),
        mid_price=u.price_or_none(of.mid_micros),
        last=u.price_or_none(of.last_micros),
        high=u.price_or_none(stats.high_micros),
        low=u.price_or_none(stats.low_micros),
        price_change=_percent(stats.price_change_ppm),
        mark_price=u.price_or_none(of.mark_micros),
        mark_iv=volatility_or_zero(of.mark_iv),
        volume=u.amount(stats.volume_milli),
        volume_usd=u.price_or_zero(stats.notional_micros),
        volume_notional=u.price_or_zero(stats.notional_micros),
        open_interest=u.amount(of.open_interest_milli),
        underlying_price=_underlying(of),
        underlying_index=index_name(listed.asset),
        estimated_delivery_price=u.price_or_none(of.estimated_delivery_price_micros),
        interest_rate=0.0,
    )


def _ticker_fields(views: Views, of: w.Ticker) -> dict[str, Any]:
    listed, stats = views.instruments[of.instrument_id], of.stats
    greeks = of.greeks or _NO_GREEKS
    delivered = UNSET if listed.delivery_price_micros is None else u.price(listed.delivery_price_micros)
    return {
        "instrument_name": of.instrument_id,
        "timestamp": u.ms(of.ts_us),
        "state": state_of(listed),
        "stats": Stats(
            u.price_or_none(stats.high_micros),
            u.price_or_none(stats.low_micros),
            _percent(stats.price_change_ppm),
            u.amount(stats.volume_milli),
            u.price_or_zero(stats.notional_micros),
            u.price_or_zero(stats.notional_micros),
        ),
        "open_interest": u.amount(of.open_interest_milli),
        "best_bid_price": u.price_or_zero(of.best_bid_micros),
        "best_bid_amount": u.amount(of.best_bid_size_milli),
        "best_ask_price": u.price_or_zero(of.best_ask_micros),
        "best_ask_amount": u.amount(of.best_ask_size_milli),
        "last_price": u.price_or_none(of.last_micros),
        "mark_price": u.price_or_none(of.mark_micros),
        "min_price": u.price_or_none(of.min_price_micros),
        "max_price": u.price_or_none(of.max_price_micros),
        "index_price": u.price_or_none(of.index_micros),
        "underlying_price": _underlying(of),
        "underlying_index": index_name(listed.asset),
        "estimated_delivery_price": u.price_or_none(of.estimated_delivery_price_micros),
        "settlement_price": delivered,
        "delivery_price": delivered,
        # The model has no interest: forwards come from the rules.
        "interest_rate": 0.0,
        "mark_iv": volatility_or_zero(of.mark_iv),
        "bid_iv": volatility_or_zero(of.bid_iv),
        "ask_iv": volatility_or_zero(of.ask_iv),
        "greeks": OptionGreeks(greeks.delta, greeks.gamma, greeks.vega, greeks.theta, greeks.rho),
    }


def position(details: w.PositionDetails) -> Position:
    """A position as Deribit shows it."""
    greeks = details.greeks or _NO_GREEKS
    size_milli = details.quantity_milli
    return Position(
        details.instrument_id,
        "option",
        "buy" if size_milli > 0 else "sell" if size_milli else "zero",
        u.amount(size_milli),
        u.price_or_zero(details.average_price_micros),
        u.price_or_zero(details.mark_micros),
        u.price_or_zero(details.index_micros),
        u.price(details.initial_margin_micros),
        u.price(details.maintenance_margin_micros),
        u.price_or_zero(details.unrealised_pnl_micros),
        u.price_or_zero(details.realised_pnl_micros),
        u.price_or_zero(details.total_pnl_micros),
        greeks.delta,
        greeks.gamma,
        greeks.vega,
        greeks.theta,
    )


def account_summary(views: Views, user_id: str, is_extended: bool) -> AccountSummary:
    """The account as Deribit shows it. A session is the whole life of the account: profits are not set back to 0."""
    of = views.account(user_id)
    cash_micros = of.available_micros + of.locked_micros
    equity_micros = cash_micros if of.equity_micros is None else of.equity_micros
    total, realised, unrealised = (
        u.price_or_zero(micros) for micros in (of.total_pnl_micros, of.realised_pnl_micros, of.unrealised_pnl_micros)
    )
    greeks = of.greeks
    return AccountSummary(
        currency="USDC",
        balance=u.price(cash_micros),
        equity=u.price(equity_micros),
        available_funds=u.price(of.available_micros),
        available_withdrawal_funds=u.price(of.available_micros),
        margin_balance=u.price(cash_micros),
        initial_margin=u.price(of.locked_micros),
        maintenance_margin=u.price(of.maintenance_micros),
        total_pl=total,
        session_rpl=realised,
        session_upl=unrealised,
        options_pl=total,
        options_session_rpl=realised,
        options_session_upl=unrealised,
        options_value=u.price(equity_micros - cash_micros),
        **greeks_fields(greeks),
        portfolio_margining_enabled=False,
        cross_collateral_enabled=False,
        margin_model=MARGIN_MODEL,
        fee_balance=0.0,
        projected_initial_margin=u.price(of.locked_micros),
        projected_maintenance_margin=u.price(of.maintenance_micros),
        projected_delta_total=_sum(one.delta for one in greeks.values()),
        futures_pl=0.0,
        futures_session_rpl=0.0,
        futures_session_upl=0.0,
        spot_reserve=0.0,
        additional_reserve=0.0,
        id=account_number(views, user_id) if is_extended else UNSET,
        username=user_id if is_extended else UNSET,
        system_name=user_id if is_extended else UNSET,
        type="main" if is_extended else UNSET,
    )


def greeks_fields(greeks: Mapping[str, Greeks]) -> dict[str, Any]:
    """The Greeks of an account: their sums, and those of each index."""
    by_index = {index_name(asset): one for asset, one in greeks.items()}
    names = ("gamma", "vega", "theta")
    return {
        "options_delta": _sum(one.delta for one in greeks.values()),
        "delta_total": _sum(one.delta for one in greeks.values()),
        "delta_total_map": {name: one.delta for name, one in by_index.items()},
        **{f"options_{name}": _sum(getattr(one, name) for one in greeks.values()) for name in names},
        **{f"options_{name}_map": {of: getattr(one, name) for of, one in by_index.items()} for name in names},
    }


def account_number(views: Views, user_id: str) -> int:
    """The number of an account: its place in the order in which accounts were opened. O(accounts)."""
    return next(number for number, name in enumerate(views.balances.users, 1) if name == user_id)


def index_name(asset: str) -> str:
    """The name of the index of an asset: `sol_usdc`."""
    return f"{asset.lower()}_usdc"


def date_of(expiration_s: int) -> str:
    """The UTC day of an expiration: `2026-02-28`."""
    return datetime.fromtimestamp(expiration_s, UTC).date().isoformat()


def _settlement_period(expiration_s: int) -> str:
    """`month` for the last Friday of a month, `week` for other Fridays, else `day`."""
    day = datetime.fromtimestamp(expiration_s, UTC)
    if not is_friday(expiration_s * US_PER_SECOND):
        return "day"
    return "month" if (day + timedelta(days=7)).month != day.month else "week"


def _underlying(of: w.Ticker) -> float | None:
    return u.price_or_none(of.index_micros if of.forward_micros is UNSET else of.forward_micros)


def volatility_or_zero(volatility: float | None) -> float:
    """A volatility in percent, with two digits as on Deribit; 0 if there is none."""
    return 0.0 if volatility is None else round(PERCENT * volatility, 2)


def _percent(ppm: int | None) -> float | None:
    return None if ppm is None else ppm * PERCENT / PPM


def _sum(parts: Iterable[float]) -> float:
    return round(sum(parts), 9)


_NO_GREEKS = Greeks(0.0, 0.0, 0.0, 0.0, 0.0)
