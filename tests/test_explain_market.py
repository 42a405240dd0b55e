"""Explanations in a market: liquidations, settlements, limits, the administrator."""

from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.domain.commands import ChangeRules, Command, EndDay, Genesis, OpenAccount, SetLimits
from exchange.history_db.order_trail import own_order_timeline
from exchange.history_db.past_views import PastViews
from exchange.history_db.update import open_current_history
from tests.cli_support import exchange, said, said_json
from tests.market_story import (
    CALL,
    DAY_END_S,
    MARKET,
    MIDNIGHT_US,
    RULES,
    USDC,
    ask,
    bid,
    index,
    write_steps,
    write_story,
)
from tests.test_explain import told


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("market") / "exchange.db"
    write_story(path)
    return path


def why(path: Path, seq: int) -> str:
    return said(exchange("explain", "--seq", seq, "--db", path))


LIVES = {
    13: [
        "29 placed by the exchange for erin, to liquidate a short position: buy 2.0 at 43.80, ioc",
        "29 filled against carol's order 12: 0.4 at 42.00, fee 0.0228; 1.6 remain",
        "29 cancelled because an ioc order cancels the rest that cannot trade at once; 1.6 remained",
    ],
    16: [
        "31 placed by the exchange for erin, to liquidate a short position: buy 1.6 at 45.82, ioc",
        "31 filled against carol's order 14: 1.218 at 43.50, fee 0.069791; 0.382 remain",
        "31 cancelled because the cash was used up; 0.382 remained",
    ],
    12: [
        "25 placed by carol: sell 0.4 at 42.00, gtc",
        "29 filled completely by erin's liquidation order 13: 0.4 at 42.00, fee 0.0228",
    ],
    8: [
        "19 placed by dave: buy 0.1 at 0.10, gtc",
        "31 cancelled because dave was liquidated: the cash was below the maintenance margin; 0.1 remained",
    ],
    17: [
        "34 placed by alice: buy 0.1 at 1.00, gtc",
        f"38 cancelled because {CALL} expired; 0.1 remained",
    ],
    19: [
        "60 placed by alice: buy 0.9 at 4.00, gtc",
        "63 cancelled by the administrator; 0.9 remained",
    ],
    23: [
        "67 placed by bob: buy 0.5 at 5.00, ioc, reduce-only",
        "67 cancelled because an ioc order cancels the rest that cannot trade at once; 0.5 remained",
    ],
}


@pytest.mark.parametrize("order_id", LIVES)
def test_the_timelines_of_orders(order_id: int, story: Path) -> None:
    assert told(story, order_id) == LIVES[order_id]


def test_flags_are_there_for_programs(story: Path) -> None:
    placed = said_json(exchange("explain", 13, "--json", "--db", story))["steps"][0]
    assert (placed["liquidation"], placed["command"], "reduce_only" in placed) == (True, "set_index_price", False)
    assert said_json(exchange("explain", 23, "--json", "--db", story))["steps"][0]["reduce_only"]


WHY = {
    27: ("insufficient_balance", "needed=40.00", "available=26.69375"),
    28: ("index_jump", "price=400.00", "last_price=155.00", "index_jump_max=2"),
    32: ("insufficient_balance", "available=-26.953891", "freed=26.9883", "cash_beyond_bids=0.034409"),
    33: ("index_stale", "ts=2026-02-20T00:01:40.000000Z", "index_ts=2026-02-20T00:00:09.001000Z", "index_age_max_s=60"),
    40: ("series_settled", "delivery_price=50010.00"),
    41: ("series_not_expired", "ts=2026-02-20T08:00:10.002000Z", "expiration=2026-02-21T08:00:00.000000Z"),
    42: ("unknown_series",),
    43: ("invalid_index_price", "price=0.00", "max_price=10000000.00"),
    48: ("instrument_paused",),
    51: ("exchange_halted",),
    54: ("user_suspended",),
    59: ("position_above_maximum", "position=0.0", "open_orders=0.0", "size=1.5", "position_max=1.0"),
    62: ("nothing_to_reduce", "side=ask", "position=0.0"),
    68: ("invalid_rules", "contradiction=the market would be taken away"),
}


@pytest.mark.parametrize("seq", WHY)
def test_which_check_refused_and_what_it_compared(seq: int, story: Path) -> None:
    reason, *figures = WHY[seq]
    text = why(story, seq)
    assert f", {reason})\n" in text
    assert [line for line in figures if f"\n  {line}\n" not in text] == [], text


def test_what_an_index_price_caused(story: Path) -> None:
    lines = why(story, 29).splitlines()
    assert "  liquidation_started       erin is liquidated: 69.91 USDC, below the maintenance margin of 108.50" in lines
    assert (
        "  order_accepted            order 13: erin buys 2.0 SOL_USDC-20FEB26-150-C @ 43.80, ioc, liquidation" in lines
    )


def test_several_orders_of_one_command_are_separate(story: Path) -> None:
    """Two accounts were liquidated by one command: neither may read the steps of the other's order."""
    with closing(open_current_history(story, lambda sentence: None, lambda done, total: None)) as history:
        views = PastViews(history, 73)
        lives = {(user_id, order_id): own_order_timeline(views, user_id, order_id) for user_id, order_id in OWNERS}
    assert {key: len(life) for key, life in lives.items()} == OWNERS


OWNERS = {("dave", 15): 2, ("erin", 16): 3, ("dave", 16): 0, ("erin", 15): 0}


def test_a_bid_that_a_settlement_cancels(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    commands: list[Command] = [
        OpenAccount("alice", 100 * USDC),
        OpenAccount("bob", 100 * USDC),
        index(150),
        bid("bob", CALL, 1_000, 5),
        ask("alice", CALL, 1_000, 5),
        bid("alice", "SOL_USDC-21FEB26-150-C", 10_000, 5),
        index(200),
    ]
    steps = [(MIDNIGHT_US + n, command) for n, command in enumerate((Genesis(RULES), *commands))]
    day_end_us = DAY_END_S * 1_000_000
    write_steps(path, [*steps, (day_end_us, EndDay(day_end_us))])
    assert told(path, 3) == [
        "7 placed by alice: buy 10.0 at 5.00, gtc",
        "9 cancelled because alice had too little cash left for it; 10.0 remained",
    ]


def test_limits_of_the_user_and_rules_that_contradict_themselves(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    twice = replace(MARKET, series=MARKET.series * 2)
    commands: list[Command] = [
        OpenAccount("alice", 100 * USDC),
        index(150),
        SetLimits("alice", open_orders_max=1),
        bid("alice", CALL, 1_000, 5),
        bid("alice", CALL, 1_000, 4),
        ChangeRules(replace(RULES, market=twice)),
    ]
    write_steps(path, [(MIDNIGHT_US + n, command) for n, command in enumerate([Genesis(RULES), *commands])])
    assert "\n  open_orders=1\n  open_orders_max=1\n" in why(path, 6)
    assert "\n  contradiction=SOL has more than one series rule\n" in why(path, 7)
