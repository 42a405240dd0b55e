"""`exchange account`: balance, margin and positions of a user."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import click

from exchange.amounts import cash, price_decimals
from exchange.cli.figures import figures_of, named
from exchange.cli.lazy import LazyGroup
from exchange.cli.options import ASSET, USER, db_option, json_option, key_file_option
from exchange.cli.output import TextTable, add_rows, print_json, print_tables, table
from exchange.cli.present import at_option, offline_option, present
from exchange.cli.settlements import payouts
from exchange.projections.black_scholes import Greeks
from exchange.projections.wire_types import AccountView, Instrument, PositionsResult, PositionView, UserSettlement
from exchange.times import Moment

# `exchange settlements` shows more of them.
_SETTLEMENTS_SHOWN = 5
# The columns of Greeks in tables.
GREEKS = (">delta", ">gamma", ">vega", ">theta")


@click.group(cls=LazyGroup)
def account() -> None:
    """Show an account, deposit cash, withdraw cash."""


@account.command()
@click.argument("user_id", metavar="USER", type=USER)
@at_option
@offline_option
@key_file_option
@db_option
@json_option
def show(user_id: str, moment: Moment, offline: bool, path: Path, as_json: bool) -> None:
    """Show balance, positions and settlements. Asks the running exchange; reads the recorded data if none runs.

    locked: cash reserved for bids and margin. maintenance: an account with less cash is liquidated. shortfall: cash
    that the insurance account paid for this account and that it has not repaid.

    \b
    Example:
      exchange account show alice
    """
    with present(path, offline, user_id, moment=moment) as source:
        shown, settled = source.account(user_id, _SETTLEMENTS_SHOWN)
        if as_json:
            print_json(shown)
        else:
            print_account(shown, source.as_of(), settled, source.instruments())


@account.command()
@click.argument("user_id", metavar="USER", type=USER)
@click.option("--asset", type=ASSET, help="Only positions in options on this asset.")
@at_option
@offline_option
@key_file_option
@db_option
@json_option
def positions(user_id: str, asset: str | None, moment: Moment, offline: bool, path: Path, as_json: bool) -> None:
    """Show positions with margins, profits and Greeks. Asks the running exchange; reads the recorded data if none runs.

    initial, maintenance: margins of short contracts. delta, gamma, vega, theta: Greeks of the option times contracts.

    \b
    Examples:
      exchange account positions alice
      exchange account positions alice --asset SOL --json | jq .greeks
    """
    with present(path, offline, user_id, moment=moment) as source:
        shown = source.positions(user_id, asset)
        if as_json:
            print_json(shown)
        elif shown.positions:
            print_positions(shown, source.as_of(), source.instruments())
        else:
            click.echo(f"{user_id} has no positions{f' on {asset}' if asset else ''}")


def print_positions(shown: PositionsResult, moment: str, instruments: Mapping[str, Instrument]) -> None:
    """Print a row for each position, and for each asset its Greeks; `moment` is the caption of the last table."""
    names = ("position", ">contracts", ">mark", ">initial", ">maintenance", ">profit")
    made = table(*names, *GREEKS, optional=("theta", "vega", "gamma", "mark", "maintenance"))
    figures = figures_of(
        named(instruments, (one.instrument_id for one in shown.positions)),
        (one.mark_micros for one in shown.positions),
        (one.quantity_milli for one in shown.positions),
    )
    amounts = _decimals(
        amount
        for one in shown.positions
        for amount in (one.initial_margin_micros, one.maintenance_margin_micros, one.total_pnl_micros)
    )
    add_rows(
        made,
        (
            (
                one.instrument_id,
                figures.size(one.quantity_milli),
                figures.price(one.mark_micros),
                cash(one.initial_margin_micros, amounts),
                cash(one.maintenance_margin_micros, amounts),
                _cash(one.total_pnl_micros, amounts),
                *greeks_row(one.greeks),
            )
            for one in shown.positions
        ),
    )
    tables = [made, greeks_table(shown.greeks)] if shown.greeks else [made]
    tables[-1].caption = moment
    print_tables(*tables)


def greeks_table(by_asset: Mapping[str, Greeks]) -> TextTable:
    """A table of the Greeks of each asset."""
    sums = table("asset", *GREEKS)
    add_rows(sums, ((asset, *greeks_row(greeks)) for asset, greeks in by_asset.items()))
    return sums


def greeks_row(greeks: Greeks | None) -> tuple[str, ...]:
    """Return the columns `GREEKS`, dashes for None."""
    if greeks is None:
        return ("-",) * len(GREEKS)
    return f"{greeks.delta:.4f}", f"{greeks.gamma:.6f}", f"{greeks.vega:.4f}", f"{greeks.theta:.4f}"


def print_account(
    shown: AccountView,
    moment: str,
    settled: Sequence[UserSettlement] = (),
    instruments: Mapping[str, Instrument] = MappingProxyType({}),
) -> None:
    """Print balance, positions and settlements as tables; `moment` is the caption of the last one.

    The ticks and the minimum sizes of `instruments` give the decimals of prices and sizes.
    """
    tables = [_money(shown)]
    if shown.positions:
        tables.append(_positions(shown.positions, instruments))
    if settled:
        tables.append(payouts(settled))
    tables[-1].caption = moment
    print_tables(*tables)
    if shown.suspended:
        click.echo(f"{shown.user_id} is suspended: it may only read and cancel")


def _money(shown: AccountView) -> TextTable:
    amounts = {
        ">available": shown.available_micros,
        ">locked": shown.locked_micros,
        ">maintenance": shown.maintenance_micros,
        ">equity": shown.equity_micros,
        ">profit": shown.total_pnl_micros,
        ">realised": shown.realised_pnl_micros,
        ">unrealised": shown.unrealised_pnl_micros,
    }
    if shown.shortfall_micros:
        amounts[">shortfall"] = shown.shortfall_micros
    decimals = _decimals(amounts.values())
    made = table("account", *amounts, optional=("maintenance", "unrealised", "realised", "equity"))
    add_rows(made, [(shown.user_id, *(_cash(amount, decimals) for amount in amounts.values()))])
    return made


def _positions(positions: list[PositionView], instruments: Mapping[str, Instrument]) -> TextTable:
    names = ("position", ">contracts", ">average price", ">mark", ">locked", ">realised", ">unrealised")
    made = table(*names, optional=("locked", "mark", "realised"))
    figures = figures_of(
        named(instruments, (one.instrument_id for one in positions)),
        [price for one in positions for price in (one.average_price_micros, one.mark_micros)],
        (one.quantity_milli for one in positions),
    )
    amounts = _decimals(
        amount
        for one in positions
        for amount in (one.locked_micros, one.realised_pnl_micros, one.unrealised_pnl_micros)
    )
    add_rows(
        made,
        (
            (
                position.instrument_id,
                figures.size(position.quantity_milli),
                figures.price(position.average_price_micros),
                figures.price(position.mark_micros),
                cash(position.locked_micros, amounts),
                _cash(position.realised_pnl_micros, amounts),
                _cash(position.unrealised_pnl_micros, amounts),
            )
            for position in positions
        ),
    )
    return made


def _decimals(amounts: Iterable[int | None]) -> int:
    return price_decimals(amount for amount in amounts if amount is not None)


def _cash(micros: int | None, decimals: int) -> str:
    """Format an amount; `-` if it exceeds the range of exact JSON numbers."""
    return "-" if micros is None else cash(micros, decimals)
