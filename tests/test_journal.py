"""The journal: append-only, chained, all or nothing, with clear errors for files that are not journals."""

import asyncio
import multiprocessing
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exchange.journal import schema
from exchange.journal.errors import (
    JournalBrokenError,
    JournalBusyError,
    JournalDamagedError,
    JournalError,
    JournalFullError,
    JournalLockedError,
    JournalMissingError,
    JournalTooNewError,
    NotAJournalError,
)
from exchange.journal.lock import JournalLock, lock_owner
from exchange.journal.memory import MemoryJournal
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head, Record, chain, check_link
from exchange.journal.sqlite_writer import SqliteJournalWriter
from tests.old_events import append_old_events


def batch(head: Head, count: int) -> list[Record]:
    """`count` records that continue `head`."""
    stamped = [(head.ts_us + 10 * (i + 1), f'{{"kind":"test","user_id":"u{i}","n":{i}}}') for i in range(count)]
    return chain(head, stamped)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "exchange.db"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteJournalWriter]:
    journal = await SqliteJournalWriter.open(path)
    try:
        yield journal
    finally:
        await journal.close()


def write(path: Path, *counts: int) -> None:
    """A journal with these batches, and one event for each record."""

    async def go() -> None:
        async with opened(path) as journal:
            for count in counts:
                records = batch(journal.head, count)
                await journal.append(records)
                await append_old_events(journal, [(record.seq, 0, '{"kind":"tested"}') for record in records])

    asyncio.run(go())


def test_appended_rows_are_read_back_and_continued_after_reopening(path: Path) -> None:
    write(path, 3, 1)
    write(path, 2)
    with open_journal_reader(path) as reader:
        records = list(reader.records(Head()))
        assert [record.seq for record in records] == [1, 2, 3, 4, 5, 6]
        assert reader.head() == Head(6, records[-1].ts_us, records[-1].hash)
        assert reader.head_at(3) == Head(3, records[2].ts_us, records[2].hash)
        assert reader.head_at(7) is None
        assert [record.seq for record in reader.records(reader.head_at(4) or Head())] == [5, 6]
        assert [record.seq for record in reader.records_where(5, 6)] == [5, 6]
        assert reader.events_seq() == 6
        assert list(reader.events(2, 3)) == [(2, 0, '{"kind":"tested"}'), (3, 0, '{"kind":"tested"}')]


def test_sqlite3_shows_the_generated_columns(path: Path) -> None:
    write(path, 2)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT seq, kind, user_id FROM commands").fetchall() == [
            (1, "test", "u0"),
            (2, "test", "u1"),
        ]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE commands SET payload = '{}' WHERE seq = 2",
        "DELETE FROM commands WHERE seq = 2",
        "INSERT OR REPLACE INTO commands (seq, ts_us, payload, hash) VALUES (2, 1, '{}', x'00')",
        "INSERT INTO commands (seq, ts_us, payload, hash) VALUES (9, 1, '{}', x'00')",
        "INSERT INTO commands (seq, ts_us, payload, hash) VALUES (NULL, 1, '{}', x'00')",
    ],
)
def test_commands_are_append_only_even_for_sql(path: Path, statement: str) -> None:
    write(path, 3)
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()
    with open_journal_reader(path) as reader:
        assert len(list(reader.records(Head()))) == 3


def tamper(path: Path, statement: str) -> None:
    """Change the file without the triggers."""
    connection = sqlite3.connect(path, isolation_level=None)
    for trigger in ("commands_are_never_changed", "commands_are_never_deleted"):
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE commands SET payload = replace(payload, 'u2', 'u9') WHERE seq = 3", "seq 3 is damaged: its hash"),
        ("UPDATE commands SET ts_us = ts_us + 1 WHERE seq = 3", "seq 3 is damaged: its hash"),
        ("UPDATE commands SET ts_us = 5 WHERE seq = 3", "seq 3 is damaged: its time"),
        ("UPDATE commands SET hash = zeroblob(32) WHERE seq = 3", "seq 3 is damaged: its hash"),
        ("DELETE FROM commands WHERE seq = 3", "seq 3 is missing"),
    ],
)
def test_damage_is_found_and_named(path: Path, statement: str, message: str) -> None:
    write(path, 5)
    tamper(path, statement)
    with open_journal_reader(path) as reader, pytest.raises(JournalDamagedError, match=message):
        list(reader.records(Head()))


