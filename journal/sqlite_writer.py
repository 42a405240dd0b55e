"""The writer of a journal in SQLite: a batch of commands is one transaction, on disk when `append` returns."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Self

import aiosqlite

from exchange.journal.backup import back_up_before_migration
from exchange.journal.connection import JournalConnection
from exchange.journal.disk_limits import is_limit_reached
from exchange.journal.errors import JournalBrokenError, JournalBusyError, JournalError, JournalFullError
from exchange.journal.file_watch import FileWatch
from exchange.journal.lock import JournalLock
from exchange.journal.offline import TABLES_OF_COMMANDS
from exchange.journal.records import AnswerRow, Checkpoint, DigestRow, Head, Record
from exchange.journal.schema import prepare
from exchange.journal.sqlite_reader import SqliteJournalReader
from exchange.journal.write_ahead_log import check_log_of_crash

_log = logging.getLogger(__name__)

# How long an append waits for another program that writes to the file.
_BUSY_SECONDS = 1.0
# The size to which SQLite cuts the -wal file when it begins it anew, for example after a backup that read for long. At
# full load the file has about 8 MiB.
_LOG_BYTES_MAX = 16 * 1024 * 1024
# Rows in one statement. SQLite binds at most 32,766 values, and a row has up to four.
_ROWS_MAX = 5_000


class SqliteJournalWriter:
    """Appends to the journal, see `JournalWriter`. The caller holds the journal's lock."""

    def __init__(
        self, path: Path, connection: aiosqlite.Connection, head: Head, lock: JournalLock | None = None
    ) -> None:
        self._connection = connection
        self.head = head
        self._lock = lock
        self._path = path
        self._files = FileWatch(path)
        # Two appends may run at once, and neither may enter the transaction of the other.
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path, lock: JournalLock | None = None) -> Self:
        """Open the journal at `path` for writing; create or migrate it if necessary. Raises a JournalError.

        The file of `lock`, which the caller holds, gets the seq of each command that is recorded.

        Two checks come before anything is written: that a -wal of a crash belongs to the file, and that a file which is
        migrated has a backup.
        """
        check_log_of_crash(path)
        back_up_before_migration(path)
        prepare(path)
        with SqliteJournalReader(path) as reader:
            head = reader.head()
        connection = await aiosqlite.connect(
            path, isolation_level=None, timeout=_BUSY_SECONDS, factory=JournalConnection
        )
        try:
            await connection.execute("PRAGMA synchronous = FULL")
            await connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES_MAX}")
            # The first read opens the -wal.
            await connection.execute_fetchall("SELECT max(seq) FROM commands")
            return cls(path, connection, head, lock)
        except BaseException:
            # The thread of an open connection would keep the process alive.
            await connection.close()
            raise

    async def append(self, records: list[Record]) -> None:
        """Record a batch, all of it or nothing. See `JournalWriter.append`."""
        assert records[0].seq == self.head.seq + 1, "the journal would have a gap"
        await self._insert("INTO commands (seq, ts_us, payload, hash)", records)
        self.head = Head(records[-1].seq, records[-1].ts_us, records[-1].hash)
        if self._lock is not None:
            self._lock.note(self.head.seq)

    async def append_digests(self, rows: list[DigestRow]) -> None:
        """Record digests; those that are recorded already stay. Raises as `append` does."""
        await self._insert("OR IGNORE INTO digests (seq, subject, digest)", rows)

    async def append_answers(self, rows: list[AnswerRow]) -> None:
        """Record when batches were answered. Raises as `append` does."""
        await self._insert("INTO answers (seq, answered_us)", rows)

    async def seal(self, base: Checkpoint) -> None:
        """Continue from `base`, the end of an archive that is on disk. See `JournalWriter.seal`."""
        assert base.head.seq < self.head.seq, "the journal keeps at least one command"
        row = (*base.head, base.snapshot)
        await self._run_whole(
            [("DELETE FROM base", ()), ("INSERT INTO base (seq, ts_us, hash, snapshot) VALUES (?, ?, ?, ?)", row)]
        )

    async def delete_sealed(self, count: int) -> bool:
        """Delete up to `count` of the oldest commands before the base. See `JournalWriter.delete_sealed`."""
        query = "SELECT min(commands.seq), max(base.seq) FROM commands, base WHERE commands.seq <= base.seq"
        async with self._turn:
            try:
                found = await (await self._connection.execute(query)).fetchone()
            except sqlite3.Error as error:
                raise self._translated(error) from error
        if found is None or found[0] is None:
            return False
        last = min(found[0] + count - 1, found[1])
        # In order of seq, and all tables at once, so that the rows left by a crash are the last ones before the base.
        await self._run_whole([(f"DELETE FROM {table} WHERE seq <= ?", (last,)) for table in TABLES_OF_COMMANDS])
        return True

    async def _run_whole(self, statements: list[tuple[str, tuple[Any, ...]]]) -> None:
        """Run statements as one transaction, all or none."""
        async with self._turn:
            self._files.check()
            try:
                await self._connection.execute("BEGIN IMMEDIATE")
                for statement, values in statements:
                    await self._connection.execute(statement, values)
                await self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                with contextlib.suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        await self._connection.execute("ROLLBACK")
                raise self._translated(error) from error
            self._files.check(has_written=True)

    async def close(self) -> None:
        """Close the connection. If the files of the journal are gone, save what it still reads in a new file first."""
        try:
            self._files.check(has_written=True)
        except JournalBrokenError:
            await self._rescue()
        await self._connection.close()

    async def _rescue(self) -> None:
        """Copy the journal as the open connection reads it: a deleted file is there until it is closed."""
        new = self._path.with_name(f"{self._path.name}.rescued-seq-{self.head.seq}")
        try:
            with contextlib.closing(sqlite3.connect(new, check_same_thread=False)) as copy:
                await self._connection.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            new.unlink(missing_ok=True)
            _log.error("%s cannot be written (%s): the recorded commands are not saved", new, error)
        else:
            _log.warning(
                "the commands up to seq %d are saved in %s: verify it, move the old -wal away, and copy it to %s",
                *(self.head.seq, new, self._path),
            )

    async def _insert(self, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert all rows or none.

        Usually in one statement, which is its own transaction. The thread that runs it then takes Python's global lock
        once instead of once for each row, while the event loop is busy.
        """
        async with self._turn:
            self._files.check()
            try:
                if len(rows) <= _ROWS_MAX:
                    await self._insert_part(into, rows)
                else:
                    await self._connection.execute("BEGIN IMMEDIATE")
                    for start in range(0, len(rows), _ROWS_MAX):
                        await self._insert_part(into, rows[start : start + _ROWS_MAX])
                    await self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                with contextlib.suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        await self._connection.execute("ROLLBACK")
                raise self._translated(error) from error
            self._files.check(has_written=True)

    async def _insert_part(self, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
        marks = "(" + ",".join("?" * len(rows[0])) + ")"
        await self._connection.execute(
            f"INSERT {into} VALUES {','.join([marks] * len(rows))}", list(chain.from_iterable(rows))
        )

    def _translated(self, error: sqlite3.Error) -> JournalError:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF == sqlite3.SQLITE_BUSY:
            return JournalBusyError("another program is writing to the journal: end its transaction")
        # A write that failed is no commit, and SQLite has taken it back. A failed sync is another matter.
        if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR_WRITE and is_limit_reached(self._path)):
            return JournalFullError("the disk is full: free some space, then start again")
        return JournalBrokenError(f"writing the journal failed ({error}): check the disk, then start again")
