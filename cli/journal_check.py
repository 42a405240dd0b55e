"""`exchange journal check`: run the invariants, which are SQL queries."""

from pathlib import Path

import click

from exchange.cli.options import db_option, json_option
from exchange.cli.output import UnreadableError, columns, print_json
from exchange.cli.progress import ReplayBar
from exchange.history.checks import BadCheckError, CheckResult, checks_in, known_checks, run_checks
from exchange.journal.errors import JournalError


@click.command()
@click.option(
    "--checks",
    "places",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    metavar="FILE|FOLDER",
    help="Add your checks: a file with one query, or a folder of *.sql files. Repeatable.",
)
@db_option
@json_option
def check(places: tuple[Path, ...], path: Path, as_json: bool) -> None:
    """Run the invariants, which are SQL queries, on the history.

    A query returns the rows that break its invariant.

    A check of your own is a file with a comment that states the invariant, then one query. Exit code 0: all hold, 1:
    one is broken, 2: wrong usage, a malformed check, or no readable journal.

    \b
    Examples:
      exchange journal check
      exchange journal check --checks my_checks/
    """
    try:
        checks = known_checks() + [own for place in places for own in checks_in(place)]
        outcomes = run_checks(path, checks, lambda: ReplayBar("writing the history"), _report)
    except (BadCheckError, JournalError) as error:
        raise UnreadableError(str(error)) from error
    if as_json:
        print_json(list(map(_as_json, outcomes)))
    else:
        for outcome in outcomes:
            click.echo(columns(("broken" if outcome.rows else "ok", 6), (outcome.check.promise, 0)))
            for row in outcome.rows:
                shown = (f"{name}={value}" for name, value in zip(outcome.columns, row, strict=True))
                click.echo(columns(("", 6), (outcome.check.name, 0), (" ".join(shown), 0)))
    if any(outcome.rows for outcome in outcomes):
        raise click.exceptions.Exit(1)


def _report(sentence: str) -> None:
    click.echo(sentence, err=True)


def _as_json(outcome: CheckResult) -> dict[str, object]:
    return {
        "check": outcome.check.name,
        "promise": outcome.check.promise,
        "holds": not outcome.rows,
        "rows": [dict(zip(outcome.columns, row, strict=True)) for row in outcome.rows],
    }
