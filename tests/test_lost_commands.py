"""A start and `verify` never pass over commands that the journal has lost."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from exchange.engine.engine import Engine
from exchange.history.recovery_plan import plan_recovery
from exchange.history.verify import verify
from exchange.history_db.file import history_path
from exchange.history_db.update import update_history
from exchange.journal.archives import sealed_archive_path
from exchange.journal.errors import CommandsLostError, JournalError
from exchange.journal.file_header import log_path
from exchange.journal.lock import JournalLock, lock_owner, recorded_seq
from exchange.journal.log_scan import LogScan, scan_log
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.write_ahead_log import check_log_of_crash
from exchange.runtime.accepted_loss import accept_loss
from exchange.runtime.follower import FollowerStatus, status_file
from exchange.runtime.lost_commands import refuse_lost_commands
from exchange.runtime.pipeline import BATCH_MAX
from exchange.snapshots.store import SnapshotStore
from tests.cli_support import complained, exchange
from tests.journals import append_random, play

SHORT, LONG = 60, 90
BATCH = 10
FRAME_BYTES = 24 + 4096


def no_bar(_done: int, _total: int) -> None:
    pass


def ignore(_sentence: str) -> None:
    pass


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `kill -9` left it: SHORT commands in the database, the others in the -wal, ten in a transaction."""
    folder = tmp_path_factory.mktemp("crash")
    path, copy = folder / "exchange.db", folder / "copy"

    async def crash() -> None:
        engine = Engine()
        with JournalLock(path) as lock:
            for last_seq in (SHORT, LONG):
                journal = await open_journal_writer(path, lock)
                await append_random(journal, engine, last_seq, BATCH)
                if last_seq == LONG:
                    copy.mkdir()
                    for file in folder.glob("exchange.db*"):
                        shutil.copy(file, copy / file.name)
                await journal.close()

    asyncio.run(crash())
    return copy


@pytest.fixture
def path(crashed: Path, tmp_path: Path) -> Path:
    shutil.copytree(crashed, tmp_path, dirs_exist_ok=True)
    return tmp_path / "exchange.db"


def lose_log(path: Path) -> None:
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def forget_lock(path: Path) -> None:
    path.with_name(path.name + ".lock").unlink()


def head_seq(path: Path) -> int:
    with open_journal_reader(path) as reader:
        return reader.head().seq


def damage_of(path: Path, fast: bool = True) -> tuple[str, int | None]:
    verdict = verify(path, fast, no_bar)
    return verdict.damage or "", verdict.damaged_seq


# Files next to the journal know later commands.


def by_snapshot(path: Path) -> None:
    whole = play(path.with_name("other.db"), count=LONG)
    SnapshotStore(path).save(whole.snapshot())


def by_history(path: Path) -> None:
    other = path.with_name("other.db")
    play(other, count=LONG)
    update_history(other, ignore, no_bar)
    history_path(other).replace(history_path(path))


def by_follower(path: Path) -> None:
    status_file(path).write_bytes(msgspec.json.encode(FollowerStatus(1, LONG, 0, 0, 0)))


def by_archive(path: Path) -> None:
    archive = sealed_archive_path(path, 1, LONG)
    archive.parent.mkdir()
    archive.write_bytes(b"")


def by_digest(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO digests VALUES (?, 'events/2', '00')", (LONG,))
        connection.commit()


def by_lock(path: Path) -> None:
    with JournalLock(path) as lock:
        lock.note(LONG)


@pytest.mark.parametrize(
    ("knows", "name"),
    [
        (by_snapshot, "the newest snapshot"),
        (by_history, "exchange.history.db"),
        (by_follower, "exchange.db.follower"),
        (by_archive, "the last archive"),
        (by_digest, "a digest in the journal"),
        (by_lock, "exchange.db.lock"),
    ],
)
def test_every_file_next_to_the_journal_shows_a_loss(path: Path, knows: Callable[[Path], None], name: str) -> None:
    lose_log(path)
    forget_lock(path)
    assert head_seq(path) == SHORT
    refuse_lost_commands(path)
    assert damage_of(path) == ("", None)
    knows(path)
    message = f"ends with seq {SHORT}, but {name} has seq {LONG}: seq 61 to 90 \\(30 commands\\) are lost"
    with pytest.raises(CommandsLostError, match=message):
        refuse_lost_commands(path)
    with pytest.raises(CommandsLostError, match=message):
        plan_recovery(path)
    for fast in (True, False):
        text, seq = damage_of(path, fast)
        assert f"{name} has seq {LONG}" in text and seq == SHORT + 1


def test_a_start_without_the_log_of_a_crash_is_refused(path: Path) -> None:
    """The lock file alone knows the last command, also if no follower has read it."""
    lose_log(path)
    assert recorded_seq(path) == LONG
    for _ in range(2):
        refusal = complained(exchange("serve", "--port", "0", "--db", path))
        assert f"{path} ends with seq {SHORT}, but exchange.db.lock has seq {LONG}" in refusal
    assert head_seq(path) == SHORT


def test_no_new_journal_where_one_is_missing(path: Path) -> None:
    lose_log(path)
    path.unlink()
    for command in (("serve", "--port", "0"), ("init",)):
        assert "there is no journal at" in complained(exchange(*command, "--db", path))
        assert not path.exists()


def test_the_lock_file_keeps_the_last_seq(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    with JournalLock(path) as lock:
        assert recorded_seq(path) == 0
        lock.announce("ws://127.0.0.1:1/")
        lock.note(7)
        owner = lock_owner(path)
        assert owner is not None and owner.url == "ws://127.0.0.1:1/"
    assert lock_owner(path) is None and recorded_seq(path) == 7
    with JournalLock(path) as lock:
        assert recorded_seq(path) == 7
        lock.note(8)
    assert recorded_seq(path) == 8


# The -wal.


def change_log(path: Path, offset: int, flipped: int = 1) -> None:
    log = log_path(path)
    content = bytearray(log.read_bytes())
    content[offset] ^= flipped
    log.write_bytes(content)


def test_the_log_of_a_crash_is_whole(path: Path) -> None:
    assert scan_log(path) == LogScan((LONG - SHORT) // BATCH, 0, None)
    check_log_of_crash(path)
    assert head_seq(path) == LONG


@pytest.mark.parametrize("offset", [8, 16, 24, 32, 36, 40, 48, 56 + 100])
def test_a_damaged_log_is_refused(path: Path, offset: int) -> None:
    """One flipped bit in the header or in the first frame loses all commands in it."""
    forget_lock(path)
    change_log(path, offset)
    assert head_seq(path) == SHORT
    before = log_path(path).read_bytes()
    with pytest.raises(CommandsLostError, match=f"ends with seq {SHORT} without them"):
        check_log_of_crash(path)
    text, seq = damage_of(path)
    assert "exchange.db-wal is damaged" in text and seq == SHORT + 1
    assert "exchange.db-wal is damaged" in complained(exchange("serve", "--port", "0", "--db", path))
    assert log_path(path).read_bytes() == before


@pytest.mark.parametrize(("is_known", "last_seq"), [(True, LONG), (False, SHORT + 3 * BATCH_MAX)])
def test_a_damaged_log_that_is_accepted_uses_no_seq_again(path: Path, is_known: bool, last_seq: int) -> None:
    """Without the lock file nobody knows how many commands there were: each transaction has at most a batch."""
    if not is_known:
        forget_lock(path)
    change_log(path, 40)
    with JournalLock(path) as lock:
        accept_loss(path, lock)
    assert scan_log(path) == LogScan() and head_seq(path) == last_seq
    assert damage_of(path, fast=False) == ("", None)


def test_an_incomplete_last_transaction_is_no_loss(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A loss of power can take the transaction that was not synced yet: nothing of it was answered."""
    forget_lock(path)
    change_log(path, log_path(path).stat().st_size - 1)
    verdict = verify(path, True, no_bar)
    assert verdict.damage is None and "ends with an incomplete transaction" in verdict.notes[0]
    check_log_of_crash(path)
    assert "ends with an incomplete transaction" in caplog.text
    assert head_seq(path) == LONG - BATCH
    # The next loss of power must not count the old transaction again.
    assert scan_log(path) == LogScan()


def test_a_torn_header_of_a_log_that_begins_anew_is_no_loss(path: Path) -> None:
    content = log_path(path).read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    log_path(path).write_bytes(bytes(32) + content[32:])
    assert scan_log(path).left_out == 0
    assert head_seq(path) == LONG


def test_a_log_of_a_running_exchange_is_not_scanned(path: Path) -> None:
    change_log(path, 40)
    lose = path.with_name("exchange.db.lock")
    lose.unlink()
    with JournalLock(path):
        assert verify(path, True, no_bar).damage is None
    with pytest.raises(JournalError):
        check_log_of_crash(path)
