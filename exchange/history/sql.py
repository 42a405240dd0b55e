"""SQL on a journal: a read-only connection with functions that answer questions about any past moment."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from exchange.amounts import iso_time, usdc
from exchange.engine.recovery import Progress, Report
from exchange.history_db.file import HistoryError
from exchange.history_db.past_views import PastViews
from exchange.history_db.update import open_current_history
from exchange.journal.errors import JournalError
from exchange.journal.opening import open_journal_reader

# SQLite calls back after this many steps of its virtual machine; Python then notices Ctrl-C.
_STEPS_BETWEEN_CALLBACKS = 100_000


# Signs of a query that would write, in messages of SQLite.
_WRITES = ("readonly", "read-only", "not authorized", "authorization denied", "because it is a view")


# Tables of the journal that the history does not have, as `SqlSession` copies them.
_OF_JOURNAL = """
CREATE TEMP TABLE digests (
    seq INTEGER NOT NULL, subject TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (seq, subject)
);
CREATE TEMP TABLE base (seq INTEGER PRIMARY KEY, ts_us INTEGER NOT NULL, hash BLOB NOT NULL, snapshot BLOB NOT NULL);
CREATE TEMP VIEW answers AS SELECT seq, answered_us FROM answer;
"""

Bar = Callable[[], AbstractContextManager[Progress]]
"""Opens a progress bar."""


def no_bar() -> AbstractContextManager[Progress]:
    """A progress bar that shows nothing."""
    return nullcontext(lambda done, total: None)


class SqlError(Exception):
    """The query cannot be run. The message is a sentence for users."""


class SqlSession:
    """A read-only connection to the history of the journal at `path`, as a context manager.

    The history is first brought up to the journal's last command; `report` receives a sentence if it is written anew,
    and `bar` opens a progress bar. The journal's tables `digests` and `base` are copied as they are at the beginning:
    a query on the journal itself would keep its -wal from being reset for as long as its rows are read.
    These functions are added to SQL: `book_at(seq, instrument, depth)` and `balance_at(seq, user)`, which return the
    JSON that public/get_order_book and private/get_balance returned then, `mark_at(seq, instrument)` in micros,
    `usd(micros)` and `iso(us)`. Ctrl-C during a query raises KeyboardInterrupt.
    """

    def __init__(
        self,
        path: Path,
        bar: Bar = no_bar,
        report: Report = lambda sentence: None,
    ) -> None:
        with bar() as progress:
            self._connection = open_current_history(path, report, progress)
        _copy_from_journal(path, self._connection)
        self._connection.execute("PRAGMA query_only = ON")
        self._connection.set_authorizer(_deny_other_files)
        self._views: PastViews | None = None
        # The last error of one of these functions. SQLite reports only that there was an error.
        self._error: BaseException | None = None
        self._connection.set_progress_handler(lambda: 0, _STEPS_BETWEEN_CALLBACKS)
        for name, count, function in (
            ("book_at", 3, self._book_at),
            ("balance_at", 2, self._balance_at),
            ("mark_at", 2, self._mark_at),
            ("usd", 1, lambda micros: usdc(_whole(micros, "usd: micros"))),
            ("iso", 1, lambda ts_us: iso_time(_whole(ts_us, "iso: ts_us"))),
        ):
            self._connection.create_function(name, count, self._guarded(function), deterministic=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self._connection.close()

    def run(self, query: str) -> sqlite3.Cursor:
        """Start a query; `rows` then reads its rows one by one. Raises SqlError."""
        try:
            return self._connection.execute(query)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise self._explained(error) from error
        except ValueError as error:
            # The text has a NUL character, or bytes of an argument that are not UTF-8.
            raise SqlError(f"the query is not valid text ({error}): write it in UTF-8") from error

    def rows(self, cursor: sqlite3.Cursor) -> "Rows":
        """The rows of a query, one by one. Raises SqlError at a row that cannot be computed."""
        return Rows(cursor, self._explained)

    def _explained(self, error: Exception) -> BaseException:
        cause, self._error = self._error, None
        if isinstance(cause, JournalError | SqlError | OverflowError):
            return SqlError(str(cause))
        if cause is not None:
            return cause
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return KeyboardInterrupt()
        if any(sign in str(error) for sign in _WRITES):
            return SqlError("SQL can only read a journal: send commands to the exchange to change it")
        return SqlError(" ".join(str(error).split()))

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with NULL as its result for a NULL argument, and with its error kept for the message."""

        def call(*arguments: Any) -> Any:
            if None in arguments:
                return None
            try:
                return function(*arguments)
            except BaseException as error:
                # Ctrl-C as well: SQLite would report it as an error of the function.
                self._error = error
                raise

        return call

    def _views_at(self, function: str, seq: int) -> PastViews:
        """The views after command `seq`, kept for calls with the same seq. `function` is the one that asks."""
        seq = _whole(seq, f"{function}: seq")
        if self._views is None or self._views.seq != seq:
            try:
                self._views = PastViews(self._connection, seq)
            except HistoryError as error:
                raise SqlError(f"{function}: {error}") from error
        return self._views

    def _book_at(self, seq: int, instrument_id: str, depth: int) -> str:
        views = self._views_at("book_at", seq)
        book = views.depths.get(instrument_id)
        if book is None:
            raise SqlError(f"book_at: {instrument_id} was not listed at seq {seq}")
        if _whole(depth, "book_at: depth") < 0:
            raise SqlError(f"book_at: the depth is {depth}; expected 0 or more: 20 returns twenty prices of each side")
        return _json(
            {
                "instrument_id": instrument_id,
                "seq": seq,
                "ts_us": views.ts_us,
                "bids": book.bids(depth),
                "asks": book.asks(depth),
            }
        )

    def _balance_at(self, seq: int, user_id: str) -> str:
        views = self._views_at("balance_at", seq)
        if user_id not in views.balances.users:
            raise SqlError(f"balance_at: {user_id!r} had no account at seq {seq}")
        return _json(views.balance(user_id))

    def _mark_at(self, seq: int, instrument_id: str) -> int | None:
        views = self._views_at("mark_at", seq)
        if instrument_id not in views.instruments:
            raise SqlError(f"mark_at: {instrument_id} was not listed at seq {seq}")
        return views.marks.get(instrument_id)


class Rows:
    """An iterator over the rows of a query that raises SqlError."""

    def __init__(self, cursor: sqlite3.Cursor, explained: Callable[[Exception], BaseException]) -> None:
        self._cursor = cursor
        self._explained = explained

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[Any, ...]:
        try:
            row: tuple[Any, ...] = next(self._cursor)
        except sqlite3.Error as error:
            raise self._explained(error) from error
        return row


def _copy_from_journal(path: Path, connection: sqlite3.Connection) -> None:
    """Copy the digests and the base into temporary tables."""
    connection.executescript(_OF_JOURNAL)
    with open_journal_reader(path) as reader:
        connection.executemany("INSERT INTO temp.digests VALUES (?, ?, ?)", reader.digests())
        base = reader.bases[-1]
        if base.head.seq:
            connection.execute("INSERT INTO temp.base VALUES (?, ?, ?, ?)", (*base.head, base.snapshot))


def _deny_other_files(action: int, *_: str | None) -> int:
    """Deny ATTACH and VACUUM INTO, which can create files even on a read-only connection."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def _whole(value: Any, argument: str) -> int:
    if not isinstance(value, int):
        raise SqlError(f"{argument} must be a whole number such as 100, not {value!r}")
    return value


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