def test_time_must_rise_when_written_and_when_read() -> None:
    with pytest.raises(AssertionError, match="strictly rise"):
        chain(Head(1, 100, bytes(32)), [(100, "{}")])
    (record,) = chain(Head(1, 99, bytes(32)), [(100, "{}")])
    with pytest.raises(JournalDamagedError, match="time"):
        check_link(Head(1, 100, bytes(32)), record)


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_the_contract_of_both_journals(path: Path, kind: str) -> None:
    async def go() -> None:
        journal = await SqliteJournalWriter.open(path) if kind == "disk" else MemoryJournal()
        try:
            assert journal.head == Head()
            records = batch(Head(), 4)
            await journal.append(records[:3])
            assert journal.head == Head(3, records[2].ts_us, records[2].hash)
            with pytest.raises(AssertionError, match="gap"):
                await journal.append(records[:1])
        finally:
            await journal.close()

    asyncio.run(go())


def test_very_many_rows_are_recorded_whole(path: Path) -> None:
    async def go() -> None:
        async with opened(path) as journal:
            await journal.append(batch(Head(), 1))
            await append_old_events(journal, [(1, n, "{}") for n in range(25_000)])

    asyncio.run(go())
    with open_journal_reader(path) as reader:
        assert [n for _, n, _ in reader.events(1, 1)] == list(range(25_000))


async def limit_pages(journal: SqliteJournalWriter) -> None:
    """Stop the growth of the database: SQLite then reports a full disk."""
    cursor = await journal._connection.execute("PRAGMA page_count")
    (pages,) = await cursor.fetchone() or (0,)
    await journal._connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_records_nothing_of_the_batch_and_the_journal_goes_on(path: Path) -> None:
    async def go() -> None:
        async with opened(path) as journal:
            await journal.append(batch(journal.head, 10))
            await limit_pages(journal)
            head = journal.head
            with pytest.raises(JournalFullError, match="disk is full"):
                await journal.append(batch(head, 2_000))
            assert journal.head == head
            with pytest.raises(JournalFullError):
                await journal.append_answers([(seq, 1_772_000_000_000_000) for seq in range(12_000)])
            await journal._connection.execute("PRAGMA max_page_count = 1000000")
            await journal.append(batch(head, 2_000))
            assert journal.head.seq == 2_010

    asyncio.run(go())
    with open_journal_reader(path) as reader:
        assert len(list(reader.records(Head()))) == 2_010


@pytest.mark.slow
def test_a_foreign_write_transaction_records_nothing_and_the_journal_goes_on(path: Path) -> None:
    async def go() -> None:
        async with opened(path) as journal:
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalBusyError, match="another program"):
                await journal.append(batch(Head(), 1))
            other.execute("ROLLBACK")
            other.close()
            await journal.append(batch(Head(), 1))
            assert journal.head.seq == 1

    asyncio.run(go())


def test_every_commit_is_synced_to_the_disk(path: Path) -> None:
    """Killing a process cannot show this: its writes survive the kill, but not a loss of power."""

    async def go() -> tuple[object, object]:
        async with opened(path) as journal:
            synchronous = await (await journal._connection.execute("PRAGMA synchronous")).fetchone()
            mode = await (await journal._connection.execute("PRAGMA journal_mode")).fetchone()
            return synchronous, mode

    full = 2
    assert asyncio.run(go()) == ((full,), ("wal",))


def test_a_second_writer_makes_the_journal_broken(path: Path) -> None:
    async def go() -> None:
        async with opened(path) as journal:
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("INSERT INTO commands (seq, ts_us, payload, hash) VALUES (1, 1, '{}', x'00')")
            other.close()
            with pytest.raises(JournalBrokenError, match="append-only"):
                await journal.append(batch(Head(), 1))

    asyncio.run(go())


