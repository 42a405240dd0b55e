"""A journal of version 0.1.0 opens, is brought up to date, verifies, and its events are rebuilt byte for byte."""

import asyncio
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from exchange.cli.main import main
from exchange.history.rebuild import Rebuilt, rebuild
from exchange.history.verify import verify
from exchange.journal import schema as schema_module
from exchange.journal import views
from exchange.journal.backup import back_up_before_migration
from exchange.journal.connection import JournalConnection
from exchange.journal.errors import JournalError
from exchange.journal.opening import open_journal_writer
from exchange.journal.records import Head, chain
from exchange.journal.schema import known_migrations, prepare, schema_faults
from tests.history_sql import ask_past, open_past
from tests.journals import play
from tests.test_sql import COLUMNS

# The commands of the journal, each on a line with its time; the indented lines below are its recorded events.
RECORDED = Path(__file__).parent / "old_journal.txt"
LAST_HASH = "f695af504f5088c8223db4257dbaa5b3d99a7ac2eec5cff903fa6fdeb6d3e824"
# The migrations that created views in earlier releases.
OLD_SCHEMAS = Path(__file__).parent / "old_schemas"


def apply_old_schema(connection: sqlite3.Connection, schema: int) -> None:
    """Apply the migrations up to this schema as the release of that schema had them."""
    for migration in known_migrations()[:schema]:
        old = OLD_SCHEMAS / migration.name
        connection.executescript((old if old.exists() else migration).read_text(encoding="utf-8"))
    if schema == len(known_migrations()):
        connection.executescript(views.replacement_script())
    connection.execute(f"PRAGMA user_version = {schema}")


