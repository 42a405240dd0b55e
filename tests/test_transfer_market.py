"""The journal of a market is verified, rebuilt, exported, imported, archived and forked like any other."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exchange.domain.commands import encode_command
from exchange.history.checks import known_checks, run_checks
from exchange.history.compact import compact
from exchange.history.diff import diff
from exchange.history.fork import fork
from exchange.history.moment import Moment, engine_at
from exchange.history.rebuild import rebuild
from exchange.history.transfer import export_lines, import_lines
from exchange.history.verify import verify
from exchange.history_db.file import history_path
from exchange.journal.archives import archive_folder
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import chain
from tests.cli_support import exchange, said
from tests.history_sql import ask_past
from tests.market_story import story, write_story
from tests.test_sql import COLUMNS

LAST = 73
SEAMS = (20, 31, 38, 39, 70)  # among them: in the middle of liquidations, before and after a settlement


def no_bar(done: int, total: int) -> None:
    pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "exchange.db"
    write_story(path)
    return path


def events(path: Path) -> list[tuple[int, int, str]]:
    """The events that the journal at `path` holds."""
    with open_journal_reader(path) as reader:
        return list(reader.events(1, reader.head().seq))


def views(path: Path) -> dict[str, list[Any]]:
    """All rows of all views, without their order."""
    return {view: sorted(map(repr, ask_past(path, f"SELECT * FROM {view}"))) for view in COLUMNS}


def is_sound(path: Path) -> bool:
    return verify(path, False, no_bar).damage is None and not any(
        outcome.rows for outcome in run_checks(path, known_checks())
    )


@pytest.mark.slow
def test_market_journal_is_sound_and_rebuilds(path: Path) -> None:
    before = events(path)
    assert is_sound(path)
    assert rebuild(path, False, no_bar)[1:] == (0, None)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM events WHERE seq BETWEEN 31 AND 40")
        connection.commit()
    assert rebuild(path, False, no_bar).first_differing_seq == 31
    assert events(path) == before


def test_damage_in_a_settlement_is_found(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE events SET payload = replace(payload, '41330000', '41330001') WHERE seq = 38")
        connection.commit()
    verdict = verify(path, False, no_bar)
    assert verdict.damaged_seq == 38
    assert verdict.damage is not None and "position_settled" in verdict.damage


@pytest.mark.slow
def test_export_and_import(path: Path, tmp_path: Path) -> None:
    lines, again = tmp_path / "lines.jsonl", tmp_path / "again.db"
    assert export_lines(path, 1, LAST, lines, no_bar) == LAST
    import_lines(lines, again, no_bar)
    assert diff(path, again, no_bar).is_none
    assert views(again) == views(path)


@pytest.mark.slow
@pytest.mark.parametrize("seam", SEAMS)
def test_views_are_the_same_after_compaction(seam: int, path: Path) -> None:
    before, everything = events(path), views(path)
    compact(path, seam, lambda sentence: None, no_bar)
    assert (events(path), views(path)) == (before, everything)
    assert is_sound(path)
    archive_folder(path).rename(path.with_name("elsewhere"))
    history_path(path).unlink()
    assert engine_at(path, Moment(), no_bar).state.accounts["erin"].shortfall_micros == 15_753_651
    assert is_sound(path), "what is left is not taken for the whole"


@pytest.mark.slow
@pytest.mark.parametrize("seam", SEAMS)
def test_fork_continues_like_the_original(seam: int, path: Path, tmp_path: Path) -> None:
    """With the same later commands, the fork ends in the same state."""
    forked = tmp_path / "forked.db"
    fork(path, seam, forked, no_bar)
    assert is_sound(forked)
    engine = engine_at(forked, Moment(), no_bar)
    for ts_us, command in list(story())[seam:]:
        (record,) = chain(engine.head, [(ts_us, encode_command(command).decode())])
        engine.step(record, command)
    assert engine.digest() == engine_at(path, Moment(), no_bar).digest()


def test_switched_off_flags_are_shown(path: Path) -> None:
    lines = [line.split() for line in said(exchange("journal", "tail", "-n", LAST, "--db", path)).splitlines()]
    told = {int(line[0]): " ".join(line[2:]) for line in lines}
    assert (told[50], told[52]) == ("set_halt halted=yes", "set_halt halted=no")
    assert told[56] == "set_suspended alice suspended=no"
    assert told[44] == "set_index_price asset=SOL price=80.00"
