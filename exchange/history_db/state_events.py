"""A state as the events that would lead to it, for a history that begins in the middle."""

from collections.abc import Iterator

from msgspec import UNSET

from exchange.domain import events as e
from exchange.matching.state import State
from exchange.projections.views import Views
from exchange.projections.wire_types import OrderView


def events_of_state(state: State, views: Views) -> Iterator[e.Event]:
    """Yield events for rules, instruments, prices, accounts, open orders and positions.

    An order that is partly filled appears as an edit of its placing, without the fills.
    """
    yield e.Configured(state.rules, state.rules_version)
    if state.is_halted:
        yield e.HaltSet(True)
    for one in views.instruments.values():
        terms = (one.option_type, one.strike_micros, one.expiration_s, one.tick_micros, one.min_size_milli)
        yield e.InstrumentCreated(one.instrument_id, one.asset, *terms)
        if one.state != "open":
            yield e.InstrumentStateChanged(one.instrument_id, one.state)
    for settlement in views.settlements.series.values():
        if settlement.delivery_price_micros is not None:
            price = settlement.delivery_price_micros
            yield e.DeliveryPriceSet(settlement.asset, settlement.expiration_s, price)
        else:
            yield e.SettlementDelayed(settlement.asset, settlement.expiration_s)
    for asset, index in views.indexes.items():
        yield e.IndexPriceSet(asset, index.price_micros)
        reopens_us = state.indexes[asset].reopens_us
        if reopens_us is not None:
            yield e.PostOnlyBegan(asset, reopens_us)
    for instrument_id, mark_micros in views.marks.items():
        yield e.MarksSet(views.instruments[instrument_id].asset, {instrument_id: mark_micros})
    for asset, surface in views.surfaces.items():
        smiles = [(one.expiration_s, one.level_ppm, one.skew_ppm, one.curvature_ppm) for one in surface.smiles]
        yield e.SurfaceSet(asset, smiles)
    for user_id in views.balances.users:
        yield from _events_of_account(user_id, views)
    for orders in views.orders.users.values():
        for order in orders.open.values():
            yield e.OrderAccepted(
                order.order_id,
                order.user_id,
                order.instrument_id,
                order.side,
                order.type if order.type == "market" or order.type == "market_limit" else "limit",
                order.time_in_force,
                order.price_micros,
                order.size_milli,
                order.post_only,
                order.client_order_id,
                True if order.reduce_only else UNSET,
                True if order.liquidation else UNSET,
                UNSET if order.label is None else order.label,
                UNSET if order.trigger_order_id is None else order.trigger_order_id,
                UNSET if order.refresh_milli is None else order.refresh_milli,
            )
            if (order.filled_milli or order.refresh_milli is not None) and order.price_micros is not None:
                size, left, price = order.size_milli, order.remaining_milli, order.price_micros
                names = (order.order_id, order.user_id, order.instrument_id)
                shown = UNSET if order.displayed_milli is None else order.displayed_milli
                yield e.OrderEdited(*names, order.side, price, size, left, True, price, size, UNSET, shown, shown)
        for order in orders.triggers.values():
            yield _placed(order)
        yield from _quotes(list(orders.open.values()))


def _quotes(orders: list[OrderView]) -> Iterator[e.MassQuoted]:
    """The quotes among the open orders of a user, as if the mass quotes that changed them last came now."""
    commands: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for order in orders:
        if order.mmp_group is not None and order.quote_id is not None:
            quotes = commands.setdefault((order.mmp_group, order.quote_id), [])
            quotes.append((order.order_id, order.quote_set_id or ""))
    for (mmp_group, quote_id), quotes in commands.items():
        yield e.MassQuoted(orders[0].user_id, mmp_group, quote_id, quotes, [])


def _placed(order: OrderView) -> e.TriggerOrderPlaced:
    """An untriggered order as if it were placed with its terms now."""
    return e.TriggerOrderPlaced(
        order.order_id,
        order.user_id,
        order.instrument_id,
        order.side,
        order.type,
        order.trigger,
        order.trigger_price_micros,
        order.trigger_offset_micros,
        order.trigger_reference_price_micros,
        order.time_in_force,
        order.price_micros,
        order.size_milli,
        order.post_only,
        order.client_order_id,
        True if order.reduce_only else UNSET,
        UNSET if order.label is None else order.label,
        UNSET if order.refresh_milli is None else order.refresh_milli,
        UNSET if order.primary_order_id is None else order.primary_order_id,
    )


def _events_of_account(user_id: str, views: Views) -> Iterator[e.Event]:
    account = views.balances.users[user_id]
    yield e.AccountOpened(user_id)
    maintenance = account.maintenance_micros or UNSET
    yield e.BalanceChanged(user_id, account.cash_micros, account.locked_micros, maintenance)
    if account.shortfall_micros:
        yield e.ShortfallCovered(user_id, account.shortfall_micros, account.shortfall_micros)
    if account.suspended:
        yield e.SuspensionSet(user_id, True)
    if account.open_orders_max is not None or account.position_max_milli is not None:
        yield e.LimitsSet(user_id, account.open_orders_max, account.position_max_milli)
    for group in views.mmp_groups(user_id):
        limits = (group.quantity_limit_milli, group.delta_limit_milli, group.vega_limit_micros)
        given = [UNSET if limit is None else limit for limit in limits]
        yield e.MmpConfigSet(user_id, group.mmp_group, group.asset, group.interval_s, group.frozen_s, *given)
    for instrument_id, position in account.positions.items():
        yield e.PositionChanged(user_id, instrument_id, position.quantity_milli, position.locked_micros)
