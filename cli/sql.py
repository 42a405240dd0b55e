"""`exchange sql`: query the journal, read-only."""

import contextlib
import csv
import re
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import click

from exchange.cli.options import db_option
from exchange.cli.output import add_rows, is_terminal, print_json, print_tables, printable, table
from exchange.cli.progress import ReplayBar
from exchange.history.sql import SqlError, SqlSession
from exchange.outside_text import STANDARD_INPUT, opened_lines

# A table is held in memory as a whole, because its widths depend on all rows.
_TABLE_ROWS_MAX = 10_000
_HELP = """\
End a query with a semicolon; it may have several lines. docs/sql.md describes the views.
  .tables          list the tables and views
  .schema [NAME]   show their definitions
  .help            show this help
  .quit            leave (or Ctrl-D)
In addition to SQLite's functions: book_at(seq, instrument, depth), balance_at(seq, user), mark_at(seq, instrument),
usd(micros), iso(us)."""

_SCHEMA = "SELECT sql FROM (SELECT * FROM main.sqlite_schema UNION ALL SELECT * FROM temp.sqlite_schema)"

_Style = Literal["table", "csv", "json"]


@click.command()
@click.argument("query", required=False)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV with a header line.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per row.")
@db_option
def sql(query: str | None, as_csv: bool, as_json: bool, path: Path) -> None:
    """Query the history of the journal in SQL, read-only. The exchange may be running.

    The history holds every command of the journal at the start of the query; the command writes those that are missing.

    Without QUERY, start a shell, or run the queries on standard input.

    \b
    Examples:
      exchange sql "SELECT * FROM trades ORDER BY seq DESC LIMIT 10"
      exchange sql --csv "SELECT time, user_id, usd(cash_micros) AS cash FROM ledger" > ledger.csv
      exchange sql "SELECT book_at(100, 'SOL_USDC-28FEB26-150-C', 5) AS book" --json
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other: remove one of them")
    style: _Style = "csv" if as_csv else "json" if as_json else "table"
    with SqlSession(path, lambda: ReplayBar("writing the history"), _report) as session:
        if query is not None:
            _run(session, query, style)
        elif sys.stdin is not None and sys.stdin.isatty():
            _shell(session, style)
        else:
            with opened_lines(STANDARD_INPUT) as lines:
                for statement in _Statements().of(lines):
                    _run(session, statement, style)


def _report(sentence: str) -> None:
    click.echo(sentence, err=True)


def _shell(session: SqlSession, style: _Style) -> None:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives `input` its history and editing
    click.echo("Read-only. .help shows help, .quit leaves.")
    statements = _Statements()
    for statement in statements.of(_typed(statements)):
        try:
            _run(session, statement, style)
        except click.ClickException as error:
            error.show()
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)


class _Statements:
    """Splits lines into complete statements; `pending` is the unfinished rest."""

    def __init__(self) -> None:
        self.pending = ""

    def of(self, lines: Iterable[str]) -> Iterator[str]:
        """Statements and dot commands, until .quit. The last statement needs no semicolon."""
        for line in lines:
            if line.strip() in (".quit", ".exit"):
                return
            if not self.pending and line.startswith("."):
                yield line.strip()
                continue
            for piece in re.split("(?<=;)", line):
                self.pending = (self.pending + piece).lstrip()
                if sqlite3.complete_statement(self.pending):
                    statement, self.pending = self.pending, ""
                    yield statement
        if self.pending:
            yield self.pending


def _typed(statements: _Statements) -> Iterator[str]:
    """The typed lines, until Ctrl-D. Ctrl-C drops the unfinished statement."""
    while True:
        try:
            yield input("...> " if statements.pending else "sql> ") + "\n"
        except EOFError:
            click.echo()
            return
        except KeyboardInterrupt:
            statements.pending = ""
            click.echo()


def _run(session: SqlSession, statement: str, style: _Style) -> None:
    command, _, name = statement.partition(" ")
    if command == ".help":
        click.echo(_HELP)
    elif command == ".tables":
        _query(session, "SELECT name, type FROM pragma_table_list WHERE name NOT LIKE 'sqlite%' ORDER BY 2, 1", style)
    elif command == ".schema":
        _print_schema(session, name.strip())
    elif command.startswith("."):
        raise click.ClickException(f"there is no command {command}: .help lists the commands")
    else:
        _query(session, statement, style)


def _print_schema(session: SqlSession, name: str) -> None:
    quoted = name.replace("'", "''")
    chosen = f" AND name = '{quoted}'" if name else ""
    texts = list(session.rows(session.run(f"{_SCHEMA} WHERE sql IS NOT NULL{chosen}")))
    if not texts:
        raise click.ClickException(f"there is no table or view {printable(name)}: .tables lists them")
    for (text,) in texts:
        click.echo(f"{text};")


def _query(session: SqlSession, query: str, style: _Style) -> None:
    """Run a query and print its rows; print nothing if it returns no columns."""
    try:
        cursor = session.run(query)
        if cursor.description is None:
            return
        names = _unique_names([column[0] for column in cursor.description])
        rows = session.rows(cursor)
        if style == "csv":
            writer = csv.writer(sys.stdout, lineterminator="\n")
            tidy = _harmless if is_terminal() else _plain
            writer.writerow(map(tidy, names))
            writer.writerows([tidy(value) for value in row] for row in rows)
        elif style == "json":
            for row in rows:
                print_json(dict(zip(names, map(_plain, row), strict=True)))
        else:
            _print_table(names, rows)
    except SqlError as error:
        raise click.ClickException(printable(str(error))) from error


def _unique_names(names: list[str]) -> list[str]:
    """Column names, with a number appended to repeated ones, because a JSON object has each name once."""
    unique: list[str] = []
    for name in names:
        number = 1
        while (candidate := name if number == 1 else f"{name}:{number}") in unique:
            number += 1
        unique.append(candidate)
    return unique


def _print_table(names: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    shown = list(islice(rows, _TABLE_ROWS_MAX))
    is_number = [all(isinstance(row[n], int | float | None) for row in shown) for n in range(len(names))]
    more = next(rows, None) is not None
    caption = f"the first {_TABLE_ROWS_MAX:,} rows: --csv and --json print all of them" if more else ""
    answer = table(
        *(f">{name}" if number else name for name, number in zip(names, is_number, strict=True)), caption=caption
    )
    add_rows(answer, ((_cell(value) for value in row) for row in shown))
    print_tables(answer)


def _cell(value: Any) -> str:
    return "" if value is None else str(_plain(value))


def _harmless(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else _plain(value)


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