def test_a_missing_file(path: Path) -> None:
    with pytest.raises(JournalMissingError, match="exchange init"):
        open_journal_reader(path)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no folder"):
        schema.prepare(tmp_path / "nowhere" / "exchange.db")


def test_an_empty_file_counts_as_missing(path: Path) -> None:
    path.touch()
    write(path, 1)


@pytest.mark.parametrize("open_it", [open_journal_reader, schema.prepare])
def test_a_file_that_is_not_a_database(path: Path, open_it: Callable[[Path], object]) -> None:
    path.write_text("dear diary, " * 100)
    with pytest.raises(NotAJournalError, match="not an exchange journal"):
        open_it(path)
    assert path.read_text() == "dear diary, " * 100


@pytest.mark.parametrize("open_it", [open_journal_reader, schema.prepare])
def test_a_database_of_another_program(path: Path, open_it: Callable[[Path], object]) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NotAJournalError, match="another program"):
        open_it(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("open_it", [open_journal_reader, schema.prepare])
def test_a_folder(tmp_path: Path, open_it: Callable[[Path], object]) -> None:
    with pytest.raises(JournalError, match=r"cannot open|not an exchange journal"):
        open_it(tmp_path)


@pytest.mark.parametrize("open_it", [open_journal_reader, schema.prepare])
def test_a_journal_of_a_newer_program(path: Path, open_it: Callable[[Path], object]) -> None:
    write(path, 1)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(JournalTooNewError, match="newer program"):
        open_it(path)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE kept (x INTEGER); CREATE TABLE commands (x INTEGER);",
        "CREATE TABLE kept (x INTEGER); COMMIT;",
        "CREATE TABLE kept (x INTEGER); ROLLBACK;",
        "CREATE TABLE kept (x INTEGER); SELECT no_such_function();",
    ],
)
def test_a_migration_that_fails_leaves_nothing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    write(path, 2)
    bad = tmp_path / "0002_bad.sql"
    bad.write_text(text)
    known = schema.known_migrations()
    monkeypatch.setattr(schema, "known_migrations", lambda: [*known, bad])
    with pytest.raises(JournalError, match=r"0002_bad\.sql failed"):
        schema.prepare(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(known),)
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'kept'").fetchone() == (0,)
    connection.close()


def test_the_lock_names_its_owner_and_ends_with_it(path: Path) -> None:
    assert lock_owner(path) is None
    with JournalLock(path) as lock:
        lock.announce("ws://127.0.0.1:1/")
        owner = lock_owner(path)
        assert owner is not None and owner.url == "ws://127.0.0.1:1/"
        with pytest.raises(JournalLockedError, match=f"process {owner.pid}, listening on ws://127.0.0.1:1/"):
            JournalLock(path).__enter__()
        assert lock_owner(path) == owner, "asking for a lock must not disturb its owner"
    assert lock_owner(path) is None


def _hold(path: Path, ready: "multiprocessing.synchronize.Event") -> None:
    with JournalLock(path):
        ready.set()
        multiprocessing.Event().wait()


@pytest.fixture
def owning_process(path: Path) -> Iterator[multiprocessing.Process]:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(path, ready))
    process.start()
    assert ready.wait(30)
    yield process  # type: ignore[misc]
    process.kill()
    process.join()


@pytest.mark.slow
def test_a_killed_owner_leaves_no_lock(path: Path, owning_process: multiprocessing.Process) -> None:
    owner = lock_owner(path)
    assert owner is not None and owner.pid == owning_process.pid
    owning_process.kill()
    owning_process.join()
    with JournalLock(path):
        pass


def test_error_of_a_start_on_a_full_disk_says_to_start_again(path: Path) -> None:
    """A start ends with this error; nothing tries again by itself."""

    async def go() -> None:
        async with opened(path) as journal:
            await limit_pages(journal)
            with pytest.raises(JournalFullError, match=r"^the disk is full: free some space, then start again$"):
                await journal.append(batch(journal.head, 2_000))

    asyncio.run(go())
