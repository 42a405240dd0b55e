"""Opening the database file: is it a journal of ours, and is its schema the one this program knows?

The runner is our own, over `PRAGMA user_version`: the migration libraries tried either apply a file in pieces, or mark
it as applied in another transaction, or accept a database that a newer program has changed.
"""

import contextlib
import os
import sqlite3
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from exchange.journal import views
from exchange.journal.errors import (
    JournalDamagedError,
    JournalError,
    JournalMissingError,
    JournalTooNewError,
    NotAJournalError,
)

APPLICATION_ID = int.from_bytes(b"EXJ1")


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A read-only connection to an existing journal; raises a JournalError that says what else the path is."""
    try:
        is_there = path.exists()
    except OSError as error:
        raise JournalError(f"{path} cannot be reached ({error.strerror}): have its folder opened to you") from error
    if not is_there:
        raise JournalMissingError(f"there is no journal at {path}: create one with `exchange init --db {path}`")
    connection = _open(read_only_uri(path), path)
    try:
        _check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def read_only_uri(path: Path) -> str:
    """How SQLite is told to open a journal for reading.

    SQLite reads a journal with the help of -wal and -shm files beside it, and creates them where there are none. In a
    folder that is closed to the reader it cannot; and beside somebody else's file they would be the reader's, and that
    one's exchange could not open them. There the file is read as it is: without a -wal nobody is writing to it.
    """
    is_ours = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    is_open = path.with_name(path.name + "-wal").exists()
    return f"{path.absolute().as_uri()}?mode=ro" + ("" if is_ours or is_open else "&immutable=1")


def ensure_journal(path: Path) -> None:
    """Raise a JournalError where `path` holds something else, before anything is written to it or put beside it."""
    if path.exists() and (not path.is_file() or path.stat().st_size):
        connect_read_only(path).close()


def prepare(path: Path) -> None:
    """Create the journal at `path`, or bring an existing one up to date; WAL mode either way.

    An empty file counts as none. Raises a JournalError where the path holds something else.
    """
    if not path.parent.is_dir():
        raise JournalError(f"there is no folder {path.parent} to put the journal in: create it first")
    is_new = not path.exists() or path.stat().st_size == 0
    connection = _open(path.absolute().as_uri(), path)
    try:
        if not is_new:
            _check(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, path)
        _update_views(connection, path)
    except sqlite3.Error as error:
        raise JournalError(f"cannot prepare the journal at {path}: {error}") from error
    finally:
        connection.close()


def known_migrations() -> list[Traversable]:
    """The SQL files this program has, in order."""
    found = sorted(
        (file for file in files("exchange.migrations").iterdir() if file.name.endswith(".sql")), key=lambda f: f.name
    )
    assert [int(file.name[:4]) for file in found] == list(range(1, len(found) + 1)), "migrations are not numbered 1..n"
    return found


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply what is missing. Each file is one transaction, together with the mark that it was applied.

    A file may not end its own transaction; one that fails leaves nothing behind.
    """
    known = known_migrations()
    (done,) = connection.execute("PRAGMA user_version").fetchone()
    for number, file in enumerate(known[done:], done + 1):
        try:
            _run_whole(connection, file.read_text(encoding="utf-8") + f"\n;PRAGMA user_version = {number};")
        except sqlite3.Error as error:
            raise JournalError(f"migration {file.name} failed on {path}, nothing of it was kept: {error}") from error


def _update_views(connection: sqlite3.Connection, path: Path) -> None:
    if views.are_current(connection):
        return
    try:
        _run_whole(connection, views.replacement_script())
    except sqlite3.Error as error:
        raise JournalError(f"the views of {path} cannot be replaced, the old ones were kept: {error}") from error


def _run_whole(connection: sqlite3.Connection, script: str) -> None:
    """Run a script as one transaction, which it cannot end itself. Nothing of it is kept if it fails."""
    connection.set_authorizer(_deny_transactions)
    try:
        connection.executescript("BEGIN IMMEDIATE;\n" + script)
        connection.set_authorizer(None)
        connection.execute("COMMIT")
    except BaseException:
        connection.set_authorizer(None)
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def schema_faults(path: Path) -> list[str]:
    """What is not as the migrations made it: tables, views and triggers that are missing or changed, foreign triggers.

    Tables, views and indexes of the user's own are no faults: they change nothing.
    """
    with contextlib.closing(connect_read_only(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        found = _objects(connection)
        faults = views.view_faults(connection, version)
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for file in known_migrations()[:version]:
            fresh.executescript(file.read_text(encoding="utf-8"))
        expected = _objects(fresh)
    faults += [
        f"{kind} {name} is {'missing' if (kind, name) not in found else 'not as it was made'}"
        for (kind, name), text in expected.items()
        if found.get((kind, name)) != text
    ]
    return faults + [
        f"trigger {name} is not one of the exchange's"
        for kind, name in found
        if kind == "trigger" and (kind, name) not in expected
    ]


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    rows = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND type <> 'view'")
    return {(kind, name): text for kind, name, text in rows}


def _open(uri: str, path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(uri, uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise JournalError(f"cannot open {path}: {error}; is it a file that you may read and write?") from error


def _check(connection: sqlite3.Connection, path: Path) -> None:
    try:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        match error.sqlite_errorcode & 0xFF:
            case sqlite3.SQLITE_CORRUPT:
                raise JournalDamagedError(f"{path} is damaged ({error}): {_truncation_hint(path)}") from error
            case sqlite3.SQLITE_NOTADB:
                raise NotAJournalError(
                    f"{path} is not an exchange journal: {error}; name another file with --db"
                ) from error
            case _:
                raise JournalError(
                    f"{path} cannot be read here ({error}): you need a folder that you may write to; copy the journal "
                    "there, and the -wal beside it"
                ) from error
    if application_id != APPLICATION_ID and not path.stat().st_size:
        raise NotAJournalError(f"{path} is empty; name another file with --db")
    if application_id != APPLICATION_ID:
        raise NotAJournalError(f"{path} is a database of something else; name another file with --db")
    if version > (known := len(known_migrations())):
        raise JournalTooNewError(
            f"{path} was written by a newer program (schema {version}, this one knows {known}): upgrade the exchange"
        )


def _truncation_hint(path: Path) -> str:
    """What a file that SQLite finds damaged says of its length: its header names the size and number of its pages."""
    with path.open("rb") as file:
        header, size = file.read(32), os.fstat(file.fileno()).st_size
    expected = int.from_bytes(header[16:18]) * int.from_bytes(header[28:32])
    if size < expected:
        return f"it has {size:,} bytes of {expected:,}, the rest is cut off; go back to a backup"
    return "go back to a backup"


def _deny_transactions(action: int, what: str | None, *_: str | None) -> int:
    ends_transaction = action == sqlite3.SQLITE_TRANSACTION and what != "BEGIN"
    return sqlite3.SQLITE_DENY if ends_transaction else sqlite3.SQLITE_OK
