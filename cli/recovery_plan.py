"""`exchange recovery-plan`: predict the next start."""

from pathlib import Path

import click

from exchange.cli.options import command_line, db_option, json_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.history.recovery_plan import plan_recovery


@click.command("recovery-plan")
@db_option
@json_option
def recovery_plan(path: Path, as_json: bool) -> None:
    """Show the steps and estimated time of the next start.

    \b
    Example:
      exchange recovery-plan
    """
    found = plan_recovery(path)
    if as_json:
        print_json(found)
        return
    shown, rate = table("a start would", ""), found.commands_per_second
    origin = f"the snapshot at seq {found.snapshot_seq}" if found.snapshot_seq else "the first command"
    add_rows(
        shown,
        (
            ("begin with", origin),
            *(("skip", fault) for fault in found.skipped),
            ("replay", f"{found.commands:,} commands, up to seq {found.last_seq}"),
            ("take", f"about {found.seconds:.1f} s" + (f", {rate:,.0f} commands per second" if rate else "")),
        ),
    )
    print_tables(shown)
    if found.seconds > 10:
        click.echo(f"To shorten the start: {command_line('snapshot create', path)}")
