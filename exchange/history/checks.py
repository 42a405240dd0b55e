"""Invariants in SQL: each a file with one query, which returns the rows that break it."""

import sqlite3
from contextlib import closing
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from exchange.journal.sql_union import connect_union

_ROWS_SHOWN = 5


class Check(NamedTuple):
    """`promise`: the comment with which the file begins, which says what must hold."""

    name: str
    promise: str
    query: str


class CheckResult(NamedTuple):
    """The rows that break a promise, the first few of them, with the names of their columns; none: it holds."""

    check: Check
    columns: list[str]
    rows: list[tuple[Any, ...]]


class BadCheckError(Exception):
    """A file is no check; the message names it."""


def known_checks() -> list[Check]:
    """Those that come with the program, by name."""
    found = [file for file in files("exchange.journal").joinpath("checks").iterdir() if file.name.endswith(".sql")]
    return sorted(_parse(file.name, file.read_text(encoding="utf-8")) for file in found)


def checks_in(place: Path) -> list[Check]:
    """The check in a file, or those in the `*.sql` files of a folder. Raises BadCheckError, OSError."""
    found = sorted(place.glob("*.sql")) if place.is_dir() else [place]
    if not found:
        raise BadCheckError(f"there is no *.sql file in {place}")
    return [_parse(str(file), file.read_text(encoding="utf-8")) for file in found]


def run_checks(path: Path, checks: list[Check]) -> list[CheckResult]:
    """Put each to the journal at `path`, archives included. Raises a JournalError, or BadCheckError."""
    outcomes = []
    with closing(connect_union(path)) as connection:
        for check in checks:
            try:
                cursor = connection.execute(check.query)
                rows = list(islice(cursor, _ROWS_SHOWN))
            except (sqlite3.Error, sqlite3.Warning) as error:
                raise BadCheckError(f"{check.name} cannot be carried out: {error}") from error
            outcomes.append(CheckResult(check, [column[0] for column in cursor.description or ()], rows))
    return outcomes


def _parse(name: str, text: str) -> Check:
    """The promise is the first comment; everything goes to SQLite."""
    promise: list[str] = []
    for line in text.strip().splitlines():
        if not line.startswith("--"):
            break
        promise.append(line.removeprefix("--").strip())
    return Check(name.removesuffix(".sql"), " ".join(promise) or name, text)
