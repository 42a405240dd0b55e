"""`exchange init`: create a journal with its first rules."""

import asyncio
import time
from pathlib import Path

import click

from exchange.amounts import usdc
from exchange.cli.options import USDC, clock_start_option, command_line, db_option, series_option, set_option
from exchange.domain.expirations import expirations_error
from exchange.domain.forwards import distance_error
from exchange.domain.rules import RULES_VERSION, Rules, Series, complete_rules, floor_error, market_of
from exchange.domain.units import PPM
from exchange.journal.lock import JournalLock
from exchange.journal.opening import open_journal_reader
from exchange.runtime.node import open_journal
from exchange.runtime.rule_settings import RulesError, edited_rules, read_rules, with_series
from exchange.runtime.server_settings import DEFAULT_RULES, ServerSettings, admin_secret_file

_ppm = click.IntRange(0, PPM)


@click.command()
@db_option
@click.option(
    "--rules",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read rules from this TOML or JSON file. Rules that the file does not set keep their defaults.",
)
@series_option
@click.option(
    "--self-trade-prevention",
    type=click.Choice(["cancel_resting", "off"]),
    help="Cancel a user's resting order when another order of the same user would trade with it, or let them trade."
    f"  [default: {DEFAULT_RULES.self_trade_prevention}]",
)
@click.option("--maker-fee-ppm", type=_ppm, help="Maker fee, in millionths of the premium.  [default: 0]")
@click.option("--taker-fee-ppm", type=_ppm, help="Taker fee, in millionths of the premium.  [default: 0]")
@click.option(
    "--open-orders-max",
    type=click.IntRange(0),
    help=f"Maximum number of open orders of one user; 0: no orders.  [default: {DEFAULT_RULES.open_orders_max}]",
)
@click.option(
    "--starting-cash",
    "starting_cash_micros",
    type=USDC,
    help=f"Cash of a new account, in USDC.  [default: {usdc(DEFAULT_RULES.starting_cash_micros)}]",
)
@set_option
@clock_start_option
def init(
    path: Path,
    file: Path | None,
    series: tuple[Series, ...],
    self_trade_prevention: str | None,
    maker_fee_ppm: int | None,
    taker_fee_ppm: int | None,
    open_orders_max: int | None,
    starting_cash_micros: int | None,
    settings: tuple[str, ...],
    clock_start_us: int | None,
) -> None:
    """Create a journal and record its rules. `exchange admin rules` can change them later.

    Options override the file, and --set overrides the other options.

    \b
    Examples:
      exchange init --series SOL:10 --series BTC:1000:8 --set fees=deribit
      exchange init --rules rules.toml --starting-cash 50000
      exchange init --set collateral=cash_secured --set market.index_age_max_s=30
    """
    given = {
        "self_trade_prevention": self_trade_prevention,
        "fees.maker_premium_ppm": maker_fee_ppm,
        "fees.taker_premium_ppm": taker_fee_ppm,
        "open_orders_max": open_orders_max,
        "starting_cash_micros": starting_cash_micros,
    }
    try:
        rules = DEFAULT_RULES if file is None else complete_rules(read_rules(file))
        rules = edited_rules(rules, [f"{name}={value}" for name, value in given.items() if value is not None])
        rules = edited_rules(with_series(rules, series), settings)
        if series and market_of(rules) is None:
            raise RulesError("--series needs a market, and --set market=null removes it: remove one of them")
        if sentence := floor_error(Rules(), rules, 0) or _error_of_dates(rules, clock_start_us):
            raise RulesError(sentence)
    except RulesError as error:
        raise click.UsageError(str(error)) from error
    _refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with JournalLock(path):
        _refuse_existing(path)
        asyncio.run(_create(ServerSettings(path, rules=rules, clock_start_us=clock_start_us)))
    click.echo(f"journal       {path}")
    click.echo(f"admin secret  {admin_secret_file(path)} (only you can read it)")
    click.echo(f"market        {_market(rules)}")
    click.echo(f"\nNext: {command_line('serve', path)}")


def _error_of_dates(rules: Rules, clock_start_us: int | None) -> str | None:
    """Return which rule is not possible when the clock of the exchange starts, as a sentence; None if all are."""
    ts_us = time.time_ns() // 1_000 if clock_start_us is None else clock_start_us
    return expirations_error(rules, RULES_VERSION, ts_us) or distance_error(rules, RULES_VERSION, ts_us)


def _market(rules: Rules) -> str:
    market = market_of(rules)
    if market is None:
        return "none: orders are matched, without index prices and margins"
    if not market.series:
        return "no options are listed automatically; --series SOL:10 would list options on SOL"
    return f"options on {', '.join(series.asset for series in market.series)}, listed at the first index price of each"


async def _create(settings: ServerSettings) -> None:
    await (await open_journal(settings)).close()


def _refuse_existing(path: Path) -> None:
    """Raise a ClickException if the journal has commands, and a JournalError if the file is not a journal."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with open_journal_reader(path) as reader:
        head = reader.head()
    if head.seq:
        raise click.ClickException(
            f"{path} already exists, with {head.seq} {'command' if head.seq == 1 else 'commands'}: "
            f"start it with `{command_line('serve', path)}`, or name another file with --db"
        )
