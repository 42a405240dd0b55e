"""`exchange admin rules`: show and change the rules in force."""

from pathlib import Path

import click
import msgspec

from exchange.cli.client import admin_client_of
from exchange.cli.options import db_option, json_option, key_file_option, series_option, set_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.cli.rule_text import RULE_COLUMNS, readable, rule_rows
from exchange.domain.rules import Rules, Series
from exchange.runtime.rule_settings import RulesError, edited_rules, flat_settings, read_rules, with_series


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@series_option
@set_option
@key_file_option
@db_option
@json_option
def rules(file: Path | None, series: tuple[Series, ...], settings: tuple[str, ...], path: Path, as_json: bool) -> None:
    """Show the rules in force, or change them.

    FILE (TOML or JSON, as for `exchange init --rules`) replaces all rules. --series and --set change single rules. A
    change records the complete rules, which take effect at its seq, and prints the differences.

    \b
    Examples:
      exchange admin rules
      exchange admin rules --set fees=deribit --set market.index_age_max_s=30
      exchange admin rules --series SOL:10:8
      exchange admin rules rules.toml
    """
    replacement = None if file is None else _read_rules(file)
    with admin_client_of(path) as client:
        found = client.call("public/get_rules")
        before = msgspec.convert(found["rules"], Rules)
        try:
            after = edited_rules(with_series(replacement or before, series), settings)
        except RulesError as error:
            raise click.UsageError(str(error)) from error
        is_changed = after != before
        if is_changed:
            found = client.call("admin/set_rules", rules=msgspec.to_builtins(after))
    if as_json:
        print_json(found)
    elif is_changed:
        _print_difference(flat_settings(before), flat_settings(after), f"in force since seq {found['seq']}")
    elif file or series or settings:
        click.echo("the rules are already like this: nothing was changed")
    else:
        shown = table(*RULE_COLUMNS, caption=f"at seq {found['seq']}", optional=RULE_COLUMNS[2:])
        add_rows(shown, rule_rows(before))
        print_tables(shown)


def _read_rules(file: Path) -> Rules:
    try:
        return read_rules(file)
    except RulesError as error:
        raise click.UsageError(str(error)) from error


def _print_difference(before: dict[str, str], after: dict[str, str], moment: str) -> None:
    shown = table("rule", "before", "after", caption=moment)
    names = dict.fromkeys([*before, *after])
    values = ((name, before.get(name, "-"), after.get(name, "-")) for name in names)
    add_rows(shown, ((name, readable(name, old), readable(name, new)) for name, old, new in values if old != new))
    print_tables(shown)
