"""Finds the commands that traded in the history, which knows them by seq."""

import sqlite3
from contextlib import closing

from exchange.history_db.file import HistoryError, open_history
from exchange.journal.protocols import JournalReader


def seqs_of_trades(reader: JournalReader, first_seq: int, last_seq: int, count: int) -> list[int] | None:
    """The seqs of the last `count` commands that traded, of those from `first_seq` to `last_seq`, in order.

    None if no history of this journal reaches `last_seq`: the caller then replays the commands.
    """
    try:
        with closing(open_history(reader.path)) as history:
            row = history.execute("SELECT hash FROM commands WHERE seq = ?", (last_seq,)).fetchone()
            head = reader.head_at(last_seq)
            if row is None or head is None or row[0] != head.hash.hex():
                return None
            rows = history.execute(
                "SELECT DISTINCT seq FROM trades WHERE seq BETWEEN ? AND ? ORDER BY seq DESC LIMIT ?",
                (first_seq, last_seq, count),
            )
            return [seq for (seq,) in rows][::-1]
    except (HistoryError, sqlite3.Error):
        # The history only saves time.
        return None
