"""Copies a journal file, and checks the copy before it gets its name."""

import logging
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from exchange.journal.atomic_journal import new_journal, refuse_leftovers
from exchange.journal.chain_check import check_chain
from exchange.journal.errors import JournalDamagedError, JournalError
from exchange.journal.file_header import log_path
from exchange.journal.records import Head
from exchange.journal.schema import connect_read_only, known_migrations
from exchange.journal.sqlite_reader import SqliteJournalReader
from exchange.journal.write_ahead_log import sync_journal

_PAGES_AT_ONCE = 2_000
_log = logging.getLogger(__name__)


def back_up(path: Path, new_path: Path, progress: Callable[[int, int], None]) -> Head:
    """Copy the journal file as of one moment, also while an exchange writes to it. Returns the copy's last command.

    The copy is read back: its pages, the chain of its commands, and its last command must be those of the journal. It
    is one file, without a -wal. Archives and the other files next to the journal are not copied. `progress` receives
    pages, then commands. Raises JournalError; nothing is left of the copy then.
    """
    refuse_leftovers(new_path)
    with closing(connect_read_only(path)) as source, new_journal(new_path) as draft:
        # The read transaction keeps the source at one moment, however long the copy takes.
        source.execute("BEGIN")
        last = source.execute("SELECT seq, ts_us, hash FROM commands ORDER BY seq DESC LIMIT 1").fetchone()
        sync_journal(path)

        def report_pages(_status: int, left: int, total: int) -> None:
            progress(total - left, total)

        source.backup(draft.connection, pages=_PAGES_AT_ONCE, progress=report_pages)
        source.execute("ROLLBACK")
        # The copy must be a single file, without a -wal file next to it.
        draft.connection.execute("PRAGMA journal_mode = DELETE")
        return _check_copy(draft.path, draft.connection, path, None if last is None else Head(*last), progress)


def back_up_before_migration(path: Path) -> Path | None:
    """If the journal at `path` has an older schema, copy it next to itself. Returns the copy; None if there is no need.

    The name says the schema and the last command, such as `exchange.db.schema-5-seq-1234`. A copy of the same moment
    that is there already is kept. Raises JournalError if there is too little space, or if the copy is not right.
    """
    if not path.exists() or not path.stat().st_size:
        return None
    with SqliteJournalReader(path) as reader, closing(connect_read_only(path)) as connection:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        head = reader.head()
    if schema == (newest := len(known_migrations())):
        return None
    copy = path.with_name(f"{path.name}.schema-{schema}-seq-{head.seq}")
    if copy.exists():
        if check_chain(copy, _report_nothing) != head:
            raise JournalError(
                f"{copy} is the name of the backup before the migration of {path}, but it is another journal: move it "
                "away, then start again"
            )
        return copy
    _refuse_little_space(path, schema, newest)
    _log.info("%s has schema %d, this program has %d: writing the backup %s first", path, schema, newest, copy)
    back_up(path, copy, _report_nothing)
    return copy


def _check_copy(
    copy: Path,
    connection: sqlite3.Connection,
    path: Path,
    last: Head | None,
    progress: Callable[[int, int], None],
) -> Head:
    if (found := _quick_check(connection)) != "ok":
        raise JournalDamagedError(
            f"the copy of {path} is damaged ({found}), so it was not kept: run `exchange journal verify`, and check "
            "the disks"
        )
    try:
        head = check_chain(copy, progress)
    except JournalDamagedError as error:
        raise JournalDamagedError(f"the copy of {path} was not kept: {error}") from error
    if last is not None and head != last:
        raise JournalDamagedError(
            f"the copy of {path} ends at seq {head.seq}, and not as the journal at seq {last.seq}: it was not kept. "
            "Check the disks, then try again"
        )
    return head


def _quick_check(connection: sqlite3.Connection) -> str:
    """SQLite's check of all pages: "ok", or the first fault."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return str(found)


def _refuse_little_space(path: Path, schema: int, newest: int) -> None:
    """Raise JournalError if the backup, and a migration that writes every page again, do not fit on the disk."""
    log = log_path(path)
    needed = 2 * (path.stat().st_size + (log.stat().st_size if log.exists() else 0))
    free = shutil.disk_usage(path.absolute().parent).free
    if free < needed:
        raise JournalError(
            f"{path} has schema {schema} and must be brought to {newest}. A backup is written first, which needs "
            f"{needed:,} bytes of free space with the migration, and {free:,} are free: free some space, then start "
            "again. Nothing was changed"
        )


def _report_nothing(_done: int, _total: int) -> None:
    pass
