"""Backups are checked, and a restored one never becomes a mixture with the files that a crash left."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from exchange.client import connect
from exchange.domain.commands import Command, encode_command
from exchange.engine.engine import Engine
from exchange.engine.recovery import event_rows, recover
from exchange.history.verify import verify
from exchange.journal import backup as backups
from exchange.journal.backup import back_up
from exchange.journal.chain_check import check_chain
from exchange.journal.errors import ForeignLogError, JournalDamagedError
from exchange.journal.file_header import log_path
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.protocols import JournalWriter
from exchange.journal.records import Head, chain
from exchange.snapshots.store import SnapshotStore, load
from tests.cli_support import complained, exchange, said
from tests.journals import play
from tests.old_events import append_old_events
from tests.random_commands import random_steps
from tests.wire import exchange as running_exchange

# The backup is made after this command.
BACKUP_SEQ = 60
BATCH = 10


def no_bar(_done: int, _total: int) -> None:
    pass


async def append_up_to(journal: JournalWriter, engine: Engine, steps: list[tuple[int, Command]], last_seq: int) -> None:
    """Record commands in small batches, as an exchange without much to do."""
    while batch := steps[engine.head.seq : min(last_seq, engine.head.seq + BATCH)]:
        records = chain(engine.head, [(ts_us, encode_command(command).decode()) for ts_us, command in batch])
        events = [
            (record.seq, engine.step(record, command)[0]) for record, (_, command) in zip(records, batch, strict=True)
        ]
        await journal.append(records)
        await append_old_events(journal, event_rows(events))


class Crash:
    """A journal, and the files next to it, as a `kill -9` left them after command `last_seq`.

    Its -wal begins after command `log_from`. `backup` and `copy` have the commands up to BACKUP_SEQ: one is from
    `journal backup`, one is a plain copy of the file of a stopped exchange.
    """

    def __init__(self, folder: Path, log_from: int, last_seq: int) -> None:
        self.backup, self.copy = folder / "backup.db", folder / "copy.db"
        self.folder, self.last_seq = folder / "crashed", last_seq
        self.head = asyncio.run(self._crash(folder / "exchange.db", log_from))

    def files(self, to: Path) -> Path:
        """Copy the files of the crash. Returns the path of the journal."""
        shutil.copytree(self.folder, to, dirs_exist_ok=True)
        return to / "exchange.db"

    async def _crash(self, path: Path, log_from: int) -> Head:
        steps = [(ts_us, command) for ts_us, command, _ in random_steps(1, self.last_seq)]
        engine = Engine()
        for seq in (BACKUP_SEQ, log_from):
            journal = await open_journal_writer(path)
            await append_up_to(journal, engine, steps, seq)
            await journal.close()
            if not self.backup.exists():
                back_up(path, self.backup, no_bar)
                shutil.copy(path, self.copy)
        SnapshotStore(path).save(engine.snapshot())
        journal = await open_journal_writer(path)
        await append_up_to(journal, engine, steps, self.last_seq)
        self.folder.mkdir()
        for file in path.parent.glob("exchange.db*"):
            (shutil.copytree if file.is_dir() else shutil.copy)(file, self.folder / file.name)
        await journal.close()
        return engine.head


@pytest.fixture(scope="module")
def short_ago(tmp_path_factory: pytest.TempPathFactory) -> Crash:
    """The -wal has all commands since the backup."""
    return Crash(tmp_path_factory.mktemp("short"), BACKUP_SEQ, 90)


@pytest.fixture(scope="module")
def long_ago(tmp_path_factory: pytest.TempPathFactory) -> Crash:
    """The -wal has only the last commands since the backup: together they are no whole journal."""
    return Crash(tmp_path_factory.mktemp("long"), 400, 430)


def contents(path: Path) -> dict[str, bytes]:
    """The database and its -wal."""
    return {file.name: file.read_bytes() for file in (path, log_path(path))}


def open_once(path: Path) -> Head:
    """Open the journal for writing, as a start of the exchange does."""

    async def run() -> Head:
        journal = await open_journal_writer(path)
        await journal.close()
        return journal.head

    return asyncio.run(run())


def head_of(path: Path) -> Head:
    with open_journal_reader(path) as reader:
        return reader.head()


def put_away_log(path: Path) -> None:
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink()


@pytest.mark.slow
def test_a_crash_alone_loses_nothing(long_ago: Crash, tmp_path: Path) -> None:
    path = long_ago.files(tmp_path)
    assert open_once(path) == head_of(path) == long_ago.head
    assert verify(path, False, no_bar).damage is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["short_ago", "long_ago"])
def test_a_backup_is_not_mixed_with_the_log_of_a_crash(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Every command refuses both files until the log is moved away. Then the journal is that of the backup."""
    crash: Crash = request.getfixturevalue(name)
    path = crash.files(tmp_path)
    shutil.copy(crash.backup, path)
    before = contents(path)
    with pytest.raises(ForeignLogError, match="does not belong to"):
        open_once(path)
    for words in ("serve --port 0", "journal info", "sql SELECT", "journal backup x.db", "journal tail"):
        assert "exchange.db-wal does not belong to" in complained(exchange(*words.split(), "--db", path))
    assert "does not belong to" in complained(exchange("journal", "verify", "--db", path), 2)
    assert contents(path) == before

    put_away_log(path)
    assert head_of(path).seq == BACKUP_SEQ
    assert open_once(path) == head_of(path) == head_of(crash.backup)
    # The snapshot that was next to the crashed journal is of a later moment.
    assert recover(path, lambda sentence: None, no_bar).engine.head.seq == BACKUP_SEQ
    shutil.rmtree(SnapshotStore(path).folder)
    assert verify(path, False, no_bar).damage is None


