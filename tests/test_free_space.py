"""Free space: below 5 % no derived file is written, and one line in the log says so."""

import asyncio
import itertools
import json
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from exchange.cli.main import main
from exchange.engine.alarm import standing_alarm
from exchange.engine.engine import STATE_SUBJECT
from exchange.free_space import SpaceGuard, is_space_low, seconds_until_full
from exchange.history_db.file import HistoryError, head_of, history_path, open_history
from exchange.history_db.update import update_history
from exchange.history_db.writer import HistoryWriter
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.records import Head, chain
from exchange.runtime import follower
from exchange.runtime.follower import DivergedError, Follower, keep_following, read_status
from exchange.runtime.storage import storage_of
from exchange.snapshots.store import SnapshotStore
from tests.journals import play


class Usage(NamedTuple):
    """The answer of `shutil.disk_usage`, in bytes."""

    total: int
    used: int
    free: int


@pytest.fixture
def set_free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many of 1,050 bytes are free; 50 are reserved, as on many disks."""

    def set_free(free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1_050, 1_000 - free, free))

    return set_free


def test_space_is_low_below_five_percent(set_free: Callable[[int], None], tmp_path: Path) -> None:
    set_free(50)
    assert not is_space_low(tmp_path)
    set_free(49)
    assert is_space_low(tmp_path)


def test_time_until_the_disk_is_full(set_free: Callable[[int], None], tmp_path: Path) -> None:
    set_free(500)
    assert seconds_until_full(tmp_path, 2.5) == 200
    assert seconds_until_full(tmp_path, 0) is None
    assert seconds_until_full(tmp_path, -1) is None


def test_guard_reports_each_change_once(set_free: Callable[[int], None], tmp_path: Path) -> None:
    lines: list[str] = []
    guard = SpaceGuard(tmp_path / "exchange.db", "snapshots", lines.append)
    answers = []
    for free in (50, 49, 10, 0, 50, 60):
        set_free(free)
        answers.append(guard.allows())
    assert answers == [True, False, False, False, True, True]
    assert lines == [
        f"no snapshots are written while less than 5 % of the disk of {tmp_path} is free (49 bytes are): "
        "free some space",
        "snapshots are written again: there is free space",
    ]


def test_follower_saves_snapshots_again_once_there_is_space(
    set_free: Callable[[int], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "exchange.db"
    play(path, seed=1, count=200)
    set_free(10)
    follower = Follower(path, 100, lambda sentence: None)
    with caplog.at_level(logging.WARNING), open_journal_reader(path) as reader:
        while follower.catch_up(reader):
            pass
        assert SnapshotStore(path).seqs() == []
        set_free(500)
        follower.catch_up(reader)
    assert SnapshotStore(path).seqs() == [200]
    assert [record.getMessage()[:25] for record in caplog.records] == [
        "no snapshots are written ",
        "snapshots are written aga",
    ]


@pytest.mark.slow
def test_follower_compares_digests_while_space_is_low(
    set_free: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = itertools.count()
    monkeypatch.setattr(follower, "is_orphaned", lambda exchange_pid: next(looks) > 20)
    play(path := tmp_path / "exchange.db", seed=1, count=40)

    async def record_another_state() -> None:
        journal = await open_journal_writer(path)
        await journal.append_digests([(40, STATE_SUBJECT, "other")])
        await journal.close()

    asyncio.run(record_another_state())
    set_free(10)
    with open_journal_reader(path) as reader, pytest.raises(DivergedError, match="up to seq 40"):
        keep_following(path, 0, reader, os.getppid())
    alarm = standing_alarm(path)
    assert alarm is not None and alarm.seq == 40
    with closing(open_history(path)) as history:
        assert head_of(history).seq == 0


@pytest.mark.slow
def test_follower_writes_the_history_once_there_is_space(
    set_free: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the follower first waits, it has compared everything. Then there is space, and then the exchange ends."""
    play(path := tmp_path / "exchange.db", seed=1, count=40)
    set_free(10)
    written: list[int] = []

    def wait(_seconds: float) -> None:
        with closing(open_history(path)) as history:
            written.append(head_of(history).seq)
        set_free(500)

    monkeypatch.setattr("time.sleep", wait)
    monkeypatch.setattr(follower, "is_orphaned", lambda exchange_pid: len(written) == 2)
    with caplog.at_level(logging.WARNING), open_journal_reader(path) as reader:
        keep_following(path, 0, reader, os.getppid())
    assert written == [0, 40]
    status = read_status(path)
    assert status is not None and status.seq == 40
    texts = [record.getMessage() for record in caplog.records]
    assert [text.partition(" written ")[0] for text in texts] == [
        "no rows of the history are",
        "rows of the history are",
    ]


def test_follower_without_space_knows_where_the_history_ends(tmp_path: Path) -> None:
    play(path := tmp_path / "exchange.db", seed=1, count=40)
    update_history(path, lambda sentence: None, lambda done, total: None)
    with closing(HistoryWriter(history_path(path))) as history:
        follower = Follower(path, 0, lambda sentence: None, history=history)
        follower.stop_writing()
        follower.stop_writing()
        assert (follower.history_seq, follower.writes_history) == (40, False)


