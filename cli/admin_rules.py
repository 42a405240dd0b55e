"""`exchange admin rules`: show and change the rules in force."""

from pathlib import Path
from typing import Any

import click
import msgspec

from exchange.cli.client import admin_client_of
from exchange.cli.options import db_option, json_option, key_file_option, series_option, set_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.cli.rule_text import RULE_COLUMNS, readable, rule_rows
from exchange.domain.rules import FIRST_RULES_VERSION, RULES_VERSION, Rules, Series, complete_rules, version_error
from exchange.runtime.rule_settings import RulesError, edited_rules, flat_settings, read_rules, with_series


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@series_option
@set_option
@click.option(
    "--version",
    type=click.IntRange(FIRST_RULES_VERSION, RULES_VERSION),
    help="Change to this version of the rules, after a list of the accounts that it would liquidate.",
)
@click.option("--dry-run", is_flag=True, help="List the accounts that the change would liquidate, and change nothing.")
@click.option("--yes", is_flag=True, help="Change the version without a question.")
@key_file_option
@db_option
@json_option
def rules(
    file: Path | None,
    series: tuple[Series, ...],
    settings: tuple[str, ...],
    version: int | None,
    dry_run: bool,
    yes: bool,
    path: Path,
    as_json: bool,
) -> None:
    """Show the rules in force, or change them.

    FILE (TOML or JSON, as for `exchange init --rules`) replaces all rules. --series and --set change single rules. A
    change records the complete rules, which take effect at its seq, and prints the differences.

    \b
    Examples:
      exchange admin rules
      exchange admin rules --set fees=deribit --set market.index_age_max_s=30
      exchange admin rules --series SOL:10:8
      exchange admin rules rules.toml
      exchange admin rules --version 2 --dry-run
    """
    replacement = None if file is None else _read_rules(file)
    with admin_client_of(path) as client:
        found = client.call("public/get_rules")
        before = msgspec.convert(found["rules"], Rules)
        old_version = found["rules_version"]
        if version is not None and (sentence := version_error(old_version, version)):
            raise click.UsageError(sentence)
        is_newer = version is not None and version > old_version
        asked = is_newer or replacement is not None or bool(series or settings)
        try:
            after = _edited(replacement or before, series, settings, version or old_version) if asked else before
        except RulesError as error:
            raise click.UsageError(str(error)) from error
        change = {"rules": msgspec.to_builtins(after), **({} if version is None else {"rules_version": version})}
        is_changed = after != before or is_newer
        if dry_run or (is_newer and not yes):
            effects = client.call("admin/set_rules", **change, dry_run=True)
            _print_effects(effects, as_json)
            if dry_run:
                return
            click.confirm(f"Change the rules to version {version}?", abort=True, err=True)
        if is_changed:
            found = client.call("admin/set_rules", **change)
    if as_json:
        print_json(found)
    elif is_changed:
        versions = ({"version": str(number)} for number in (old_version, found["rules_version"]))
        old, new = (one | flat_settings(rules) for one, rules in zip(versions, (before, after), strict=True))
        _print_difference(old, new, f"in force since seq {found['seq']}")
    elif file or series or settings:
        click.echo("the rules are already like this: nothing was changed")
    else:
        shown = table(*RULE_COLUMNS, caption=f"version {old_version}, at seq {found['seq']}", optional=RULE_COLUMNS[2:])
        add_rows(shown, rule_rows(before))
        print_tables(shown)


def _edited(base: Rules, series: tuple[Series, ...], settings: tuple[str, ...], version: int) -> Rules:
    """The rules with these changes. From version 2 on, all of them are recorded."""
    complete = base if version == FIRST_RULES_VERSION else complete_rules(base)
    return edited_rules(with_series(complete, series), settings)


def _read_rules(file: Path) -> Rules:
    try:
        return read_rules(file)
    except RulesError as error:
        raise click.UsageError(str(error)) from error


def _print_effects(effects: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(effects)
        return
    liquidated = effects["liquidated"]
    if not liquidated:
        click.echo("the change would liquidate no account")
        return
    noun = "account" if len(liquidated) == 1 else "accounts"
    shown = table("account", caption=f"the change would liquidate {len(liquidated)} {noun}")
    add_rows(shown, ((user_id,) for user_id in liquidated))
    print_tables(shown)


def _print_difference(before: dict[str, str], after: dict[str, str], moment: str) -> None:
    shown = table("rule", "before", "after", caption=moment)
    names = dict.fromkeys([*before, *after])
    values = ((name, before.get(name, "-"), after.get(name, "-")) for name in names)
    add_rows(shown, ((name, readable(name, old), readable(name, new)) for name, old, new in values if old != new))
    print_tables(shown)