def no_progress(done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module", params=range(1, len(known_migrations()) + 1))
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file as a program of each schema left it: without a market, with the views of that schema."""
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
        apply_old_schema(connection, request.param)
        connection.executemany("INSERT INTO commands (seq, ts_us, payload, hash) VALUES (?, ?, ?, ?)", records)
        connection.executemany("INSERT INTO events (seq, n, payload) VALUES (?, ?, ?)", events)
        connection.commit()
    return path


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written, tmp_path / "exchange.db"))


def open_once(path: Path) -> None:
    """Open the journal for writing as a server does, which brings the schema up to date."""

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


@pytest.mark.slow
def test_it_verifies_before_and_after_it_is_brought_up_to_date(path: Path) -> None:
    for _ in range(2):
        verdict = verify(path, False, no_progress)
        assert (verdict.damage, verdict.commands, verdict.events) == (None, 200, 370)
        assert run(path, "check").exit_code == 0
        open_once(path)


def test_its_events_come_out_byte_for_byte(path: Path) -> None:
    before = contents(path)
    open_once(path)
    assert contents(path) == before
    assert rebuild(path, False, no_progress) == Rebuilt(370, 0, None)
    assert contents(path) == before


def test_the_history_has_the_rows_of_the_old_views(path: Path) -> None:
    """Compares every column of the old views; the history has further columns after them."""
    with closing(sqlite3.connect(path)) as connection:
        old = {
            name: (columns_of(connection, name), rows_of(connection, f"SELECT * FROM {name}"))
            for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall()
        }
    if "trades" not in old:
        pytest.skip("this schema has no views of results")
    before = path.read_bytes()
    with closing(open_past(path)) as connection:
        for name, (columns, rows) in old.items():
            assert columns == columns_of(connection, name)[: len(columns)]
            assert rows_of(connection, f"SELECT {', '.join(columns)} FROM {name}") == rows, name
    assert sum(len(rows) for _, rows in old.values()) > 500
    assert path.read_bytes() == before


@pytest.mark.slow
def test_sql_knows_all_views_before_it_is_brought_up_to_date(path: Path) -> None:
    before = path.read_bytes()
    for view, columns in COLUMNS.items():
        outcome = CliRunner().invoke(main, ["sql", "--csv", "--db", str(path), f"SELECT * FROM {view}"])
        # The history has further columns after these.
        names = outcome.stdout.splitlines()[0].split(",")
        assert names[: len(columns.split())] == columns.split(), view
    assert path.read_bytes() == before


def test_the_journal_keeps_its_commands_and_events_for_any_sqlite(path: Path) -> None:
    """The views of results are gone once a program of this version has opened it for writing; the old events stay."""
    open_once(path)
    with closing(sqlite3.connect(path)) as connection:
        views_left = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")}
        assert views_left == {"commands_decoded", "runs", "sessions"}
        query = "SELECT seq, kind, side, price_micros, size_milli FROM commands_decoded"
        decoded = rows_of(connection, query)
        assert len(rows_of(connection, "SELECT * FROM events")) == 370
    assert decoded == sorted(map(repr, ask_past(path, query)))


def test_it_ends_with_the_schema_of_a_new_journal(path: Path, tmp_path: Path) -> None:
    open_once(path)
    open_once(new := tmp_path / "new.db")
    assert schema_of(path) == schema_of(new)
    with closing(sqlite3.connect(path)) as connection:
        assert views.are_current(connection)


def test_the_views_of_releases_are_known() -> None:
    """A journal that only an older program has written keeps its views; `verify` must not report them."""
    for schema in (3, 5, 6):
        with closing(sqlite3.connect(":memory:")) as connection:
            apply_old_schema(connection, schema)
            rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'view'")
            assert views.fingerprint(dict(rows.fetchall())) in views.RELEASED, schema
    assert views.fingerprint(views.view_texts()) in views.RELEASED, "add the fingerprint of the new views"


def test_views_that_are_not_those_of_the_program_are_replaced(path: Path) -> None:
    """Views of the user's own stay as they are."""
    open_once(path)
    with closing(sqlite3.connect(path)) as connection:
        before = schema_of(path)
        connection.execute("DROP VIEW commands_decoded")
        connection.execute("CREATE VIEW commands_decoded AS SELECT 1 AS mine")
        connection.execute("DROP VIEW runs")
        connection.execute("CREATE VIEW mine AS SELECT * FROM runs")
    damage = verify(path, False, no_progress).damage
    assert damage is not None and damage.endswith("view commands_decoded is not as it was made")
    open_once(path)
    assert verify(path, False, no_progress).damage is None
    after = schema_of(path)
    assert after.pop(("view", "mine")) == "CREATE VIEW mine AS SELECT * FROM runs"
    assert after == before


def test_views_that_cannot_be_created_leave_the_old_ones(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_once(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP VIEW runs")
    before, script = schema_of(path), views.replacement_script()
    monkeypatch.setattr(views, "replacement_script", lambda: script + "CREATE VIEW runs AS SELECT 1;")
    with pytest.raises(JournalError, match=r"view runs already exists\), and the old ones were kept"):
        open_once(path)
    assert schema_of(path) == before


def schema_of(path: Path) -> dict[tuple[str, str], str]:
    """The text of each table, trigger and view, by kind and name."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        return {(kind, name): text for kind, name, text in rows}


def columns_of(connection: sqlite3.Connection, view: str) -> list[str]:
    return [column[0] for column in connection.execute(f"SELECT * FROM {view}").description]


def rows_of(connection: sqlite3.Connection, query: str) -> list[str]:
    """The rows of a query as texts, without their order."""
    return sorted(map(repr, connection.execute(query)))


def backups_of(path: Path) -> list[Path]:
    return sorted(path.parent.glob("exchange.db.schema-*"))


def schema_number(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.slow
def test_a_migration_writes_a_backup_that_the_earlier_release_can_open(path: Path) -> None:
    """It has the rows and the schema of before, and a second start makes no other one."""
    schema, objects, before = schema_number(path), schema_of(path), contents(path)
    open_once(path)
    open_once(path)
    if schema == len(known_migrations()):
        assert backups_of(path) == []
        return
    (backup,) = backups_of(path)
    assert backup.name == f"exchange.db.schema-{schema}-seq-200"
    assert schema_number(path) == len(known_migrations())
    # The release before it opens the file as its own: with its tables, views and triggers.
    assert (schema_number(backup), schema_of(backup), contents(backup)) == (schema, objects, before)
    # Going back: the backup takes the place of the migrated journal, and can be migrated again.
    backup.rename(path)
    assert verify(path, False, no_progress).damage is None
    open_once(path)
    assert [file.name for file in backups_of(path)] == [backup.name]


def test_a_migration_that_was_interrupted_after_its_backup_goes_on(path: Path) -> None:
    if schema_number(path) == len(known_migrations()):
        return
    first = back_up_before_migration(path)
    assert first is not None and back_up_before_migration(path) == first == backups_of(path)[0]
    open_once(path)
    assert schema_number(path) == len(known_migrations())


def test_no_migration_begins_without_space_for_its_backup(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    is_old = schema_number(path) < len(known_migrations())
    usage = shutil.disk_usage(path.parent)._replace(free=2 * len(before) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    if not is_old:
        open_once(path)
        return
    with pytest.raises(JournalError, match=f"needs {2 * len(before):,} bytes of free space"):
        open_once(path)
    assert path.read_bytes() == before and backups_of(path) == []


def test_a_backup_of_another_journal_is_not_taken_for_that_of_the_migration(path: Path) -> None:
    schema = schema_number(path)
    if schema == len(known_migrations()):
        return
    other = path.with_name(f"exchange.db.schema-{schema}-seq-200")
    play(other, count=200)
    with pytest.raises(JournalError, match="but it is another journal: move it away"):
        open_once(path)
    assert schema_number(path) == schema


def killed_after(path: Path, opcodes: int) -> bool:
    """Migrate in a child process, which is killed after so many opcodes of SQLite. False if it got to the end."""

    class MortalConnection(JournalConnection):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.set_progress_handler(lambda: os.kill(os.getpid(), signal.SIGKILL), opcodes)

    child = os.fork()
    if not child:
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(schema_module, "JournalConnection", MortalConnection)
                prepare(path)
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.mark.slow
def test_a_migration_that_is_killed_at_any_step_goes_on(path: Path, tmp_path: Path) -> None:
    before = contents(path)
    original = path.read_bytes()
    opcodes, kills = 1, 0
    while True:
        (folder := tmp_path / str(opcodes)).mkdir()
        copy = folder / "exchange.db"
        copy.write_bytes(original)
        if not killed_after(copy, opcodes):
            break
        kills += 1
        prepare(copy)
        assert schema_number(copy) == len(known_migrations()) and schema_faults(copy) == []
        assert contents(copy) == before
        opcodes += 1 + opcodes // 2
    assert kills > 5
