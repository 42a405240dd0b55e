"""Liquidation in slices, insurance, debts and shared losses of the naive exchange, written from docs/market.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import replace

from exchange.domain.commands import PlaceOrder
from exchange.domain.enums import Side
from exchange.domain.events import (
    DebtRepaid,
    Event,
    LiquidationFeeCharged,
    LiquidationStarted,
    LossShared,
    PositionTakenOver,
    ShortfallCovered,
    Traded,
)
from exchange.domain.rules import IndexFees, LiquidationRules, market_of
from exchange.domain.units import PRICE_MAX_MICROS, SIZE_MAX_MILLI
from tests.naive_market import for_size

if TYPE_CHECKING:
    from tests.naive import NaiveExchange, NaiveInstrument

SLICES_MAX = 200


def rules_of(exchange: NaiveExchange) -> LiquidationRules:
    market = market_of(exchange.rules)
    assert market is not None
    return LiquidationRules() if market.liquidation is UNSET else market.liquidation


def fees_of(exchange: NaiveExchange) -> IndexFees:
    market = market_of(exchange.rules)
    assert market is not None
    return market.fees


def liquidate_in_slices(
    exchange: NaiveExchange, ts_us: int, candidates: Iterable[str], by_index_price: bool
) -> list[Event]:
    """Liquidate those of the accounts that must be, in rounds: the traders of one round are checked in the next."""
    events: list[Event] = []
    liquidated = list(exchange.liquidated)
    to_check = list(candidates)
    while to_check:
        due: list[str] = []
        for user_id in to_check:
            user = exchange.users[user_id]
            if user.cash >= exchange.maintenance(user_id):
                user.prices_below = 0
                events += repay(exchange, user_id)
            elif user_id not in (*liquidated, *due, "insurance", "fees"):
                due.append(user_id)
        ratios = {user_id: ratio_ppm(exchange, user_id) for user_id in due}
        traded: list[str] = []
        for user_id in sorted(due, key=lambda user_id: (ratios[user_id], user_id)):
            if exchange.users[user_id].cash < exchange.maintenance(user_id):
                liquidated.append(user_id)
                caused = liquidate_account(exchange, ts_us, user_id, by_index_price)
                events += caused
                trades = [event for event in caused if isinstance(event, Traded)]
                traded += [user for it in trades for user in (it.maker_user_id, it.taker_user_id)]
        to_check = traded
    return events


def ratio_ppm(exchange: NaiveExchange, user_id: str) -> int:
    return exchange.users[user_id].cash * 1_000_000 // max(1, exchange.maintenance(user_id))


def liquidate_account(exchange: NaiveExchange, ts_us: int, user_id: str, by_index_price: bool) -> list[Event]:
    user, after = exchange.users[user_id], rules_of(exchange).takeover_after
    started = LiquidationStarted(user_id, user.cash, exchange.maintenance(user_id))
    user.prices_below += by_index_price
    events = cancel_risk(exchange, user_id)
    if not exchange.halted:
        events += trade_slices(exchange, ts_us, user_id)
        if user.cash < exchange.maintenance(user_id) and after and user.prices_below >= after:
            events += take_over(exchange, ts_us, user_id)
    if user.cash >= exchange.maintenance(user_id):
        user.prices_below = 0
    if is_insolvent(exchange, user_id):
        events += cover(exchange, user_id)
    return [started, *events] if events else []


def cancel_risk(exchange: NaiveExchange, user_id: str) -> list[Event]:
    """Keep the orders that only reduce a position, each with those before it; then only bids that can be paid."""
    events: list[Event] = []
    kept: dict[str, int] = {}
    for order in [order for order in exchange.orders if order.user_id == user_id]:
        if order not in exchange.orders:
            continue
        position = exchange.position(user_id, order.instrument_id)
        reduces = position < 0 if order.side == "bid" else position > 0
        size = kept.get(order.instrument_id, 0) + order.remaining
        if reduces and size <= abs(position):
            kept[order.instrument_id] = size
        else:
            events += exchange.close_order(order, "liquidation")
    return events + cancel_bids(exchange, user_id)


def cancel_bids(exchange: NaiveExchange, user_id: str) -> list[Event]:
    """Cancel the newest bids until the cash pays the others."""
    events: list[Event] = []
    bids = [order for order in exchange.orders if order.user_id == user_id and order.side == "bid"]
    while bids and exchange.locks_of(user_id).bids > max(0, exchange.users[user_id].cash):
        events += exchange.close_order(bids.pop(), "insufficient_balance")
    return events


def target(exchange: NaiveExchange, maintenance: int) -> int:
    return -(-maintenance * (1_000_000 + rules_of(exchange).cushion_ppm) // 1_000_000)


def is_restored(exchange: NaiveExchange, user_id: str) -> bool:
    return exchange.users[user_id].cash >= target(exchange, exchange.maintenance(user_id))


def trade_slices(exchange: NaiveExchange, ts_us: int, user_id: str) -> list[Event]:
    events: list[Event] = []
    for _ in range(SLICES_MAX):
        if is_restored(exchange, user_id):
            break
        for instrument, side, price in ranked(exchange, ts_us, user_id, at_mark=False):
            size = size_needed(exchange, user_id, instrument, price, with_trade_fee=True)
            if size:
                events += trade_slice(exchange, user_id, instrument, side, price, size)
                break
        else:
            break
    return events


def trade_slice(
    exchange: NaiveExchange, user_id: str, instrument: NaiveInstrument, side: Side, price: int, size: int
) -> list[Event]:
    command = PlaceOrder(user_id, instrument.instrument_id, side, "limit", "ioc", price, size)
    order, accepted = exchange.accept(command, size)
    exchange.note_order(order)
    events: list[Event] = [replace(accepted, liquidation=True)]
    events += exchange.trade_within_budget(order, lambda *_: True)
    trades = [event for event in events if isinstance(event, Traded)]
    cost = sum(trade.price_micros * trade.size_milli // 1000 for trade in trades)
    fee = liquidation_fee(exchange, instrument, cost, sum(trade.size_milli for trade in trades))
    events += charge(exchange, user_id, instrument.instrument_id, order.order_id, fee)
    return events + cancel_risk(exchange, user_id)


def take_over(exchange: NaiveExchange, ts_us: int, user_id: str) -> list[Event]:
    events: list[Event] = []
    for instrument, side, price in ranked(exchange, ts_us, user_id, at_mark=True):
        if is_restored(exchange, user_id):
            break
        wanted = size_needed(exchange, user_id, instrument, price, with_trade_fee=False)
        size = largest(wanted, partial(can_carry, exchange, instrument, side, price))
        if not size:
            continue
        sign = 1 if side == "bid" else -1
        for key, moved in ((user_id, sign * size), ("insurance", -sign * size)):
            exchange.positions[key, instrument.instrument_id] = exchange.position(key, instrument.instrument_id) + moved
            exchange.users[key].cash -= (moved > 0) * (price * size // 1000) - (moved < 0) * (price * size // 1000)
            exchange.changed_positions.append((key, instrument.instrument_id))
            exchange.changed_users.append(key)
        events.append(PositionTakenOver(user_id, instrument.instrument_id, -sign * size, price))
        events += exchange.shrink_reduce_only(user_id, instrument.instrument_id)
        fee = liquidation_fee(exchange, instrument, price * size // 1000, size)
        events += charge(exchange, user_id, instrument.instrument_id, None, fee)
        events += cancel_risk(exchange, user_id)
    return events


def can_carry(exchange: NaiveExchange, instrument: NaiveInstrument, side: Side, price: int, size: int) -> bool:
    """True if the insurance has its floor available after it takes over so much."""
    key = "insurance", instrument.instrument_id
    held, sign = exchange.positions.get(key), 1 if side == "bid" else -1
    exchange.positions[key] = (held or 0) - sign * size
    available = exchange.available("insurance") + sign * (price * size // 1000)
    if held is None:
        del exchange.positions[key]
    else:
        exchange.positions[key] = held
    return available >= rules_of(exchange).insurance_floor_micros


def ranked(exchange: NaiveExchange, ts_us: int, user_id: str, at_mark: bool) -> list[tuple[NaiveInstrument, Side, int]]:
    """Return the positions that can be reduced, with side and price, the best first."""
    found = []
    for instrument in exchange.instruments.values():
        position = exchange.position(user_id, instrument.instrument_id)
        if not position or instrument.mark is None or instrument.is_over(ts_us) or instrument.state != "open":
            continue
        if exchange.is_reopening(ts_us, instrument.terms.asset):
            continue
        side: Side = "bid" if position < 0 else "ask"
        if at_mark:
            price = instrument.mark // 1000 * 1000
            fee = 0
        else:
            limit = worst_price(exchange, user_id, instrument, side)
            makers = exchange.makers(PlaceOrder(user_id, instrument.instrument_id, side, "limit", "ioc", limit, 1))
            if not makers:
                continue
            price = makers[0].price or 0
            fee = exchange.fee(instrument, "taker", price, 1000)
        fee += liquidation_fee(exchange, instrument, price, 1000)
        if side == "bid":
            relief = target(exchange, for_size(exchange.margins_of(instrument)[1], 1000)) - price - fee
            cost = price - instrument.mark + fee
        else:
            relief, cost = price - fee, instrument.mark - price + fee
        if relief > 0:
            found.append((relief * 1000 // max(1, cost), (instrument, side, price)))
    return [leg for _, leg in sorted(found, key=lambda it: -it[0])]


def worst_price(exchange: NaiveExchange, user_id: str, instrument: NaiveInstrument, side: Side) -> int:
    assert instrument.mark is not None
    tick = instrument.tick
    weight = for_size(exchange.margins_of(instrument)[1], 1000) if side == "bid" else instrument.mark
    bearable = weight * bearable_loss_ppm(exchange, user_id) // 1_000_000 // tick * tick
    allowed = min(instrument.index * rules_of(exchange).limit_ppm // 1_000_000, bearable)
    band = exchange.band(instrument)
    if side == "bid":
        highest = -(-min(instrument.mark + allowed, PRICE_MAX_MICROS) // tick) * tick
        return min(highest, band[1]) if band else highest
    lowest = max(tick, Fraction(instrument.mark - allowed, tick).__floor__() * tick)
    return max(lowest, band[0]) if band else lowest


def bearable_loss_ppm(exchange: NaiveExchange, user_id: str) -> int:
    """The equity, of all that the account must keep for its shorts and all that its options are worth."""
    values = [
        (instrument.mark or 0) * exchange.position(user_id, instrument.instrument_id) // 1000
        for instrument in exchange.instruments.values()
    ]
    equity = max(0, exchange.users[user_id].cash + sum(values))
    held = exchange.maintenance(user_id) + sum(value for value in values if value > 0)
    return equity * 1_000_000 // max(1, held)


def size_needed(
    exchange: NaiveExchange, user_id: str, instrument: NaiveInstrument, price: int, with_trade_fee: bool
) -> int:
    """Return the smallest size that restores the margin, at most the position and the size that the cash pays."""
    user, position = exchange.users[user_id], exchange.position(user_id, instrument.instrument_id)
    rate = exchange.margins_of(instrument)[1]

    def cost_and_fee(size: int) -> tuple[int, int]:
        cost = price * size // 1000
        fee = liquidation_fee(exchange, instrument, cost, size)
        return cost, fee + (exchange.fee(instrument, "taker", price, size) if with_trade_fee else 0)

    def restores(size: int) -> bool:
        cost, fee = cost_and_fee(size)
        maintenance = exchange.maintenance(user_id)
        if position > 0:
            return user.cash + cost - fee >= target(exchange, maintenance)
        maintenance += for_size(rate, -position - size) - for_size(rate, -position)
        return user.cash - cost - fee >= target(exchange, maintenance)

    most = min(abs(position), SIZE_MAX_MILLI)
    if position < 0:
        most = largest(most, lambda size: sum(cost_and_fee(size)) <= user.cash)
    if not most or not restores(most):
        return most
    return largest(most, lambda size: not restores(size)) + 1


def liquidation_fee(exchange: NaiveExchange, instrument: NaiveInstrument, cost: int, size: int) -> int:
    fees = fees_of(exchange)
    if fees.liquidation_ppm is UNSET:
        return 0
    index = exchange.index_of(instrument.terms.asset)
    return min(index * size * fees.liquidation_ppm // 10**9, cost * fees.cap_ppm // 10**6)


def charge(exchange: NaiveExchange, user_id: str, instrument_id: str, order_id: int | None, fee: int) -> list[Event]:
    fee = min(fee, max(0, exchange.users[user_id].cash))
    if not fee:
        return []
    move(exchange, user_id, -fee)
    return [LiquidationFeeCharged(user_id, instrument_id, order_id, fee)]


def move(exchange: NaiveExchange, user_id: str, amount: int) -> None:
    """Move cash from the insurance to an account."""
    exchange.users[user_id].cash += amount
    exchange.users["insurance"].cash -= amount
    exchange.changed_users += [user_id, "insurance"]


def repay(exchange: NaiveExchange, user_id: str) -> list[Event]:
    user = exchange.users[user_id]
    amount = min(user.shortfall, user.cash)
    if amount <= 0:
        return []
    move(exchange, user_id, -amount)
    user.shortfall -= amount
    return [DebtRepaid(user_id, amount, user.shortfall), *cancel_bids(exchange, user_id)]


def is_insolvent(exchange: NaiveExchange, user_id: str) -> bool:
    owns = any(owner == user_id and position > 0 for (owner, _), position in exchange.positions.items())
    return exchange.users[user_id].cash < 0 and not owns


def room(exchange: NaiveExchange) -> int:
    return max(0, exchange.users["insurance"].cash - rules_of(exchange).insurance_floor_micros)


def cover(exchange: NaiveExchange, user_id: str) -> list[Event]:
    user = exchange.users[user_id]
    amount = min(-user.cash, room(exchange))
    if not amount:
        return []
    move(exchange, user_id, amount)
    user.shortfall += amount
    return [ShortfallCovered(user_id, amount, user.shortfall)]


def conclude_settlement(exchange: NaiveExchange, net: dict[str, int]) -> list[Event]:
    events: list[Event] = []
    winners = [user_id for user_id in exchange.users if net.get(user_id, 0) > 0]
    for user_id in winners:
        events += repay(exchange, user_id)
    broke = [user_id for user_id in exchange.users if user_id != "insurance" and is_insolvent(exchange, user_id)]
    missing = sum(-exchange.users[user_id].cash for user_id in broke) - room(exchange)
    below_floor = rules_of(exchange).insurance_floor_micros - exchange.users["insurance"].cash
    missing += max(0, min(below_floor, -net.get("insurance", 0)))
    won = {
        user_id: min(net[user_id], exchange.users[user_id].cash)
        for user_id in winners
        if user_id not in ("fees", "insurance") and exchange.users[user_id].cash > 0
    }
    loss = min(missing, sum(won.values()))
    for user_id, share in divide(loss, won).items() if loss > 0 else ():
        move(exchange, user_id, -share)
        events.append(LossShared(user_id, share, won[user_id]))
    for user_id in broke:
        events += cover(exchange, user_id)
    return events


def divide(total: int, weights: dict[str, int]) -> dict[str, int]:
    """Divide an amount by the largest remainder method; equal remainders in the order of the weights."""
    if not total:
        return dict.fromkeys(weights, 0)
    exact = {key: Fraction(total * weight, sum(weights.values())) for key, weight in weights.items()}
    shares = {key: share.__floor__() for key, share in exact.items()}
    for _ in range(total - sum(shares.values())):
        key = max(exact, key=lambda key: exact[key] - shares[key])
        shares[key] += 1
    return shares


def largest(size: int, may: Callable[[int], bool]) -> int:
    """Return `size` if it is allowed; else the largest allowed size, found by bisection; 0 if there is none."""
    if not size or may(size):
        return size
    fits, too_large = 0, size
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        if may(middle):
            fits = middle
        else:
            too_large = middle
    return fits
