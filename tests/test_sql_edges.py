"""Edge cases of SQL on a journal: missing archives, huge amounts, interrupts, bad queries."""

import asyncio
import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from exchange.cli.main import main
from exchange.domain.commands import CancelAll, Command, CreateInstrument, Genesis, OpenAccount, PlaceOrder
from exchange.domain.rules import Rules
from exchange.engine.engine import Engine
from exchange.engine.recovery import replay_step
from exchange.history.compact import compact
from exchange.history.sql import SqlSession
from exchange.history_db.file import history_path
from exchange.history_db.update import update_history
from exchange.journal.archives import archive_folder
from exchange.journal.opening import open_journal_writer
from exchange.journal.records import Record
from tests.cli_support import PATIENCE_SECONDS, Terminal, complained, said
from tests.history_sql import ask_past
from tests.journals import COMMANDS, play, write_journal
from tests.random_commands import START_US

CALL = "SOL_USDC-28FEB26-150-C"


def run(path: Path, *arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, ["sql", "--db", str(path), *arguments], input=typed)


def order(user_id: str, side: Any, price_micros: int, size_milli: int) -> Command:
    return PlaceOrder(user_id, CALL, side, "limit", "gtc", price_micros, size_milli)


def write(path: Path, *commands: Command) -> Engine:
    return write_journal(path, ((START_US + n, command) for n, command in enumerate((Genesis(Rules()), *commands))))


@pytest.mark.slow
def test_without_its_archive_a_journal_shows_nothing_wrong(tmp_path: Path) -> None:
    """The history begins with the state that the journal continues from, so every change is known."""
    path = tmp_path / "exchange.db"
    engine = play(path, seed=1, count=600)
    whole = dict(ask_past(path, "SELECT seq || user_id, cash_change_micros FROM ledger"))
    compact(path, 301, lambda sentence: None, lambda done, total: None)
    archive_folder(path).rename(tmp_path / "elsewhere")
    history_path(path).unlink()
    balances = ask_past(path, "SELECT user_id, cash_micros, locked_micros FROM balances")
    assert len(balances) > 2
    for user_id, cash_micros, locked_micros in balances:
        account = engine.state.accounts[user_id]
        assert (cash_micros, locked_micros) == (account.cash_micros, account.locked_micros)
    changes = ask_past(path, "SELECT seq || user_id, cash_change_micros FROM ledger")
    assert changes and all(whole[key] == change for key, change in changes)
    assert len(ask_past(path, "SELECT * FROM orders")) < engine.state.next_order_id - 1


def test_an_average_is_exact_however_large_the_cost(tmp_path: Path) -> None:
    """2000 times this cost does not fit into 64 bits."""
    path = tmp_path / "exchange.db"
    engine = write(
        path,
        CreateInstrument(CALL, 1_000, 1),
        OpenAccount("alice", 10**12),
        OpenAccount("bob", 8 * 10**15),
        order("alice", "ask", 6_700_000_001_000, 350_000),
        order("alice", "ask", 6_800_000_003_000, 350_003),
        order("bob", "bid", 6_800_000_003_000, 700_003),
    )
    seen = {
        user: [view.average_price_micros for view in views.finished.values()]
        for user, views in engine.views.orders.users.items()
    }
    assert ask_past(path, "SELECT average_price_micros FROM orders WHERE user_id = 'bob'") == [tuple(seen["bob"])]


