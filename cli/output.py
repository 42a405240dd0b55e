"""Output of the commands: tables for people, JSON for programs, errors on standard error.

A table never shortens a figure. If it is wider than the terminal, it leaves out its optional columns and names them
below; if that is not enough, it prints its rows one below the other. rich is imported when a table is drawn, because it
would slow the start of every other command.
"""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

# The width of output that goes to a pipe or a file: tables keep all their columns there.
_UNLIMITED = 100_000
# Spaces between two columns.
_GAP = 2
# Before the lines of a sentence that is below its time.
_INDENT = " " * 10
# The least width of a column whose cells may take several lines.
_WRAPPED_MIN = 20


class UnreadableError(click.ClickException):
    """A journal or an input file cannot be read: exit code 2, because 1 means a found difference or a failure."""

    exit_code = 2


class Styled(NamedTuple):
    """A cell with a colour or another style of rich, such as `green` or `dim`."""

    text: str
    style: str


@dataclass
class TextTable:
    """A table that fits itself into a width without shortening a cell. Cells are plain text; markup has no effect.

    The name of a column that begins with `>` is aligned to the right. `optional` names the columns that a narrow
    terminal may leave out, the first one first. Long cells of the columns in `wrapped` may take several lines.
    """

    columns: tuple[str, ...]
    title: str = ""
    caption: str = ""
    optional: tuple[str, ...] = ()
    wrapped: tuple[str, ...] = ()
    width_min: int = 0
    rows: list[tuple[Styled, ...]] = field(default_factory=list)

    def fits(self, width: int | None = None) -> bool:
        """True if the table has room for all columns, without wrapping, in the terminal or in `width`."""
        widths = [self._width_of(n) for n in range(len(self.columns))]
        return _total(widths) <= (screen_width() if width is None else width)

    def lines(self, width: int, coloured: bool = False) -> list[str]:
        """The table as lines of text. A line is longer than `width` only if a single word is."""
        from rich.console import Console

        chosen = self._chosen(width)
        drawn: Iterable[Text | Table] = self._records(width) if chosen is None else [self._drawn(*chosen)]
        console = Console(
            width=_UNLIMITED,
            force_terminal=coloured,
            color_system="standard" if coloured else None,
            highlight=False,
            markup=False,
        )
        shown = range(len(self.columns)) if chosen is None else chosen[0]
        left_out = [self._name(n) for n in range(len(self.columns)) if n not in shown]
        with console.capture() as captured:
            if self.title:
                console.print(_text(self.title, "bold"), soft_wrap=True)
            for one in drawn if self.columns else ():
                console.print(one, soft_wrap=chosen is None)
            for note in (_left_out(left_out, width), self.caption):
                if note:
                    console.print(_text(folded(note, width), "dim"), soft_wrap=True)
        return [line.rstrip() for line in captured.get().splitlines()]

    def _name(self, column: int) -> str:
        return self.columns[column].removeprefix(">")

    def _width_of(self, column: int) -> int:
        from rich.cells import cell_len

        cells = (cell_len(row[column].text) for row in self.rows)
        return max(self.width_min, cell_len(printable(self._name(column))), max(cells, default=0))

    def _chosen(self, width: int) -> tuple[list[int], list[int]] | None:
        """The columns to show and their widths; None if the rows do not fit next to each other."""
        from rich.cells import cell_len

        shown = list(range(len(self.columns)))
        widths = [self._width_of(n) for n in shown]
        for name in (None, *self.optional):
            shown = [n for n in shown if name is None or self._name(n) != name]
            spare = width - _total([widths[n] for n in shown])
            folding = [n for n in shown if self._name(n) in self.wrapped]
            for n in folding if spare < 0 else ():
                words = [cell_len(word) for row in self.rows for word in row[n].text.split(" ")]
                least = max(_WRAPPED_MIN, cell_len(self._name(n)), max(words, default=0))
                given = max(least, widths[n] + spare)
                spare += max(0, widths[n] - given)
                if spare >= 0:
                    widths[n] = min(widths[n], given)
            if spare >= 0 and shown:
                return shown, [widths[n] for n in shown]
        return None

    def _drawn(self, shown: Sequence[int], widths: Sequence[int]) -> "Table":
        from rich import box
        from rich.table import Table

        # One space of padding and the one that the box draws make the gap.
        made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        for n, width in zip(shown, widths, strict=True):
            justify: Literal["left", "right"] = "right" if self.columns[n].startswith(">") else "left"
            made.add_column(_text(printable(self._name(n))), justify=justify, width=width, overflow="fold")
        for row in self.rows:
            made.add_row(*(_text(*row[n]) for n in shown))
        return made

    def _records(self, width: int) -> Iterator["Text"]:
        """Each row as lines of a name and its value. A long value goes on below itself."""
        from rich.cells import cell_len
        from rich.text import Text

        names = [printable(self._name(n)) for n in range(len(self.columns))]
        indent = max(map(cell_len, names), default=0) + _GAP
        for number, row in enumerate(self.rows):
            if number:
                yield Text("")
            for name, cell in zip(names, row, strict=True):
                label = name + " " * (indent - cell_len(name))
                value = folded(cell.text, max(width - indent, _WRAPPED_MIN)).replace("\n", "\n" + " " * indent)
                yield Text(label, "bold").append(value, cell.style)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * max(0, len(widths) - 1)


