"""Collateral in the history, which follows from positions, open asks and margin rates: equal to a replay."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.domain.commands import (
    ChangeRules,
    Command,
    CreateInstrument,
    EditOrder,
    Genesis,
    OpenAccount,
    SetIndexPrice,
)
from exchange.domain.events import INSTRUMENTS_MAX, Event, MarginsChanged, encode_events
from exchange.domain.margin_rates import NANOS_PER_MICRO, nanos_to_micros
from exchange.domain.rules import Market, Rules
from exchange.domain.units import NUMBER_MAX, PRICE_MAX_MICROS, SIZE_MAX_MILLI
from exchange.engine.recovery import replay_step, restore_base
from exchange.history_db.file import history_path, with_margins
from exchange.history_db.past_views import PastViews
from exchange.history_db.update import update_history
from exchange.journal.opening import open_journal_reader
from tests.market_story import MIDNIGHT_US, USDC, ask, bid, index, write_steps

RULES = Rules(collateral="standard", market=Market(series=(), mark_spread_max_ppm=1_000_000))
# More than one event of changed margins can hold.
CALLS = [f"SOL_USDC-27FEB26-{strike}-C" for strike in range(100, 100 + 2 * INSTRUMENTS_MAX + 3)]
CHEAP = "PEPE_USDC-27FEB26-1-C"


def _commands() -> list[Command]:
    cheap = [SetIndexPrice("PEPE", price_micros, forced=True) for price_micros in (50, 500, 40)]
    return [
        Genesis(RULES),
        *(OpenAccount(user_id, 1_000_000 * USDC) for user_id in ("alice", "bob")),
        *(CreateInstrument(name, 10_000, 1) for name in (*CALLS, CHEAP)),
        index(120),
        cheap[0],
        *(ask("alice", name, 1_000, 30) for name in CALLS),
        *(bid("bob", name, 100 + number, 30) for number, name in enumerate(CALLS)),
        index(121),
        # 100 and 150 millicontracts lock 1 micro, so that no event shows the edit.
        ask("alice", CHEAP, 100, 1),
        EditOrder("alice", len(CALLS) * 2 + 1, price_micros=USDC, size_milli=150),
        index(119),
        cheap[1],
        bid("bob", CHEAP, 50, 1),
        cheap[2],
        ChangeRules(replace(RULES, collateral="cash_secured")),
        index(122),
        ask("bob", CALLS[0], 2_000, 40),
        ChangeRules(RULES),
        index(122),
        index(123),
    ]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("margins") / "exchange.db"
    write_steps(path, ((MIDNIGHT_US + n * 1_000, command) for n, command in enumerate(_commands())))
    update_history(path, lambda sentence: None, lambda done, total: None)
    return path


def _replayed(path: Path) -> Iterator[tuple[int, list[Event], dict[str, list[tuple[str, int, int]]]]]:
    """Yield each command with its events, and all positions after it, in an exchange that replays."""
    with open_journal_reader(path) as reader:
        engine = restore_base(reader, 0)
        for record in reader.records(engine.head):
            _, events, _ = replay_step(engine, record)
            accounts = engine.state.accounts.items()
            yield (
                record.seq,
                events,
                {
                    user_id: [
                        (name, held.position_milli, held.collateral_micros)
                        for name, held in sorted(account.positions.items())
                        if held.position_milli or held.collateral_micros
                    ]
                    for user_id, account in accounts
                },
            )


@pytest.mark.slow
def test_positions_and_events_are_those_of_a_replay_at_every_command(path: Path) -> None:
    with closing(sqlite3.connect(history_path(path))) as connection:
        for seq, events, positions in _replayed(path):
            texts = [
                text for (text,) in connection.execute("SELECT payload FROM events WHERE seq = ? ORDER BY n", (seq,))
            ]
            assert texts == encode_events(events), f"seq {seq}"
            past = PastViews(connection, seq)
            for user_id, expected in positions.items():
                held = past.balances.users[user_id].positions
                found = [(name, one.quantity_milli, one.locked_micros) for name, one in sorted(held.items())]
                assert found == expected, f"{user_id} at seq {seq}"
        sql = "SELECT instrument_id, quantity_milli, locked_micros FROM positions WHERE user_id = ? ORDER BY 1"
        for user_id, expected in positions.items():
            assert connection.execute(sql, (user_id,)).fetchall() == expected


def test_the_story_has_the_cases_that_events_do_not_show(path: Path) -> None:
    """An edit without an event of its position, more margins than an event holds, and new rules that change rates."""
    events = [event for _, some, _ in _replayed(path) for event in some]
    assert any(isinstance(event, MarginsChanged) and len(event.locked_micros) == INSTRUMENTS_MAX for event in events)
    with closing(sqlite3.connect(history_path(path))) as connection:
        edit = "SELECT seq FROM order_version WHERE change = 'edited'"
        ((silent,),) = connection.execute(
            f"SELECT count(*) FROM position_version p WHERE p.seq IN ({edit}) "
            "AND NOT EXISTS (SELECT 1 FROM event e WHERE e.seq = p.seq AND e.n = p.n)"
        )
        ((ruled,),) = connection.execute("SELECT count(DISTINCT seq) FROM mark_version WHERE n = -1")
        assert (silent, ruled) == (1, 2)
        # New rules set no marks, so the view shows none.
        assert connection.execute(
            "SELECT count(*) FROM marks m JOIN command c USING (seq) WHERE c.kind = 'change_rules'"
        ).fetchone() == (0,)


def test_sql_computes_margins_as_the_exchange_does() -> None:
    """Up to the largest lock, and at every kind of remainder."""
    chance = random.Random(1)
    sql = with_margins("SELECT short_margin(nanos, milli) FROM (SELECT ? AS nanos, ? AS milli)")
    cases = [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 1), (1, 1_000_001)]
    for _ in range(2_000):
        milli = chance.randint(1, 10 ** chance.randint(1, len(str(SIZE_MAX_MILLI)) - 1))
        # No rate exceeds that of a put: its mark and a tenth of it more, and 0.15 times the index.
        most = min(NUMBER_MAX * 1_000_000 // milli, 2 * PRICE_MAX_MICROS * NANOS_PER_MICRO)
        cases.append((chance.randint(1, chance.choice((most, min(most, 10**10), 1_500))), milli))
    with closing(sqlite3.connect(":memory:")) as connection:
        for nanos, milli in cases:
            assert connection.execute(sql, (nanos, milli)).fetchone() == (nanos_to_micros(nanos, milli),), (
                nanos,
                milli,
            )
