"""`exchange admin limits`: limits of one user, which override the rules."""

from pathlib import Path
from typing import Any

import click

from exchange.amounts import contracts
from exchange.cli.client import admin_client_of
from exchange.cli.current_views import read_views, require_user
from exchange.cli.options import CONTRACTS, USER, db_option, json_option, key_file_option
from exchange.cli.output import print_answer


class _OrDefault(click.ParamType[Any]):
    """A number of type `of`, or the word `default`, which means the limit in the rules."""

    def __init__(self, of: click.ParamType[Any]) -> None:
        self.name = f"{of.name}|default"
        self._of = of

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "default" else self._of.convert(value, param, ctx)


@click.command()
@click.argument("user_id", metavar="USER", type=USER)
@click.option(
    "--open-orders", type=_OrDefault(click.IntRange(0)), metavar="N|default", help="Maximum number of open orders."
)
@click.option(
    "--position",
    type=_OrDefault(CONTRACTS),
    metavar="N|default",
    help="Maximum position in one instrument, in contracts; 0: unlimited.",
)
@key_file_option
@db_option
@json_option
def limits(user_id: str, open_orders: Any, position: Any, path: Path, as_json: bool) -> None:
    """Set limits of one user, which override the rules.

    `default` restores the limit of the rules. A limit without an option stays as it is.

    \b
    Example:
      exchange admin limits alice --open-orders 50 --position 100
    """
    if open_orders is None and position is None:
        raise click.UsageError(
            "expected --open-orders, --position, or both; `exchange admin account` shows the limits in force"
        )
    with admin_client_of(path) as client:
        views = read_views(path)
        require_user(views, user_id, path)
        own = views.balances.users[user_id]
        result = client.call(
            "admin/set_limits",
            user_id=user_id,
            open_orders_max=_limit(open_orders, own.open_orders_max),
            position_max=_limit(position, own.position_max_milli),
        )
    print_answer(
        result,
        f"{user_id}: {limits_text(result['open_orders_max'], result['position_max'])} (seq {result['seq']})",
        as_json,
    )


def _limit(given: Any, own: int | None) -> int | None:
    """The limit to send; None means the limit of the rules."""
    return own if given is None else None if given == "default" else given


def limits_text(open_orders_max: int | None, position_max_milli: int | None) -> str:
    """The limits in words; None means the limit of the rules."""
    orders = (
        "open orders limited by the rules" if open_orders_max is None else f"at most {open_orders_max:,} open orders"
    )
    if position_max_milli is None:
        return f"{orders}, positions limited by the rules"
    of_size = f"up to {contracts(position_max_milli)} contracts" if position_max_milli else "unlimited"
    return f"{orders}, positions {of_size}"
