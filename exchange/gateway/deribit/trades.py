"""Trades as Deribit shows them, with the index price, the mark price and the volatility at their time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import UNSET, UnsetType

from exchange.gateway.deribit import shapes
from exchange.gateway.deribit import units as u
from exchange.projections import wire_types as w
from exchange.projections.black_scholes import Volatility
from exchange.projections.market_moment import TradeMoment
from exchange.projections.views import Views

# Trades before one that are looked at to find its tick direction.
LOOKED_BACK_MAX = 20


# Of a trade for which the history was not asked.
UNKNOWN = TradeMoment(None, None, None)


def moment_now(views: Views, trade: w.Trade | w.UserTrade) -> TradeMoment:
    """The moment of a trade of the last command. Of an older trade, the prices are not known any more."""
    if trade.seq != views.seq:
        return UNKNOWN
    instrument = views.instruments[trade.instrument_id]
    index = views.indexes.get(instrument.asset)
    return TradeMoment(
        None if index is None else index.price_micros,
        views.marks.get(trade.instrument_id),
        views.volatility_of(trade.instrument_id, trade.price_micros),
        _prices_before(views, trade),
        forward_micros=views.forward_of(trade.instrument_id),
    )


def _prices_before(views: Views, trade: w.Trade | w.UserTrade) -> list[int]:
    """The newest prices before a trade, the newest first, up to one that differs from its own."""
    prices: list[int] = []
    # No generator: the compiler makes a list of all its items.
    for one in reversed(views.tape.instruments[trade.instrument_id]):
        if one.trade_id < trade.trade_id:
            prices.append(one.price_micros)
            if one.price_micros != trade.price_micros or len(prices) == LOOKED_BACK_MAX:
                break
    return prices


def own_trades_now(views: Views, user_id: str, trades: Iterable[w.UserTrade]) -> list[shapes.OwnTrade]:
    """The trades of the last command, as the user sees them."""
    # The last trade of an order completes it if it is filled now.
    last = {trade.order_id: trade.trade_id for trade in trades}
    found = []
    for trade in trades:
        order = views.find_order(user_id, trade.order_id)
        moment = moment_now(views, trade)
        if order is not None:
            moment = moment._replace(
                completes_order=last[trade.order_id] == trade.trade_id and order.status == "filled",
                order_type=order.type,
                is_reduce_only=order.reduce_only,
                is_post_only=order.post_only,
            )
        found.append(own_trade(trade, moment))
    return found


def without_prices(newest_first: Sequence[w.Trade], count: int) -> list[shapes.PublicTrade]:
    """The newest `count` trades of an instrument, for which the history was not asked."""
    prices = [one.price_micros for one in newest_first]
    return [
        public_trade(one, TradeMoment(None, None, None, prices[n + 1 : n + 1 + LOOKED_BACK_MAX]))
        for n, one in enumerate(newest_first[:count])
    ]


def own_trade(trade: w.UserTrade, moment: TradeMoment) -> shapes.OwnTrade:
    """A trade as one of its users sees it: `direction` is that of the user's order."""
    return shapes.OwnTrade(
        str(trade.trade_id),
        trade.trade_id,
        trade.instrument_id,
        u.ms(trade.ts_us),
        shapes.DIRECTIONS[trade.side],
        u.price(trade.price_micros),
        u.amount(trade.size_milli),
        u.amount(trade.size_milli),
        _tick_direction(trade.price_micros, moment.before),
        "filled" if moment.completes_order else "open",
        str(trade.order_id),
        u.price(trade.fee_micros),
        "USDC",
        "M" if trade.liquidity == "maker" else "T",
        trade.label or "",
        None,
        False,
        True,
        "liquidation" if trade.liquidation else "market" if moment.order_type == "market" else "limit",
        moment.is_reduce_only,
        moment.is_post_only,
        _price_or_unset(moment.forward_micros),
        _price_or_unset(moment.index_micros),
        _price_or_unset(moment.mark_micros),
        _volatility_or_unset(moment.volatility),
        _liquidated(trade),
    )


def public_trade(trade: w.Trade, moment: TradeMoment) -> shapes.PublicTrade:
    """A trade without its users: `direction` is that of the taker's order."""
    return shapes.PublicTrade(
        str(trade.trade_id),
        trade.trade_id,
        trade.instrument_id,
        u.ms(trade.ts_us),
        shapes.DIRECTIONS[trade.taker_side],
        u.price(trade.price_micros),
        u.amount(trade.size_milli),
        u.amount(trade.size_milli),
        _tick_direction(trade.price_micros, moment.before),
        _price_or_unset(moment.index_micros),
        _price_or_unset(moment.mark_micros),
        _volatility_or_unset(moment.volatility),
        _liquidated(trade),
    )


def _tick_direction(price_micros: int, before: Sequence[int]) -> int:
    """0 above the price before, 1 equal after a rise, 2 below it, 3 equal after a fall."""
    same = 0
    for other in before:
        if other != price_micros:
            return (0 if price_micros > other else 2) + same
        same = 1
    return same


def _liquidated(trade: w.Trade | w.UserTrade) -> str | UnsetType:
    # Only the exchange's own incoming orders liquidate.
    return "T" if trade.liquidation else UNSET


def _price_or_unset(micros: int | None) -> float | UnsetType:
    return UNSET if micros is None else u.price(micros)


def _volatility_or_unset(volatility: Volatility | None) -> float | UnsetType:
    return UNSET if volatility is None else round(shapes.PERCENT * volatility, 2)