def test_a_plain_copy_is_not_mixed_with_the_log_of_a_crash(long_ago: Crash, tmp_path: Path) -> None:
    """The header of a plain copy tells nothing, so the chain does: nothing is written before it was checked."""
    path = long_ago.files(tmp_path)
    shutil.copy(long_ago.copy, path)
    before = contents(path)
    with pytest.raises(JournalDamagedError, match="make no whole journal"):
        open_once(path)
    assert "make no whole journal" in complained(exchange("serve", "--port", "0", "--db", path))
    assert contents(path) == before
    put_away_log(path)
    assert open_once(path).seq == BACKUP_SEQ
    assert "ends with seq 60, but the newest snapshot has seq 400" in (verify(path, True, no_bar).damage or "")
    shutil.rmtree(SnapshotStore(path).folder)
    assert verify(path, True, no_bar).damage is None


def test_a_plain_copy_that_the_log_completes_is_the_journal_of_the_crash(short_ago: Crash, tmp_path: Path) -> None:
    """Both together are the whole newer journal: nothing is lost, and nothing is mixed."""
    path = short_ago.files(tmp_path)
    shutil.copy(short_ago.copy, path)
    assert open_once(path) == short_ago.head
    assert verify(path, False, no_bar).damage is None


def test_an_exchange_trades_on_after_a_restore(short_ago: Crash, tmp_path: Path) -> None:
    """Snapshots and other files of the later journal are still there, and are not used."""
    path = short_ago.files(tmp_path)
    put_away_log(path)
    shutil.copy(short_ago.backup, path)

    async def trade() -> int:
        async with running_exchange(path) as running, connect(running.url, "erin") as client:
            return (await client.get_head()).seq

    assert asyncio.run(trade()) > BACKUP_SEQ
    for snapshot in SnapshotStore(path).files():
        if load(snapshot).seq == BACKUP_SEQ:
            snapshot.unlink()
    assert head_of(path).seq > BACKUP_SEQ
    assert verify(path, True, no_bar).damage is None


# The copy is checked.


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "exchange.db"
    play(path, count=80)
    return path


def test_a_backup_says_what_it_checked(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    text = said(exchange("journal", "backup", copy, "--db", path))
    assert f"up to seq 80 and checked the copy, hash {head_of(path).hash.hex()}" in text
    assert head_of(copy) == head_of(path) and not log_path(copy).exists()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE commands SET payload = replace(payload, 'alice', 'alicf') WHERE seq = (SELECT min(seq) FROM commands "
        "WHERE payload LIKE '%alice%')",
        "UPDATE commands SET ts_us = ts_us + 1 WHERE seq = 80",
        "DELETE FROM commands WHERE seq = 40",
    ],
)
def test_a_damaged_journal_is_no_backup(path: Path, tmp_path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for name in ("commands_are_never_changed", "commands_are_never_deleted"):
            connection.execute(f"DROP TRIGGER {name}")
        assert connection.execute(statement).rowcount == 1
        connection.commit()
    copy = tmp_path / "copy.db"
    assert "was not kept: seq" in complained(exchange("journal", "backup", copy, "--db", path))
    assert list(tmp_path.glob("copy.db*")) == []


@pytest.mark.parametrize("fault", ["page", "tail"])
def test_a_copy_that_differs_is_not_kept(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """The disk returns something else than was written."""

    def check_worse(copy: Path, progress: Callable[[int, int], None]) -> Head:
        head = check_chain(copy, progress)
        return head._replace(seq=head.seq - 1)

    copy = tmp_path / "copy.db"
    if fault == "tail":
        monkeypatch.setattr(backups, "check_chain", check_worse)
        with pytest.raises(JournalDamagedError, match="ends at seq 79, and not as the journal at seq 80"):
            back_up(path, copy, no_bar)
    else:
        monkeypatch.setattr(backups, "_quick_check", lambda connection: "page 7 is never used")
        with pytest.raises(JournalDamagedError, match="page 7 is never used"):
            back_up(path, copy, no_bar)
    assert list(tmp_path.glob("copy.db*")) == []