def test_snapshot_create_refuses(set_free: Callable[[int], None], tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    play(path, seed=1, count=20)
    set_free(10)
    result = CliRunner().invoke(main, ["snapshot", "create", "--db", str(path)])
    assert (result.exit_code, SnapshotStore(path).seqs()) == (1, [])
    assert "less than 5 % of the disk" in result.stderr


@pytest.mark.slow
def test_the_history_stays_as_it_is(set_free: Callable[[int], None], tmp_path: Path) -> None:
    """Commands answer from the history that there is; nothing writes it, writes it again, or exports it."""
    path = tmp_path / "exchange.db"
    play(path, seed=1, count=20)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, [*arguments, "--db", str(path)])

    set_free(10)
    low = "no rows of the history are written while less than 5 % of the disk"
    none = run("sql", "SELECT 1")
    assert (none.exit_code, low in none.stderr, history_path(path).exists()) == (1, True, False)
    set_free(500)
    assert run("history", "rebuild").exit_code == 0
    kept = history_path(path).read_bytes()
    set_free(10)
    rebuilt = run("history", "rebuild")
    assert (rebuilt.exit_code, low in rebuilt.stderr, history_path(path).read_bytes()) == (1, True, kept)
    exported = run("history", "export", "--csv", str(tmp_path / "tables"))
    assert (exported.exit_code, "no exports are written while less than" in exported.stderr) == (1, True)
    play(other := tmp_path / "other.db", seed=1, count=30)
    history_path(path).rename(history_path(other))
    behind = CliRunner().invoke(main, ["sql", "--csv", "SELECT max(seq) AS seq FROM commands", "--db", str(other)])
    assert (behind.exit_code, behind.stdout) == (0, "seq\n20\n")
    assert f"the history ends at seq 20: {low}" in behind.stderr


def test_a_rebuild_stops_when_the_disk_becomes_full(
    set_free: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.history_db.update.COMMANDS_AT_ONCE", 10)
    play(path := tmp_path / "exchange.db", seed=1, count=40)
    set_free(500)
    flush = HistoryWriter.flush

    def fill(writer: HistoryWriter, answers: list[tuple[int, int]]) -> None:
        flush(writer, answers)
        set_free(10)

    monkeypatch.setattr(HistoryWriter, "flush", fill)
    with pytest.raises(HistoryError, match="the history ends at seq 10: no rows of the history are written"):
        update_history(path, print, lambda done, total: None, anew=True)


def journal_of(path: Path, count: int, us_apart: int) -> None:
    """Write a journal of commands that come at an even rate."""

    async def write() -> None:
        journal = await open_journal_writer(path)
        await journal.append(chain(Head(), [(seq * us_apart, '{"kind":"k"}') for seq in range(1, count + 1)]))
        await journal.close()

    asyncio.run(write())


def test_storage_counts_each_kind_of_file(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    play(path, seed=1, count=100, snapshots_at=(50,))
    path.with_name("exchange.history.db").write_bytes(bytes(700))
    found = storage_of(path)
    assert (found.journal.size_bytes, found.journal.commands) == (path.stat().st_size, 100)
    assert (found.history.size_bytes, found.history.bytes_per_command) == (700, 7.0)
    (snapshot,) = SnapshotStore(path).files()
    assert found.snapshots.size_bytes == snapshot.stat().st_size
    assert found.archives.size_bytes == 0


def test_warning_if_the_disk_fills_within_a_day(set_free: Callable[[int], None], tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    journal_of(path, 1_000, 1_000_000)  # one command a second
    set_free(path.stat().st_size)
    found = storage_of(path)
    assert found.seconds_until_full == pytest.approx(1_000)
    assert found.warning is not None and "the disk will be full in 0.3 hours" in found.warning
    set_free(200 * path.stat().st_size)
    assert storage_of(path).warning is None


def test_first_commands_of_a_journal_show_no_rate(set_free: Callable[[int], None], tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    journal_of(path, 10, 1)
    set_free(1)
    assert storage_of(path).seconds_until_full is None


def test_journal_info_shows_sizes_and_the_warning(set_free: Callable[[int], None], tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    play(path, seed=1, count=100)
    text = CliRunner().invoke(main, ["journal", "info", "--db", str(path)]).stdout
    assert f"{path.stat().st_size / 100:,.0f} bytes a command" in text
    assert "WARNING" not in text
    other = tmp_path / "other.db"
    journal_of(other, 1_000, 1_000_000)
    set_free(1_000)
    assert "the disk will be full" in CliRunner().invoke(main, ["journal", "info", "--db", str(other)]).stdout
    found = CliRunner().invoke(main, ["journal", "info", "--json", "--db", str(other)]).stdout
    assert json.loads(found)["storage"]["journal"]["commands"] == 1_000
