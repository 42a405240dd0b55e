"""A journal whose files are deleted, replaced or cut off while it is open answers nothing more."""

import asyncio
import errno
import os
import resource
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from exchange.engine.engine import Engine
from exchange.history.verify import verify
from exchange.journal.disk_limits import is_limit_reached
from exchange.journal.errors import JournalBrokenError, JournalFullError, JournalLockedError
from exchange.journal.file_header import log_path
from exchange.journal.lock import JournalLock, lock_owner, recorded_seq
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.protocols import JournalWriter
from tests.journals import append_random, play

BEFORE, AFTER = 40, 60


def no_bar(_done: int, _total: int) -> None:
    pass


def while_open(path: Path, then: Callable[[JournalWriter, Engine], Awaitable[None]]) -> None:
    """Open the journal, record BEFORE commands, run `then`, and close it."""

    async def run() -> None:
        engine = Engine()
        journal = await open_journal_writer(path)
        try:
            await append_random(journal, engine, BEFORE, 10)
            await then(journal, engine)
        finally:
            await journal.close()

    asyncio.run(run())


def unlink(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("file", ["exchange.db", "exchange.db-wal"])
@pytest.mark.parametrize(
    ("change", "text"), [(unlink, "was deleted"), (replace, "was replaced"), (cut, "was cut off")], ids=lambda one: ""
)
def test_a_changed_file_stops_the_next_write(
    tmp_path: Path, file: str, change: Callable[[Path], None], text: str
) -> None:
    path = tmp_path / "exchange.db"

    async def run(journal: JournalWriter, engine: Engine) -> None:
        change(tmp_path / file)
        with pytest.raises(JournalBrokenError, match=f"{file} {text}"):
            await append_random(journal, engine, AFTER, 10)

    while_open(path, run)


@pytest.mark.parametrize("change", [unlink, replace])
def test_the_commands_of_a_journal_that_is_gone_are_saved(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "exchange.db"

    async def run(_journal: JournalWriter, _engine: Engine) -> None:
        change(path)
        # A file that another program put there stays.
        log_path(path).rename(tmp_path / "log")
        log_path(path).write_bytes(b"other")

    while_open(path, run)
    assert log_path(path).read_bytes() == b"other"
    saved = tmp_path / f"exchange.db.rescued-seq-{BEFORE}"
    with open_journal_reader(saved) as reader:
        assert reader.head().seq == BEFORE
    assert verify(saved, False, no_bar).damage is None


def test_a_lost_log_is_in_the_database_after_the_stop(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"

    async def run(_journal: JournalWriter, _engine: Engine) -> None:
        unlink(log_path(path))

    while_open(path, run)
    with open_journal_reader(path) as reader:
        assert reader.head().seq == BEFORE


def test_writes_of_the_exchange_itself_are_no_change(tmp_path: Path) -> None:
    """The -wal grows, begins anew, and is cut by SQLite."""
    path = tmp_path / "exchange.db"

    async def run(journal: JournalWriter, engine: Engine) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT max(seq) FROM commands").fetchone()
            await append_random(journal, engine, 700, 3)
            reader.execute("ROLLBACK")
        await append_random(journal, engine, 800, 3)
        assert engine.head.seq == 800

    while_open(path, run)


# The lock file.


def test_a_deleted_lock_file_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    file = tmp_path / "exchange.db.lock"
    with JournalLock(path) as lock:
        lock.announce("ws://127.0.0.1:1/")
        lock.note(5)
        lock.renew()
        for change in (unlink, replace):
            change(file)
            lock.renew()
            owner = lock_owner(path)
            assert owner is not None and owner.pid == os.getpid() and owner.url == "ws://127.0.0.1:1/"
            assert recorded_seq(path) == 5
        lock.note(6)
        assert recorded_seq(path) == 6
    assert lock_owner(path) is None
    with JournalLock(path):
        assert recorded_seq(path) == 6


def test_a_lock_file_that_another_process_took_stops_the_exchange(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    with JournalLock(path) as lock:
        (tmp_path / "exchange.db.lock").unlink()
        with JournalLock(path), pytest.raises(JournalLockedError):
            lock.renew()


# Limits.


def test_the_limit_of_a_file_is_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    other = play(tmp_path / "other.db", count=BEFORE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def run(journal: JournalWriter, engine: Engine) -> None:
        head = engine.head
        resource.setrlimit(resource.RLIMIT_FSIZE, (log_path(path).stat().st_size + 100, hard))
        try:
            with pytest.raises(JournalFullError):
                await append_random(journal, Engine(head=head), AFTER, 10)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert journal.head == head
        await append_random(journal, other, AFTER, 10)

    while_open(path, run)
    assert verify(path, False, no_bar).damage is None


@pytest.mark.parametrize(("code", "is_limit"), [(errno.EDQUOT, True), (errno.EFBIG, True), (errno.EIO, False)])
def test_a_quota_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_limit: bool) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    assert not is_limit_reached(tmp_path / "exchange.db")
    monkeypatch.setattr(os, "fsync", refuse)
    assert is_limit_reached(tmp_path / "exchange.db") == is_limit
    assert not any(tmp_path.iterdir())
