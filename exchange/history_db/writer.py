"""Writes the history: one transaction for the commands that the follower has just applied."""

from itertools import chain
from operator import itemgetter
from pathlib import Path

from exchange.domain.commands import Command
from exchange.domain.events import Event
from exchange.engine.engine import Engine
from exchange.history_db.file import head_of, open_for_writing
from exchange.history_db.memory import Memory
from exchange.history_db.new_rows import NULL, Row
from exchange.history_db.rows import HistoryRows
from exchange.journal.records import Head, Record
from exchange.projections.fold import Change

# Tables in the order in which rows are inserted, so that a row exists before others refer to it.
_INSERTED = (
    "user",
    "instrument",
    "command",
    "event",
    "book_order",
    "order_version",
    "iceberg_version",
    "trigger_order",
    "trigger_version",
    "linked_order",
    "quote_terms",
    "mmp_config",
    "mmp_trigger",
    "open_order_checkpoint",
    "trade",
    "quote_version",
    "balance_version",
    "payment",
    "shortfall",
    "position_key",
    "position_version",
    "profit_version",
    "index_price",
    "mark_version",
    "smile_version",
    "instrument_version",
    "series_settlement",
    "position_settlement",
    "liquidation",
    "insurance_payment",
    "takeover",
    "setting_version",
)
# The keys of these tables begin with this number of columns before `seq`. Their rows are inserted in the order of their
# keys, which touches each page once.
_SORTED = {
    "order_version": 1,
    "quote_version": 1,
    "balance_version": 1,
    "position_version": 2,
    "profit_version": 2,
    "mark_version": 1,
}
# SQLite takes at most 32,766 parameters in a statement. 100 rows take a fifth less time than 16, and 200 no less.
_ROWS_AT_ONCE = 100
_UPDATE_ORDER = (
    "UPDATE book_order SET price_micros = ?, size_milli = ?, filled_milli = ?, cost_micros = ?, fee_micros = ?, "
    f"status = ?, cancel_reason = nullif(?, {NULL}), updated_seq = ? WHERE order_id = ?"
)
# The sums of the blocks in which these trades are, from those of the block before.
_ADD_TO_TOTALS = """
    INSERT OR REPLACE INTO trade_total
    SELECT asset, block,
           sum(trades) OVER so_far + coalesce((SELECT t.trades FROM trade_total t WHERE t.asset = new.asset
                                               ORDER BY t.block DESC LIMIT 1), 0),
           sum(size_milli) OVER so_far + coalesce((SELECT t.size_milli FROM trade_total t WHERE t.asset = new.asset
                                                   ORDER BY t.block DESC LIMIT 1), 0)
    FROM (SELECT i.asset, t.seq / 100 AS block, count(*) AS trades, sum(t.size_milli) AS size_milli
          FROM trade t JOIN instrument i ON i.instrument = t.instrument
          WHERE t.trade_id BETWEEN ? AND ? GROUP BY i.asset, block) new
    WINDOW so_far AS (PARTITION BY asset ORDER BY block)"""
_LIST_INSTRUMENT = (
    "UPDATE instrument SET asset = ?, option_type = ?, strike_micros = ?, expiration_s = ?, tick_micros = ?, "
    "min_size_milli = ?, created_seq = ?, number = ?, state = ? WHERE instrument = ?"
)


class HistoryWriter:
    """Appends to the history file at `path`. Raises sqlite3.Error if it cannot; open a new writer then."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = open_for_writing(path)
        self._memory = Memory(self._connection)
        self._rows = HistoryRows(self._memory)
        # The last command that is written, and the last one with the time of its answer.
        self.head = head_of(self._connection)
        self._last = self.head
        # Rows that this writer has inserted.
        self.inserted_rows = 0
        ((self.answered_seq,),) = self._connection.execute("SELECT coalesce(max(seq), 0) FROM answer")

    @property
    def seq(self) -> int:
        """The last command that was taken, written or not."""
        return self._last.seq

    def close(self) -> None:
        """Close the file. Rows that were not flushed are lost."""
        self._connection.close()

    def add(self, record: Record, command: Command, events: list[Event], change: Change, engine: Engine) -> None:
        """Take the command that `engine` has just applied. Nothing is written before `flush`."""
        self._rows.add(record, command, events, change, engine)
        self._last = Head(record.seq, record.ts_us, record.hash)

    def seed(self, engine: Engine) -> None:
        """Begin an empty history with the state of `engine`, for a journal whose first commands are missing."""
        self._rows.add_state(engine)
        self._last = engine.head
        self.flush([])

    def set_alarm(self, text: str | None) -> None:
        """Record why this history ends before the journal; None: it does not."""
        if text is None:
            self._connection.execute("DELETE FROM about WHERE name = 'alarm'")
        else:
            self._connection.execute("INSERT OR REPLACE INTO about VALUES ('alarm', ?)", (text,))

    def flush(self, answers: list[tuple[int, int]]) -> None:
        """Write the commands taken since the last flush, and times of answers, in one transaction."""
        rows = self._rows.new
        rows.finish_orders()
        execute = self._connection.executemany
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for table in _INSERTED:
                if new := rows.tables.get(table):
                    # Rows come in the order of `seq`. To sort by one number at a time is several times faster.
                    for column in reversed(range(_SORTED.get(table, 0))):
                        new.sort(key=itemgetter(column))
                    self._insert(table, new)
            execute(_UPDATE_ORDER, rows.updated_orders.values())
            execute("UPDATE user SET opened_seq = ? WHERE user = ?", rows.opened_users)
            execute(_LIST_INSTRUMENT, rows.listed)
            execute("UPDATE instrument SET state = ? WHERE instrument = ?", rows.instrument_states)
            execute(
                "UPDATE instrument SET delivery_price_micros = ? WHERE asset = ? AND expiration_s = ?", rows.deliveries
            )
            if trades := rows.tables["trade"]:
                self._connection.execute(_ADD_TO_TOTALS, (trades[0][0], trades[-1][0]))
            execute("INSERT INTO answer VALUES (?, ?)", answers)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self.inserted_rows += sum(map(len, rows.tables.values())) + len(answers)
        if rows.tables["command"]:
            self.head = self._last
        if answers:
            self.answered_seq = answers[-1][0]
        rows.clear()

    def _insert(self, table: str, rows: list[Row]) -> None:
        """Insert rows, several with each statement, which takes a third less time."""
        row, whole = self._row_of(table), len(rows) // _ROWS_AT_ONCE * _ROWS_AT_ONCE
        parts = (rows[at : at + _ROWS_AT_ONCE] for at in range(0, whole, _ROWS_AT_ONCE))
        execute, insert = self._connection.executemany, f"INSERT INTO {table} VALUES "
        execute(insert + ",".join([row] * _ROWS_AT_ONCE), (list(chain.from_iterable(part)) for part in parts))
        execute(insert + row, rows[whole:])

    def _row_of(self, table: str) -> str:
        """SQL of a row, with a parameter for each column."""
        columns = self._connection.execute(f"PRAGMA table_info({table})").fetchall()
        is_always_set = (is_not_null or key for _, _, _, is_not_null, _, key in columns)
        return "(" + ",".join("?" if is_set else f"nullif(?,{NULL})" for is_set in is_always_set) + ")"
