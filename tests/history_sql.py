"""SQL on the history of a journal for tests: queries, and changes that break it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from exchange.history_db.file import history_path
from exchange.history_db.update import open_current_history


def open_past(path: Path) -> sqlite3.Connection:
    """The history of the journal at `path`, brought up to date, for reading."""
    return open_current_history(path, lambda sentence: None, lambda done, total: None)


def ask_past(path: Path, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query on the history of the journal at `path`."""
    with closing(open_past(path)) as connection:
        return connection.execute(query).fetchall()


def change_past(path: Path, *statements: str) -> None:
    """Bring the history up to date, then change it behind the back of the program. Each statement must change rows."""
    open_past(path).close()
    with closing(sqlite3.connect(history_path(path), isolation_level=None)) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement
