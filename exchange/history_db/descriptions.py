"""The meaning of the views, tables and columns of the history, read from descriptions.toml.

docs/sql.md, the units of exports and the configuration of datasette are written from it.
"""

import json
import tomllib
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from exchange.history_db.file import alarm_of, history_path, open_history


class Relation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A view or table: the meaning of one row, and of columns where it differs from the usual one.

    A view that is `same_as` another one has its columns.
    """

    row: str
    same_as: str | None = None
    columns: dict[str, str] = {}


class Descriptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of descriptions.toml."""

    units: dict[str, str]
    plain_units: dict[str, str]
    columns: dict[str, str]
    views: dict[str, Relation]
    tables: dict[str, Relation]

    def meaning(self, relation: Relation, column: str) -> str:
        """The meaning of a column of a view or table. Raises KeyError if it has none."""
        return relation.columns.get(column) or self.columns[column]

    def unit(self, column: str) -> str:
        """The unit of a column; empty if it has none."""
        ends = (unit for end, unit in self.units.items() if column.endswith(end))
        plain = (unit for unit, columns in self.plain_units.items() if column in columns.split())
        return next(ends, None) or next(plain, "")


@cache
def descriptions() -> Descriptions:
    """The descriptions of all views and tables."""
    text = files("exchange.history_db").joinpath("descriptions.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Descriptions)


def datasette_configuration(path: Path) -> Iterator[str]:
    """Yield the lines of a configuration of datasette for the history of the journal at `path`, as YAML.

    Raises HistoryError if there is no history.
    """
    known = descriptions()
    yield "# Written by `exchange history datasette`; give it to datasette with --metadata."
    yield "databases:"
    yield f"  {_quoted(history_path(path).stem)}:"
    with closing(open_history(path)) as connection:
        about = "The results of all commands of an exchange, derived from its journal."
        if alarm := alarm_of(connection):
            about += f" ALARM: {alarm}."
        yield f"    description: {_quoted(about)}"
        yield "    tables:"
        for name, relation in (known.views | known.tables).items():
            yield f"      {name}:"
            yield f"        description: {_quoted(f'One row for each {relation.row}.')}"
            yield "        columns:"
            for _, column, *_ in connection.execute(f"PRAGMA table_info({name})"):
                unit = known.unit(column)
                meaning = known.meaning(relation, column) + (f" ({unit})" if unit else "")
                yield f"          {column}: {_quoted(meaning)}"


def _quoted(text: str) -> str:
    """A text as YAML, which takes strings of JSON."""
    return json.dumps(text, ensure_ascii=False)
