"""`exchange history export`: the files have the rows of the views, and Parquet has the unit of each column."""

import csv
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from exchange.cli.main import main
from exchange.history_db.descriptions import descriptions
from exchange.history_db.file import history_path
from tests.market_story import write_story


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "exchange.db"
    write_story(path)
    return path


def _export(journal: Path, form: str) -> Path:
    folder = journal.with_name(form)
    done = CliRunner().invoke(main, ["history", "export", f"--{form}", str(folder), "--db", str(journal)])
    assert done.exit_code == 0, done.output
    return folder


def _views(journal: Path) -> Iterator[tuple[str, list[str], list[tuple[Any, ...]]]]:
    """Each view of the history with its columns and rows, as plain SQLite reads them."""
    with closing(sqlite3.connect(f"{history_path(journal).as_uri()}?mode=ro", uri=True)) as connection:
        for (view,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall():
            cursor = connection.execute(f"SELECT * FROM {view}")
            yield view, [column[0] for column in cursor.description], cursor.fetchall()


@pytest.mark.slow
def test_csv_has_the_rows_of_each_view(journal: Path) -> None:
    folder = _export(journal, "csv")
    for view, columns, rows in _views(journal):
        with (folder / f"{view}.csv").open(newline="", encoding="utf-8") as file:
            header, *written = csv.reader(file)
        assert header == columns
        shown = [["" if v is None else v.hex() if isinstance(v, bytes) else str(v) for v in row] for row in rows]
        assert written == shown, view


@pytest.mark.slow
def test_parquet_has_the_rows_of_each_view_and_the_units(journal: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `parquet` is not installed")
    folder = _export(journal, "parquet")
    units = 0
    for view, columns, rows in _views(journal):
        table = parquet.read_table(folder / f"{view}.parquet")
        assert table.column_names == columns
        assert [tuple(row.values()) for row in table.to_pylist()] == rows, view
        for field in table.schema:
            unit = descriptions().unit(field.name)
            assert (field.metadata or {}).get(b"unit") == (unit.encode() if unit else None)
            units += unit is not None
    assert units
