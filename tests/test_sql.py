"""The journal in SQL: every view agrees with the exchange, and queries change nothing."""

import asyncio
import csv
import hashlib
import io
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from exchange.cli.main import main
from exchange.engine.engine import Engine
from exchange.history.compact import compact
from exchange.projections.views import Views
from exchange.projections.wire_types import UserTrade
from tests.history_sql import ask_past, open_past
from tests.journals import play
from tests.test_recovery import server

COUNT = 1_500
# With these seeds the rules keep enough finished orders to compare with.
SEEDS = (0, 1, 2)

COLUMNS = {
    "trades": "trade_id seq ts_us time instrument_id price_micros size_milli cost_micros taker_side taker_user_id "
    "taker_order_id taker_fee_micros maker_user_id maker_order_id maker_fee_micros",
    "order_history": "order_id seq n ts_us time change user_id instrument_id side price_micros size_milli "
    "remaining_milli trade_id liquidity reason reduce_only liquidation",
    "fills": "trade_id seq ts_us time user_id order_id instrument_id side liquidity price_micros size_milli "
    "cost_micros fee_micros counterparty_user_id",
    "orders": "order_id user_id client_order_id instrument_id side type time_in_force post_only price_micros "
    "size_milli filled_milli remaining_milli average_price_micros fee_micros status cancel_reason placed_seq "
    "updated_seq created_us updated_us reduce_only liquidation label",
    "open_orders": "order_id user_id client_order_id instrument_id side type time_in_force post_only price_micros "
    "size_milli filled_milli remaining_milli average_price_micros fee_micros status cancel_reason placed_seq "
    "updated_seq created_us updated_us reduce_only liquidation label",
    "ledger": "seq ts_us time user_id cause cause_user_id instrument_id cash_change_micros locked_change_micros "
    "cash_micros locked_micros available_micros reason maintenance_micros",
    "balances": "user_id cash_micros locked_micros available_micros as_of_seq maintenance_micros shortfall_micros",
    "positions": "user_id instrument_id quantity_milli locked_micros as_of_seq",
    "instruments": "instrument_id asset option_type strike_micros expiration_s expiration tick_micros min_size_milli "
    "state created_seq created_us delivery_price_micros",
    "sessions": "session first_seq last_seq commands started_us started ended_us ended program_version ending",
    "commands_decoded": "seq ts_us time kind user_id instrument_id order_id client_order_id side type time_in_force "
    "post_only price_micros size_milli amount_micros outcome reason asset expiration_s reduce_only forced halted "
    "suspended open_orders_max position_max_milli rules",
    "index_prices": "seq ts_us time asset price_micros forced",
    "mark_surfaces": "seq ts_us time n asset expiration_s level_ppm skew_ppm curvature_ppm",
    "marks": "seq n ts_us time asset instrument_id mark_micros",
    "delivery_prices": "asset expiration_s expiration delivery_price_micros seq ts_us time cause delayed_seq",
    "settlements": "seq n ts_us time user_id instrument_id quantity_milli delivery_price_micros payout_micros "
    "fee_micros option_type strike_micros intrinsic_micros",
    "cash_flows": "seq n ts_us time user_id reason instrument_id amount_micros",
    "liquidations": "seq ts_us time user_id cause cash_micros maintenance_micros orders_cancelled wanted_milli "
    "bought_milli cost_micros fee_micros",
    "rules_history": "seq last_seq ts_us time cause rules changed",
}


