"""Writes the tables of docs/sql.md from the descriptions of the history. `make docs` runs it, and a test compares."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from exchange.history_db.descriptions import Descriptions, Relation, descriptions
from exchange.history_db.file import open_for_writing

_MARK = "<!-- {}: written by `make docs` -->\n"
_END = "<!-- end of {} -->\n"


def history_columns() -> dict[str, list[str]]:
    """The columns of each view and table of an empty history, in order."""
    with TemporaryDirectory() as folder, closing(open_for_writing(Path(folder) / "empty.history.db")) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type IN ('view', 'table') ORDER BY rowid")
        return {
            name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for (name,) in names.fetchall()
        }


def sql_page(page: str) -> str:
    """The text of docs/sql.md with its tables written again."""
    known, columns = descriptions(), history_columns()
    for title, lines in (
        ("views", _relations("view", known.views, columns)),
        ("tables", _relations("table", known.tables, columns)),
        ("columns", _columns(known, columns)),
    ):
        before, begin, rest = page.partition(_MARK.format(title))
        _, end, after = rest.partition(_END.format(title))
        assert begin and end, f"docs/sql.md has lost the marks around its {title}"
        page = before + begin + "\n" + "\n".join(lines) + "\n\n" + end + after
    return page


def _relations(kind: str, relations: Mapping[str, Relation], columns: Mapping[str, list[str]]) -> Iterator[str]:
    yield f"| {kind} | one row for each | columns |"
    yield "|---|---|---|"
    for name, relation in relations.items():
        notes = relation.columns
        listed = ", ".join(
            f"`{column}`" + (f" ({notes[column]})" if column in notes else "") for column in columns[name]
        )
        yield f"| `{name}` | {relation.row} | {f'those of {relation.same_as}' if relation.same_as else listed} |"


def _columns(known: Descriptions, columns: Mapping[str, list[str]]) -> Iterator[str]:
    yield "| column | meaning | unit |"
    yield "|---|---|---|"
    for column in sorted({column for listed in columns.values() for column in listed} & known.columns.keys()):
        yield f"| `{column}` | {known.columns[column]} | {known.unit(column)} |"
