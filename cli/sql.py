"""`exchange sql`: ask the journal anything, without being able to change it."""

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
import msgspec

from cli.options import db_option
from cli.output import add_rows, console, table
from exchange.history.sql import SqlError, SqlSession

_TABLE_ROWS_MAX = 10_000  # a table is measured as a whole before it is printed
_HELP = """\
End a query with a semicolon; it may have several lines. Names and meanings are in docs/sql.md.
  .tables          the tables and views
  .schema [NAME]   how they are made
  .help            this
  .quit            leave (or Ctrl-D)
Beyond SQLite's own functions: book_at(seq, instrument, depth), balance_at(seq, user), usd(micros), iso(us)."""

_Style = Literal["table", "csv", "json"]


@click.command()
@click.argument("query", required=False)
@click.option("--csv", "style", flag_value="csv", help="Print CSV, with a line of names first.")
@click.option("--json", "style", flag_value="json", help="Print one JSON object a row.")
@db_option
def sql(query: str | None, style: _Style | None, path: Path) -> None:
    """Ask the journal in SQL. It is opened read-only, also while the exchange runs; archives are included.

    With QUERY: the answer. Without: a shell, or the queries that come from standard input.

    \b
    Examples:
      exchange sql "SELECT * FROM trades ORDER BY seq DESC LIMIT 10"
      exchange sql --csv "SELECT time, user_id, usd(cash_micros) AS cash FROM ledger" > ledger.csv
      exchange sql "SELECT book_at(100, 'SOL_USDC-28FEB26-150-C', 5) AS book" --json
    """
    with SqlSession(path) as session:
        if query is not None:
            _answer(session, query, style or "table")
        elif sys.stdin.isatty():
            _shell(session, style or "table")
        else:
            for statement in _statements(sys.stdin):
                _answer(session, statement, style or "table")


def _shell(session: SqlSession, style: _Style) -> None:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives `input` its history and editing
    click.echo("Read-only. .help says more, .quit leaves.")
    for statement in _statements(_typed()):
        try:
            _carry_out(session, statement, style)
        except click.ClickException as error:
            error.show()
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)


def _typed() -> Iterator[str]:
    """The lines that somebody types, until Ctrl-D or .quit; Ctrl-C begins the line anew."""
    while True:
        try:
            line = input("sql> ")
        except EOFError:
            click.echo()
            return
        except KeyboardInterrupt:
            click.echo()
            continue
        if line.strip() in (".quit", ".exit"):
            return
        yield line + "\n"


def _statements(lines: Iterable[str]) -> Iterator[str]:
    """Whole statements, and lines that begin with a dot; at the end also one without a semicolon."""
    pending = ""
    for line in lines:
        if not pending and line.startswith("."):
            yield line.strip()
            continue
        for piece in re.split("(?<=;)", line):
            pending = (pending + piece).lstrip()
            if sqlite3.complete_statement(pending):
                yield pending
                pending = ""
    if pending:
        yield pending


def _carry_out(session: SqlSession, statement: str, style: _Style) -> None:
    command, _, name = statement.partition(" ")
    if command == ".help":
        click.echo(_HELP)
    elif command == ".tables":
        _answer(session, "SELECT name, type FROM pragma_table_list WHERE name NOT LIKE 'sqlite%' ORDER BY 2, 1", style)
    elif command == ".schema":
        quoted = name.strip().replace("'", "''")
        chosen = f" AND name = '{quoted}'" if quoted else ""
        for (text,) in session.rows(session.run(f"SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL{chosen}")):
            click.echo(f"{text};")
    elif command.startswith("."):
        raise click.ClickException(f"there is no {command}: .help lists what there is")
    else:
        _answer(session, statement, style)


def _answer(session: SqlSession, query: str, style: _Style) -> None:
    """Carry out a query and print its rows as they come. Nothing is printed where there are no columns."""
    try:
        cursor = session.run(query)
        if cursor.description is None:
            return
        names = [column[0] for column in cursor.description]
        rows = session.rows(cursor)
        if style == "csv":
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(names)
            writer.writerows([_plain(value) for value in row] for row in rows)
        elif style == "json":
            for row in rows:
                click.echo(msgspec.json.encode(dict(zip(names, map(_plain, row), strict=True))))
        else:
            _print_table(names, rows)
    except SqlError as error:
        raise click.ClickException(str(error)) from error


def _print_table(names: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    shown = list(islice(rows, _TABLE_ROWS_MAX))
    is_number = [all(isinstance(row[n], int | float | None) for row in shown) for n in range(len(names))]
    more = next(rows, None) is not None
    caption = f"the first {_TABLE_ROWS_MAX:,} rows: --csv and --json print all of them" if more else ""
    answer = table(
        *(f">{name}" if number else name for name, number in zip(names, is_number, strict=True)), caption=caption
    )
    add_rows(answer, ((_cell(value) for value in row) for row in shown))
    console().print(answer)


def _cell(value: Any) -> str:
    return "" if value is None else str(_plain(value))


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
