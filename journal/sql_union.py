"""SQL over the whole history: the journal and the archives beside it as if nothing had ever been sealed away."""

import sqlite3
from pathlib import Path

from exchange.journal import views
from exchange.journal.archives import archives_of
from exchange.journal.errors import JournalError
from exchange.journal.schema import connect_read_only, read_only_uri
from exchange.journal.sqlite_reader import SqliteJournalReader

_ARCHIVES_MAX = 10  # that SQLite attaches to one connection
_COMMANDS = "seq, ts_us, payload, hash, kind, user_id, instrument_id"
_EVENTS = "seq, n, payload, kind, user_id, instrument_id, order_id"


def connect_union(path: Path) -> sqlite3.Connection:
    """A read-only connection whose `commands`, `events` and views include the archives. Raises a JournalError.

    The views are there, and are those of this program, also in a journal that an older one left without them.
    """
    with SqliteJournalReader(path) as reader:  # which refuses archives that do not fit
        base_seq = reader.bases[-1].head.seq
    connection = connect_read_only(path)
    try:
        archives = archives_of(path, base_seq + 1)
        if len(archives) > _ARCHIVES_MAX:
            raise JournalError(
                f"{path} has {len(archives)} archives, and SQL reaches at most {_ARCHIVES_MAX}: move the oldest "
                "elsewhere, or ask them one by one with --db"
            )
        if archives:
            _join(connection, [archive.path for archive in archives])
        if archives or not views.are_current(connection):
            connection.executescript(views.creation_script(temporary=True))
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(_deny_other_files)
    except BaseException:
        connection.close()
        raise
    return connection


def _join(connection: sqlite3.Connection, archives: list[Path]) -> None:
    """Let `commands` and `events` stand for those of all files."""
    schemas = ["main"]
    for number, file in enumerate(archives, 1):
        connection.execute(f"ATTACH ? AS archive_{number}", (read_only_uri(file),))
        schemas.insert(-1, f"archive_{number}")
    for table, columns in (("commands", _COMMANDS), ("events", _EVENTS)):
        parts = " UNION ALL ".join(f"SELECT {columns} FROM {schema}.{table}" for schema in schemas)
        connection.execute(f"CREATE TEMP VIEW {table} AS {parts}")


def _deny_other_files(action: int, *_: str | None) -> int:
    """ATTACH would create a file that is not there, and VACUUM INTO one as well."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK
