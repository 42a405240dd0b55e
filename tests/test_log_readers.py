"""A program that holds the journal's -wal open is found and named, once."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from exchange.runtime import log_readers
from exchange.runtime.log_readers import LONG_SECONDS, LogWatch, reader_pids

READS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM commands").fetchall()
print("reading", flush=True)
sys.stdin.read()
"""

needs_locks = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux names the processes of locks")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Path]:
    """A database in WAL mode that this process has open, as the exchange has its journal."""
    path = tmp_path / "exchange.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE commands (seq INTEGER)")
        yield path


@needs_locks
def test_a_process_that_reads_for_a_minute_is_named_once(journal: Path) -> None:
    reports: list[str] = []
    watch = LogWatch(journal, reports.append)
    watch.look(0)
    assert reader_pids(journal) == set() and watch.oldest_seconds == 0
    with subprocess.Popen(
        [sys.executable, "-c", READS, journal], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        assert reader_pids(journal) == {process.pid}
        watch.look(10)
        assert watch.oldest_seconds > 0
        watch.look(10 + LONG_SECONDS - 1)
        assert reports == []
        for after in (0, 2, 4):
            watch.look(10 + LONG_SECONDS + after)
        process.stdin.close()
    (report,) = reports
    assert report.startswith(f"process {process.pid} (") and f"{journal}-wal has " in report
    watch.look(1_000)
    assert watch.oldest_seconds == 0
    assert reports[1:] == [f"process {process.pid} no longer holds {journal}-wal open"]


@needs_locks
def test_many_short_reads_are_not_one_long_read(journal: Path) -> None:
    reports: list[str] = []
    watch = LogWatch(journal, reports.append)
    with closing(sqlite3.connect(journal, isolation_level=None)) as reader:
        for now_seconds in range(0, 200, 2):
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM commands").fetchall()
            # At one look in ten the reader is between two transactions.
            if now_seconds % 20 == 0:
                reader.execute("COMMIT")
            watch.look(now_seconds)
            if reader.in_transaction:
                assert reader_pids(journal) == {os.getpid()}
                reader.execute("COMMIT")
    assert reports == []


def test_a_large_log_without_a_known_reader_is_reported(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[str] = []
    watch = LogWatch(journal, reports.append)
    monkeypatch.setattr(log_readers, "_LOCKS", journal.parent / "missing")
    monkeypatch.setattr(log_readers, "LOG_LARGE_BYTES", 10)
    for now_seconds in range(0, 130, 2):
        watch.look(now_seconds)
    (report,) = reports
    assert report.startswith("a program has been reading the journal in one transaction for over 60 seconds: ")


def test_locks_of_other_files_do_not_count(journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inode, own = (tmp_path / "exchange.db-shm").stat().st_ino, os.getpid()
    lines = (
        f"1: POSIX  ADVISORY  READ {own} 08:02:{inode} 128 128",
        f"2: POSIX  ADVISORY  READ 11 08:02:{inode} 128 128",
        f"3: POSIX  ADVISORY  READ 12 08:03:{inode} 123 123",
        f"4: POSIX  ADVISORY  READ 13 08:02:{inode + 1} 123 123",
        f"5: FLOCK  ADVISORY  WRITE 14 08:02:{inode} 0 EOF",
        f"6: POSIX  ADVISORY  WRITE 15 08:02:{inode} 0 EOF",
        f"6: -> POSIX  ADVISORY  WRITE 16 08:02:{inode} 124 124",
        f"7: POSIX  ADVISORY  READ 17 08:02:{inode} 124 124",
    )
    locks = tmp_path / "locks"
    locks.write_text("\n".join(lines))
    monkeypatch.setattr(log_readers, "_LOCKS", locks)
    assert reader_pids(journal) == {17}
