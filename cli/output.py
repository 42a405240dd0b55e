"""Output of the commands: tables for people, JSON for programs, errors on standard error."""

import sys
from collections.abc import Iterable
from typing import Any

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Minimum width of the console: tables keep their natural width. A narrow terminal wraps long lines, but no order id or
# amount is cut off.
_TABLE_WIDTH = 250


class UnreadableError(click.ClickException):
    """A journal or an input file cannot be read: exit code 2, because 1 means a found difference or a failure."""

    exit_code = 2


def console() -> Console:
    """A console for tables on the current standard output, which tests replace."""
    width = max(screen().width, _TABLE_WIDTH) if is_terminal() else _TABLE_WIDTH
    return Console(width=width, highlight=False, markup=False)


def screen() -> Console:
    """A console of the size of the terminal, for output that must fit into it."""
    return Console(highlight=False, markup=False)


def is_terminal() -> bool:
    """True if standard output is a terminal, and not a pipe, a file or closed."""
    return sys.stdout is not None and sys.stdout.isatty()


def table(*columns: str, title: str = "", caption: str = "") -> Table:
    """An empty table. A column whose name begins with `>` is aligned to the right."""
    made = Table(
        box=box.SIMPLE_HEAD,
        title=title or None,
        title_justify="left",
        title_style="bold",
        caption=caption or None,
        caption_justify="left",
        pad_edge=False,
        show_edge=False,
    )
    for name in columns:
        made.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", no_wrap=True)
    return made


def add_rows(to: Table, rows: Iterable[Iterable[str]]) -> None:
    """Add rows of plain text: rich markup in it is not interpreted."""
    for row in rows:
        to.add_row(*(Text(printable(cell)) for cell in row))


def print_json(value: Any) -> None:
    """Print one line of compact JSON."""
    click.echo(msgspec.json.encode(value))


def print_answer(result: Any, sentence: str, as_json: bool) -> None:
    """Print the result as JSON, or `sentence`."""
    if as_json:
        print_json(result)
    else:
        click.echo(sentence)


def printable(text: str) -> str:
    """Replace control characters in `text`: clients choose some of the texts, which could control the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def columns(*cells: tuple[str, int]) -> str:
    """One line of cells, each with the width of its column; a negative width aligns to the right."""
    return "  ".join(
        printable(text).rjust(-width) if width < 0 else printable(text).ljust(width) for text, width in cells
    ).rstrip()
