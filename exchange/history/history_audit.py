"""Compares the history with a fresh one, which the replay of an audit writes into a temporary folder."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from exchange.domain.commands import Command
from exchange.domain.events import Event
from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress
from exchange.free_space import is_space_low
from exchange.history.verdict import DamageError, Verdict
from exchange.history_db.file import HistoryError, NoHistoryError, head_of, history_path, open_for_writing, open_history
from exchange.history_db.update import COMMANDS_AT_ONCE
from exchange.history_db.writer import HistoryWriter
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Record
from exchange.projections.fold import Change

_Row = tuple[Any, ...]

_ROWS_AT_ONCE = 5_000
# Columns that hold the newest state, not that of a seq, by table: the replay knows them only at the history's end.
_NEWEST = {
    "user": ("opened_seq",),
    "instrument": ("state", "delivery_price_micros"),
    "book_order": (
        *("price_micros", "size_milli", "filled_milli", "cost_micros", "fee_micros"),
        *("status", "cancel_reason", "updated_seq"),
    ),
}
# Rows of these tables that exist at seq `:seq`; those of other tables have a column `seq`.
_EXISTS = {
    "user": "user IN (SELECT user FROM fresh.user)",
    "instrument": "instrument IN (SELECT instrument FROM fresh.instrument WHERE created_seq IS NOT NULL)",
    "position_key": "(user, instrument) IN (SELECT user, instrument FROM fresh.position_key)",
    "book_order": "placed_seq <= :seq",
    "trigger_order": "placed_seq <= :seq",
}
# Tables of names, whose keys a replay from the middle takes from the history.
_NAMES = ("user", "instrument")
# The column that says to which command a row of a table without `seq` belongs.
_SEQ_COLUMNS = {
    "user": "opened_seq",
    "instrument": "created_seq",
    "book_order": "placed_seq",
    "trigger_order": "placed_seq",
}


class RowDifference(NamedTuple):
    """A row of the history that differs from the replay: its table, seq (None: unknown) and key, and its fault."""

    table: str
    seq: int | None
    key: str
    fault: str


class HistoryAudit:
    """Writes the results of replayed commands to a fresh history, and compares that with the history of a journal.

    A context manager: the fresh history is deleted at the end. Notes in the verdict say why a history
    that exists is not compared as a whole. `progress` hears of the rows that are compared, after the replay.
    """

    def __init__(self, reader: JournalReader, until: int | None, verdict: Verdict, progress: Progress) -> None:
        self._reader = reader
        self._verdict = verdict
        self._progress = progress
        self._open = ExitStack()
        # The rows after the one and up to the other are compared. The history may go on until the last.
        self._after_seq = 0
        self._seq = 0
        self._last_seq = 0
        try:
            self._open_both(until)
        except sqlite3.DatabaseError as error:
            self._open.close()
            raise _unreadable(reader.path, error) from error
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self._open.close()

    def _open_both(self, until: int | None) -> None:
        base, note = self._reader.bases[0].head.seq, self._verdict.notes.append
        if not history_path(self._reader.path).exists():
            return
        try:
            self._history = self._open.enter_context(closing(open_history(self._reader.path)))
        except NoHistoryError as error:
            note(f"the history is not compared: {error}")
            return
        if (reason := _why_not_compared(self._history, base)) is not None:
            note(f"the history is not compared: {reason}")
            return
        (first,) = self._history.execute("SELECT min(seq) FROM command").fetchone()
        if first < base:
            self._after_seq = base
            note(f"the history begins with seq {first}: its rows up to seq {base} are older than the journal")
        folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="exchange-verify-")))
        if is_space_low(folder):
            note(f"the history is not compared: the disk of {folder.parent} is almost full; set TMPDIR to another one")
            return
        self._fresh_file = folder / "fresh.history.db"
        _create_without_indexes(self._fresh_file)
        if self._after_seq:
            _copy_names(self._history, self._fresh_file)
        self._fresh = self._open.enter_context(closing(HistoryWriter(self._fresh_file)))
        last = self._last_seq = head_of(self._history).seq
        if not last:
            # It has commands, and the first one has the seq 1.
            fault = f"{history_path(self._reader.path)} is damaged: its last command has the seq 0"
            raise DamageError(None, f"{fault}; `exchange history rebuild` writes it again from the journal")
        self._seq = last if until is None else min(last, until)

    def begin(self, engine: Engine) -> None:
        """Take the state before the first command of the journal."""
        if self._seq and engine.head.seq:
            self._fresh.seed(engine)

    def add(self, record: Record, command: Command, events: list[Event], change: Change, engine: Engine) -> None:
        """Take the command that `engine` has just applied. Raises HistoryError if the temporary disk is full."""
        if record.seq > self._seq:
            return
        self._fresh.add(record, command, events, change, engine)
        if record.seq % COMMANDS_AT_ONCE == 0:
            self._flush([])

    def _flush(self, answers: list[tuple[int, int]]) -> None:
        try:
            self._fresh.flush(answers)
        except sqlite3.Error as error:
            raise HistoryError(
                f"{self._fresh_file} cannot be written ({error}): free some space there, or set TMPDIR to a folder on "
                "another disk"
            ) from error

    def compare(self) -> None:
        """Compare all rows. Raises DamageError, which names the difference with the lowest seq."""
        if not self._seq:
            return
        try:
            first = min(self.differences(), key=_order, default=None)
            # The comparison reads no index, but answers do.
            (found,) = self._history.execute("PRAGMA main.integrity_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            raise _unreadable(self._reader.path, error) from error
        if first is not None:
            raise DamageError(
                first.seq,
                "the history differs from the replay: "
                + (f"seq {first.seq}, " if first.seq is not None else "")
                + f"table {first.table}, {first.key}: {first.fault}; `exchange history rebuild` writes it again from "
                "the journal",
            )
        if found != "ok":
            raise DamageError(
                None,
                f"SQLite finds {history_path(self._reader.path)} damaged: {found}; `exchange history rebuild` writes "
                "it again from the journal",
            )
        self._verdict.history_seq = self._seq

    def differences(self) -> Iterator[RowDifference]:
        """Yield all differences. Raises DamageError if the history has more commands than the journal."""
        if self._last_seq > (head := self._reader.head()).seq:
            raise DamageError(
                head.seq + 1,
                f"the history ends with seq {self._last_seq}, but the journal with seq {head.seq}: the journal lost "
                "commands, or the history is of another journal",
            )
        (answered_seq,) = self._history.execute("SELECT coalesce(max(seq), 0) FROM answer").fetchone()
        times = self._reader.answer_times(1, min(answered_seq, self._seq))
        self._flush([(seq, answered_us) for seq, _, answered_us in times])
        self._history.execute("ATTACH ? AS fresh", (str(self._fresh_file),))
        # The follower may write while this reads.
        self._history.execute("BEGIN")
        (self._last_seq,) = self._history.execute("SELECT max(seq) FROM command").fetchone()
        yield from self._changed_definitions()
        for (table,) in self._history.execute("SELECT name FROM fresh.sqlite_schema WHERE type = 'table'").fetchall():
            if table != "about":
                yield from self._differences_in(table)

    def _changed_definitions(self) -> Iterator[RowDifference]:
        schema = "SELECT type || ' ' || name, sql FROM {}.sqlite_schema WHERE type IN ('table', 'view', 'trigger')"
        found, expected = (dict(self._history.execute(schema.format(which))) for which in ("main", "fresh"))
        for name in sorted(found.keys() | expected.keys()):
            if found.get(name) != expected.get(name):
                yield RowDifference("sqlite_schema", None, name, "its definition is another one")

    def _differences_in(self, table: str) -> Iterator[RowDifference]:
        if not self._history.execute(f"PRAGMA main.table_info({table})").fetchone():
            return
        info = self._history.execute(f"PRAGMA fresh.table_info({table})").fetchall()
        keys = [row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]]
        newest = _NEWEST.get(table, ()) if self._is_ahead else ()
        columns = [*keys, *(row[1] for row in info if not row[5] and row[1] not in newest)]
        where = self._where(table, columns)
        queries = (
            f"SELECT {', '.join(columns)} FROM {which}.{table} WHERE {where} ORDER BY {', '.join(keys)}"
            for which in ("main", "fresh")
        )
        bounds = {"after": self._after_seq, "seq": self._seq}
        found, expected = (self._history.execute(query, bounds) for query in queries)
        of_seq = _SEQ_COLUMNS.get(table, "seq")
        at = columns.index(of_seq) if of_seq in columns else None
        for was, now in self._unequal(found, expected, len(keys)):
            row = now or was or ()
            key = ", ".join(f"{name} {value}" for name, value in zip(keys, row, strict=False) if name != "seq")
            seq = None if at is None else row[at]
            yield RowDifference(table, seq, key or f"seq {seq}", _fault(columns, was, now))

    @property
    def _is_ahead(self) -> bool:
        """True if the history has later commands than those that are compared."""
        return self._last_seq > self._seq

    def _where(self, table: str, columns: list[str]) -> str:
        """The condition of the rows that a replay gives."""
        conditions = ["true"]
        if table == "event_kind":
            # The next writer adds the kinds that a newer program knows.
            conditions.append("kind <= (SELECT max(kind) FROM main.event_kind)")
        if self._is_ahead and (table in _EXISTS or "seq" in columns):
            conditions.append(_EXISTS.get(table, "seq <= :seq"))
        if table == "trade_total":
            # The last block may have later trades too. The sums begin with the first command of a history.
            conditions.append("false" if self._after_seq else "block < :seq / 100" if self._is_ahead else "true")
        if self._after_seq:
            if table in (*_NAMES, "position_key"):
                conditions.append("false")
            elif (seq_column := _SEQ_COLUMNS.get(table, "seq")) in columns:
                conditions.append(f"{seq_column} > :after")
            if table == "order_version":
                # The sums of older orders are not in the state that the journal stores.
                conditions.append("order_id IN (SELECT order_id FROM fresh.book_order WHERE placed_seq > :after)")
        return " AND ".join(conditions)

    def _unequal(
        self, found: sqlite3.Cursor, expected: sqlite3.Cursor, width: int
    ) -> Iterator[tuple[_Row | None, _Row | None]]:
        """Rows without an equal one, as pairs of the same key. Both cursors are sorted by the first `width` columns."""
        left: list[_Row] = []
        right: list[_Row] = []
        while True:
            left, right = left or found.fetchmany(_ROWS_AT_ONCE), right or expected.fetchmany(_ROWS_AT_ONCE)
            if not left and not right:
                return
            if left == right:
                self._verdict.history_rows += len(left)
                self._progress(self._verdict.history_rows, max(self._verdict.history_rows, self._fresh.inserted_rows))
                left, right = [], []
                continue
            order = _sorted_key(left[0] if left else None, width), _sorted_key(right[0] if right else None, width)
            was = left.pop(0) if left and (not right or order[0] <= order[1]) else None
            now = right.pop(0) if right and (was is None or order[0] == order[1]) else None
            if was != now:
                yield was, now


def _unreadable(path: Path, error: sqlite3.DatabaseError) -> DamageError:
    return DamageError(
        None, f"{history_path(path)} cannot be read ({error}): `exchange history rebuild` writes it again"
    )


def _why_not_compared(history: sqlite3.Connection, base_seq: int) -> str | None:
    """Why a replay from the base cannot write the same rows; None if it can."""
    first = history.execute("SELECT seq, kind FROM command ORDER BY seq LIMIT 1").fetchone()
    if first is None:
        return "it has no commands"
    if base_seq and head_of(history).seq <= base_seq:
        return f"it ends before seq {base_seq + 1}, the first command of the journal"
    seq, kind = first
    # A history without the first commands begins with the state before the others, as a row of the kind `base`.
    if kind == "base" and seq > base_seq:
        return f"it begins with seq {seq}, and the journal with seq {base_seq + 1}"
    return None


def _copy_names(history: sqlite3.Connection, file: Path) -> None:
    """Give the users and instruments of the new history in `file` the keys of the other one."""
    with closing(open_for_writing(file)) as connection:
        for table in _NAMES:
            columns = f"{table}, {table}_id"
            rows = history.execute(f"SELECT {columns} FROM {table}")
            connection.executemany(f"INSERT INTO {table} ({columns}) VALUES (?, ?)", rows)


def _create_without_indexes(file: Path) -> None:
    """Create a history that is only written and read once, from begin to end."""
    with closing(open_for_writing(file)) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").fetchall()
        for (name,) in names:
            connection.execute(f"DROP INDEX {name}")


def _sorted_key(row: _Row | None, width: int) -> list[tuple[int, Any]]:
    """The key of a row as SQLite sorts it: NULL, numbers, texts, bytes. Damaged rows have any of them."""
    return [_sorted_value(value) for value in (row or ())[:width]]


def _sorted_value(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    return 1 + isinstance(value, str) + 2 * isinstance(value, bytes), value


def _fault(columns: list[str], was: _Row | None, now: _Row | None) -> str:
    if was is None:
        return "the row is missing"
    if now is None:
        return "the replay gives no such row"
    name, old, new = next(pair for pair in zip(columns, was, now, strict=True) if pair[1] != pair[2])
    return f"{name} is {_shown(old)}, but the replay gives {_shown(new)}"


def _shown(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else f"{value!r:.200}"


def _order(difference: RowDifference) -> tuple[bool, int, str]:
    """Differences of a known seq come first. A changed definition explains all others."""
    if difference.table == "sqlite_schema":
        return False, 0, ""
    return difference.seq is None, difference.seq or 0, difference.table
