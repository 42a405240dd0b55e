"""Writes the views of the history to files: CSV, or Parquet with the unit of each column."""

import csv
import importlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from exchange.free_space import why_no_space
from exchange.history_db.descriptions import descriptions
from exchange.history_db.file import HistoryError, open_history

_ROWS_AT_ONCE = 10_000


def export_csv(path: Path, folder: Path) -> Iterator[tuple[Path, int]]:
    """Write each view of the history of the journal at `path` as CSV. Yields each file and its number of rows.

    Raises HistoryError if the disk is almost full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with closing(open_history(path)) as connection:
        for view in _views(connection):
            cursor = connection.execute(f"SELECT * FROM {view}")
            file, rows = folder / f"{view}.csv", 0
            with file.open("w", newline="", encoding="utf-8") as output:
                writer = csv.writer(output)
                writer.writerow(column[0] for column in cursor.description)
                while page := cursor.fetchmany(_ROWS_AT_ONCE):
                    _require_space(folder)
                    writer.writerows([_text(value) for value in row] for row in page)
                    rows += len(page)
            yield file, rows


def export_parquet(path: Path, folder: Path) -> Iterator[tuple[Path, int]]:
    """Write each view as Parquet, with the unit of a column in its metadata.

    Raises HistoryError if the disk is almost full, or without pyarrow.
    """
    try:
        pyarrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise HistoryError(
            "Parquet files need pyarrow: `pip install 'event-sourced-exchange[parquet]'`, or use --csv"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    with closing(open_history(path)) as connection:
        for view in _views(connection):
            file, rows = folder / f"{view}.parquet", 0
            names = [column[0] for column in connection.execute(f"SELECT * FROM {view} LIMIT 0").description]
            fields = [_field(pyarrow, name, _type_of(connection, view, name)) for name in names]
            cursor = connection.execute(f"SELECT * FROM {view}")
            with parquet.ParquetWriter(file, pyarrow.schema(fields)) as writer:
                while page := cursor.fetchmany(_ROWS_AT_ONCE):
                    _require_space(folder)
                    columns = [
                        pyarrow.array(column, f.type) for column, f in zip(zip(*page, strict=True), fields, strict=True)
                    ]
                    writer.write_table(pyarrow.table(columns, pyarrow.schema(fields)))
                    rows += len(page)
            yield file, rows


def _require_space(folder: Path) -> None:
    if (problem := why_no_space(folder, "exports")) is not None:
        raise HistoryError(problem)


def _views(connection: Any) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name")]


def _type_of(connection: Any, view: str, name: str) -> str:
    """The SQL type of the first value of a column that is not NULL; text if there is none."""
    row = connection.execute(f'SELECT typeof("{name}") FROM {view} WHERE "{name}" IS NOT NULL LIMIT 1').fetchone()
    return "text" if row is None else str(row[0])


def _field(pyarrow: Any, name: str, kind: str) -> Any:
    unit = descriptions().unit(name)
    types = {"integer": pyarrow.int64(), "real": pyarrow.float64(), "blob": pyarrow.binary(), "text": pyarrow.string()}
    return pyarrow.field(name, types[kind], metadata={"unit": unit} if unit else None)


def _text(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
