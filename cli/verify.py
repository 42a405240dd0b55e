"""`exchange journal verify`, `check` and `rebuild`: is it as it was written, and does it add up?"""

from collections.abc import Iterator
from pathlib import Path

import click

from exchange.cli.options import db_option, json_option
from exchange.cli.output import add_rows, columns, console, print_json, table
from exchange.cli.progress import ReplayBar
from exchange.history.checks import BadCheckError, CheckResult, checks_in, known_checks, run_checks
from exchange.history.rebuild import rebuild as rebuild_events
from exchange.history.verify import Verdict
from exchange.history.verify import verify as verify_journal
from exchange.journal.errors import JournalError

_UNREADABLE = 2  # exit code


class _UnreadableError(click.ClickException):
    exit_code = _UNREADABLE


@click.command()
@click.option("--fast", is_flag=True, help="Only the chain of commands: hashes, seqs, times.")
@db_option
@json_option
def verify(fast: bool, path: Path, as_json: bool) -> None:
    """Carry out everything once more and compare it with what is recorded.

    The hash chain, every event, every digest and snapshot, the invariants after every 1,000 commands, the schema with
    its triggers, and the file itself; archives too. Exit code 0: sound, 1: damaged, 2: there is no journal to read.

    \b
    Examples:
      exchange journal verify
      exchange journal verify --fast && echo untouched
    """
    try:
        with ReplayBar("verifying") as bar:
            verdict = verify_journal(path, fast, bar)
    except JournalError as error:
        raise _UnreadableError(str(error)) from error
    if as_json:
        print_json(verdict)
    else:
        _print(verdict, fast)
    if verdict.damage is not None:
        raise click.exceptions.Exit(1)


@click.command()
@click.option(
    "--checks",
    "places",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    metavar="FILE|FOLDER",
    help="Also these checks: a file with one query, or a folder of *.sql files. May be repeated.",
)
@db_option
@json_option
def check(places: tuple[Path, ...], path: Path, as_json: bool) -> None:
    """Put the invariants to the journal as SQL queries: each returns the rows that break it.

    A check of your own is a file that begins with a comment, which says what must hold, and one query.

    \b
    Examples:
      exchange journal check
      exchange journal check --checks my_checks/
    """
    try:
        outcomes = run_checks(path, known_checks() + [own for place in places for own in checks_in(place)])
    except (BadCheckError, JournalError) as error:
        raise _UnreadableError(str(error)) from error
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


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@db_option
@json_option
def rebuild(dry_run: bool, path: Path, as_json: bool) -> None:
    """Write the events anew from the commands, byte for byte. Stop the exchange first; archives stay as they are.

    \b
    Example:
      exchange journal rebuild --dry-run
    """
    with ReplayBar() as bar:
        done = rebuild_events(path, dry_run, bar)
    if as_json:
        print_json(done._asdict())
        return
    verb = "would differ" if dry_run else "differed"
    where = f", the first at seq {done.first_differing_seq}" if done.differing else ""
    click.echo(f"{done.events:,} events, {done.differing:,} of them {verb} from what was recorded{where}")


def _print(verdict: Verdict, fast: bool) -> None:
    if verdict.damage is None:
        shown = table("journal", verdict.path)
        add_rows(shown, _rows(verdict, fast))
        console().print(shown)
        click.echo("sound" + (": the chain is unbroken" if fast else ""))
    else:
        click.echo(f"damaged: {verdict.damage}")
    for note in verdict.notes:
        click.echo(f"note: {note}", err=True)


def _rows(verdict: Verdict, fast: bool) -> Iterator[tuple[str, str]]:
    yield "commands", f"{verdict.commands:,}, seq {verdict.first_seq} to {verdict.last_seq}"
    if not fast:
        behind = (
            f", those of the last {verdict.events_behind} commands not recorded yet" if verdict.events_behind else ""
        )
        yield "events", f"{verdict.events:,}{behind}"
        yield "snapshots", f"{verdict.snapshots} are the states they say"
        yield "digests", f"{verdict.digests} came out as recorded"
        yield "digest", verdict.digest or ""


def _as_json(outcome: CheckResult) -> dict[str, object]:
    return {
        "check": outcome.check.name,
        "promise": outcome.check.promise,
        "holds": not outcome.rows,
        "rows": [dict(zip(outcome.columns, row, strict=True)) for row in outcome.rows],
    }
