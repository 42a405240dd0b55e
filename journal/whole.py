"""SQL over the whole history: the journal and the archives beside it as if nothing had ever been sealed away."""

import re
import sqlite3
from pathlib import Path

from journal.archives import archives_of
from journal.errors import JournalError
from journal.reader import JournalReader
from journal.schema import connect_read_only, known_migrations, read_only_uri

_ARCHIVES_MAX = 10  # that SQLite attaches to one connection
_COMMANDS = "seq, ts_us, payload, hash, kind, user_id, instrument_id"
_EVENTS = "seq, n, payload, kind, user_id, instrument_id, order_id"


def connect_whole(path: Path) -> sqlite3.Connection:
    """A read-only connection whose `commands`, `events` and views include the archives. Raises a JournalError.

    The views are there also in a journal that an older program left without them.
    """
    with JournalReader(path) as reader:  # which refuses archives that do not fit
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
        if archives or not _has_views(connection):
            _create_views(connection)
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


def _has_views(connection: sqlite3.Connection) -> bool:
    (count,) = connection.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'view'").fetchone()
    return bool(count)


def _create_views(connection: sqlite3.Connection) -> None:
    """The views of the migrations, for this connection only: there, names mean the joined tables."""
    for file in known_migrations():
        if file.name.endswith("_views.sql"):
            script = re.sub(r"\bCREATE VIEW\b", "CREATE TEMP VIEW", file.read_text(encoding="utf-8"))
            connection.executescript(script)


def _deny_other_files(action: int, *_: str | None) -> int:
    """ATTACH would create a file that is not there, and VACUUM INTO one as well."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK
