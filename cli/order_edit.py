"""`exchange order edit`: another price or size for an open order."""

from pathlib import Path

import click

from exchange.cli.client import client_of, log_in
from exchange.cli.options import (
    INSTRUMENT,
    PRICE,
    SIZE,
    AmountCommand,
    db_option,
    json_option,
    user_option,
    valid_until_option,
)
from exchange.cli.order import order_name, print_placed
from exchange.cli.output import print_json


@click.command(cls=AmountCommand)
@click.argument("order_id", type=int, required=False)
@click.option("--client-order-id", help="Edit the order with this key.")
@click.option("--label", help="Edit the open order with this label; no other open order may have it.")
@click.option("--instrument", "instrument_id", type=INSTRUMENT, help="Only an order in this instrument.")
@click.option("--size", "size_milli", type=SIZE, help="New total size, filled part included.  [default: as before]")
@click.option("--price", "price_micros", type=PRICE, help="New price.  [default: as before]")
@click.option("--trigger-price", "trigger_price_micros", type=PRICE, help="New trigger price of an untriggered order.")
@click.option(
    "--trigger-offset", "trigger_offset_micros", type=PRICE, help="New offset of an untriggered trailing_stop."
)
@valid_until_option
@user_option
@db_option
@json_option
def edit(
    order_id: int | None,
    client_order_id: str | None,
    label: str | None,
    instrument_id: str | None,
    size_milli: int | None,
    price_micros: int | None,
    trigger_price_micros: int | None,
    trigger_offset_micros: int | None,
    valid_until_us: int | None,
    user_id: str,
    path: Path,
    as_json: bool,
) -> None:
    """Change the price or the size of an open order.

    The same price and no larger size keep the order's place in the queue.

    \b
    Examples:
      exchange order edit 12 --price 1.55 --user alice
      exchange order edit --label hedge --size 0.5 --user alice
    """
    name = order_name(order_id, client_order_id, label)
    terms = {
        "amount": size_milli,
        "price": price_micros,
        "trigger_price": trigger_price_micros,
        "trigger_offset": trigger_offset_micros,
    }
    if all(term is None for term in terms.values()):
        raise click.UsageError("expected a new --size, --price, --trigger-price or --trigger-offset")
    terms |= {"valid_until_us": valid_until_us}
    with client_of(path) as client:
        log_in(client, user_id)
        result = client.call("private/edit", **name, instrument_id=instrument_id, **terms)
        if as_json:
            print_json(result)
        else:
            print_placed(result, client)