def test_a_command_that_can_cancel_several_orders_names_none(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    write(
        path,
        CreateInstrument(CALL, 1_000, 1),
        OpenAccount("alice", 10**10),
        order("alice", "bid", 1_000_000, 1_000),
        order("alice", "bid", 2_000_000, 1_000),
        CancelAll("alice"),
    )
    found = ask_past(path, "SELECT kind, order_id FROM commands_decoded WHERE seq > 3 ORDER BY seq")
    assert found == [("place_order", 1), ("place_order", 2), ("cancel_all", None)]


@pytest.mark.slow
def test_the_tables_of_the_journal_stand_next_to_the_history(tmp_path: Path) -> None:
    """Digests also of the archives, the base of the journal, and the times of answers."""
    path = tmp_path / "exchange.db"
    play(path)
    digests = [(100, "mine", "a"), (300, "mine", "b")]

    async def record() -> None:
        journal = await open_journal_writer(path)
        await journal.append_digests(digests)
        await journal.append_answers([(400, START_US)])
        await journal.close()

    asyncio.run(record())
    compact(path, 201, lambda sentence: None, lambda done, total: None)
    with SqlSession(path) as session:
        assert list(session.run("SELECT * FROM digests ORDER BY seq")) == digests
        assert list(session.run("SELECT seq, length(hash), length(snapshot) > 1000 FROM base")) == [(200, 32, 1)]
        assert list(session.run("SELECT * FROM answers")) == [(400, START_US)]
    assert said(run(path, ".schema digests")).startswith("CREATE TABLE digests (")
    assert "digests" in said(run(path, ".tables"))


@pytest.mark.slow
def test_a_half_read_query_does_not_keep_the_log_of_the_journal(tmp_path: Path) -> None:
    """SQLite can only truncate the -wal if no connection reads an old state of the journal."""
    path = tmp_path / "exchange.db"
    play(path)
    with SqlSession(path) as session, closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("INSERT INTO digests VALUES (1, 'z', 'd')")
        cursor = session.run("SELECT * FROM commands LEFT JOIN digests USING (seq) ORDER BY seq")
        next(cursor)
        writer.execute("INSERT INTO digests VALUES (2, 'z', 'd')")
        assert writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
        assert len(list(cursor)) == COMMANDS - 1


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sql") / "exchange.db"
    play(made)
    return made


@pytest.mark.slow
def test_ctrl_c_while_the_history_is_written_leaves_no_half_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next session continues the history where the interrupted one ended."""
    made = tmp_path / "exchange.db"
    play(made)
    query = "SELECT balance_at(300, 'alice'), book_at(300, 'SOL_USDC-28FEB26-3-P', 5), (SELECT count(*) FROM events)"

    def interrupted(engine: Engine, record: Record) -> Any:
        if record.seq == 250:
            os.kill(os.getpid(), signal.SIGINT)
        return replay_step(engine, record)

    monkeypatch.setattr("exchange.history_db.update.COMMANDS_AT_ONCE", 100)
    monkeypatch.setattr("exchange.history_db.update.replay_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        SqlSession(made)
    monkeypatch.undo()
    with SqlSession(made) as session:
        found = list(session.rows(session.run(query)))
    update_history(made, lambda sentence: None, lambda done, total: None, anew=True)
    with SqlSession(made) as session:
        assert list(session.rows(session.run(query))) == found


@pytest.mark.slow
def test_ctrl_c_ends_a_query_and_not_the_shell(path: Path) -> None:
    """The query finds three rows and then searches for more without end."""
    with Terminal("sql", "--csv", "--db", path) as terminal:
        terminal.wait_for("sql> ")
        terminal.type("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)\n")
        terminal.type("SELECT 'row ' || i AS found FROM n WHERE i < 4;\n")
        # The third row is printed when the fourth is found.
        terminal.wait_for("row 2")
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait_for("interrupted")
        terminal.type("SELECT 6 * 7 AS answer;\n")
        terminal.wait_for("42")
        terminal.type(".quit\n")
        assert terminal.process.wait(PATIENCE_SECONDS) == 0


@pytest.mark.slow
def test_ctrl_c_discards_the_unfinished_statement(path: Path) -> None:
    with Terminal("sql", "--db", path) as terminal:
        terminal.wait_for("sql> ")
        terminal.type("SELECT nonsense FROM\n")
        terminal.wait_for("...> ")
        terminal.process.send_signal(signal.SIGINT)
        # Python handles a signal at once or, if it came right after the prompt, with the next key.
        terminal.type("\n")
        terminal.wait_for("sql> ")
        terminal.type("SELECT 6 * 7 AS answer;\n")
        terminal.wait_for("42")
        terminal.type(".schema nowhere\n")
        terminal.wait_for("there is no table or view nowhere")
        terminal.wait_for("sql> ")


@pytest.mark.slow
def test_dot_commands_also_come_from_standard_input(path: Path) -> None:
    assert "commands_decoded" in said(run(path, typed=".tables\n.quit\nSELECT nonsense;\n"))
    assert said(run(path, ".schema open_orders")).startswith("CREATE VIEW open_orders AS\n")
    assert "there is no command .table: .help lists the commands" in complained(run(path, ".table"))


def test_columns_with_the_same_name_get_different_names(path: Path) -> None:
    row = json.loads(said(run(path, "--json", "SELECT 1 AS a, 2 AS a, 3 AS a, 4 AS 'a:2'")))
    assert row == {"a": 1, "a:2": 2, "a:3": 3, "a:2:2": 4}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT 'no\nend", 'unrecognized token: "\'no end"'),
        ("SELECT '\x1b[2J", 'unrecognized token: "\'\N{REPLACEMENT CHARACTER}[2J"'),
        ("SELECT book_at(100, 'SOL_USDC-28FEB26-3-P', -1)", "book_at: the depth is -1; expected 0 or more"),
        ("SELECT iso(4611686018427387904)", "date value out of range"),
    ],
)
def test_errors_are_one_clear_line(path: Path, query: str, message: str) -> None:
    text = complained(run(path, query))
    assert text.startswith(f"Error: {message}") and text.count("\n") == 1
