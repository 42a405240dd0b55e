"""`journal verify` compares each row of the history with the replay."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from exchange.cli.main import main
from exchange.history.audit import Audit
from exchange.history.compact import compact
from exchange.history.history_audit import HistoryAudit
from exchange.history.verdict import Verdict
from exchange.history.verify import verify
from exchange.history_db.file import history_path
from exchange.history_db.update import update_history
from exchange.journal.opening import open_journal_reader
from tests.market_commands import market_steps
from tests.market_story import write_steps, write_story


def no_bar(_done: int, _total: int) -> None:
    pass


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of a market, with each kind of event and row."""
    path = tmp_path_factory.mktemp("story") / "exchange.db"
    write_story(path)
    update_history(path, print, no_bar)
    return path


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "exchange.db"
    shutil.copy(original, copy)
    shutil.copy(history_path(original), history_path(copy))
    return copy


def verdict_of(path: Path, until: int | None = None) -> Verdict:
    return verify(path, False, no_bar, until=until)


def falsify(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(history_path(path), isolation_level=None)) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, statement


def tables(path: Path) -> list[str]:
    """The tables that have rows."""
    with closing(sqlite3.connect(history_path(path))) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return [name for name in names if connection.execute(f"SELECT 1 FROM {name}").fetchone()]


@pytest.mark.slow
def test_a_sound_history_is_compared_as_a_whole(path: Path) -> None:
    progress: list[tuple[int, int]] = []
    verdict = verify(path, False, no_bar, row_progress=lambda done, total: progress.append((done, total)))
    assert (verdict.damage, verdict.notes) == (None, [])
    with closing(sqlite3.connect(history_path(path))) as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables(path)]
    assert (verdict.history_rows, verdict.history_seq) == (sum(counts), verdict.last_seq)
    assert progress == sorted(progress) and len(progress) >= len(counts)
    assert progress[0][1] == pytest.approx(sum(counts), rel=0.1) and progress[-1] == (sum(counts), sum(counts))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ("missing", "changed"))
def test_a_row_of_any_table_that_is_missing_or_changed_is_found(path: Path, fault: str) -> None:
    for table in (names := tables(path)):
        with closing(sqlite3.connect(history_path(path), isolation_level=None)) as connection:
            columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
            row = connection.execute(f"SELECT * FROM {table}").fetchone()
            chosen = " AND ".join(f"{name} = {row[at]!r}" for at, name, *_, is_key in columns if is_key)
            if fault == "missing" or table == "position_key":
                connection.execute(f"DELETE FROM {table} WHERE {chosen}")
            else:
                _, name, kind, *_ = columns[-1] if not columns[-1][5] else columns[1]
                value = {"INTEGER": "4711", "TEXT": "'other'", "BLOB": "x'00'"}[kind]
                connection.execute(f"UPDATE {table} SET {name} = {value} WHERE {chosen}")
    verdict = Verdict(str(path))
    with open_journal_reader(path) as reader, HistoryAudit(reader, None, verdict, no_bar) as audit:
        Audit(reader, verdict, no_bar, audit, None).run()
        found = {difference.table for difference in audit.differences()}
    assert found == set(names)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "UPDATE trade SET price_micros = price_micros + 1 WHERE trade_id = 2",
            "table trade, trade_id 2: price_micros is",
        ),
        ("DELETE FROM book_order WHERE order_id = 3", "table book_order, order_id 3: the row is missing"),
        ("UPDATE user SET user_id = 'mallory' WHERE user = 2", "table user, user 2: user_id is 'mallory', but the"),
        ("UPDATE command SET hash = x'00' WHERE seq = 9", "seq 9, table command, seq 9: hash is 00, but the replay"),
        ("INSERT INTO answer VALUES (7, 8)", "seq 7, table answer, seq 7: the replay gives no such row"),
        ("DROP VIEW trades", "table sqlite_schema, view trades: its definition is another one"),
        ("CREATE TABLE more (a)", "table sqlite_schema, table more: its definition is another one"),
    ],
)
def test_the_first_difference_is_named(path: Path, statement: str, expected: str) -> None:
    with closing(sqlite3.connect(history_path(path), isolation_level=None)) as connection:
        connection.execute(statement)
    assert expected in (verdict_of(path).damage or "")


