"""Writing a whole journal file: it gets its name once everything in it is on disk, so that nobody sees half of one."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from exchange.journal.errors import JournalError
from exchange.journal.schema import prepare, read_only_uri

_TABLES = (
    ("base", "seq, ts_us, hash, snapshot"),
    ("commands", "seq, ts_us, payload, hash"),
    ("events", "seq, n, payload"),
    ("digests", "seq, subject, digest"),
    ("answers", "seq, answered_us"),
)
_OF_SQLITE = ("-wal", "-shm", "-journal")  # which SQLite takes for what was not yet written to the file beside it
_FOLDERS = (".snapshots", ".archives")
_BESIDE = (*_OF_SQLITE, ".lock", ".admin", ".follower", ".draft", *_FOLDERS)


class Draft(NamedTuple):
    """The file under its other name, and a connection to it in autocommit mode."""

    path: Path
    connection: sqlite3.Connection


@contextmanager
def new_journal(path: Path) -> Iterator[Draft]:
    """A new journal for `path`, which replaces what is there. Where the block fails, nothing is left of it.

    Raises a JournalError where the disk does not take it.
    """
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    try:
        prepare(draft)
        with closing(sqlite3.connect(draft, isolation_level=None, uri=True)) as connection:
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
    """A new file never takes the place of something, nor is it put where a journal looks for a file of its own."""
    if path.exists():
        raise JournalError(f"{path} exists already: name a file that does not")
    if not path.parent.is_dir():
        raise JournalError(f"there is no folder {path.parent} to put it in: create it first")
    for place, endings in ((path, _BESIDE), (path.absolute().parent, _FOLDERS)):
        for ending in endings:
            owner = Path(str(place).removesuffix(ending))
            if owner != place and owner.is_file():
                raise JournalError(f"{path} is where {owner} has a file of its own: name another one")


def refuse_leftovers(path: Path) -> None:
    """A new journal is not put beside what an old one left: SQLite would take up its -wal, and ruin the new one."""
    refuse_existing(path)
    for left in (path.with_name(path.name + ending) for ending in (*_OF_SQLITE, *_FOLDERS)):
        if left.exists():
            raise JournalError(f"{left} is left of a journal that was at {path} before: move it away first")


def copy_rows(draft: Draft, sources: list[Path], last_seq: int) -> None:
    """Copy everything up to `last_seq` from these journal files, which follow each other; the first one's base too."""
    connection = draft.connection
    for number, source in enumerate(sources):
        connection.execute("ATTACH ? AS source", (read_only_uri(source),))
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
