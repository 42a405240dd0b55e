"""Rows that are not written to the history yet, and the command that they belong to."""

from collections import defaultdict
from typing import Any

from exchange.domain.commands import Command
from exchange.domain.events import Event
from exchange.engine.engine import Engine
from exchange.history_db.memory import Memory
from exchange.journal.records import Record

Row = tuple[Any, ...]
# Stands for NULL in new rows. No column that may be NULL holds it, and Python's module hands an integer to SQLite in a
# quarter of the time that it takes for None.
NULL = -(2**63)
# The user, the instrument, and the order or trade of an event, as the history names them; NULL if it has none.
Keys = tuple[int, int, int]
# The columns of `book_order` that never change. The others are those of `updated_orders`, in the same order.
_PLACED_COLUMNS = 15


class NewRows:
    """New rows by table, and new states of rows that exist: of orders by id, of users and of instruments."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.tables: defaultdict[str, list[Row]] = defaultdict(list)
        self.updated_orders: dict[int, Row] = {}
        self.opened_users: list[Row] = []
        self.listed: list[Row] = []
        self.instrument_states: list[Row] = []
        self.deliveries: list[Row] = []

    def clear(self) -> None:
        """Forget the rows, which are written now."""
        for rows in self.tables.values():
            rows.clear()
        self.updated_orders.clear()
        for changes in (self.opened_users, self.listed, self.instrument_states, self.deliveries):
            changes.clear()

    def finish_orders(self) -> None:
        """Give orders that are new and have changed since then their newest state, so that they are written once."""
        updated, orders = self.updated_orders, self.tables["book_order"]
        for at, row in enumerate(orders):
            changes = updated.pop(row[0], None)
            if changes is not None:
                orders[at] = row[:_PLACED_COLUMNS] + changes[:-1]

    def begin(self, record: Record, command: Command, events: list[Event], engine: Engine) -> None:
        """Note the command whose rows follow. `engine` has just applied it."""
        self.seq, self.ts_us = record.seq, record.ts_us
        self.command, self.events, self.state, self.views = command, events, engine.state, engine.views
        # Positions by user and instrument: those whose size or open asks may have changed, and those that were traded,
        # settled or ended.
        self.touched: dict[tuple[str, str], None] = {}
        self.profited: dict[tuple[str, str], None] = {}

    def user(self, user_id: str) -> int:
        """The key of a user; a new row if it has none."""
        users = self.memory.users
        user = users.get(user_id)
        if user is None:
            user = users[user_id] = len(users) + 1
            self.tables["user"].append((user, user_id, None))
        return user

    def instrument(self, instrument_id: str) -> int:
        """The key of an instrument; a new row if it has none."""
        instruments = self.memory.instruments
        instrument = instruments.get(instrument_id)
        if instrument is None:
            instrument = instruments[instrument_id] = len(instruments) + 1
            self.tables["instrument"].append((instrument, instrument_id, *[None] * 10))
        return instrument
