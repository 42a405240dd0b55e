"""Faults of a journal's files that no replay comes across: stray rows, a changed schema, damaged pages."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from exchange.journal.archive_file import is_archive_file
from exchange.journal.errors import UNREADABLE_STEP, JournalUnreadableError
from exchange.journal.schema import connect_read_only, schema_faults
from exchange.journal.sqlite_reader import SqliteJournalReader


class FileFault(NamedTuple):
    """A fault, and the seq at which it is, if there is one."""

    seq: int | None
    text: str


def file_faults(path: Path) -> Iterator[FileFault]:
    """The faults of the journal at `path` and of its archives. Raises a JournalError if one cannot be opened."""
    with SqliteJournalReader(path) as reader:
        for file, table, seq in reader.orphan_rows():
            yield FileFault(seq, f"{file} has a row of seq {seq} in its table {table}, where none belongs")
        for file in reader.files:
            try:
                yield from _faults_in(file)
            except sqlite3.DatabaseError as error:
                raise JournalUnreadableError(f"{file} cannot be read ({error}): {UNREADABLE_STEP}") from error


def _faults_in(file: Path) -> Iterator[FileFault]:
    if is_archive_file(file):
        # Each page proves itself when it is read.
        return
    for fault in schema_faults(file):
        yield FileFault(None, f"the schema of {file} is not the one that it was made with: {fault}")
    with closing(connect_read_only(file)) as connection:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        yield FileFault(None, f"SQLite finds {file} damaged: {found}")
