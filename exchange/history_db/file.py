"""The history file: its name, opening it, and its schema."""

import re
import sqlite3
from collections.abc import Generator
from contextlib import closing
from functools import cache
from importlib.resources import files
from pathlib import Path

from exchange.history_db.event_kinds import BALANCE_REASONS, EVENT_KINDS
from exchange.journal.connection import FileConnection
from exchange.journal.errors import JournalError
from exchange.journal.records import AnswerRow, Head, Record
from exchange.journal.schema import read_only_uri
from exchange.journal.views import with_macros

APPLICATION_ID = int.from_bytes(b"EXH1")
# Raise it if tables.sql, the rows that are written, or the columns of a view change: an older file is then written
# anew. A writer brings other changes of views into the file.
SCHEMA_VERSION = 14
# No lock exceeds NUMBER_MAX micros, so no product here exceeds 64 bits.
_SHORT_MARGIN = re.compile(r"\bshort_margin\(([\w.]+), ([\w.]+)\)")
_SHORT_MARGIN_SQL = (
    r"iif(\2 > 0, \1 / 1000 * \2 / 1000 + (\1 / 1000 * \2 % 1000 * 1000 + \1 % 1000 * \2 + 999999) / 1000000, 0)"
)
_VIEWS = "SELECT name, sql FROM sqlite_schema WHERE type = 'view'"


class HistoryError(JournalError):
    """The history cannot be used. The message is a sentence for users."""


class NoHistoryError(HistoryError):
    """There is no history, or one that this program does not read: it must be written anew."""


def history_path(journal_path: Path) -> Path:
    """The history of the journal at `journal_path`: `exchange.history.db` for `exchange.db`."""
    return journal_path.with_name(journal_path.name.removesuffix(".db") + ".history.db")


def open_history(journal_path: Path) -> sqlite3.Connection:
    """Open the history of a journal for reading. Raises NoHistoryError or HistoryError."""
    return open_history_file(history_path(journal_path))


