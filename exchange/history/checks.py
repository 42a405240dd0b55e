"""Checks of invariants in SQL. Each is a file with one query that returns the rows that break the invariant."""

from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from exchange.engine.recovery import Report
from exchange.history.sql import Bar, SqlError, SqlSession, no_bar
from exchange.outside_text import read_text

_ROWS_SHOWN = 5


class Check(NamedTuple):
    """One check. `promise` is the comment at the beginning of its file, which states the invariant."""

    name: str
    promise: str
    query: str


class CheckResult(NamedTuple):
    """The result of a check: the first rows that break it, and their column names. Without rows it holds."""

    check: Check
    columns: list[str]
    rows: list[tuple[Any, ...]]


class BadCheckError(Exception):
    """A file is not a valid check; the message names it."""


def known_checks() -> list[Check]:
    """Return the checks that come with the program, sorted by name."""
    folder = files("exchange.journal").joinpath("checks")
    sql_files = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return sorted(_parse(file.name, file.read_text(encoding="utf-8")) for file in sql_files)


def checks_in(place: Path) -> list[Check]:
    """Return the check in a file, or those in the `*.sql` files of a folder. Raises BadCheckError and InputError."""
    sql_files = sorted(place.glob("*.sql")) if place.is_dir() else [place]
    if not sql_files:
        raise BadCheckError(
            f"there is no *.sql file in {place}: put one query in each file, or name another folder or file"
        )
    return [_parse(str(file), read_text(file)) for file in sql_files]


def run_checks(
    path: Path, checks: list[Check], bar: Bar = no_bar, report: Report = lambda sentence: None
) -> list[CheckResult]:
    """Run the checks on the history of the journal at `path`, which is first brought up to date as by `SqlSession`.

    Raises JournalError and BadCheckError.
    """
    results = []
    with SqlSession(path, bar, report) as session:
        for check in checks:
            try:
                cursor = session.run(check.query)
                rows = list(islice(session.rows(cursor), _ROWS_SHOWN))
            except SqlError as error:
                raise BadCheckError(f"{check.name} is not a valid query: {error}") from error
            if cursor.description is None:
                raise BadCheckError(f"{check.name} contains no query: write one SELECT that returns the wrong rows")
            results.append(CheckResult(check, [column[0] for column in cursor.description], rows))
    return results


def _parse(name: str, text: str) -> Check:
    """Take the first comment as the promise and the whole text as the query."""
    promise: list[str] = []
    for line in text.strip().splitlines():
        if not line.startswith("--"):
            break
        promise.append(line.removeprefix("--").strip())
    return Check(name.removesuffix(".sql"), " ".join(promise) or name, text)
