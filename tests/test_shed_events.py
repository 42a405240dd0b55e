"""`exchange journal shed-events`: a journal of an earlier version is sound without its events."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from exchange.cli.main import main
from exchange.engine.recovery import recover
from exchange.history.verify import verify
from exchange.journal.lock import JournalLock
from exchange.journal.opening import open_journal_reader
from tests.journals import COMMANDS, play


def no_bar(_done: int, _total: int) -> None:
    pass


@pytest.mark.slow
def test_a_journal_without_its_events_is_smaller_and_sound(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    live = play(path, events_up_to=COMMANDS - 10)
    assert verify(path, False, no_bar).events > COMMANDS
    outcome = CliRunner().invoke(main, ["journal", "shed-events", "--json", "--db", str(path)])
    found = json.loads(outcome.stdout)
    assert found["events"] > COMMANDS and found["bytes_after"] == path.stat().st_size < found["bytes_before"] / 2
    with open_journal_reader(path) as reader:
        assert (reader.events_seq(), list(reader.events(1, COMMANDS))) == (0, [])
    verdict = verify(path, False, no_bar)
    assert (verdict.damage, verdict.commands, verdict.events) == (None, COMMANDS, 0)
    assert recover(path, lambda sentence: None, no_bar).engine.digest() == live.digest()
    again = CliRunner().invoke(main, ["journal", "shed-events", "--db", str(path)])
    assert again.stdout.startswith("deleted 0 events")


@pytest.mark.slow
def test_no_events_are_shed_while_an_exchange_runs(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    play(path)
    with JournalLock(path):
        outcome = CliRunner().invoke(main, ["journal", "shed-events", "--db", str(path)])
    assert outcome.exit_code == 1 and "Traceback" not in outcome.output
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT max(seq) FROM events").fetchone() == (COMMANDS,)
