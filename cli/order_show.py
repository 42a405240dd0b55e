"""`exchange order show`: one order, open or finished."""

from pathlib import Path

import click

from exchange.amounts import short_time
from exchange.cli.figures import figures_of, named
from exchange.cli.options import db_option, json_option, user_option
from exchange.cli.order import order_name, sentence, shown_text
from exchange.cli.output import print_json, printable
from exchange.cli.present import at_option, offline_option, present
from exchange.projections.wire_types import OrderView
from exchange.times import Moment


@click.command()
@click.argument("order_id", type=int, required=False)
@click.option("--client-order-id", help="Show the order with this key.")
@click.option("--label", help="Show the newest open order with this label, else the newest finished one.")
@user_option
@at_option
@offline_option
@db_option
@json_option
def show(
    order_id: int | None,
    client_order_id: str | None,
    label: str | None,
    user_id: str,
    moment: Moment,
    offline: bool,
    path: Path,
    as_json: bool,
) -> None:
    """Show the state of one order, open or finished.

    The exchange keeps the newest finished orders of each user; --at finds the older ones, too.

    \b
    Examples:
      exchange order show 12 --user alice
      exchange order show --label hedge --user alice
    """
    name = order_name(order_id, client_order_id, label)
    with present(path, offline, user_id, moment=moment) as source:
        order = source.order(user_id, **name)
        if as_json:
            print_json(order)
            return
        figures = figures_of(
            named(source.instruments(), [order.instrument_id]),
            [order.price_micros, order.average_price_micros],
            [order.size_milli, order.filled_milli],
        )
        click.echo(f"order {order.order_id} {sentence(order, figures)}")
        click.echo(printable(f"  {', '.join(_terms(order))}"))
        click.echo(f"  placed {short_time(order.created_us)}, last change {short_time(order.updated_us)}")


def _terms(order: OrderView) -> list[str]:
    """The terms of an order beyond its price and its size."""
    terms: list[str] = [order.time_in_force]
    terms += ["post-only"] if order.post_only else []
    terms += ["reduce-only"] if order.reduce_only else []
    terms += [shown_text(order)] if order.refresh_milli is not None else []
    terms += ["liquidation"] if order.liquidation else []
    terms += [f"placed by trigger order {order.trigger_order_id}"] if order.trigger_order_id is not None else []
    terms += [_linked(order)] if order.linked_order_ids is not None else []
    terms += [f"client order id {order.client_order_id}"] if order.client_order_id is not None else []
    terms += [f"label {order.label}"] if order.label is not None else []
    return terms


def _linked(order: OrderView) -> str:
    """The link of an order, and the orders that were sent with it."""
    ids = " ".join(str(order_id) for order_id in order.linked_order_ids or ())
    return f"{order.link} ({order.fill_condition}) of orders {ids}"
