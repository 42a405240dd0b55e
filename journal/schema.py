"""The database file of a journal: opening it, and bringing its schema up to date.

Migrations are applied over `PRAGMA user_version`. The migration libraries that we tried apply a file in pieces, or mark
it as applied in another transaction, or accept a database that a newer program has changed.
"""

import contextlib
import os
import sqlite3
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from exchange.journal import views
from exchange.journal.connection import JournalConnection
from exchange.journal.errors import (
    JournalDamagedError,
    JournalError,
    JournalMissingError,
    JournalTooNewError,
    NotAJournalError,
)
from exchange.journal.file_header import refuse_foreign_log

APPLICATION_ID = int.from_bytes(b"EXJ1")


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A read-only connection to the journal at `path`. Raises a JournalError that names what the path is instead."""
    try:
        is_there = path.exists()
    except OSError as error:
        raise JournalError(f"{path} cannot be reached ({error.strerror}): ask for read access to its folder") from error
    if not is_there:
        raise JournalMissingError(f"there is no journal at {path}: create one with `exchange init --db {path}`")
    refuse_foreign_log(path)
    connection = _open(read_only_uri(path), path)
    try:
        _check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def schema_of(path: Path) -> int:
    """The number of migrations that the journal at `path` has had. Raises a JournalError."""
    with contextlib.closing(connect_read_only(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def is_writable(path: Path) -> bool:
    """True if this process may write the journal at `path`, and files next to it."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def read_only_uri(path: Path) -> str:
    """The URI with which SQLite opens a journal for reading.

    SQLite needs -wal and -shm files next to a journal to read it, and creates them if they are missing. In a read-only
    folder it cannot. Next to another user's journal they would belong to the reader, and the exchange of that user
    could not open them. In both cases the file is opened as immutable: without a -wal, no exchange is writing to it.
    """
    is_ours = is_writable(path)
    is_open = path.with_name(path.name + "-wal").exists()
    return f"{path.absolute().as_uri()}?mode=ro" + ("" if is_ours or is_open else "&immutable=1")


def ensure_journal(path: Path) -> None:
    """Raise a JournalError if `path` exists and is not a journal, before anything is written there."""
    if path.exists() and (not path.is_file() or path.stat().st_size):
        connect_read_only(path).close()


def prepare(path: Path) -> None:
    """Create the journal at `path`, or bring the schema and views of an existing one up to date. Sets WAL mode.

    An empty file counts as missing. Raises a JournalError if the path holds something else.
    """
    if not path.parent.is_dir():
        raise JournalError(f"there is no folder {path.parent} for the journal: create it first")
    refuse_foreign_log(path)
    if path.exists() and path.stat().st_size:
        _bring_up_to_date(path, is_new=False)
        return
    # The file gets its name once all of it is on disk, so that no crash leaves a half of it, which is no journal yet.
    # The first sync of its -wal also syncs the name: SQLite syncs the folder of a -wal that it created.
    file = path.resolve()
    draft = file.with_name(file.name + ".new")
    for end in ("", "-journal", "-wal", "-shm"):
        draft.with_name(draft.name + end).unlink(missing_ok=True)
    _bring_up_to_date(draft, is_new=True)
    draft.replace(file)


def _bring_up_to_date(path: Path, is_new: bool) -> None:
    connection = _open(path.absolute().as_uri(), path)
    try:
        if not is_new:
            _check(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, path)
        _update_views(connection, path)
    except sqlite3.Error as error:
        raise JournalError(
            f"cannot prepare the journal at {path} ({error}): check the disk and the rights of the file"
        ) from error
    finally:
        connection.close()


def known_migrations() -> list[Traversable]:
    """The migrations of this program, in order."""
    found = sorted(
        (file for file in files("exchange.migrations").iterdir() if file.name.endswith(".sql")), key=lambda f: f.name
    )
    assert [int(file.name[:4]) for file in found] == list(range(1, len(found) + 1)), "migrations are not numbered 1..n"
    return found


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply the missing migrations. Each file is one transaction, together with the mark that it was applied.

    The last one also replaces the views, so that a crash leaves no journal with the newest tables and without views.
    Raises a JournalError if one fails; nothing of that one is kept then.
    """
    known = known_migrations()
    (done,) = connection.execute("PRAGMA user_version").fetchone()
    for number, file in enumerate(known[done:], done + 1):
        script = file.read_text(encoding="utf-8") + f"\n;PRAGMA user_version = {number};"
        if number == len(known):
            script += views.replacement_script()
        try:
            _run_whole(connection, script)
        except sqlite3.Error as error:
            raise JournalError(
                f"migration {file.name} failed on {path} ({error}), and nothing of it was kept: check the disk and the "
                "permissions, then start again"
            ) from error


def _update_views(connection: sqlite3.Connection, path: Path) -> None:
    if views.are_current(connection):
        return
    try:
        _run_whole(connection, views.replacement_script())
    except sqlite3.Error as error:
        raise JournalError(
            f"the views of {path} cannot be replaced ({error}), and the old ones were kept: rename a table of yours "
            "that has the name of a view, or check the disk and the permissions; then start again"
        ) from error


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
    """The tables, views and triggers that are missing or changed, and the triggers that are not of the exchange.

    Tables, views and indexes that a user added are no faults: they change nothing.
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
        # The follower reads in two threads, one after the other.
        return sqlite3.connect(uri, uri=True, isolation_level=None, factory=JournalConnection, check_same_thread=False)
    except sqlite3.Error as error:
        raise JournalError(
            f"cannot open {path} ({error}): check that it is a file that you can read and write"
        ) from error


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
                    f"{path} is not an exchange journal ({error}): name another file with --db"
                ) from error
            case _:
                raise JournalError(
                    f"{path} cannot be read here ({error}): copy the journal, and the -wal next to it, to a "
                    "folder that you can write to"
                ) from error
    if application_id != APPLICATION_ID and not path.stat().st_size:
        raise NotAJournalError(f"{path} is empty: name another file with --db")
    if application_id != APPLICATION_ID:
        raise NotAJournalError(f"{path} is a database of another program: name another file with --db")
    if version > (known := len(known_migrations())):
        raise JournalTooNewError(
            f"{path} was written by a newer program (schema {version}; this one knows {known}): upgrade the exchange, "
            "or use the backup that the newer program wrote before it changed the schema"
        )


def _truncation_hint(path: Path) -> str:
    """Advice about a damaged file. Its header names the size and number of its pages, which shows a truncation."""
    with path.open("rb") as file:
        header, size = file.read(32), os.fstat(file.fileno()).st_size
    expected = int.from_bytes(header[16:18]) * int.from_bytes(header[28:32])
    if size < expected:
        return f"it has {size:,} of {expected:,} bytes, the rest is cut off; restore a backup"
    return "restore a backup"


def _deny_transactions(action: int, what: str | None, *_: str | None) -> int:
    ends_transaction = action == sqlite3.SQLITE_TRANSACTION and what != "BEGIN"
    return sqlite3.SQLITE_DENY if ends_transaction else sqlite3.SQLITE_OK