def _text(text: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text(text, style)


def folded(text: str, width: int) -> str:
    """Break a text between words, never inside one."""
    lines = textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines) if len(lines) > 1 else text


def _left_out(names: Sequence[str], width: int) -> str:
    return f"not shown at {width} columns: {', '.join(names)}" if names else ""


def is_terminal() -> bool:
    """True if standard output is a terminal, and not a pipe, a file or closed."""
    return sys.stdout is not None and sys.stdout.isatty()


def screen_width() -> int:
    """The columns of the terminal. A pipe or a file has no limit."""
    return shutil.get_terminal_size().columns if is_terminal() else _UNLIMITED


def screen() -> "Console":
    """A rich console of the size of the terminal, for output that changes in place."""
    from rich.console import Console

    return Console(highlight=False, markup=False)


def has_colour() -> bool:
    """True if standard output shows colours: a terminal, unless NO_COLOR or TERM forbids it."""
    console = screen()
    return console.color_system is not None and not console.no_color


def table(
    *columns: str,
    title: str = "",
    caption: str = "",
    optional: tuple[str, ...] = (),
    wrapped: tuple[str, ...] = (),
) -> TextTable:
    """An empty table; the arguments are those of TextTable."""
    return TextTable(columns, title, caption, optional, wrapped)


def add_rows(to: TextTable, rows: Iterable[Iterable[str | Styled]]) -> None:
    """Add rows. A row that is too short is filled with empty cells."""
    for row in rows:
        cells = [Styled(cell, "") if isinstance(cell, str) else cell for cell in row]
        cells += [Styled("", "")] * (len(to.columns) - len(cells))
        to.rows.append(tuple(cell._replace(text=printable(cell.text)) for cell in cells))


def print_tables(*tables: TextTable) -> None:
    """Print tables, with an empty line between two, in the width of the terminal."""
    coloured = has_colour()
    for line in table_lines(*tables, width=screen_width(), coloured=coloured):
        click.echo(line, color=coloured)


def table_lines(*tables: TextTable, width: int, coloured: bool | None = None) -> list[str]:
    """The lines that `print_tables` prints in this width."""
    lines: list[str] = []
    for one in tables:
        lines += [*([""] if lines else []), *one.lines(width, has_colour() if coloured is None else coloured)]
    return lines


def print_json(value: Any) -> None:
    """Print one line of compact JSON."""
    click.echo(json_line(value))


def json_line(value: Any) -> str:
    """Compact JSON without characters that could control a terminal: a client may have chosen some of the texts."""
    text = msgspec.json.encode(value).decode()
    if text.isprintable():
        return text
    # JSON has no such characters outside of its texts.
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def print_answer(result: Any, sentence: str, as_json: bool) -> None:
    """Print the result as JSON, or `sentence`."""
    if as_json:
        print_json(result)
    else:
        click.echo(sentence)


def printable(text: str) -> str:
    """Replace control characters in `text`: clients choose some of the texts, which could control the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def sentence_line(*cells: tuple[str, int], sentence: str) -> str:
    """One line of cells, as in `columns`, that ends with a sentence.

    In a terminal too narrow for it, the sentence is on lines of its own, broken between words.
    """
    line, width = columns(*cells, (sentence, 0)), screen_width()
    if len(line) <= width:
        return line
    below = folded(printable(sentence), width - len(_INDENT)).replace("\n", f"\n{_INDENT}")
    return f"{columns(*cells)}\n{_INDENT}{below}"


def columns(*cells: tuple[str, int]) -> str:
    """One line of cells, each with the width of its column; a negative width aligns to the right."""
    return "  ".join(
        printable(text).rjust(-width) if width < 0 else printable(text).ljust(width) for text, width in cells
    ).rstrip()
