"""The options market in SQL: the views agree with the exchange, figures can be recomputed, every check can fail."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange.domain.commands import ChangeRules, Command, CreateInstrument, EndDay, Genesis, SetIndexPrice
from exchange.domain.rules import Market, Rules, Series
from exchange.domain.units import US_PER_SECOND
from exchange.engine.recovery import recover
from exchange.history.checks import known_checks, run_checks
from exchange.history.sql import SqlError, SqlSession
from exchange.matching.state import State
from exchange.runtime.rule_settings import flat_settings
from tests.history_sql import ask_past, change_past
from tests.journals import write_journal
from tests.market_commands import market_steps
from tests.market_story import CALL, COIN, DAY_END_S, MIDNIGHT_US, USDC, write_steps, write_story


def _of(user_id: str) -> str:
    return f"user = (SELECT user FROM user WHERE user_id = '{user_id}')"


# For each check, a change of the history that breaks it.
BROKEN = {
    "cash_changes_are_explained": "DELETE FROM shortfall",
    "cash_is_conserved": f"UPDATE balance_version SET cash_micros = -1 WHERE {_of('insurance')} AND seq > 30",
    "delivery_prices_are_averages": "UPDATE series_settlement SET delivery_price_micros = 191340000 "
    "WHERE seq = 38 AND delivery_price_micros IS NOT NULL",
    "fees_add_up": f"UPDATE position_settlement SET fee_micros = 1 WHERE seq = 38 AND {_of('alice')}",
    "liquidations_were_due": f"UPDATE liquidation SET maintenance_micros = 1 WHERE {_of('dave')}",
    "marks_are_within_bounds": "UPDATE mark_version SET mark_micros = 42999999 WHERE seq = 36 "
    f"AND instrument = (SELECT instrument FROM instrument WHERE instrument_id = '{CALL}')",
    "no_balance_is_overdrawn": f"UPDATE balance_version SET cash_micros = -1 WHERE seq = 38 AND {_of('erin')}",
    "nothing_settles_twice": "INSERT INTO series_settlement SELECT seq + 1, 50, asset, expiration_s, "
    "delivery_price_micros FROM series_settlement WHERE seq = 38 AND delivery_price_micros IS NOT NULL",
    "payouts_are_the_intrinsic_value": "UPDATE position_settlement SET payout_micros = 2 * payout_micros",
    "payouts_sum_to_zero": f"UPDATE position_settlement SET payout_micros = 1 WHERE seq = 39 AND {_of('bob')}",
    "positions_are_the_fills": "UPDATE position_settlement SET quantity_milli = 2 WHERE seq = 39",
    "shortfalls_add_up": "UPDATE shortfall SET shortfall_micros = shortfall_micros + 1",
}

Ask = Callable[[str], list[tuple[Any, ...]]]

SQL_PAGE = Path(__file__).parents[1] / "docs" / "sql.md"
# The command that ends the first day.
SETTLED_SEQ = 38


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("market") / "exchange.db"
    write_story(path)
    return path


@pytest.fixture
def asked(story: Path) -> Ask:
    return lambda query: ask_past(story, query)


def broken_checks(path: Path) -> list[str]:
    return [outcome.check.name for outcome in run_checks(path, known_checks()) if outcome.rows]


def compare(path: Path, state: State) -> None:
    """The views agree with the exchange as it is now, and every check holds."""
    balances = "SELECT user_id, cash_micros, locked_micros, maintenance_micros, shortfall_micros FROM balances"
    assert {row[0]: row[1:] for row in ask_past(path, balances)} == {
        user_id: (account.cash_micros, account.locked_micros, account.maintenance_micros, account.shortfall_micros)
        for user_id, account in state.accounts.items()
    }
    assert set(ask_past(path, "SELECT user_id, instrument_id, quantity_milli, locked_micros FROM positions")) == {
        (user_id, instrument_id, holding.position_milli, holding.collateral_micros)
        for user_id, account in state.accounts.items()
        for instrument_id, holding in account.positions.items()
        if holding.position_milli or holding.collateral_micros
    }
    latest = "SELECT instrument_id, mark_micros, max(seq * 1000000 + n) FROM marks GROUP BY instrument_id"
    assert {row[0]: row[1] for row in ask_past(path, latest)} == {
        book.instrument_id: book.mark_micros for book in state.books.values() if book.mark_micros is not None
    }
    assert ask_past(
        path, "SELECT instrument_id, state, delivery_price_micros FROM instruments ORDER BY created_seq"
    ) == [(book.instrument_id, book.state, book.delivery_micros) for book in state.books.values()]
    assert broken_checks(path) == []


@pytest.mark.slow
@pytest.mark.parametrize("last_seq", [25, 31, SETTLED_SEQ - 1, SETTLED_SEQ, None])
def test_the_story_up_to(last_seq: int | None, tmp_path: Path) -> None:
    compare(tmp_path / "exchange.db", write_story(tmp_path / "exchange.db", last_seq))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_random_markets(seed: int, tmp_path: Path) -> None:
    steps = ((step.ts_us, step.command) for step in market_steps(seed, 400))
    compare(tmp_path / "exchange.db", write_steps(tmp_path / "exchange.db", steps))


def test_a_settlement_can_be_recomputed(asked: Ask) -> None:
    """In the last half hour the index was 191 for 15 minutes, 193 for 10 and 189 for 5, on average 191.333."""
    assert asked("SELECT asset, expiration, delivery_price_micros, cause, delayed_seq FROM delivery_prices") == [
        ("SOL", "2026-02-20T08:00:00Z", 191_330_000, "end_day", None),
        ("BTC", "2026-02-20T08:00:00Z", 50_010 * USDC, "settle_series", SETTLED_SEQ),
        ("SOL", "2026-02-21T08:00:00Z", 191_000_000, "end_day", None),
    ]
    paid = asked(
        f"SELECT user_id, quantity_milli, delivery_price_micros, intrinsic_micros, payout_micros, fee_micros "
        f"FROM settlements WHERE instrument_id = '{CALL}'"
    )
    assert paid == [
        ("alice", 1_000, 191_330_000, 41_330_000, 41_330_000, 28_699),  # 150 ppm of 191.33
        ("bob", -2_000, 191_330_000, 41_330_000, -82_660_000, 0),
        ("carol", 1_382, 191_330_000, 41_330_000, 57_118_060, 39_662),
        ("erin", -382, 191_330_000, 41_330_000, -15_788_060, 0),
    ]
    assert asked(f"SELECT user_id, payout_micros FROM settlements WHERE instrument_id = '{COIN}'") == [
        ("alice", -100_000),
        ("bob", 100_000),
    ]


def test_a_liquidation_is_described(asked: Ask) -> None:
    assert asked(
        "SELECT seq, user_id, cause, cash_micros, maintenance_micros, orders_cancelled, wanted_milli, bought_milli, "
        "cost_micros, fee_micros FROM liquidations ORDER BY seq, user_id"
    ) == [
        (29, "erin", "set_index_price", 69_910_000, 108_500_000, 0, 2_000, 400, 16_800_000, 22_800),
        (31, "dave", "set_index_price", 54_955_000, 56_325_000, 1, 1_000, 1_000, 43_500_000, 57_300),
        (31, "erin", "set_index_price", 53_087_200, 90_120_000, 0, 1_600, 1_218, 52_983_000, 69_791),
    ]
    assert asked("SELECT order_id, user_id, price_micros, status, cancel_reason FROM orders WHERE liquidation") == [
        (13, "erin", 43_800_000, "cancelled", "ioc_remainder"),
        (15, "dave", 45_820_000, "filled", None),
        (16, "erin", 45_820_000, "cancelled", "insufficient_balance"),
    ]
    assert asked("SELECT DISTINCT order_id FROM order_history WHERE liquidation ORDER BY order_id") == [
        (13,),
        (15,),
        (16,),
    ]
    assert asked("SELECT order_id, user_id, change FROM order_history WHERE reduce_only ORDER BY seq, n") == [
        (23, "bob", "placed"),
        (23, "bob", "cancelled"),
    ]
    assert asked("SELECT order_id FROM orders WHERE reduce_only") == [(23,)]


def test_the_ledger_names_the_reason_of_every_change(asked: Ask) -> None:
    reasons: dict[str, str] = dict(asked("SELECT seq || ' ' || user_id, reason FROM ledger"))
    assert set(reasons.values()) == {
        *("opening", "deposit", "order", "trade", "fee", "margin", "liquidation", "settlement", "shortfall")
    }
    assert {key: reasons[key] for key in reasons if key.startswith(("31 ", f"{SETTLED_SEQ} "))} == {
        "31 bob": "margin",
        "31 carol": "trade",
        "31 dave": "liquidation",
        "31 erin": "liquidation",
        "31 fees": "fee",
        "38 alice": "settlement",
        "38 bob": "settlement",
        "38 carol": "settlement",
        "38 erin": "shortfall",
        "38 fees": "fee",
        "38 insurance": "shortfall",
    }
    assert (reasons["8 insurance"], reasons["55 alice"], reasons["69 carol"]) == ("deposit", "order", "margin")


def test_cash_flows_are_the_parts_of_the_ledger(asked: Ask) -> None:
    assert dict(asked("SELECT user_id, sum(amount_micros) FROM cash_flows GROUP BY user_id")) == dict(
        asked("SELECT user_id, cash_micros FROM balances")
    )
    assert asked("SELECT reason, amount_micros FROM cash_flows WHERE user_id = 'erin' ORDER BY seq, n, reason") == [
        ("opening", 60_000_000),
        ("fee", -90_000),
        ("trade", 10_000_000),
        ("fee", -22_800),
        ("liquidation", -16_800_000),
        ("fee", -69_791),
        ("liquidation", -52_983_000),
        ("settlement", -15_788_060),
        ("shortfall", 15_753_651),
    ]


def test_commands_of_the_market_are_decoded(asked: Ask) -> None:
    columns = "kind, asset, expiration_s, price_micros, forced, halted, suspended, open_orders_max, position_max_milli"
    found = asked(
        f"SELECT {columns}, outcome, reason FROM commands_decoded WHERE seq IN (28, 39, 45, 47, 50, 53, 57, 58)"
    )
    n = None
    assert found == [
        ("set_index_price", "SOL", n, 400 * USDC, 0, n, n, n, n, "refused", "index_jump"),
        ("settle_series", "BTC", DAY_END_S, 50_010 * USDC, n, n, n, n, n, "done", n),
        ("set_index_price", "SOL", n, 80 * USDC, 1, n, n, n, n, "done", n),
        ("pause_series", "SOL", DAY_END_S + 86_400, n, n, n, n, n, n, "done", n),
        ("set_halt", n, n, n, n, 1, n, n, n, "done", n),
        ("set_suspended", n, n, n, n, n, 1, n, n, "done", n),
        ("set_limits", n, n, n, n, n, n, 2, 1_000, "done", n),
        ("set_limits", n, n, n, n, n, n, -1, n, "refused", "invalid_limits"),
    ]
    refused = asked("SELECT DISTINCT reason FROM commands_decoded WHERE outcome = 'refused'")
    assert {reason for (reason,) in refused} == {
        *("unknown_asset", "invalid_index_price", "index_jump", "insufficient_balance", "index_stale"),
        *("series_not_expired", "series_settled", "unknown_series", "instrument_paused", "exchange_halted"),
        *("user_suspended", "invalid_limits", "position_above_maximum", "order_not_found", "nothing_to_reduce"),
        "invalid_rules",
    }


def test_rules_and_their_changes(asked: Ask) -> None:
    (first, second) = asked("SELECT seq, last_seq, cause, changed FROM rules_history")
    assert first == (1, 68, "genesis", None)
    assert second[:3] == (69, None, "change_rules")
    assert json.loads(second[3]) == {
        "market.fees.maker_ppm": 0,
        "market.fees.taker_ppm": 0,
        "market.fees.delivery_ppm": 0,
        "market.index_age_max_s": 0,
    }


def test_series_that_are_added_and_removed_in_the_rules(tmp_path: Path) -> None:
    """They have the names of `exchange admin rules`, independent of their place in the list."""
    path = tmp_path / "exchange.db"
    sol, btc = Series("SOL", 10), Series("BTC", 1_000)
    rules = [Rules(market=Market(series=series)) for series in ((sol, btc), (btc,), (btc, Series("SOL", 5)), ())]
    commands: list[Command] = [Genesis(rules[0]), *map(ChangeRules, rules[1:])]
    write_journal(path, enumerate(commands, 1))
    changed = [json.loads(row[0]) for row in ask_past(path, "SELECT changed FROM rules_history WHERE seq > 1")]
    of_sol = {name for name in flat_settings(rules[0]) if name.startswith("market.series.SOL.")}
    assert changed[0] == dict.fromkeys(of_sol)
    assert changed[1].keys() == of_sol and changed[1]["market.series.SOL.strike_spacing_usdc"] == 5
    assert changed[2] == dict.fromkeys(name for name in flat_settings(rules[0]) if name.startswith("market.series."))


def test_profit_in_the_cookbook_agrees_with_the_accounts(story: Path) -> None:
    """Compared for users without open positions, so that the price of valuation does not matter."""
    (query,) = re.findall(
        r"\*\*Profit and loss, settlements included.*?```sql\n(.*?)```", SQL_PAGE.read_text(), re.DOTALL
    )
    views = recover(story, lambda _: None, lambda *_: None).engine.views
    with SqlSession(story) as session:
        profits = {user_id: round(profit * 1e6) for user_id, profit in session.rows(session.run(query))}
    accounts = [views.account(user_id) for user_id in profits]
    closed = [one for one in accounts if not any(position.quantity_milli for position in one.positions)]
    assert len(closed) >= 3 and any(one.shortfall_micros for one in closed)
    assert {one.user_id: one.total_pnl_micros for one in closed}.items() <= profits.items()


def test_marks_of_any_moment(story: Path) -> None:
    def ask(query: str) -> Any:
        with SqlSession(story) as session:
            return [row for (row,) in session.rows(session.run(query))]

    marks = ask(f"SELECT mark_at(seq, '{CALL}') FROM commands WHERE seq IN (26, 29, 31)")
    assert marks == [5 * USDC, 40 * USDC, 42 * USDC]
    assert ask(f"SELECT mark_at(30, '{COIN}')") == [None]
    with pytest.raises(SqlError, match=f"mark_at: {CALL} was not listed at seq 5"):
        ask(f"SELECT mark_at(5, '{CALL}')")


def test_an_average_of_the_largest_prices_is_exact(tmp_path: Path) -> None:
    """Ten million dollars in micros times half an hour in microseconds does not fit into 64 bits."""
    path = tmp_path / "exchange.db"
    dear = 9_999_999 * USDC
    begin_us = (DAY_END_S - 1_800) * US_PER_SECOND
    write_steps(
        path,
        [
            (MIDNIGHT_US, Genesis(Rules(market=Market()))),
            (MIDNIGHT_US + 1, CreateInstrument(COIN, 1_000, 1)),
            (begin_us + 1, SetIndexPrice("BTC", dear + 999_999)),
            (begin_us + 7, SetIndexPrice("BTC", dear + 1)),
            (begin_us + 1_000_000_007, SetIndexPrice("BTC", dear - 777_777)),
            (DAY_END_S * US_PER_SECOND, EndDay(DAY_END_S * US_PER_SECOND)),
        ],
    )
    window_us = 1_800_000_000 - 1
    exact = (dear + 999_999) * 6 + (dear + 1) * 10**9 + (dear - 777_777) * (window_us - 6 - 10**9)
    rounded = (2 * exact + 1_000 * window_us) // (2 * 1_000 * window_us) * 1_000
    assert ask_past(path, "SELECT delivery_price_micros FROM delivery_prices") == [(rounded,)]
    assert broken_checks(path) == []
    change_past(path, f"UPDATE series_settlement SET delivery_price_micros = {rounded + 1_000}")
    assert broken_checks(path) == ["delivery_prices_are_averages"]


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_each_check_fails_on_a_changed_history(name: str, story: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(story, tmp_path / "exchange.db"))
    assert broken_checks(path) == []
    change_past(path, BROKEN[name])
    assert name in broken_checks(path)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO position_settlement SELECT 39, 51, user, instrument, quantity_milli, payout_micros, fee_micros "
        "FROM position_settlement WHERE seq = 38 LIMIT 1",
        "UPDATE trade SET seq = 45 WHERE seq = 15",
    ],
    ids=["a position twice", "a trade afterwards"],
)
def test_nothing_settles_twice_in_any_way(statement: str, story: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(story, tmp_path / "exchange.db"))
    change_past(path, statement)
    assert "nothing_settles_twice" in broken_checks(path)


def test_locks_may_exceed_cash_only_in_a_market(story: Path, tmp_path: Path) -> None:
    """A change of rules may start a market."""
    path = Path(shutil.copy(story, tmp_path / "exchange.db"))
    change_past(path, "UPDATE setting_version SET value = json_remove(value, '$.rules.market') WHERE seq = 1")
    assert broken_checks(path) == ["no_balance_is_overdrawn"]
