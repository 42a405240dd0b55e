"""What commands print: tables for people, JSON for programs, errors on standard error."""

import sys
from collections.abc import Iterable
from typing import Any

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPED_WIDTH = 250  # columns: a table that goes into a pipe is not cut to a screen that is not there


class UnreadableError(click.ClickException):
    """There is nothing to compare: exit code 2, where 1 means that a difference was found."""

    exit_code = 2


def console() -> Console:
    """Standard output, where it is at the moment of the call."""
    return Console(width=None if is_terminal() else _PIPED_WIDTH, highlight=False, markup=False)


def is_terminal() -> bool:
    """Whether somebody is looking: standard output may also be a pipe, a file, or closed."""
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
    """Add rows of plain text, in which no markup is understood."""
    for row in rows:
        to.add_row(*(Text(printable(cell)) for cell in row))


def print_json(value: Any) -> None:
    """One line of compact JSON."""
    click.echo(msgspec.json.encode(value))


def print_answer(result: Any, sentence: str, as_json: bool) -> None:
    """The result as JSON, or the sentence that says the same."""
    if as_json:
        print_json(result)
    else:
        click.echo(sentence)


def printable(text: str) -> str:
    """`text` without what would steer a terminal: clients choose some of the texts that are shown."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def columns(*cells: tuple[str, int]) -> str:
    """One line of cells, each with the width of its column; a negative width aligns to the right."""
    return "  ".join(
        printable(text).rjust(-width) if width < 0 else printable(text).ljust(width) for text, width in cells
    ).rstrip()