class Played:
    """A journal of random commands, a second one with most of them in archives, and the orders as they were live."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.path = folder / "exchange.db"
        # The last state of every order.
        self.last_seen: dict[int, dict[str, Any]] = {}
        self.engine = play(self.path, seed, COUNT, seen=self._look)
        self.compacted = folder / "compacted.db"
        shutil.copy(self.path, self.compacted)
        for before in (COUNT // 3, COUNT // 2):
            compact(self.compacted, before, lambda sentence: None, lambda done, total: None)

    @property
    def views(self) -> Views:
        return self.engine.views

    def _look(self, engine: Engine) -> None:
        for user in engine.views.orders.users.values():
            for order in (*user.open.values(), *list(user.finished.values())[-20:]):
                self.last_seen[order.order_id] = {name: getattr(order, name) for name in order.__struct_fields__}


@pytest.fixture(scope="module", params=SEEDS)
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Played:
    return Played(tmp_path_factory.mktemp("sql"), request.param)


Ask = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(params=["one file", "archives"])
def ask(request: pytest.FixtureRequest, played: Played) -> Ask:
    """The rows of a query to the history, of a journal in one file and of one with archives."""

    def run(query: str) -> list[dict[str, Any]]:
        path = played.path if request.param == "one file" else played.compacted
        with closing(open_past(path)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]

    return run


@pytest.mark.slow
def test_the_columns_are_the_documented_ones(played: Played) -> None:
    """Columns that were added to the history stand after these."""
    with closing(open_past(played.path)) as connection:
        for view, columns in COLUMNS.items():
            found = [column[0] for column in connection.execute(f"SELECT * FROM {view}").description]
            assert found[: len(columns.split())] == columns.split(), view
    with closing(sqlite3.connect(played.path)) as connection:
        views = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")}
        assert views == {"commands_decoded", "runs", "sessions"}
        for view in ("commands_decoded", "sessions"):
            found = [column[0] for column in connection.execute(f"SELECT * FROM {view}").description]
            assert found == [name for name in COLUMNS[view].split() if name not in ("outcome", "reason")], view


@pytest.mark.slow
def test_orders_are_in_their_last_state(played: Played, ask: Ask) -> None:
    found = {row["order_id"]: row for row in ask("SELECT * FROM orders")}
    assert len(found) == played.engine.state.next_order_id - 1 > 100
    assert set(played.last_seen) == set(found)
    for order_id, seen in played.last_seen.items():
        row = found[order_id]
        # The fields of trigger orders are in a view of their own, and None here.
        assert {name: row.get(name) for name in seen} == seen | {"post_only": int(seen["post_only"])}


def test_open_orders_balances_positions_instruments(played: Played, ask: Ask) -> None:
    views = played.views
    assert sorted(row["order_id"] for row in ask("SELECT * FROM open_orders")) == sorted(
        order_id for user in views.orders.users.values() for order_id in user.open
    )
    assert {row["user_id"]: (row["cash_micros"], row["locked_micros"]) for row in ask("SELECT * FROM balances")} == {
        user_id: (account.cash_micros, account.locked_micros)
        for user_id, account in played.engine.state.accounts.items()
    }
    positions = ask("SELECT * FROM positions")
    assert {
        (row["user_id"], row["instrument_id"], row["quantity_milli"], row["locked_micros"]) for row in positions
    } == {
        (user_id, position.instrument_id, position.quantity_milli, position.locked_micros)
        for user_id in views.balances.users
        for position in views.account(user_id).positions
    }
    assert {row["instrument_id"]: (row["state"], row["strike_micros"]) for row in ask("SELECT * FROM instruments")} == {
        instrument_id: (instrument.state, instrument.strike_micros)
        for instrument_id, instrument in views.instruments.items()
    }


def test_trades_and_fills_are_those_of_the_tape(played: Played, ask: Ask) -> None:
    trades = ask("SELECT * FROM trades ORDER BY trade_id")
    tape = sorted((t for trades in played.views.tape.instruments.values() for t in trades), key=lambda t: t.trade_id)
    assert len(tape) > 50
    shared = ("trade_id", "instrument_id", "price_micros", "size_milli", "taker_side", "seq", "ts_us")
    assert [[row[name] for name in shared] for row in trades] == [[getattr(t, name) for name in shared] for t in tape]

    def key(user_id: str, fill: UserTrade) -> tuple[Any, ...]:
        return (fill.trade_id, user_id, fill.order_id, fill.side, fill.liquidity, fill.fee_micros, fill.size_milli)

    seen = {key(user_id, fill) for user_id, fills in played.views.tape.users.items() for fill in fills}
    names = ("trade_id", "user_id", "order_id", "side", "liquidity", "fee_micros", "size_milli")
    rows = ask("SELECT * FROM fills")
    assert len(rows) == 2 * len(trades)
    assert {tuple(row[name] for name in names) for row in rows} == seen


def test_the_ledger_adds_up(played: Played, ask: Ask) -> None:
    sums: dict[str, tuple[int, int]] = {}
    for row in ask("SELECT * FROM ledger ORDER BY seq"):
        cash, locked = sums.get(row["user_id"], (0, 0))
        sums[row["user_id"]] = cash + row["cash_change_micros"], locked + row["locked_change_micros"]
        assert sums[row["user_id"]] == (row["cash_micros"], row["locked_micros"])
        assert row["cash_change_micros"] or row["locked_change_micros"]
    accounts = played.engine.state.accounts
    assert {user_id: sums.get(user_id, (0, 0)) for user_id in accounts} == {
        user_id: (account.cash_micros, account.locked_micros) for user_id, account in accounts.items()
    }


def test_every_command_has_its_outcome(played: Played, ask: Ask) -> None:
    rows = ask("SELECT * FROM commands_decoded ORDER BY seq")
    assert [row["seq"] for row in rows] == list(range(1, COUNT + 1))
    assert {row["outcome"] for row in rows} == {"done", "refused", "repeated"}
    refusals = {row["seq"]: row["reason"] for row in rows if row["outcome"] == "refused"}
    events = ask("SELECT seq, payload FROM events WHERE kind = 'refused'")
    assert refusals == {event["seq"]: json.loads(event["payload"])["reason"] for event in events}
    assert all(row["reason"] is None for row in rows if row["outcome"] != "refused")


def test_order_history_holds_each_order_from_placed_to_its_end(played: Played, ask: Ask) -> None:
    history: dict[int, list[dict[str, Any]]] = {}
    for row in ask("SELECT * FROM order_history WHERE change <> 'repeated' ORDER BY seq, n"):
        history.setdefault(row["order_id"], []).append(row)
    assert set(history) == set(played.last_seen)
    for order_id, rows in history.items():
        assert [row["change"] for row in rows].index("placed") == 0
        filled = sum(row["size_milli"] for row in rows if row["change"] == "filled")
        assert filled == played.last_seen[order_id]["filled_milli"]
        assert rows[-1]["remaining_milli"] == played.last_seen[order_id]["remaining_milli"]
        assert rows[-1]["reason"] == played.last_seen[order_id]["cancel_reason"]


@pytest.mark.slow
def test_sessions_of_a_real_server_one_of_them_killed(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"

    async def run(kill: bool) -> None:
        async with server(path) as (process, _):
            (process.kill if kill else process.terminate)()
            await process.wait()

    for kill in (False, True, False):
        asyncio.run(run(kill))
    query = "SELECT session, ending, first_seq, last_seq FROM sessions"
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(query).fetchall()
        (last,) = connection.execute("SELECT max(seq) FROM commands").fetchone()
    assert ask_past(path, query) == found
    assert [(row[0], row[1]) for row in found] == [(1, "clean"), (2, "crashed"), (3, "clean")]
    assert [row[2] for row in found[1:]] == [row[3] + 1 for row in found[:-1]]
    assert found[-1][3] == last


def run(path: Path, *arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(main, ["sql", "--db", str(path), *arguments], input=typed)


@pytest.mark.slow
def test_the_functions_return_the_answers_of_the_exchange(played: Played) -> None:
    live: dict[int, tuple[Any, Any]] = {}

    def look(engine: Engine) -> None:
        if engine.head.seq % 100 == 0:
            depth = engine.views.depths["SOL_USDC-26FEB26-2-C"]
            balance = engine.views.balance("alice")
            live[engine.head.seq] = (
                [[level.price_micros, level.size_milli] for level in (*depth.bids(2), *depth.asks(2))],
                (balance.available_micros, balance.locked_micros),
            )

    again = played.path.parent / "again.db"
    again.unlink(missing_ok=True)
    play(again, 0, 500, seen=look)
    for order in ("ASC", "DESC"):
        query = (
            "SELECT seq, book_at(seq, 'SOL_USDC-26FEB26-2-C', 2) AS book, balance_at(seq, 'alice') AS balance "
            f"FROM commands WHERE seq % 100 = 0 ORDER BY seq {order}"
        )
        rows = [json.loads(line) for line in run(again, "--json", query).stdout.splitlines()]
        assert len(rows) == 5
        for row in rows:
            book, balance = json.loads(row["book"]), json.loads(row["balance"])
            levels = [[level["price"], level["size"]] for level in (*book["bids"], *book["asks"])]
            assert (levels, (balance["available"], balance["locked"])) == live[row["seq"]]
    assert run(again, "--csv", "SELECT usd(1500000), usd(-5), iso(0), usd(NULL)").stdout.splitlines()[1] == (
        "1.50,-0.000005,1970-01-01T00:00:00.000000Z,"
    )


def test_table_csv_and_json_hold_the_same_rows(played: Played) -> None:
    query = "SELECT seq, kind, hash FROM commands WHERE seq < 4"
    table = run(played.path, query).stdout
    from_csv = list(csv.DictReader(io.StringIO(run(played.path, "--csv", query).stdout)))
    from_json = [json.loads(line) for line in run(played.path, "--json", query).stdout.splitlines()]
    assert [{name: str(value) for name, value in row.items()} for row in from_json] == from_csv
    assert len(from_csv) == 3
    for row in from_csv:
        assert row["hash"] in table and row["kind"] in table


def test_statements_from_standard_input(played: Played) -> None:
    typed = "SELECT 1 AS a;\nSELECT ';'\n AS b; SELECT 3 AS c -- no semicolon"
    assert run(played.path, "--csv", typed=typed).stdout.split() == ["a", "1", "b", ";", "c", "3"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("DELETE FROM commands", "SQL can only read a journal"),
        ("CREATE TEMP TABLE x (a)", "SQL can only read a journal"),
        ("ATTACH 'other.db' AS other", "SQL can only read a journal"),
        ("VACUUM INTO 'other.db'", "SQL can only read a journal"),
        ("SELEC", "syntax error"),
        ("SELECT nonsense FROM trades", "no such column: nonsense"),
        ("SELECT book_at(1, 'SOL', 5)", "book_at: SOL was not listed at seq 1"),
        ("SELECT balance_at(1, 'zoe')", "balance_at: 'zoe' had no account at seq 1"),
        ("SELECT balance_at(seq, 'zoe') FROM commands", "balance_at: 'zoe' had no account at seq 1"),
        (f"SELECT balance_at({COUNT + 1}, 'alice')", f"there is no seq {COUNT + 1}"),
        ("SELECT balance_at('x', 'alice')", "balance_at: seq must be a whole number such as 100, not 'x'"),
        (
            "SELECT book_at(500, 'SOL_USDC-26FEB26-2-C', 'x')",
            "book_at: depth must be a whole number such as 100, not 'x'",
        ),
        ("SELECT usd('x')", "usd: micros must be a whole number such as 100, not 'x'"),
    ],
)
def test_bad_queries_are_refused(played: Played, query: str, message: str) -> None:
    before = hashlib.sha256(played.path.read_bytes()).digest()
    outcome = run(played.path, query)
    assert outcome.exit_code == 1
    assert message in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert hashlib.sha256(played.path.read_bytes()).digest() == before
    assert not Path("other.db").exists()


@pytest.mark.slow
def test_a_journal_of_an_older_program_has_the_views_as_well(played: Played, tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    shutil.copy(played.path, old)
    with closing(sqlite3.connect(old)) as connection:
        for view in ("sessions", "runs", "commands_decoded"):
            connection.execute(f"DROP VIEW {view}")
        connection.execute("PRAGMA user_version = 2")
    count = run(old, "--csv", "SELECT count(*) FROM trades").stdout
    assert count == run(played.path, "--csv", "SELECT count(*) FROM trades").stdout


@pytest.mark.slow
def test_sql_does_not_block_a_running_exchange(tmp_path: Path) -> None:
    """The exchange records commands while a read transaction is open."""
    path = tmp_path / "exchange.db"

    async def trade() -> None:
        async with server(path) as (process, url):
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("BEGIN")
                (before,) = connection.execute("SELECT count(*) FROM commands_decoded").fetchone()
                outcome = await asyncio.to_thread(
                    CliRunner().invoke, main, ["account", "deposit", "--db", str(path), "admin", "5"]
                )
                assert outcome.exit_code in (0, 1), outcome.output
                assert connection.execute("SELECT count(*) FROM commands_decoded").fetchone() == (before,)
            with closing(sqlite3.connect(path)) as connection:
                assert connection.execute("SELECT count(*) FROM commands_decoded").fetchone() > (before,)
            process.terminate()
            await process.wait()
            assert url

    asyncio.run(trade())
