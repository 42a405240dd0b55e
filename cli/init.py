"""`exchange init`: a new journal, with the rules it begins by."""

import asyncio
from pathlib import Path

import click

from exchange.amounts import usdc
from exchange.cli.options import USDC, clock_start_option, command_line, db_option, series_option, set_option
from exchange.domain.rules import Rules, Series, market_of
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
    help="Rules in TOML or JSON; what it does not name is as it would be without it.",
)
@series_option
@click.option(
    "--self-trade-prevention",
    type=click.Choice(["cancel_resting", "off"]),
    help="What happens when a user's order meets another of his own."
    f"  [default: {DEFAULT_RULES.self_trade_prevention}]",
)
@click.option("--maker-fee-ppm", type=_ppm, help="Maker's fee, in millionths of the premium.  [default: 0]")
@click.option("--taker-fee-ppm", type=_ppm, help="Taker's fee, in millionths of the premium.  [default: 0]")
@click.option(
    "--open-orders-max",
    type=click.IntRange(0),
    help=f"Open orders that one user may have; 0: nobody places any.  [default: {DEFAULT_RULES.open_orders_max}]",
)
@click.option(
    "--starting-cash",
    "starting_cash_micros",
    type=USDC,
    help=f"USDC that a new account begins with.  [default: {usdc(DEFAULT_RULES.starting_cash_micros)}]",
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
    """Create a journal. Its rules are recorded in it; `exchange admin rules` can change them later.

    What options say goes before what is in FILE, and --set before everything else.

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
        rules = DEFAULT_RULES if file is None else read_rules(file)
        rules = edited_rules(rules, [f"{name}={value}" for name, value in given.items() if value is not None])
        rules = edited_rules(with_series(rules, series), settings)
        if series and market_of(rules) is None:
            raise RulesError("--series has options listed, and --set market=null takes the market away: leave one out")
    except RulesError as error:
        raise click.UsageError(str(error)) from error
    _refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with JournalLock(path):
        _refuse_existing(path)
        asyncio.run(_create(ServerSettings(path, rules=rules, clock_start_us=clock_start_us)))
    click.echo(f"journal       {path}")
    click.echo(f"admin secret  {admin_secret_file(path)} (readable by you only)")
    click.echo(f"market        {_market(rules)}")
    click.echo(f"\nNext: {command_line('serve', path)}")


def _market(rules: Rules) -> str:
    market = market_of(rules)
    if market is None:
        return "none: orders are matched and nothing else"
    if not market.series:
        return "no series are listed by themselves; --series SOL:10 would have options on SOL listed"
    return (
        f"options on {', '.join(series.asset for series in market.series)}, listed with the first index price of each"
    )


async def _create(settings: ServerSettings) -> None:
    await (await open_journal(settings)).close()


def _refuse_existing(path: Path) -> None:
    """Fail where there is a journal with anything in it, or another file; a JournalError where that is no journal."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with open_journal_reader(path) as reader:
        head = reader.head()
    if head.seq:
        raise click.ClickException(
            f"{path} exists already and holds {head.seq} {'command' if head.seq == 1 else 'commands'}: "
            f"start it with `{command_line('serve', path)}`, or name another file with --db"
        )