def open_history_file(path: Path, is_constant: bool = False) -> sqlite3.Connection:
    """Open the history at `path` for reading. Raises NoHistoryError or HistoryError.

    A file that `is_constant` is opened without SQLite's other files, so that its folder may be deleted meanwhile.
    """
    if not path.exists():
        raise NoHistoryError(f"there is no history at {path}: `exchange history rebuild` writes it from the journal")
    uri = read_only_uri(path) if not is_constant else f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, factory=FileConnection)
    try:
        _check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open the history file at `path`, and create its tables if it is new. Raises NoHistoryError for an old schema.

    A power loss may cost the last transactions, which the journal still has: they are written again.
    """
    is_new = not path.exists() or not path.stat().st_size
    # The follower writes in two threads, one after the other.
    connection = sqlite3.connect(path, isolation_level=None, factory=FileConnection, check_same_thread=False)
    try:
        if is_new:
            connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -65536")
        connection.execute(f"PRAGMA journal_size_limit = {64 * 1024 * 1024}")
        if is_new:
            _create(connection)
        _check(connection, path)
        connection.execute(f"INSERT OR IGNORE INTO event_kind VALUES {_event_kinds()}")
        _replace_old_views(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def head_of(connection: sqlite3.Connection) -> Head:
    """The last command in the history; an empty head if there is none."""
    row = connection.execute("SELECT seq, ts_us, hash FROM command ORDER BY seq DESC LIMIT 1").fetchone()
    return Head(*row) if row else Head()


def last_seq_of(journal_path: Path) -> int:
    """The last command in the history of a journal; 0 if there is none, or if it cannot be read."""
    try:
        with closing(open_history(journal_path)) as connection:
            return head_of(connection).seq
    except (HistoryError, sqlite3.Error):
        return 0


def next_ids_in(journal_path: Path) -> tuple[int, int, int]:
    """The last command in the history of a journal, and the ids of the order and the trade after it; seq 0 as above."""
    try:
        with closing(open_history(journal_path)) as connection:
            (order_id,) = connection.execute(
                "SELECT max(coalesce((SELECT max(order_id) FROM book_order), 0), "
                "coalesce((SELECT max(order_id) FROM trigger_order), 0)) + 1"
            ).fetchone()
            (trade_id,) = connection.execute("SELECT coalesce(max(trade_id), 0) + 1 FROM trade").fetchone()
            return head_of(connection).seq, order_id, trade_id
    except (HistoryError, sqlite3.Error):
        return 0, 1, 1


def answer_times_in(journal_path: Path, after_seq: int, last_seq: int) -> list[AnswerRow]:
    """The times of answers to these commands, as far as the history of a journal has them.

    Raises HistoryError if it cannot be read.
    """
    query = "SELECT seq, answered_us FROM answer WHERE seq > ? AND seq <= ? ORDER BY seq"
    with closing(open_history(journal_path)) as connection:
        try:
            return connection.execute(query, (after_seq, last_seq)).fetchall()
        except sqlite3.Error as error:
            raise HistoryError(f"{history_path(journal_path)} cannot be read ({error})") from error


def commands_in(journal_path: Path, after_seq: int) -> Generator[Record, None, None]:
    """The commands after a seq, as the history of a journal has them. Raises HistoryError if it cannot be read."""
    with closing(open_history(journal_path)) as connection:
        query = "SELECT seq, ts_us, payload, hash FROM commands WHERE seq > ? ORDER BY seq"
        try:
            for seq, ts_us, payload, digits in connection.execute(query, (after_seq,)):
                yield Record(seq, ts_us, payload, bytes.fromhex(digits))
        except sqlite3.Error as error:
            raise HistoryError(f"{history_path(journal_path)} cannot be read ({error})") from error


def alarm_of(connection: sqlite3.Connection) -> str | None:
    """Why the history ends before the journal; None if no alarm ended it."""
    row = connection.execute("SELECT value FROM about WHERE name = 'alarm'").fetchone()
    return None if row is None else str(row[0])


@cache
def views_script() -> str:
    """SQL that creates the views."""
    text = files("exchange.history_db").joinpath("views.sql").read_text(encoding="utf-8")
    return with_macros(with_margins(text))


@cache
def _view_texts() -> dict[str, str]:
    """The text that SQLite keeps of each view, by name."""
    scratch = sqlite3.connect(":memory:")
    try:
        scratch.executescript(views_script())
        return dict(scratch.execute(_VIEWS))
    finally:
        scratch.close()


def _replace_old_views(connection: sqlite3.Connection) -> None:
    texts = _view_texts()
    found = dict(connection.execute(_VIEWS))
    if {name: found.get(name) for name in texts} != texts:
        drops = "".join(f"DROP VIEW IF EXISTS {name};" for name in texts)
        connection.executescript(f"BEGIN; {drops} {views_script()} COMMIT;")


def with_margins(text: str) -> str:
    """SQL with the macro `short_margin(nanos, milli)` replaced by an expression: `nanos_to_micros` without overflow."""
    return _SHORT_MARGIN.sub(_SHORT_MARGIN_SQL, text)


def _create(connection: sqlite3.Connection) -> None:
    tables = files("exchange.history_db").joinpath("tables.sql").read_text(encoding="utf-8")
    reasons = ", ".join(f"({n}, '{name}')" for n, name in enumerate(BALANCE_REASONS, 1))
    connection.executescript(
        f"BEGIN; {tables} {views_script()} INSERT INTO event_kind VALUES {_event_kinds()};"
        f"INSERT INTO balance_reason VALUES {reasons};"
        f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )


def _event_kinds() -> str:
    return ", ".join(f"({n}, '{kind.__struct_config__.tag}')" for n, kind in enumerate(EVENT_KINDS, 1))


def _check(connection: sqlite3.Connection, path: Path) -> None:
    try:
        ((application_id,),) = connection.execute("PRAGMA application_id")
        ((version,),) = connection.execute("PRAGMA user_version")
    except sqlite3.DatabaseError as error:
        raise NoHistoryError(f"{path} cannot be read ({error}): `exchange history rebuild` writes it anew") from error
    # The process that creates a history first makes an empty file, and then all tables in one transaction.
    if not application_id and connection.execute("SELECT 1 FROM sqlite_schema").fetchone() is None:
        raise NoHistoryError(f"{path} has no tables yet: `exchange history rebuild` writes it anew")
    if application_id != APPLICATION_ID:
        raise HistoryError(f"{path} is not a history of an exchange: move it to another place")
    if version != SCHEMA_VERSION:
        raise NoHistoryError(
            f"{path} has schema {version}, and this program reads schema {SCHEMA_VERSION}: "
            "`exchange history rebuild` writes it anew"
        )
