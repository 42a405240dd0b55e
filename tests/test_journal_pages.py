"""Readers fetch a journal in pages: they hold no transaction between two pages, and leave out no row."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exchange.journal import sqlite_part, sqlite_writer
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Head, chain
from tests.old_events import append_old_events

COUNT = 50
# Commands in a page, so that the journal has many pages.
PAGE = 7


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sqlite_part, "PAGE_ROWS", PAGE)
    path = tmp_path / "exchange.db"

    async def write() -> None:
        journal = await open_journal_writer(path)
        await journal.append(chain(Head(), [(seq, f'{{"kind":"k{seq % 3}"}}') for seq in range(1, COUNT + 1)]))
        # The fifth command has more events than a page.
        rows = [(seq, n, f'{{"kind":"e{n}"}}') for seq in range(1, COUNT + 1) for n in range(20 if seq == 5 else 2)]
        await append_old_events(journal, rows)
        await journal.append_digests([(seq, subject, "d") for seq in range(1, COUNT + 1) for subject in "abc"])
        await journal.append_answers([(seq, seq + 1) for seq in range(1, COUNT + 1)])
        await journal.close()

    asyncio.run(write())
    return path


READS: dict[str, Callable[[JournalReader], Iterator[Any]]] = {
    "records": lambda reader: reader.records(Head()),
    "records_where": lambda reader: reader.records_where(1, COUNT),
    "some records": lambda reader: reader.records_where(1, COUNT, [{"kind": "k1"}]),
    "events": lambda reader: reader.events(1, COUNT),
    "some events": lambda reader: reader.events(1, COUNT, [{"kind": "e1"}]),
    "digests": lambda reader: reader.digests(),
    "answer_times": lambda reader: reader.answer_times(1, COUNT),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_pages_have_the_rows_of_one_query(
    path: Path, read: Callable[[JournalReader], Iterator[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_journal_reader(path) as reader:
        paged = list(read(reader))
        monkeypatch.setattr(sqlite_part, "PAGE_ROWS", 100_000)
        assert paged == list(read(reader))
    assert len(paged) > PAGE


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_waiting_reader_does_not_keep_the_log(path: Path, read: Callable[[JournalReader], Iterator[Any]]) -> None:
    """SQLite can only truncate the -wal if no connection reads an old state of the file."""
    with open_journal_reader(path) as reader, closing(sqlite3.connect(path, isolation_level=None)) as writer:
        rows = read(reader)
        next(rows)
        writer.execute("INSERT INTO digests VALUES (1, 'z', 'd')")
        assert writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
        assert len(list(rows)) > PAGE


def test_large_log_shrinks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_writer, "_LOG_BYTES_MAX", 100_000)
    log = path.with_name("exchange.db-wal")

    async def write() -> list[int]:
        journal = await open_journal_writer(path)
        sizes = []
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM commands").fetchone()
            await journal.append(chain(journal.head, [(COUNT + 1, f'"{"x" * 1_000_000}"')]))
            sizes.append(log.stat().st_size)
            reader.execute("COMMIT")
            # An append that finds the whole file carried over begins it anew.
            reader.execute("PRAGMA wal_checkpoint(PASSIVE)")
            await journal.append(chain(journal.head, [(COUNT + 2, '"y"')]))
            sizes.append(log.stat().st_size)
        await journal.close()
        return sizes

    large, small = asyncio.run(write())
    assert (large > 1_000_000, small) == (True, 100_000)
