"""The journal in SQL where it is easily wrong: archives that are elsewhere, huge amounts, many orders at once."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from exchange.domain.commands import CancelAll, Command, CreateInstrument, Genesis, OpenAccount, PlaceOrder
from exchange.domain.rules import Rules
from exchange.history.compact import compact
from exchange.runtime.core import Core
from journal.archives import archive_folder
from tests.journals import play, write_journal
from tests.random_commands import START_US

CALL = "SOL_USDC-28FEB26-150-C"


def ask(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def order(user_id: str, side: Any, price_micros: int, size_milli: int) -> Command:
    return PlaceOrder(user_id, CALL, side, "limit", "gtc", price_micros, size_milli)


def write(path: Path, *commands: Command) -> Core:
    return write_journal(path, ((START_US + n, command) for n, command in enumerate((Genesis(Rules()), *commands))))


def test_without_its_archive_a_journal_shows_nothing_that_is_wrong(tmp_path: Path) -> None:
    """Balances are those of accounts that changed since, and no first change is taken for all that an account has."""
    path = tmp_path / "exchange.db"
    core = play(path, seed=1, count=600)
    whole = dict(ask(path, "SELECT seq || user_id, cash_change_micros FROM ledger"))
    compact(path, 301, lambda sentence: None, lambda done, total: None)
    archive_folder(path).rename(tmp_path / "elsewhere")
    balances = ask(path, "SELECT user_id, cash_micros, locked_micros FROM balances")
    assert len(balances) > 2
    for user_id, cash_micros, locked_micros in balances:
        account = core.state.accounts[user_id]
        assert (cash_micros, locked_micros) == (account.cash_micros, account.locked_micros)
    changes = ask(path, "SELECT seq || user_id, cash_change_micros FROM ledger")
    known = [(key, change) for key, change in changes if change is not None]
    opened_here = ask(path, "SELECT user_id FROM events WHERE kind = 'account_opened'")
    assert len(changes) - len(known) == len(balances) - len(opened_here), "one is unknown of each older account"
    assert all(whole[key] == change for key, change in known)
    assert len(ask(path, "SELECT * FROM orders")) < core.state.next_order_id - 1


def test_an_average_is_exact_however_large_the_cost(tmp_path: Path) -> None:
    """2000 times this cost is more than 64 bits hold."""
    path = tmp_path / "exchange.db"
    core = write(
        path,
        CreateInstrument(CALL, 1_000, 1),
        OpenAccount("alice", 10**12),
        OpenAccount("bob", 8 * 10**15),
        order("alice", "ask", 6_700_000_001_000, 350_000),
        order("alice", "ask", 6_800_000_003_000, 350_003),
        order("bob", "bid", 6_800_000_003_000, 700_003),
    )
    seen = {
        user: [view.average_price_micros for view in views.finished.values()]
        for user, views in core.views.orders.users.items()
    }
    assert ask(path, "SELECT average_price_micros FROM orders WHERE user_id = 'bob'") == [tuple(seen["bob"])]


def test_a_command_that_cancels_many_names_no_order(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    write(
        path,
        CreateInstrument(CALL, 1_000, 1),
        OpenAccount("alice", 10**10),
        order("alice", "bid", 1_000_000, 1_000),
        order("alice", "bid", 2_000_000, 1_000),
        CancelAll("alice"),
    )
    found = ask(path, "SELECT kind, order_id FROM commands_decoded WHERE seq > 3 ORDER BY seq")
    assert found == [("place_order", 1), ("place_order", 2), ("cancel_all", None)]
