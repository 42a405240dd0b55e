"""Sealing: a running exchange moves older commands into compressed archives, and no reader notices."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from exchange.cli.main import main
from exchange.engine.recovery import recover
from exchange.history.fork import fork
from exchange.history.verify import verify
from exchange.journal.archive_file import ArchivePart
from exchange.journal.archives import all_archives, archive_folder
from exchange.journal.errors import JournalError
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Head
from exchange.matching.state_codec import digest
from exchange.runtime import archiver
from exchange.runtime.archiver import Archiver, delete_archives, last_seq_to_seal, seal
from tests.history_sql import ask_past
from tests.journals import COMMANDS, play
from tests.old_archives import compact_into_journal

LAST = 250


def no_bar(_done: int, _total: int) -> None:
    pass


def say_nothing(_sentence: str) -> None:
    pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "exchange.db"
    play(path, seed=3, snapshots_at=(150,))
    with open_journal_reader(path) as reader:
        times = {record.seq: record.ts_us for record in reader.records(Head())}

    async def measure() -> None:
        journal = await open_journal_writer(path)
        await journal.append_digests([(seq, "state/0", f"{seq:064d}") for seq in (100, LAST, 300)])
        await journal.append_answers([(seq, times[seq] + 1) for seq in (50, LAST, 300)])
        await journal.close()

    asyncio.run(measure())
    return path


READS: list[Callable[[JournalReader], Iterator[Any]]] = [
    lambda reader: reader.records(Head()),
    lambda reader: reader.records_where(1, COMMANDS),
    lambda reader: reader.records_where(1, COMMANDS, [{"kind": "place_order"}]),
    lambda reader: reader.events(1, COMMANDS),
    lambda reader: reader.digests(),
    lambda reader: reader.answer_times(1, COMMANDS),
    lambda reader: (reader.head_at(seq) for seq in range(COMMANDS + 1)),
    lambda reader: iter(sorted(reader.kinds().items())),
]


def everything(path: Path) -> list[Any]:
    """All rows that a reader finds."""
    with open_journal_reader(path) as reader:
        return [list(read(reader)) for read in READS]


def adopt(path: Path, count: int, rounds: int = 1_000) -> None:
    """What the exchange does once the archive is written; `rounds` deletions of `count` commands."""

    async def run() -> None:
        journal = await open_journal_writer(path)
        try:
            with closing(ArchivePart(all_archives(path)[-1].path)) as part:
                await journal.seal(part.end)
            for _ in range(rounds):
                if not await journal.delete_sealed(count):
                    break
        finally:
            await journal.close()

    asyncio.run(run())


def sql_count(path: Path) -> list[int]:
    return [ask_past(path, f"SELECT count(*) FROM {table}")[0][0] for table in ("commands", "events", "orders")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "rounds",
    [None, 0, 1, 1_000],
    ids=["archive written", "base recorded", "some rows deleted", "all rows deleted"],
)
def test_sealing_loses_nothing_wherever_it_ends(path: Path, rounds: int | None) -> None:
    before, counts = everything(path), sql_count(path)
    seal(path, LAST)
    if rounds is not None:
        adopt(path, 100, rounds)
    assert everything(path) == before
    assert sql_count(path) == counts
    verdict = verify(path, False, no_bar)
    assert (verdict.damage, verdict.commands) == (None, COMMANDS)
    if rounds is None:
        # The next attempt takes the archive that is there.
        assert seal(path, LAST + 10).last_seq == LAST
    adopt(path, 100)
    assert everything(path) == before
    assert verify(path, False, no_bar).damage is None
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT min(seq), max(seq) FROM commands").fetchone() == (LAST + 1, COMMANDS)
    assert len(all_archives(path)) == 1


def test_states_and_forks_across_two_archives(path: Path, tmp_path: Path) -> None:
    expected = {seq: digest(recover(path, say_nothing, no_bar, seq).engine.state) for seq in (99, 100, 200, LAST, 400)}
    before = everything(path)
    for last_seq in (100, LAST):
        seal(path, last_seq)
        adopt(path, 1_000)
    for seq, found in expected.items():
        assert digest(recover(path, say_nothing, no_bar, seq, use_snapshots=False).engine.state) == found
    fork(path, 300, tmp_path / "fork.db", no_bar)
    assert verify(tmp_path / "fork.db", False, no_bar).damage is None
    assert everything(tmp_path / "fork.db")[0][:300] == before[0][:300]


@pytest.mark.parametrize("read", READS, ids=range(len(READS)))
def test_waiting_reader_goes_on_in_the_archive(
    path: Path, read: Callable[[JournalReader], Iterator[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.journal.sqlite_part.PAGE_ROWS", 20)
    with open_journal_reader(path) as reader:
        expected = list(read(reader))
        rows = read(reader)
        first = next(rows)
        seal(path, LAST)
        adopt(path, 1_000)
        assert [first, *rows] == expected
        assert list(read(reader)) == expected


def test_an_altered_archive_is_found(path: Path) -> None:
    archive = seal(path, LAST).path
    adopt(path, 1_000)
    archive.chmod(0o644)
    with closing(sqlite3.connect(archive)) as connection, connection:
        (body,) = connection.execute("SELECT body FROM pages WHERE content = 'commands'").fetchone()
        other = bytearray(body)
        other[len(other) // 2] ^= 1
        connection.execute("UPDATE pages SET body = ? WHERE content = 'commands'", (bytes(other),))
    damage = verify(path, False, no_bar).damage
    assert damage is not None and f"{archive} is damaged between seq 1 and {LAST}" in str(damage)


def test_archive_of_another_journal_is_not_taken(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    play(other, seed=4)
    foreign = seal(other, 200).path
    archive_folder(path).mkdir()
    (archive_folder(path) / foreign.name).write_bytes(foreign.read_bytes())
    with pytest.raises(JournalError, match="is an archive of another journal"):
        seal(path, 200)


def test_age_decides_what_is_sealed_and_deleted(path: Path) -> None:
    with open_journal_reader(path) as reader:
        times = {seq: head.ts_us for seq in (1, LAST, COMMANDS) if (head := reader.head_at(seq))}
    age_us = times[COMMANDS] - times[LAST]
    assert last_seq_to_seal(path, times[1] + age_us, age_us) is None
    assert last_seq_to_seal(path, times[LAST] + age_us, age_us) == LAST - 1
    # The journal keeps its last command.
    assert last_seq_to_seal(path, times[COMMANDS] + 10 * age_us, age_us) == COMMANDS - 1
    seal(path, LAST)
    adopt(path, 1_000)
    assert delete_archives(path, times[LAST]) == []
    assert len(delete_archives(path, times[LAST] + 1)) == 1
    assert all_archives(path) == []


@pytest.mark.slow
def test_archiver_seals_with_its_subprocess(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(path)
    monkeypatch.setattr(archiver, "_DELETE_PAUSE_SECONDS", 0)
    with open_journal_reader(path) as reader:
        head = reader.head_at(LAST + 1)
    assert head is not None

    async def run() -> None:
        journal = await open_journal_writer(path)
        sealing = Archiver(path, journal, lambda: head.ts_us + 1_000_000, 1_000_000, None)
        try:
            sealing.start()
            with closing(sqlite3.connect(path)) as connection:
                first_seq = 1
                while first_seq != LAST + 1:
                    ((first_seq,),) = connection.execute("SELECT min(seq) FROM commands").fetchall()
                    await asyncio.sleep(0.02)
            await sealing.stop()
        finally:
            await journal.close()

    asyncio.run(asyncio.wait_for(run(), 60))
    assert everything(path) == before


@pytest.mark.slow
def test_merge_keeps_every_row(path: Path) -> None:
    """Three archives, one of them of the first kind, become one; also if a crash leaves the old ones."""
    before, counts = everything(path), sql_count(path)
    compact_into_journal(path, 51)
    for last_seq in (100, LAST):
        seal(path, last_seq)
        adopt(path, 1_000)
    with open_journal_reader(path) as reader:
        digests = list(reader.digests())
    kept = {archive.path: archive.path.read_bytes() for archive in all_archives(path)}
    assert len(kept) == 3
    runner = CliRunner()
    outcome = runner.invoke(main, ["archive", "merge", "--db", str(path)])
    assert (outcome.exit_code, "merged 3 archives, seq 1 to 250" in outcome.output) == (0, True), outcome.output
    assert len(all_archives(path)) == 1
    for left in ({}, kept):
        for file, content in left.items():
            file.write_bytes(content)
        found = everything(path)
        assert found[:4] == before[:4] and found[5:] == before[5:]
        assert found[4] == digests
        assert sql_count(path) == counts
        assert verify(path, False, no_bar).damage is None
        listed = json.loads(runner.invoke(main, ["archive", "list", "--json", "--db", str(path)]).stdout)
        assert [(row["first_seq"], row["last_seq"]) for row in listed] == [(1, LAST)]
    assert "seq 1 to 250 " in runner.invoke(main, ["archive", "list", "--db", str(path)]).stdout


def test_merge_needs_two_archives(path: Path) -> None:
    outcome = CliRunner().invoke(main, ["archive", "merge", "--db", str(path)])
    assert (outcome.exit_code, "two archives or more" in outcome.stderr) == (1, True), outcome.output
