"""`exchange init`: a new journal, with the rules it will always be played by."""

import asyncio
from pathlib import Path
from typing import Literal

import click

from cli.options import USDC, clock_start_option, command_line, db_option
from exchange.amounts import usdc
from exchange.domain.rules import Fees, Rules
from exchange.domain.units import PPM
from exchange.runtime.node import open_journal
from exchange.runtime.settings import Settings, admin_secret_file
from journal.lock import JournalLock
from journal.reader import JournalReader

_DEFAULT = Rules()
_ppm = click.IntRange(0, PPM)


@click.command()
@db_option
@click.option(
    "--self-trade-prevention",
    type=click.Choice(["cancel_resting", "off"]),
    default=_DEFAULT.self_trade_prevention,
    show_default=True,
    help="What happens when a user's order meets another of his own.",
)
@click.option(
    "--maker-fee-ppm", type=_ppm, default=0, show_default=True, help="Maker's fee, in millionths of the premium."
)
@click.option(
    "--taker-fee-ppm", type=_ppm, default=0, show_default=True, help="Taker's fee, in millionths of the premium."
)
@click.option(
    "--open-orders-max",
    type=click.IntRange(1),
    default=_DEFAULT.open_orders_max,
    show_default=True,
    help="Open orders that one user may have.",
)
@click.option(
    "--starting-cash",
    "starting_cash_micros",
    type=USDC,
    default=usdc(_DEFAULT.starting_cash_micros),
    show_default=True,
    help="USDC that a new account begins with.",
)
@clock_start_option
def init(
    path: Path,
    self_trade_prevention: Literal["cancel_resting", "off"],
    maker_fee_ppm: int,
    taker_fee_ppm: int,
    open_orders_max: int,
    starting_cash_micros: int,
    clock_start_us: int | None,
) -> None:
    """Create a journal. Its rules are recorded in it and never change.

    \b
    Example:
      exchange init --taker-fee-ppm 300 --starting-cash 50000
    """
    rules = Rules(
        self_trade_prevention=self_trade_prevention,
        fees=Fees(maker_fee_ppm, taker_fee_ppm),
        starting_cash_micros=starting_cash_micros,
        open_orders_max=open_orders_max,
    )
    _refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with JournalLock(path):
        _refuse_existing(path)
        asyncio.run(_create(Settings(path, rules=rules, clock_start_us=clock_start_us)))
    click.echo(f"journal       {path}")
    click.echo(f"admin secret  {admin_secret_file(path)} (readable by you only)")
    click.echo(f"\nNext: {command_line('serve', path)}")


async def _create(settings: Settings) -> None:
    await (await open_journal(settings)).close()


def _refuse_existing(path: Path) -> None:
    """Fail where there is a journal with anything in it, or another file; a JournalError where that is no journal."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with JournalReader(path) as reader:
        head = reader.head()
    if head.seq:
        raise click.ClickException(
            f"{path} exists already and holds {head.seq} {'command' if head.seq == 1 else 'commands'}: "
            f"start it with `{command_line('serve', path)}`, or name another file with --db"
        )
