"""The changes of a user's positions, read from the tables: several times faster than the views with their texts."""

import sqlite3
from collections.abc import Iterator


def quantity_changes(
    history: sqlite3.Connection, user_id: str, first_seq: int, last_seq: int
) -> Iterator[tuple[str, int, int]]:
    """Yield instrument, seq and the quantity in millicontracts after that command, by instrument and seq.

    `first_seq` is excluded. A change of the margin alone is a row with the same quantity.
    """
    rows = history.execute(
        "SELECT instrument, seq, quantity_milli FROM position_version "
        "WHERE user = (SELECT user FROM user WHERE user_id = ?) AND seq > ? AND seq <= ? ORDER BY instrument, seq, n",
        (user_id, first_seq, last_seq),
    )
    names = _instrument_ids(history)
    return ((names[instrument], seq, quantity_milli) for instrument, seq, quantity_milli in rows)


def profit_changes(
    history: sqlite3.Connection, user_id: str, first_seq: int, last_seq: int
) -> Iterator[tuple[str, int, int, int]]:
    """Yield instrument, seq, and after that command the cost of the position and the realised profit of the account.

    In the order of instrument and seq, amounts in micros. `first_seq` is excluded.
    """
    rows = history.execute(
        "SELECT instrument, seq, basis_micros, account_realised_micros FROM profit_version "
        "WHERE user = (SELECT user FROM user WHERE user_id = ?) AND seq > ? AND seq <= ? ORDER BY instrument, seq",
        (user_id, first_seq, last_seq),
    )
    names = _instrument_ids(history)
    return ((names[instrument], seq, basis, realised) for instrument, seq, basis, realised in rows)


def _instrument_ids(history: sqlite3.Connection) -> dict[int, str]:
    return dict(history.execute("SELECT instrument, instrument_id FROM instrument").fetchall())
