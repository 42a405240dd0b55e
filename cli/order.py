"""`exchange order`: place, cancel and show orders."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args

import click
import msgspec

from exchange.amounts import cash, contracts, usdc
from exchange.cli.client import RunningExchange, client_of, log_in
from exchange.cli.figures import Figures, figures_of, named
from exchange.cli.lazy import LazyGroup
from exchange.cli.options import (
    ASSET,
    INSTRUMENT,
    PRICE,
    SIZE,
    AmountCommand,
    db_option,
    json_option,
    user_option,
    valid_until_option,
)
from exchange.cli.output import add_rows, print_json, print_tables, printable, table
from exchange.cli.present import at_option, offline_option, present
from exchange.domain.enums import FillCondition, Trigger, TriggerType
from exchange.history_db.trigger_text import waiting_text
from exchange.projections.wire_types import Balance, Instrument, OrderView, PositionView, UserTrade
from exchange.times import Moment

_Function = TypeVar("_Function", bound=Callable[..., Any])


@click.group(cls=LazyGroup)
def order() -> None:
    """Buy, sell, close positions, edit, cancel and show orders."""


def _placing(function: _Function) -> _Function:
    """Add the arguments and options of `buy` and `sell`."""
    for decorate in reversed(
        (
            click.argument("instrument_id", metavar="INSTRUMENT", type=INSTRUMENT),
            click.argument("size_milli", metavar="SIZE", type=SIZE),
            click.argument("price_micros", metavar="[PRICE]", type=PRICE, required=False),
            user_option,
            click.option("--market", is_flag=True, help="Place a market order, without PRICE."),
            click.option(
                "--tif",
                type=click.Choice(["gtc", "ioc", "fok", "day"]),
                help="Time in force. gtc: until cancelled; ioc: fill as much as possible at once, cancel the rest; "
                "fok: fill completely at once or cancel; day: until 08:00 UTC.  [default: gtc; ioc with --market]",
            ),
            click.option(
                "--post-only",
                is_flag=True,
                help="Rest without trading: if PRICE would trade, one tick from the best price of the other side.",
            ),
            click.option(
                "--reject-post-only", is_flag=True, help="With --post-only: refuse the order if it would trade at once."
            ),
            click.option("--reduce-only", is_flag=True, help="Only reduce the position, never increase or reverse it."),
            click.option(
                "--client-order-id",
                help="Your own key. If an order with this key was sent before, no second one is placed.",
            ),
            click.option(
                "--type",
                "kind",
                type=click.Choice(get_args(TriggerType)),
                help="Wait for a price, then place the order: at PRICE with a limit type, otherwise at market.",
            ),
            click.option(
                "--trigger",
                type=click.Choice(get_args(Trigger)),
                help="Price that an order with --type or --stop-loss waits for.  [default: mark_price for --stop-loss]",
            ),
            click.option("--trigger-price", "trigger_price_micros", type=PRICE, help="Trigger at this price."),
            click.option(
                "--trigger-offset",
                "trigger_offset_micros",
                type=PRICE,
                help="Trigger a trailing_stop this far from the best price since it was placed.",
            ),
            click.option("--label", help="Your own name for a group of orders, up to 64 characters."),
            click.option(
                "--display",
                "display_milli",
                type=SIZE,
                help="Iceberg order: show only so many contracts of it in the book at once.",
            ),
            click.option(
                "--market-limit",
                is_flag=True,
                help="Trade at the best price of the other side alone; the rest stays in the book at this price.",
            ),
            click.option(
                "--take-profit",
                "take_profit_micros",
                type=PRICE,
                help="After the first fill, offer what was traded back at this price.",
            ),
            click.option(
                "--stop-loss",
                "stop_loss_micros",
                type=PRICE,
                help="After the first fill, trade back at market once the price of --trigger passes this one. With "
                "--take-profit, what happens first cancels the other one.",
            ),
            click.option(
                "--fill-condition",
                type=click.Choice(get_args(FillCondition)),
                help="Fills after which --take-profit and --stop-loss count: the first one (first_hit), the last one "
                "(complete_fill), or each for its part (incremental).  [default: first_hit]",
            ),
            valid_until_option,
            click.option("--dry-run", is_flag=True, help="Show the result without placing the order."),
            db_option,
            json_option,
        )
    ):
        function = decorate(function)
    return function


@order.command(cls=AmountCommand)
@_placing
def buy(**given: Any) -> None:
    """Buy SIZE contracts at PRICE USDC each, or lower.

    \b
    Examples:
      exchange order buy SOL_USDC-28FEB26-150-C 1 1.50 --user alice
      exchange order buy SOL_USDC-28FEB26-150-C 0.5 --market --user alice
      exchange order buy SOL_USDC-28FEB26-150-C 1 1.50 --take-profit 1.70 --stop-loss 1.40 --user alice
    """
    _place("private/buy", **given)


@order.command(cls=AmountCommand)
@_placing
def sell(**given: Any) -> None:
    """Sell SIZE contracts at PRICE USDC each, or higher.

    \b
    Examples:
      exchange order sell SOL_USDC-28FEB26-150-C 1 1.50 --user bob --post-only
      exchange order sell SOL_USDC-28FEB26-150-C 0.5 --market --user bob
    """
    _place("private/sell", **given)


def _place(
    method: str,
    instrument_id: str,
    size_milli: int,
    price_micros: int | None,
    user_id: str,
    market: bool,
    tif: str | None,
    post_only: bool,
    reject_post_only: bool,
    reduce_only: bool,
    client_order_id: str | None,
    kind: str | None,
    trigger: str | None,
    trigger_price_micros: int | None,
    trigger_offset_micros: int | None,
    label: str | None,
    display_milli: int | None,
    market_limit: bool,
    take_profit_micros: int | None,
    stop_loss_micros: int | None,
    fill_condition: str | None,
    valid_until_us: int | None,
    dry_run: bool,
    path: Path,
    as_json: bool,
) -> None:
    has_exits = take_profit_micros is not None or stop_loss_micros is not None
    if has_exits and dry_run:
        raise click.UsageError("--dry-run shows one order: remove --take-profit and --stop-loss")
    if fill_condition is not None and not has_exits:
        raise click.UsageError("--fill-condition is about --take-profit and --stop-loss: add one")
    if market and market_limit:
        raise click.UsageError("--market and --market-limit are two types of orders: remove one")
    if kind is not None and (market or market_limit):
        raise click.UsageError("--type says whether the order trades at market: remove --market or --market-limit")
    market = market or market_limit
    if kind is None and market == (price_micros is not None):
        raise click.UsageError(
            "a market order has no PRICE: remove PRICE or --market" if market else "expected PRICE or --market"
        )
    order = {
        "instrument_id": instrument_id,
        "amount": size_milli,
        "type": kind or ("market_limit" if market_limit else "market" if market else "limit"),
        "price": price_micros,
        "trigger": trigger if kind is not None or not has_exits else None,
        "trigger_price": trigger_price_micros,
        "trigger_offset": trigger_offset_micros,
        "time_in_force": tif,
        "post_only": post_only,
        "reject_post_only": reject_post_only or None,
        "reduce_only": reduce_only or None,
        "client_order_id": client_order_id,
        "label": label,
        "display_amount": display_milli,
        "valid_until_us": valid_until_us,
    }
    with client_of(path) as client:
        log_in(client, user_id)
        if has_exits:
            orders = with_exits(order, method == "private/buy", take_profit_micros, stop_loss_micros, trigger)
            link = "one_triggers_other" if len(orders) == 2 else "one_triggers_one_cancels_other"
            given = {"link": link, "orders": orders, "fill_condition": fill_condition}
            result = client.call("private/place_linked_orders", **given)
        else:
            result = client.call(method, **order, dry_run=dry_run or None)
        if as_json:
            print_json(result)
        elif has_exits:
            print_linked(result, client)
        else:
            print_placed(result, client)


def with_exits(
    order: dict[str, Any],
    is_purchase: bool,
    take_profit_micros: int | None,
    stop_loss_micros: int | None,
    trigger: str | None,
) -> list[dict[str, Any]]:
    """Return the order, then its take profit and its stop loss. They only reduce the position."""
    entry = {"side": "bid" if is_purchase else "ask", **{name: it for name, it in order.items() if it is not None}}
    shared = {"side": "ask" if is_purchase else "bid", "reduce_only": True}
    shared |= {name: entry[name] for name in ("instrument_id", "amount", "label") if name in entry}
    orders = [entry]
    if take_profit_micros is not None:
        orders.append({**shared, "price": take_profit_micros})
    if stop_loss_micros is not None:
        stop = {"type": "stop_market", "trigger": trigger or "mark_price", "trigger_price": stop_loss_micros}
        orders.append({**shared, **stop})
    return orders


@order.command(cls=AmountCommand)
@click.argument("instrument_id", metavar="INSTRUMENT", type=INSTRUMENT)
@click.argument("price_micros", metavar="[PRICE]", type=PRICE, required=False)
@user_option
@db_option
@json_option
def close(instrument_id: str, price_micros: int | None, user_id: str, path: Path, as_json: bool) -> None:
    """Close a position as far as the book allows at once.

    Trades at market, or at PRICE or better.

    \b
    Examples:
      exchange order close SOL_USDC-28FEB26-150-C --user alice
      exchange order close SOL_USDC-28FEB26-150-C 1.45 --user alice
    """
    with client_of(path) as client:
        log_in(client, user_id)
        result = client.call(
            "private/close_position",
            instrument_id=instrument_id,
            type="market" if price_micros is None else "limit",
            price=price_micros,
        )
        if as_json:
            print_json(result)
        else:
            print_placed(result, client)


def print_placed(result: dict[str, Any], client: RunningExchange) -> None:
    """Print the result of an order or of a dry run."""
    order, is_dry = msgspec.convert(result["order"], OrderView), result.get("dry_run", False)
    trades = msgspec.convert(result["trades"], list[UserTrade])
    figures = _figures_of_order(client, order, trades)
    click.echo(f"{'would be' if is_dry else f'order {order.order_id}'} {sentence(order, figures)}")
    for trade in trades:
        click.echo(_trade_line(trade, "trade" if is_dry else f"trade {trade.trade_id}", figures))
    if result.get("duplicate"):
        click.echo("  an order with this client order id exists: nothing was changed")
    if is_dry:
        balance = msgspec.convert(result["balance"], Balance)
        position = msgspec.convert(result["position"], PositionView)
        click.echo(f"  available {cash(balance.available_micros)}, locked {cash(balance.locked_micros)}")
        click.echo(f"  position {figures.size(position.quantity_milli)}, {cash(position.locked_micros)} locked for it")
        click.echo("  dry run: no order was placed")


def print_linked(result: dict[str, Any], client: RunningExchange) -> None:
    """Print linked orders, and the trades that they made at once."""
    orders = msgspec.convert(result["orders"], list[OrderView])
    trades = msgspec.convert(result["trades"], list[UserTrade])
    for order in orders:
        figures = _figures_of_order(client, order, trades)
        click.echo(f"order {order.order_id} {sentence(order, figures)}")
        for trade in trades:
            if trade.order_id == order.order_id:
                click.echo(_trade_line(trade, f"trade {trade.trade_id}", figures))
    if result.get("duplicate"):
        click.echo("  an order with this client order id exists: nothing was changed")


def _trade_line(trade: UserTrade, name: str, figures: Figures) -> str:
    size, price = figures.size(trade.size_milli), figures.price(trade.price_micros)
    return f"  {name}: {size} @ {price}, {trade.liquidity}, fee {usdc(trade.fee_micros)}"


@order.command()
@click.argument("order_id", type=int, required=False)
@click.option("--client-order-id", help="Cancel the order with this key.")
@click.option("--label", help="Cancel the open order with this label; with --all, every such order.")
@click.option("--all", "every", is_flag=True, help="Cancel all open orders of the user that fit the other options.")
@click.option("--instrument", "instrument_id", type=INSTRUMENT, help="Only orders in this instrument.")
@click.option("--asset", type=ASSET, help="With --all: only orders on this asset.")
@click.option("--kind", type=click.Choice(["option", "call", "put"]), help="With --all: only orders in calls or puts.")
@user_option
@db_option
@json_option
def cancel(
    order_id: int | None,
    client_order_id: str | None,
    label: str | None,
    every: bool,
    instrument_id: str | None,
    asset: str | None,
    kind: str | None,
    user_id: str,
    path: Path,
    as_json: bool,
) -> None:
    """Cancel one order, or all of them.

    \b
    Examples:
      exchange order cancel 12 --user alice
      exchange order cancel --all --user alice
      exchange order cancel --all --label hedge --asset SOL --user alice
    """
    name = {"order_id": order_id, "client_order_id": client_order_id, "label": label}
    given = [value is not None for value in name.values()].count(True)
    if every and given > (label is not None):
        raise click.UsageError("--all cancels several orders: remove ORDER_ID and --client-order-id")
    if not every and given != 1:
        raise click.UsageError("expected one of: ORDER_ID, --client-order-id, --label, --all")
    if not every and (asset is not None or kind is not None):
        raise click.UsageError("--asset and --kind choose among several orders: add --all")
    with client_of(path) as client:
        log_in(client, user_id)
        if every:
            which = {"instrument_id": instrument_id, "asset": asset, "kind": kind, "label": label}
            result = client.call("private/cancel_all", **which)
        else:
            result = client.call("private/cancel", **name, instrument_id=instrument_id)
        if as_json:
            print_json(result)
        elif every:
            ids = ", ".join(map(str, result["order_ids"]))
            click.echo(f"cancelled {ids}" if ids else "there were no open orders")
        else:
            order = msgspec.convert(result["order"], OrderView)
            click.echo(f"order {order.order_id} {sentence(order, _figures_of_order(client, order, []))}")


@order.command("list")
@user_option
@click.option("--instrument", "instrument_id", type=INSTRUMENT, help="Only orders in this instrument.")
@click.option("--label", help="Only orders with this label.")
@at_option
@offline_option
@db_option
@json_option
def list_(
    user_id: str,
    instrument_id: str | None,
    label: str | None,
    moment: Moment,
    offline: bool,
    path: Path,
    as_json: bool,
) -> None:
    """Show open orders, oldest first. Asks the running exchange; reads the recorded data if none runs.

    \b
    Example:
      exchange order list --user alice
    """
    with present(path, offline, user_id, moment=moment) as source:
        orders = source.open_orders(user_id, instrument_id, label)
        if as_json:
            print_json(orders)
        else:
            print_orders(orders, user_id, source.as_of(), source.instruments())


def print_orders(
    orders: list[OrderView], user_id: str, moment: str, instruments: Mapping[str, Instrument] = MappingProxyType({})
) -> None:
    """Print the open orders of a user as a table.

    The ticks and the minimum sizes of `instruments` give the decimals of prices and sizes.
    """
    if not orders:
        click.echo(f"{user_id} has no open orders ({moment})")
        return
    waits = any(order.trigger is not None or order.primary_order_id is not None for order in orders)
    names = (">order", "instrument", "side", ">price", ">size", ">filled", *(("waits for",) if waits else ()))
    optional = ("client order id", "tif", *(("waits for",) if waits else ()))
    shown = table(*names, "tif", "client order id", caption=moment, optional=optional)
    figures = figures_of(
        named(instruments, (order.instrument_id for order in orders)),
        (order.price_micros for order in orders),
        [size for order in orders for size in (order.size_milli, order.filled_milli)],
    )
    add_rows(shown, (_row(order, figures, waits) for order in orders))
    print_tables(shown)


def _row(order: OrderView, figures: Figures, waits: bool) -> tuple[str, ...]:
    kind = "" if order.trigger is None else f", {order.type}"
    return (
        str(order.order_id),
        order.instrument_id,
        _verb(order),
        figures.price(order.price_micros),
        figures.size(order.size_milli),
        figures.size(order.filled_milli),
        *((_awaited(order),) if waits else ()),
        order.time_in_force + (", post-only" if order.post_only else "") + kind,
        order.client_order_id or "",
    )


def order_name(order_id: int | None, client_order_id: str | None, label: str | None) -> dict[str, Any]:
    """The parameters that name one order. Raises UsageError unless exactly one is given."""
    name = {"order_id": order_id, "client_order_id": client_order_id, "label": label}
    if list(name.values()).count(None) != 2:
        raise click.UsageError("expected one of: ORDER_ID, --client-order-id, --label")
    return name


def _figures_of_order(client: RunningExchange, order: OrderView, trades: list[UserTrade]) -> Figures:
    """The decimals of an order and its trades, by the tick and the minimum size that the exchange tells."""
    asset = order.instrument_id.partition("_")[0]
    listed = msgspec.convert(client.call("public/get_instruments", asset=asset), list[Instrument])
    return figures_of(
        [one for one in listed if one.instrument_id == order.instrument_id],
        [order.price_micros, *(trade.price_micros for trade in trades)],
        [order.size_milli, order.filled_milli, *(trade.size_milli for trade in trades)],
    )


def sentence(order: OrderView, figures: Figures) -> str:
    """The state of an order: `filled: buy 1.0 SOL_USDC-28FEB26-150-C @ 1.50, filled 1.0 at 1.49`."""
    reason = f" ({order.cancel_reason})" if order.cancel_reason else ""
    price = "at market" if order.price_micros is None else f"@ {figures.price(order.price_micros)}"
    filled = ""
    if order.filled_milli:
        filled = f", filled {figures.size(order.filled_milli)} at {figures.price(order.average_price_micros)}"
    if order.reject_reason is not None:
        reason = f" ({order.reject_reason.value})"
    what = f"{_verb(order)} {figures.size(order.size_milli)} {order.instrument_id} {price}{waits_for(order)}"
    return printable(f"{order.status.replace('_', ' ')}{reason}: {what}{filled}")


def _awaited(order: OrderView) -> str:
    """The price that a trigger order waits for, in few words; a dash for other orders."""
    if order.primary_order_id is not None:
        return f"fills of {order.primary_order_id}"
    if order.trigger is None:
        return "-"
    of = order.trigger.removesuffix("_price")
    if order.trigger_price_micros is not None:
        return f"{of} at {usdc(order.trigger_price_micros)}"
    return f"{of} {usdc(order.trigger_offset_micros)} behind"


def waits_for(order: OrderView) -> str:
    """The price that a trigger order waits for, as the end of a phrase; nothing for other orders."""
    fills = "" if order.primary_order_id is None else f" after fills of order {order.primary_order_id}"
    if order.trigger is None:
        return fills
    when = waiting_text(order.trigger_price_micros, order.trigger_offset_micros)
    return f", {order.type} on {order.trigger} {when}{fills}"


def shown_text(order: OrderView) -> str:
    """The part of an iceberg order that the book shows, of the part that it shows at once."""
    at_once = contracts(order.refresh_milli or 0)
    now = "" if order.displayed_milli is None else f"{contracts(order.displayed_milli)} of "
    return f"showing {now}{at_once}"


def _verb(order: OrderView) -> str:
    return "buy" if order.side == "bid" else "sell"
