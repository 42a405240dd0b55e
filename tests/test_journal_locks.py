"""Another program that reads the journal and ends does not delete the -wal of a running exchange.

It would, if this process had released its POSIX locks: to close a file releases all locks of the process on it, also
those of SQLite. SQLite deletes the -wal with its last connection, and it knows the others by their locks alone.
"""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from exchange.domain.commands import Genesis, StartSession, encode_command
from exchange.domain.rules import Rules
from exchange.journal.errors import ForeignLogError
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.protocols import JournalWriter
from exchange.journal.records import chain
from exchange.runtime.figures import FileFigures
from exchange.runtime.storage import storage_of

READS = """
import sqlite3, sys
with_file = sqlite3.connect(sys.argv[1])
print(with_file.execute("SELECT max(seq) FROM commands").fetchone()[0])
with_file.close()
"""


def last_seq_for_another_program(path: Path) -> int:
    """The last command as another program reads it, which then closes the file."""
    done = subprocess.run([sys.executable, "-c", READS, path], capture_output=True, check=True)
    return int(done.stdout)


def with_writer(path: Path, use: Callable[[JournalWriter], Awaitable[None]]) -> None:
    async def run() -> None:
        journal = await open_journal_writer(path)
        try:
            await journal.append(chain(journal.head, [(1, encode_command(Genesis(Rules())).decode())]))
            await use(journal)
        finally:
            await journal.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "read",
    [
        lambda path: open_journal_reader(path).__exit__(None, None, None),
        storage_of,
        lambda path: FileFigures(path).read(1),
    ],
    ids=["reader", "storage", "figures"],
)
def test_a_reader_in_this_process_keeps_the_locks_of_the_writer(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "exchange.db"

    async def use(journal: JournalWriter) -> None:
        read(path)
        assert last_seq_for_another_program(path) == 1
        assert (tmp_path / "exchange.db-wal").exists()
        await journal.append(chain(journal.head, [(2, encode_command(StartSession("test")).decode())]))
        assert last_seq_for_another_program(path) == 2

    with_writer(path, use)
    with open_journal_reader(path) as reader:
        assert reader.head().seq == 2


def test_a_foreign_log_is_refused_also_after_the_journal_was_open_in_this_process(tmp_path: Path) -> None:
    path, log = tmp_path / "exchange.db", tmp_path / "exchange.db-wal"

    async def use(_journal: JournalWriter) -> None:
        with open_journal_reader(path):
            pass

    with_writer(path, use)
    backup = tmp_path / "backup.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(backup),))
    # As if the backup were copied over the journal, whose inode remains.
    path.write_bytes(backup.read_bytes())
    log.write_bytes(b"left over")
    with pytest.raises(ForeignLogError), open_journal_reader(path):
        pass