def test_of_two_differences_the_earlier_one_is_named(path: Path) -> None:
    falsify(path, "DELETE FROM balance_version WHERE seq > 50", "DELETE FROM trade WHERE trade_id = 3")
    assert "seq 17, table trade, trade_id 3: the row is missing" in (verdict_of(path).damage or "")


@pytest.mark.slow
def test_a_bound_compares_only_what_was_known_then(path: Path) -> None:
    """Also the newest states of orders and instruments, which change later, are no difference."""
    last = verdict_of(path).last_seq
    for until in (10, last - 1):
        verdict = verdict_of(path, until)
        assert (verdict.damage, verdict.last_seq, verdict.history_seq) == (None, until, until)
    falsify(path, "DELETE FROM balance_version WHERE seq = (SELECT max(seq) FROM balance_version)")
    assert verdict_of(path, 40).damage is None
    assert verdict_of(path, last).damage is not None


@pytest.mark.slow
def test_a_history_that_is_behind_is_compared_up_to_its_end(path: Path, tmp_path: Path) -> None:
    short = tmp_path / "short" / "exchange.db"
    short.parent.mkdir()
    write_story(short, 40)
    update_history(short, print, no_bar)
    shutil.copy(history_path(short), history_path(path))
    verdict = verdict_of(path)
    assert (verdict.damage, verdict.history_seq) == (None, 40)
    shutil.copy(path, short)
    history_path(path).rename(history_path(short))
    assert (verdict_of(path).damage, verdict_of(short).damage) == (None, None)


def test_a_history_with_more_commands_than_the_journal_is_a_difference(path: Path, tmp_path: Path) -> None:
    short = tmp_path / "short" / "exchange.db"
    short.parent.mkdir()
    write_story(short, 40)
    shutil.copy(history_path(path), history_path(short))
    verdict = verdict_of(short)
    assert verdict.damaged_seq == 41
    assert "ends with seq 40, but exchange.history.db has seq" in (verdict.damage or "")


def test_a_missing_or_older_history_is_only_mentioned(path: Path) -> None:
    falsify(path, "PRAGMA user_version = 1")
    assert "is not compared: " in verdict_of(path).notes[0]
    history_path(path).unlink()
    verdict = verdict_of(path)
    assert (verdict.damage, verdict.notes, verdict.history_seq) == (None, [], 0)
    assert "not compared" in CliRunner().invoke(main, ["journal", "verify", "--db", str(path)]).stdout


@pytest.mark.slow
def test_a_history_that_begins_with_the_journal_is_compared(tmp_path: Path) -> None:
    """The archive with the first commands is gone."""
    path = tmp_path / "exchange.db"
    write_steps(path, ((step.ts_us, step.command) for step in market_steps(1, 300)))
    compact(path, 200, lambda sentence: None, no_bar)
    update_history(path, print, no_bar)
    (archive,) = (tmp_path / "exchange.db.archives").iterdir()
    archive.unlink()
    verdict = verdict_of(path)
    assert (verdict.damage, verdict.history_seq) == (None, 300)
    assert "its rows up to seq 199 are older than the journal" in verdict.notes[0]
    for statement in (
        "UPDATE order_version SET cost_micros = 1 WHERE order_id = (SELECT max(order_id) FROM order_version)",
        "UPDATE balance_version SET cash_micros = 1 WHERE seq = (SELECT max(seq) FROM balance_version)",
        "UPDATE profit_version SET basis_micros = 1 WHERE seq = (SELECT max(seq) FROM profit_version)",
    ):
        kept = history_path(path).read_bytes()
        falsify(path, statement)
        assert f"table {statement.split()[1]}" in (verdict_of(path).damage or ""), statement
        history_path(path).write_bytes(kept)
    history_path(path).unlink()
    update_history(path, print, no_bar)
    verdict = verdict_of(path)
    assert (verdict.damage, verdict.history_seq) == (None, 300)


@pytest.mark.slow
def test_the_command_shows_the_comparison(path: Path) -> None:
    run = CliRunner().invoke(main, ["journal", "verify", "--until", "30", "--db", str(path)])
    assert (run.exit_code, "rows match, up to seq 30" in run.stdout) == (0, True)
    falsify(path, "DELETE FROM trade WHERE trade_id = 1")
    run = CliRunner().invoke(main, ["journal", "verify", "--json", "--db", str(path)])
    assert (run.exit_code, "table trade, trade_id 1" in json.loads(run.stdout)["damage"]) == (1, True)
