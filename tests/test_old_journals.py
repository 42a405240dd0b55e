"""What version 0.1.0 wrote, this one opens, brings up to date, proves, and makes again byte for byte."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from exchange.cli.main import main
from exchange.history.rebuild import Rebuilt, rebuild
from exchange.history.verify import verify
from exchange.journal.opening import open_journal_writer
from exchange.journal.records import Head, chain
from exchange.journal.schema import known_migrations
from tests.test_sql import COLUMNS

# Its commands, each line with its time, and below each the events that it recorded for them.
RECORDED = Path(__file__).parent / "old_journal.txt"
LAST_HASH = "f695af504f5088c8223db4257dbaa5b3d99a7ac2eec5cff903fa6fdeb6d3e824"
SCHEMA = 4  # that it knew


def no_bar(done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file as it was left, when there was no market and no view of one."""
    path = tmp_path_factory.mktemp("old") / "exchange.db"
    commands: list[tuple[int, str]] = []
    events: list[tuple[int, int, str]] = []
    for line in RECORDED.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            n = events[-1][1] + 1 if events and events[-1][0] == len(commands) else 0
            events.append((len(commands), n, line.strip()))
        else:
            ts_us, _, payload = line.partition(" ")
            commands.append((int(ts_us), payload))
    records = chain(Head(), commands)
    assert records[-1].hash.hex() == LAST_HASH
    with closing(sqlite3.connect(path)) as connection:
        for migration in known_migrations()[:SCHEMA]:
            connection.executescript(migration.read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.executemany("INSERT INTO commands (seq, ts_us, payload, hash) VALUES (?, ?, ?, ?)", records)
        connection.executemany("INSERT INTO events (seq, n, payload) VALUES (?, ?, ?)", events)
        connection.commit()
    return path


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written, tmp_path / "exchange.db"))


def open_once(path: Path) -> None:
    """As a server does, which brings the schema up to date."""

    async def run() -> None:
        journal = await open_journal_writer(path)
        await journal.close()

    asyncio.run(run())


def contents(path: Path) -> list[list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return [
            connection.execute(f"SELECT {columns} FROM {table} ORDER BY {columns}").fetchall()
            for table, columns in (("commands", "seq, ts_us, payload, hash"), ("events", "seq, n, payload"))
        ]


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["journal", *arguments, "--db", str(path)])


def test_it_verifies_before_and_after_it_is_brought_up_to_date(path: Path) -> None:
    for _ in range(2):
        verdict = verify(path, False, no_bar)
        assert (verdict.damage, verdict.commands, verdict.events) == (None, 200, 370)
        assert run(path, "check").exit_code == 0
        open_once(path)


def test_its_events_come_out_byte_for_byte(path: Path) -> None:
    before = contents(path)
    open_once(path)
    assert contents(path) == before
    assert rebuild(path, False, no_bar) == Rebuilt(370, 0, None)
    assert contents(path) == before


def test_the_views_say_what_they_said(path: Path) -> None:
    """Every column of the old views, row by row; the new ones stand behind them."""
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")]
        old = {
            name: (columns_of(connection, name), connection.execute(f"SELECT * FROM {name}").fetchall())
            for name in names
        }
    open_once(path)
    with closing(sqlite3.connect(path)) as connection:
        for name, (columns, rows) in old.items():
            assert columns == columns_of(connection, name)[: len(columns)]
            assert connection.execute(f"SELECT {', '.join(columns)} FROM {name}").fetchall() == rows, name
    assert sum(len(rows) for _, rows in old.values()) > 500


def test_sql_knows_all_views_before_it_is_brought_up_to_date(path: Path) -> None:
    before = path.read_bytes()
    for view, columns in COLUMNS.items():
        outcome = CliRunner().invoke(main, ["sql", "--csv", "--db", str(path), f"SELECT * FROM {view}"])
        assert outcome.stdout.splitlines()[0] == columns.replace(" ", ","), view
    assert path.read_bytes() == before


def columns_of(connection: sqlite3.Connection, view: str) -> list[str]:
    return [column[0] for column in connection.execute(f"SELECT * FROM {view}").description]
