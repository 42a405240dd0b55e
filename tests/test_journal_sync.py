"""A process that writes another file from what it read in the journal first syncs the journal's -wal."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from exchange.cli.main import main
from exchange.history_db.update import open_fitting_writer
from exchange.journal.opening import open_journal_reader
from exchange.runtime import archiver
from exchange.runtime.follower import Follower
from tests.journals import COMMANDS, play


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A journal whose last rows are in its -wal, as while an exchange runs or after a crash."""
    play(path := tmp_path / "exchange.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO answers (seq, answered_us) SELECT seq, ts_us FROM commands WHERE seq = 9")
        yield path


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were synced, in order."""
    names: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        names.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return names


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are read in /proc")
@pytest.mark.parametrize(
    "command",
    [
        "history rebuild",
        "sql 'SELECT 1'",
        "snapshot create",
        "fork --at 100 {folder}/fork.db",
        "journal export {folder}/out.jsonl",
        "journal backup {folder}/copy.db",
        "journal checkpoint {folder}/signed.json",
        "journal compact --before 100",
    ],
)
def test_a_command_first_syncs_the_journal(path: Path, synced: list[str], command: str) -> None:
    run = CliRunner().invoke(main, f"{command} --db {path}".format(folder=path.parent))
    assert (run.exit_code, synced[0]) == (0, "exchange.db-wal"), run.output


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are read in /proc")
def test_the_processes_of_the_exchange_first_sync_the_journal(path: Path, synced: list[str]) -> None:
    archiver.seal(path, 100)
    assert synced.pop(0) == "exchange.db-wal"
    synced.clear()
    with open_journal_reader(path) as reader, closing(open_fitting_writer(reader, print)) as history:
        follower = Follower(path, COMMANDS, print, history=history)
        while follower.catch_up(reader):
            pass
    # Once for the history and once for the snapshot. A slow machine writes the history first.
    assert synced.count("exchange.db-wal") == 2
    before_snapshot = next(n for n, name in enumerate(synced) if "draft" in name) - 1
    assert synced[before_snapshot] == "exchange.db-wal"
