"""SQL over a journal and its archives, as if they were one file."""

import sqlite3
from contextlib import closing
from pathlib import Path

from exchange.journal import views
from exchange.journal.archive_file import ArchivePart, is_archive_file
from exchange.journal.archives import archives_of
from exchange.journal.errors import JournalError
from exchange.journal.schema import connect_read_only, read_only_uri
from exchange.journal.sqlite_reader import SqliteJournalReader

# SQLite attaches at most ten files to one connection.
_ARCHIVES_MAX = 10
_COMMANDS = "seq, ts_us, payload, hash, kind, user_id, instrument_id"
_EVENTS = "seq, n, payload, kind, user_id, instrument_id, order_id"


def connect_union(path: Path) -> sqlite3.Connection:
    """A read-only connection whose `commands`, `events` and views include the archives. Raises a JournalError.

    The views are those of this program, also if an older one wrote the journal.
    """
    # The reader refuses archives that do not fit the journal.
    with SqliteJournalReader(path) as reader:
        base_seq = reader.bases[-1].head.seq
    connection = connect_read_only(path)
    try:
        archives = archives_of(path, base_seq + 1)
        attached = [archive.path for archive in archives if not is_archive_file(archive.path)]
        if len(attached) > _ARCHIVES_MAX:
            raise JournalError(
                f"{path} has {len(attached)} archives, and SQL reads at most {_ARCHIVES_MAX}: move the oldest to "
                "another folder, or query them one by one with --db"
            )
        if base_seq:
            _unpack(connection, [archive.path for archive in archives if is_archive_file(archive.path)])
            _join(connection, attached, base_seq)
        if base_seq or not views.are_current(connection):
            connection.executescript(views.creation_script(temporary=True))
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(_deny_other_files)
    except BaseException:
        connection.close()
        raise
    return connection


def _unpack(connection: sqlite3.Connection, archives: list[Path]) -> None:
    """Copy the commands and events of compressed archives into temporary tables."""
    connection.execute(f"CREATE TEMP TABLE unpacked_commands ({_COMMANDS}, PRIMARY KEY (seq))")
    connection.execute(f"CREATE TEMP TABLE unpacked_events ({_EVENTS}, PRIMARY KEY (seq, n))")
    fields = "?3 ->> '$.kind', ?3 ->> '$.user_id', ?3 ->> '$.instrument_id'"
    for file in archives:
        with closing(ArchivePart(file)) as part:
            for table, values in (
                ("commands", f"?1, ?2, ?3, ?4, {fields}"),
                ("events", f"?1, ?2, ?3, {fields}, ?3 ->> '$.order_id'"),
            ):
                seq = part.base.head.seq + 1
                while seq <= part.last_seq:
                    rows, seq = part.page(table, seq, part.last_seq)
                    connection.executemany(f"INSERT INTO temp.unpacked_{table} VALUES ({values})", rows)


def _join(connection: sqlite3.Connection, archives: list[Path], base_seq: int) -> None:
    """Make `commands` and `events` the union of the tables of all files, without sealed rows that are still there."""
    schemas = []
    for number, file in enumerate(archives, 1):
        connection.execute(f"ATTACH ? AS archive_{number}", (read_only_uri(file),))
        schemas.append(f"archive_{number}")
    for table, columns in (("commands", _COMMANDS), ("events", _EVENTS)):
        sources = [*(f"{schema}.{table}" for schema in schemas), f"temp.unpacked_{table}", f"main.{table}"]
        parts = " UNION ALL ".join(f"SELECT {columns} FROM {source}" for source in sources)
        connection.execute(f"CREATE TEMP VIEW {table} AS {parts} WHERE seq > {base_seq}")


def _deny_other_files(action: int, *_: str | None) -> int:
    """Deny ATTACH and VACUUM INTO, which can create files even on a read-only connection."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK
