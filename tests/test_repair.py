"""Lost commands are restored from the history, or the operator accepts the loss and no seq and no id is used twice."""

import json
import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from exchange.domain.commands import PlaceOrder, RecordLoss, encode_command
from exchange.domain.events import CommandLost, OrderAccepted
from exchange.engine.alarm import dismiss_alarm, standing_alarm
from exchange.engine.chain import check_unreplayed
from exchange.engine.engine import Engine
from exchange.engine.recovery import recover
from exchange.history.repair import repair
from exchange.history.transfer import export_lines, import_lines
from exchange.history.verify import verify
from exchange.history_db.event_kinds import EVENT_KINDS
from exchange.history_db.file import history_path, last_seq_of, open_history
from exchange.history_db.update import update_history
from exchange.history_db.writer import HistoryWriter
from exchange.journal.errors import CommandsLostError, JournalDamagedError, JournalError
from exchange.journal.lock import JournalLock
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Record, chain
from exchange.runtime.accepted_loss import IDS_SKIPPED, accept_loss
from exchange.runtime.follower import DivergedError, Follower, FollowerStatus, status_file
from exchange.runtime.lost_commands import refuse_lost_commands
from exchange.snapshots.store import SnapshotStore
from tests.cli_support import complained, exchange, said
from tests.journals import play
from tests.naive import NaiveExchange
from tests.random_commands import random_steps

SHORT, LONG = 300, 400


def no_bar(_done: int, _total: int) -> None:
    pass


def ignore(_sentence: str) -> None:
    pass


@pytest.fixture(scope="module")
def long_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of LONG commands and times of answers, with its history."""
    path = tmp_path_factory.mktemp("long") / "exchange.db"
    play(path, count=LONG, snapshots_at=(SHORT - 10,))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO answers SELECT seq, ts_us FROM commands WHERE seq % 10 = 0")
        connection.commit()
    update_history(path, ignore, no_bar)
    return path


@pytest.fixture
def whole(long_journal: Path, tmp_path: Path) -> Path:
    shutil.copytree(long_journal.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / "exchange.db"


@pytest.fixture
def path(whole: Path) -> Path:
    """The same files, but an older copy of the journal, with SHORT commands."""
    whole.unlink()
    other = whole.with_name("other.db")
    play(other, count=SHORT)
    return other.replace(whole)


def records_of(path: Path) -> list[Record]:
    with open_journal_reader(path) as reader:
        return list(reader.records(reader.bases[0].head))


def answer_times_of(path: Path) -> list[tuple[int, int, int]]:
    with open_journal_reader(path) as reader:
        return list(reader.answer_times(1, LONG))


def change_command(connection: sqlite3.Connection) -> None:
    """Change seq 150, as only a damage can."""
    query = "SELECT sql FROM sqlite_schema WHERE name = 'commands_are_never_changed'"
    (trigger,) = connection.execute(query).fetchone()
    connection.executescript(
        f"DROP TRIGGER commands_are_never_changed; UPDATE commands SET ts_us = ts_us + 1 WHERE seq = 150; {trigger};"
    )


# The command in place of a lost one.


def test_a_lost_command_changes_nothing_but_the_next_ids() -> None:
    engine, naive = Engine(), NaiveExchange()
    order = None
    for step in random_steps(3, 120):
        (record,) = chain(engine.head, [(step.ts_us, encode_command(step.command).decode())])
        events, _ = engine.step(record, step.command)
        assert naive.apply(step.ts_us, step.command) == events
        if isinstance(step.command, PlaceOrder) and isinstance(events[0], OrderAccepted):
            order = step.command
    assert order is not None
    before = engine.state.next_order_id, engine.state.next_trade_id
    for loss, ids in (
        (RecordLoss(), before),
        (RecordLoss(1, 1), before),
        (RecordLoss(5_000, 700), (5_000, 700)),
        (RecordLoss(), (5_000, 700)),
    ):
        (record,) = chain(engine.head, [(engine.head.ts_us + 1, encode_command(loss).decode())])
        state = engine.digest()
        assert engine.replay(record) == naive.apply(record.ts_us, loss) == [CommandLost(*ids)]
        assert (engine.digest() == state) == (ids == before or loss == RecordLoss())
    assert encode_command(RecordLoss()) == b'{"kind":"lost"}'


# A start checks the commands that it does not replay.


def damaged_before_snapshot(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        change_command(connection)


def test_damage_before_the_newest_snapshot_stops_a_start(whole: Path) -> None:
    damaged_before_snapshot(whole)
    assert recover(whole, ignore, no_bar).origin_seq == SHORT - 10
    refusal = complained(exchange("serve", "--port", "0", "--db", whole))
    assert f"{whole}: seq 150 is damaged" in refusal and "exchange journal repair" in refusal


def test_the_follower_checks_the_rest_and_raises_the_alarm(whole: Path) -> None:
    damaged_before_snapshot(whole)
    check = check_unreplayed(whole, SHORT - 10, seconds=0)
    assert not check.is_done
    with open_journal_reader(whole) as reader:
        follower = Follower(whole, 0, ignore, checked_seq=check.checked_seq)
        while follower.catch_up(reader):
            pass
        with pytest.raises(DivergedError, match="seq 150 is damaged"):
            follower.check_chain(reader)
        alarm = standing_alarm(whole)
        assert alarm is not None and (alarm.seq, alarm.compared_seq) == (150, LONG)
        # The history keeps all commands, so that they can be restored.
        update_history(whole, ignore, no_bar)
        assert last_seq_of(whole) == LONG
        dismiss_alarm(whole)
        follower = Follower(whole, 0, ignore, checked_seq=check.checked_seq)
        while follower.check_chain(reader):
            pass
    assert standing_alarm(whole) is None
    assert (repair(whole, no_bar).lost, verify(whole, False, no_bar).damage) == (None, None)


def test_a_checked_chain_is_not_checked_again(whole: Path) -> None:
    check = check_unreplayed(whole, SHORT - 10)
    assert check.is_done and check.checked_seq == SHORT - 10
    with open_journal_reader(whole) as reader:
        assert not Follower(whole, 0, ignore, checked_seq=LONG).check_chain(reader)


# Repair.


def test_lost_commands_are_restored_from_the_history(path: Path, long_journal: Path) -> None:
    with pytest.raises(CommandsLostError):
        refuse_lost_commands(path)
    old = path.read_bytes()
    done = repair(path, no_bar)
    assert (done.restored, done.last_seq, done.lost) == (LONG - SHORT, LONG, None)
    assert done.folder is not None and (done.folder / path.name).read_bytes() == old
    assert records_of(path) == records_of(long_journal)
    assert answer_times_of(path) == answer_times_of(long_journal)
    assert verify(path, False, no_bar).damage is None
    assert repair(path, no_bar).folder is None


def test_a_missing_journal_is_restored_as_a_whole(path: Path, long_journal: Path) -> None:
    path.unlink()
    assert "restored 400 commands" in said(exchange("journal", "repair", "--db", path))
    assert records_of(path) == records_of(long_journal)
    assert answer_times_of(path) == answer_times_of(long_journal)
    assert verify(path, False, no_bar).damage is None


@pytest.mark.parametrize("fault", ["row", "page", "header", "cut"])
def test_damaged_commands_are_restored_from_the_history(whole: Path, long_journal: Path, fault: str) -> None:
    with closing(sqlite3.connect(whole)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        if fault == "row":
            change_command(connection)
        (leaf,) = connection.execute("SELECT max(pageno) FROM dbstat WHERE name = 'commands'").fetchone()
    content = bytearray(whole.read_bytes())
    if fault == "page":
        content[(leaf - 3) * 4096 : (leaf - 2) * 4096] = bytes(4096)
    elif fault == "header":
        content[:100] = bytes(100)
    elif fault == "cut":
        del content[len(content) // 2 :]
    whole.write_bytes(content)
    for end in ("-wal", "-shm"):
        whole.with_name(whole.name + end).unlink(missing_ok=True)
    done = repair(whole, no_bar)
    assert (done.last_seq, done.lost) == (LONG, None)
    assert records_of(whole) == records_of(long_journal)
    assert answer_times_of(whole) == answer_times_of(long_journal)
    assert verify(whole, False, no_bar).damage is None


def test_a_history_of_another_past_restores_nothing(path: Path) -> None:
    other = path.with_name("other.db")
    play(other, seed=2, count=LONG)
    history_path(path).unlink()
    update_history(other, ignore, no_bar)
    history_path(other).replace(history_path(path))
    before = path.read_bytes()
    assert f"ends with seq {SHORT}" in complained(exchange("journal", "repair", "--db", path))
    assert path.read_bytes() == before


def test_a_damaged_history_restores_nothing(path: Path) -> None:
    history_path(path).write_bytes(b"x" * 10_000)
    status_file(path).write_bytes(msgspec.json.encode(FollowerStatus(1, LONG, 0, 0, 0)))
    with pytest.raises(JournalError, match="nothing can be restored"):
        repair(path, no_bar)


def test_no_command_makes_the_loss_worse(path: Path) -> None:
    """The history is the only copy of the lost commands, and the position of the follower shows the loss."""
    before = history_path(path).read_bytes()
    for words in ("history rebuild", "follow --once", "journal compact --before 100", "sql 'SELECT 1'"):
        assert f"ends with seq {SHORT}, but" in complained(exchange(*shlex.split(words), "--db", path))
    assert history_path(path).read_bytes() == before
    assert repair(path, no_bar).lost is None


# Acceptance.


def accept(path: Path) -> None:
    with JournalLock(path) as lock:
        accept_loss(path, lock)


def test_an_accepted_loss_leaves_no_gap(path: Path, long_journal: Path, tmp_path: Path) -> None:
    lost = recover(long_journal, ignore, no_bar).engine.state
    before = records_of(path)
    accept(path)
    after = records_of(path)
    assert after[:SHORT] == before and len(after) == LONG
    assert {json.loads(record.payload)["kind"] for record in after[SHORT:]} == {"lost"}
    engine = recover(path, ignore, no_bar).engine
    assert (engine.state.next_order_id, engine.state.next_trade_id) == (lost.next_order_id, lost.next_trade_id)
    # Files that knew the lost commands lie with the copy of the journal.
    aside = {file.name for file in path.with_name("exchange.db.before-loss-1").iterdir()}
    assert aside >= {"exchange.db", "exchange.history.db"} and not history_path(path).exists()
    refuse_lost_commands(path)
    accept(path)
    assert records_of(path) == after
    # Everything that reads commands knows the new kind.
    update_history(path, ignore, no_bar)
    assert verify(path, False, no_bar).damage is None
    export_lines(path, 1, LONG, tmp_path / "out.jsonl", no_bar)
    assert import_lines(tmp_path / "out.jsonl", tmp_path / "new.db", no_bar).digest() == engine.digest()
    assert "lost" in said(exchange("journal", "tail", "--db", path, "-n", "2"))
    repair(path, no_bar)
    assert records_of(path) == after


def test_ids_are_skipped_if_no_file_knows_the_last_ones(path: Path) -> None:
    history_path(path).unlink()
    status_file(path).write_bytes(msgspec.json.encode(FollowerStatus(1, LONG, 0, 0, 0)))
    state = recover(path, ignore, no_bar).engine.state
    accept(path)
    assert recover(path, ignore, no_bar).engine.state.next_order_id == state.next_order_id + IDS_SKIPPED
    assert len(records_of(path)) == LONG


def test_a_journal_older_than_its_snapshots_keeps_new_ones(path: Path) -> None:
    """A ladder of later snapshots does not push the new ones out."""
    newer = [SnapshotStore(path).save(play(path.with_name("n.db"), count=LONG).snapshot())]
    engine = recover(path, ignore, no_bar).engine
    store = SnapshotStore(path)
    for seq in range(LONG + 1, LONG + 10):
        newer.append(Path(shutil.copy(newer[0], store.folder / f"{seq:016d}.snapshot")))
    saved = store.save(engine.snapshot())
    store.thin(10**6, engine.head.seq)
    assert saved.exists() and all(file.exists() for file in newer)


def test_no_loss_is_accepted_within_the_chain(whole: Path) -> None:
    with closing(sqlite3.connect(whole)) as connection:
        change_command(connection)
    with JournalLock(whole) as lock:
        lock.note(LONG + 5)
        with pytest.raises(JournalDamagedError, match="seq 150"):
            accept_loss(whole, lock)


def test_no_loss_is_accepted_without_a_journal(path: Path) -> None:
    path.unlink()
    with pytest.raises(JournalError, match="put back a copy of it first"):
        accept(path)


def test_a_history_of_an_earlier_version_lacks_only_the_new_kinds(whole: Path) -> None:
    with closing(sqlite3.connect(history_path(whole))) as connection:
        connection.execute("DELETE FROM event_kind WHERE kind = (SELECT max(kind) FROM event_kind)")
        connection.commit()
    assert verify(whole, False, no_bar).damage is None
    HistoryWriter(history_path(whole)).close()
    with closing(open_history(whole)) as connection:
        assert connection.execute("SELECT max(kind) FROM event_kind").fetchone() == (len(EVENT_KINDS),)
