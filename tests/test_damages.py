"""Random damages to every kind of file: a start and `verify` find each that changed content, or start without a loss.

`DAMAGES=N` sets the number of damages of the long run.
"""

import asyncio
import os
import random
import shutil
import sqlite3
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.engine.chain import check_unreplayed
from exchange.engine.engine import Engine
from exchange.engine.recovery import recover
from exchange.history.compact import compact
from exchange.history.verify import verify
from exchange.history_db.file import history_path
from exchange.history_db.update import update_history
from exchange.journal.archive_file import ArchivePart
from exchange.journal.archives import all_archives
from exchange.journal.errors import JournalError
from exchange.journal.file_header import log_path
from exchange.journal.lock import JournalLock, recorded_seq
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.records import Head
from exchange.journal.schema import ensure_journal
from exchange.runtime.follower import FollowerStatus, read_status, save_and_prune, write_status_file
from exchange.runtime.lost_commands import refuse_lost_commands
from exchange.snapshots.store import DamagedSnapshotError, SnapshotStore, load
from tests.journals import append_random

ARCHIVED, STOPPED, LAST = 40, 110, 130
FEW, MANY = 24, int(os.environ.get("DAMAGES", "2000"))


def no_bar(_done: int, _total: int) -> None:
    pass


def ignore(_sentence: str) -> None:
    pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crashed exchange: an archive, a journal, a -wal with the last commands, snapshots, history, position, lock."""
    folder = tmp_path_factory.mktemp("whole")
    path, copy = folder / "exchange.db", folder / "copy"

    async def run() -> None:
        engine = Engine()
        journal = await open_journal_writer(path)
        await append_random(journal, engine, ARCHIVED + 10, 10)
        await journal.close()
        compact(path, ARCHIVED + 1, ignore, no_bar)
        with JournalLock(path) as lock:
            journal = await open_journal_writer(path, lock)
            await append_random(journal, engine, STOPPED, 10)
            await journal.append_digests(engine.events_digest.rows())
            save_and_prune(path, engine.snapshot())
            await journal.close()
            journal = await open_journal_writer(path, lock)
            await append_random(journal, engine, LAST, 5)
            await journal.append_answers([(LAST, engine.head.ts_us + 1)])
            save_and_prune(path, engine.snapshot())
            update_history(path, ignore, no_bar)
            write_status_file(path, FollowerStatus(1, LAST, engine.head.ts_us, LAST, 0))
            shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("copy"))
            await journal.close()

    asyncio.run(run())
    for file in copy.glob("*-shm"):
        file.unlink()
    return copy


def files_of(folder: Path) -> list[Path]:
    return sorted(
        file for file in folder.rglob("*") if file.is_file() and file.stat().st_size and not file.name.endswith("-shm")
    )


def damage(file: Path, numbers: random.Random) -> str:
    """Damage a file in one of several ways. Returns what was done."""
    content = bytearray(file.read_bytes())
    kind = numbers.choice(("flip", "flip", "flip", "cut", "zero", "delete"))
    if kind == "delete":
        file.unlink()
        return "deleted"
    at = numbers.randrange(len(content))
    match kind:
        case "flip":
            content[at] ^= 1 << numbers.randrange(8)
        case "cut":
            del content[at:]
        case "zero":
            start = at // 4096 * 4096
            end = min(start + 4096, len(content))
            content[start:end] = bytes(end - start)
    file.chmod(0o644)
    file.write_bytes(content)
    return f"{kind} at {at}"


def content_of(folder: Path) -> dict[str, Any]:
    """All that the files say. A file that cannot be read says so."""
    path = folder / "exchange.db"
    found: dict[str, Any] = {"lock": recorded_seq(path), "status": read_status(path)}
    for file in SnapshotStore(path).files():
        try:
            found[file.name] = load(file)
        except (OSError, DamagedSnapshotError) as error:
            found[file.name] = repr(error)
    for name, read in (("journal", _journal), ("archives", _archives), ("history", _history)):
        try:
            found[name] = list(read(path))
        except (JournalError, sqlite3.Error, msgspec.MsgspecError) as error:
            found[name] = repr(error)
    return found


def _journal(path: Path) -> Iterator[Any]:
    with open_journal_reader(path) as reader:
        yield from reader.records_where(reader.bases[-1].head.seq, 10**9)
        yield from reader.digests()
        yield from reader.answer_times(1, 10**9)
        yield reader.bases[-1]


def _archives(path: Path) -> Iterator[Any]:
    for archive in all_archives(path):
        with closing(ArchivePart(archive.path)) as part:
            yield part.base, part.end
            yield part.page("commands", 1, 10**9)


def _history(path: Path) -> Iterator[Any]:
    with closing(sqlite3.connect(f"file:{history_path(path)}?mode=ro", uri=True)) as connection:
        yield from connection.iterdump()


def start(path: Path) -> Head:
    """What `exchange serve` does before it accepts clients."""

    async def run() -> Head:
        ensure_journal(path)
        with JournalLock(path) as lock:
            refuse_lost_commands(path)
            journal = await open_journal_writer(path, lock)
            try:
                engine, origin_seq = recover(path, ignore, no_bar)
                check_unreplayed(path, origin_seq)
                assert engine.head == journal.head
                return engine.head
            finally:
                await journal.close()

    return asyncio.run(run())


# A derived file may be deleted, and then it says nothing. Nothing is lost with it.
_DELETABLE = (".snapshot", ".follower", ".lock", ".history.db", ".history.db-wal", ".archive")


def check_damage(whole: Path, folder: Path, seed: int) -> str | None:
    """Damage a copy. Returns what was passed over; None if nothing was."""
    numbers = random.Random(seed)
    shutil.copytree(whole, folder)
    path = folder / "exchange.db"
    before = content_of(folder)
    head = start_head(before)
    file = numbers.choice(files_of(folder))
    done = f"seed {seed}: {file.relative_to(folder)} {damage(file, numbers)}"
    is_gone = not file.exists() or not file.stat().st_size
    other = folder.with_name(f"{folder.name}-start")
    shutil.copytree(folder, other)
    try:
        verdict = verify(path, False, no_bar)
        is_found = verdict.damage is not None or bool(verdict.notes)
    except JournalError:
        is_found = True
    if not is_found and not (is_gone and file.name.endswith(_DELETABLE)):
        after = content_of(folder)
        changed = [name for name in before if before[name] != after.get(name)]
        if changed:
            return f"{done}: verify passes over {changed}"
    try:
        started = start(other / "exchange.db")
    except JournalError as error:
        message = str(error)
        return None if "exchange" in message and "Error" not in message else f"{done}: unclear refusal: {message}"
    return None if started == head else f"{done}: a start ends with {started.seq}"


def start_head(content: dict[str, Any]) -> Head:
    last = [row for row in content["journal"] if len(row) == 4][-1]
    return Head(last.seq, last.ts_us, last.hash)


def run_damages(whole: Path, tmp_path: Path, seeds: range) -> str:
    """What was passed over, a line each."""
    passed: list[str] = []
    for seed in seeds:
        folder = tmp_path / str(seed)
        try:
            if (text := check_damage(whole, folder, seed)) is not None:
                passed.append(text)
        except Exception:
            passed.append(f"seed {seed}: {traceback.format_exc()}")
        for left in (folder, folder.with_name(f"{folder.name}-start")):
            shutil.rmtree(left, ignore_errors=True)
    return "\n".join(passed)


def test_the_undamaged_files_are_sound_and_start(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "copy")
    path = tmp_path / "copy" / "exchange.db"
    assert log_path(path).stat().st_size
    verdict = verify(path, False, no_bar)
    assert (verdict.damage, verdict.notes, verdict.history_seq, verdict.snapshots) == (None, [], LAST, 3)
    assert start(path).seq == LAST


def test_no_page_of_the_history_is_passed_over(whole: Path, tmp_path: Path) -> None:
    """Half a page of zeros can be rows with the seq 0, which look like a history without commands."""
    shutil.copytree(whole, tmp_path / "copy")
    path = tmp_path / "copy" / "exchange.db"
    content = history_path(path).read_bytes()
    with closing(sqlite3.connect(history_path(whole / "exchange.db"))) as connection:
        (last,) = connection.execute(
            "SELECT payload FROM command WHERE payload IS NOT NULL ORDER BY seq DESC"
        ).fetchone()
    at = content.index(last.encode()) // 4096 * 4096
    for start_at in (at - 4096, at, at + 4096):
        damaged = content[:start_at] + bytes(4096) + content[start_at + 4096 :]
        history_path(path).write_bytes(damaged)
        verdict = verify(path, False, no_bar)
        assert verdict.damage is not None, start_at


@pytest.mark.slow
def test_no_damage_is_passed_over(whole: Path, tmp_path: Path) -> None:
    assert run_damages(whole, tmp_path, range(FEW)) == ""


@pytest.mark.soak
def test_no_damage_of_many_is_passed_over(whole: Path, tmp_path: Path) -> None:
    assert run_damages(whole, tmp_path, range(1_000, 1_000 + MANY)) == ""


@pytest.mark.parametrize("name", ["exchange.db", "exchange.history.db"])
def test_a_damaged_schema_with_bytes_that_are_no_text_is_named(whole: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(whole, tmp_path / "copy")
    path = tmp_path / "copy" / "exchange.db"
    for file in (path, history_path(path)):
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    file = path.with_name(name)
    content = file.read_bytes()
    assert b"CREATE TABLE " in content
    file.write_bytes(content.replace(b"CREATE TABLE ", b"CREATE \xa0\xa1\xa2\xa3\xa4 "))
    with closing(sqlite3.connect(file)) as connection, pytest.raises((sqlite3.Error, UnicodeDecodeError)):
        connection.execute("SELECT * FROM commands")
    try:
        verdict = verify(path, False, no_bar)
        said = str(verdict.damage or verdict.notes)
    except JournalError as error:
        said = str(error)
    assert name in said
