"""Writing a whole journal file: it gets its name once everything in it is on disk, so that nobody sees half of one."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from journal.errors import JournalError
from journal.schema import prepare

_TABLES = (
    ("base", "seq, ts_us, hash, snapshot"),
    ("commands", "seq, ts_us, payload, hash"),
    ("events", "seq, n, payload"),
    ("digests", "seq, subject, digest"),
    ("answers", "seq, answered_us"),
)


class Draft(NamedTuple):
    """The file under its other name, and a connection to it in autocommit mode."""

    path: Path
    connection: sqlite3.Connection


@contextmanager
def drafted(path: Path) -> Iterator[Draft]:
    """A new journal for `path`, which replaces what is there. Where the block fails, nothing is left of it.

    Raises a JournalError where the disk does not take it.
    """
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    try:
        prepare(draft)
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")  # one file, without others beside it
            yield Draft(draft, connection)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except sqlite3.Error as error:
        raise JournalError(f"{path} cannot be written ({error}); nothing was changed") from error
    finally:
        for left in (draft, *(draft.with_name(draft.name + end) for end in ("-wal", "-shm", "-journal"))):
            left.unlink(missing_ok=True)


def refuse_existing(path: Path) -> None:
    """A new journal never takes the place of something."""
    if path.exists():
        raise JournalError(f"{path} exists already: name a file that does not")
    if not path.parent.is_dir():
        raise JournalError(f"there is no folder {path.parent} to put the journal in: create it first")


def copy_rows(draft: Draft, sources: list[Path], last_seq: int) -> None:
    """Copy everything up to `last_seq` from these journal files, which follow each other; the first one's base too."""
    connection = draft.connection
    for number, source in enumerate(sources):
        connection.execute("ATTACH ? AS source", (str(source),))
        connection.execute("BEGIN")
        found = {name for (name,) in connection.execute("SELECT name FROM source.sqlite_schema WHERE type = 'table'")}
        tables = [(name, columns) for name, columns in _TABLES if name in found and (name != "base" or number == 0)]
        for table, columns in tables:
            connection.execute(
                f"INSERT OR IGNORE INTO main.{table} ({columns}) SELECT {columns} FROM source.{table} "
                f"WHERE seq <= ? ORDER BY {columns}",
                (last_seq,),
            )
        connection.execute("COMMIT")
        connection.execute("DETACH source")
