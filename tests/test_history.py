"""The history file: equal to a replay at every moment, and the same however it came to be written."""

import itertools
import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.domain.events import encode_events
from exchange.domain.units import MILLI_PER_CONTRACT
from exchange.engine.recovery import replay, replay_step, restore_base
from exchange.history.compact import compact
from exchange.history_db.file import SCHEMA_VERSION, NoHistoryError, head_of, history_path, open_history
from exchange.history_db.order_trail import order_audit_trail
from exchange.history_db.past_views import PastViews
from exchange.history_db.records_in_range import user_trades_in
from exchange.history_db.update import HistoryBusyError, history_lock, open_fitting_writer, update_history
from exchange.history_db.writer import HistoryWriter
from exchange.journal.errors import CommandsLostError
from exchange.journal.opening import open_journal_reader
from exchange.projections.record_page import RecordPage
from exchange.projections.views import Views
from exchange.projections.wire_types import OrderView
from tests.link_commands import link_steps
from tests.market_commands import market_steps
from tests.market_story import write_steps, write_story
from tests.order_commands import LABELS, order_steps
from tests.quote_commands import quote_steps

SEED = 20260228
# An odd seed is that of a market; with this one, all kinds of trigger orders end in all ways.
ORDERS_SEED = 7
# With this one, many MMP groups freeze and are reset.
QUOTES_SEED = 30
LINKS_SEED = 54
COUNT = 600


def _market_commands(count: int) -> Iterator[tuple[int, Any]]:
    for step in market_steps(SEED, count):
        yield step.ts_us, step.command


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of a market, with each kind of event."""
    path = tmp_path_factory.mktemp("story") / "exchange.db"
    write_story(path)
    _update(path)
    return path


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random market."""
    path = tmp_path_factory.mktemp("stream") / "exchange.db"
    write_steps(path, _market_commands(COUNT))
    _update(path)
    return path


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random market with all types of orders, and labels."""
    path = tmp_path_factory.mktemp("orders") / "exchange.db"
    write_steps(path, ((step.ts_us, step.command) for step in order_steps(ORDERS_SEED, COUNT)))
    _update(path)
    return path


@pytest.fixture(scope="module")
def quotes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random market with mass quotes, and MMP groups that freeze and are reset."""
    path = tmp_path_factory.mktemp("quotes") / "exchange.db"
    write_steps(path, ((step.ts_us, step.command) for step in quote_steps(QUOTES_SEED, COUNT)))
    _update(path)
    return path


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random market with linked orders."""
    path = tmp_path_factory.mktemp("links") / "exchange.db"
    write_steps(path, ((step.ts_us, step.command) for step in link_steps(LINKS_SEED, COUNT)))
    _update(path)
    return path


@pytest.fixture(params=("story", "stream", "orders", "quotes", "links"))
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


@pytest.mark.slow
def test_every_event_is_in_the_history_as_the_exchange_encodes_it(path: Path) -> None:
    expected = []
    with open_journal_reader(path) as reader:
        engine = restore_base(reader, 0)
        for record in reader.records(engine.head):
            texts = encode_events(replay(engine, record))
            expected += [(record.seq, n, text) for n, text in enumerate(texts)]
    with closing(open_history(path)) as connection:
        assert connection.execute("SELECT seq, n, payload FROM events ORDER BY seq, n").fetchall() == expected
        rows = connection.execute("SELECT seq, ts_us, payload, hash FROM commands ORDER BY seq").fetchall()
        recorded = [(*row, bytes.fromhex(text)) for *row, text in rows]
    with open_journal_reader(path) as reader:
        assert recorded == [tuple(record) for record in reader.records_where(1, COUNT * 10)]


@pytest.mark.slow
def test_every_moment_in_the_history_is_that_of_a_replay(path: Path) -> None:
    """All answers of the read models, at every seq of the story and at random seqs of the stream."""
    with open_journal_reader(path) as reader, closing(open_history(path)) as connection:
        last_seq = reader.head().seq
        seqs = dict.fromkeys(random.Random(SEED).sample(range(2, last_seq + 1), min(60, last_seq - 1)))
        engine = restore_base(reader, 0)
        for record in reader.records(engine.head):
            replay(engine, record)
            if record.seq in seqs:
                past = PastViews(connection, record.seq)
                assert _answers(past) == _answers(engine.views), f"seq {record.seq} of seed {SEED}"
                # The live views drop finished orders beyond a limit of the rules; the history keeps all.
                for user_id in engine.views.balances.users:
                    for order in engine.views.finished_orders(user_id, COUNT):
                        assert past.order(order.order_id) == order
                assert past.is_halted == engine.state.is_halted
                assert past.journal_hash == record.hash


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 14])
def test_lists_of_orders_in_the_history_are_those_of_a_replay(tmp_path: Path, seed: int) -> None:
    """Ended orders and trigger orders together, as many as the live views keep, also by label."""
    path, kept = tmp_path / "exchange.db", 0
    # The rules of one stream keep all orders, those of the other four of each user.
    write_steps(path, ((step.ts_us, step.command) for step in order_steps(seed, COUNT)))
    _update(path)
    with open_journal_reader(path) as reader, closing(open_history(path)) as connection:
        engine = restore_base(reader, 0)
        for record in reader.records(engine.head):
            replay(engine, record)
            if record.seq % 20 == 0:
                past = PastViews(connection, record.seq)
                for user_id in engine.views.balances.users:
                    for wanted in ((50, None, None), (3, 60, None), (9, None, "hedge")):
                        count, before, label = wanted
                        orders = engine.views.finished_orders(user_id, count, before, None, label)
                        assert past.finished_orders(user_id, count, before, None, label) == orders, record.seq
                        triggers = [order.order_id for order in orders if order.trigger is not None]
                        kept += len(triggers)
                        # A trigger order has no trades: those are of the order that it placed.
                        for order_id in triggers[:1]:
                            assert user_trades_in(past, user_id, RecordPage(9), None, order_id) == []
    assert kept > 20


@pytest.mark.soak
def test_300_random_questions_about_the_past(tmp_path: Path) -> None:
    """Each pair of a seq and a question, of a market with a fresh seed: the history answers as a replay."""
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")  # noqa: T201
    path, rng, count = tmp_path / "exchange.db", random.Random(seed), 5_000
    write_steps(path, ((step.ts_us, step.command) for step in market_steps(seed, count)))
    _update(path)
    pairs = sorted((rng.randrange(2, count + 1), rng.choice(list(QUESTIONS))) for _ in range(300))
    with open_journal_reader(path) as reader, closing(open_history(path)) as connection:
        engine = restore_base(reader, 0)
        for record in reader.records(engine.head):
            replay(engine, record)
            for _, name in (pair for pair in pairs if pair[0] == record.seq):
                ask, past = QUESTIONS[name], PastViews(connection, record.seq)
                answers = [msgspec.json.encode(ask(views)) for views in (past, engine.views)]
                assert answers[0] == answers[1], f"seq {record.seq}, {name}, seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("pieces", ((1, 1, 15), (7,), (100,)))
def test_a_history_written_in_pieces_is_the_one_written_at_once(
    path: Path, tmp_path: Path, pieces: tuple[int, ...]
) -> None:
    """Another writer, which knows only what is in the file, writes each piece. `pieces` are their sizes, in turn."""
    written = tmp_path / "pieces.db"
    sizes = itertools.cycle(pieces)
    with open_journal_reader(path) as reader:
        engine = restore_base(reader, 0)
        writer, end_seq = HistoryWriter(written), next(sizes)
        for record in reader.records(engine.head):
            writer.add(record, *replay_step(engine, record), engine)
            if record.seq == end_seq:
                writer.flush([])
                writer.close()
                writer, end_seq = HistoryWriter(written), end_seq + next(sizes)
        writer.flush([])
        writer.close()
    assert _dump(written) == _dump(history_path(path))


@pytest.mark.parametrize(
    ("totals", "rows"),
    [
        (
            "SELECT user_id, reason, times, amount_micros FROM cash_totals",
            "SELECT user_id, reason, count(*), sum(amount_micros) FROM cash_flows GROUP BY 1, 2",
        ),
        (
            "SELECT user_id, liquidity, fills, size_milli, paid_micros, received_micros, fee_micros FROM fill_totals",
            "SELECT user_id, liquidity, count(*), sum(size_milli), sum(iif(side = 'bid', cost_micros, 0)), "
            "sum(iif(side = 'ask', cost_micros, 0)), sum(fee_micros) FROM fills GROUP BY 1, 2",
        ),
        (
            "SELECT user_id, cash_micros FROM balances",
            "SELECT user_id, sum(amount_micros) FROM (SELECT user_id, 0 AS amount_micros FROM balances "
            "UNION ALL SELECT user_id, amount_micros FROM cash_flows) GROUP BY 1",
        ),
        (
            "SELECT seq, n, user_id, reason, amount_micros FROM payments WHERE amount_micros <> 0",
            "SELECT seq, n, user_id, reason, amount_micros FROM cash_flows "
            "WHERE reason IN ('opening', 'deposit', 'withdrawal', 'reset')",
        ),
        (
            "SELECT instrument_id, ts_us, open_micros, high_micros, low_micros, close_micros, volume_milli, trades "
            "FROM candles WHERE resolution_s = 300",
            "SELECT DISTINCT instrument_id, ts_us / 300000000 * 300000000, first_value(price_micros) OVER whole, "
            "max(price_micros) OVER whole, min(price_micros) OVER whole, last_value(price_micros) OVER whole, "
            "sum(size_milli) OVER whole, count(*) OVER whole FROM trades WINDOW whole AS ("
            "PARTITION BY instrument_id, ts_us / 300000000 ORDER BY trade_id "
            "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
        ),
    ],
    ids=["cash totals", "fill totals", "balances", "payments", "candles"],
)
def test_sums_are_those_of_the_rows(path: Path, totals: str, rows: str) -> None:
    with closing(open_history(path)) as connection:
        assert sorted(connection.execute(totals)) == sorted(connection.execute(rows)) != []


def test_profits_have_the_quantity_after_their_command(path: Path) -> None:
    with open_journal_reader(path) as reader, closing(open_history(path)) as connection:
        rows = connection.execute("SELECT seq, user_id, instrument_id, quantity_milli, quantity FROM profits")
        profits = itertools.groupby(sorted(rows), key=lambda row: row[0])
        engine, quantities = restore_base(reader, 0), []
        for seq, of_seq in profits:
            for record in reader.records(engine.head, seq):
                replay(engine, record)
            for _, user_id, instrument_id, quantity_milli, quantity in of_seq:
                position = engine.views.balances.users[user_id].positions.get(instrument_id)
                assert quantity_milli == (0 if position is None else position.quantity_milli), f"seq {seq}"
                assert quantity == quantity_milli / MILLI_PER_CONTRACT
                quantities.append(quantity_milli)
    assert min(quantities) < 0 < max(quantities)


def test_questions_read_an_index_that_has_all_they_need(stream: Path) -> None:
    """The statistics of a day read no trade, and the life of an order only the refusals that named it."""
    with closing(open_history(stream)) as connection:
        asked: list[str] = []
        connection.set_trace_callback(asked.append)
        views = PastViews(connection, head_of(connection).seq)
        views.day_statistics(views.live_instruments()[0].instrument_id)
        (named_id,) = views.query("SELECT order_id FROM orders WHERE client_order_id > '' LIMIT 1").fetchone()
        order_audit_trail(views, named_id)
        connection.set_trace_callback(None)
        plans = [str(connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()) for sql in asked]
    (of_day,) = [plan for sql, plan in zip(asked, plans, strict=True) if "sum(size_milli)" in sql]
    assert of_day.count("COVERING INDEX trade_by_instrument") == 2
    by_name = "command_refused_by_name (<expr>=? AND user=?)"
    refusals = [plan for sql, plan in zip(asked, plans, strict=True) if "'refused'" in sql]
    assert [by_name in plan for plan in refusals] == [False, True]
    assert "command_by_order (order_id=?)" in refusals[0]


def test_the_history_refers_only_to_rows_that_exist(path: Path) -> None:
    with closing(open_history(path)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.slow
def test_a_history_of_another_journal_is_kept_aside_and_written_anew(tmp_path: Path) -> None:
    path, other = tmp_path / "exchange.db", tmp_path / "other.db"
    write_story(path, 40)
    write_steps(other, _market_commands(30))
    _update(other)
    history_path(other).replace(history_path(path))
    said: list[str] = []
    update_history(path, said.append, _no_progress)
    assert "has another command at seq 30" in said[0]
    assert history_path(path).with_name("exchange.history.db.seq-30").exists()
    assert _dump(history_path(path)) == _dump_of_fresh(path, tmp_path)


@pytest.mark.slow
def test_a_history_keeps_the_commands_that_the_journal_lost(tmp_path: Path) -> None:
    long, short = tmp_path / "long.db", tmp_path / "short.db"
    write_story(long, 40)
    write_story(short, 30)
    _update(long)
    history_path(long).replace(history_path(short))
    before = _dump(history_path(short))
    with pytest.raises(CommandsLostError, match=r"ends with seq 30, but .*short.history.db has seq 40") as raised:
        update_history(short, lambda sentence: None, _no_progress)
    assert raised.value.seq == 31
    assert _dump(history_path(short)) == before


def test_a_history_of_an_older_schema_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    write_story(path, 40)
    _update(path)
    before = _dump(history_path(path))
    with closing(sqlite3.connect(history_path(path))) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    said: list[str] = []
    update_history(path, said.append, _no_progress)
    assert f"has schema {SCHEMA_VERSION + 1}" in said[0]
    assert _dump(history_path(path)) == before


def test_a_writer_brings_the_views_up_to_date(tmp_path: Path) -> None:
    write_story(tmp_path / "exchange.db", 20)
    _update(tmp_path / "exchange.db")
    views = "SELECT name, sql FROM sqlite_schema WHERE type = 'view' ORDER BY name"
    with closing(sqlite3.connect(history_path(tmp_path / "exchange.db"))) as connection:
        new = connection.execute(views).fetchall()
        connection.executescript("DROP VIEW trades; DROP VIEW quotes; CREATE VIEW quotes AS SELECT 1 AS bid")
        HistoryWriter(history_path(tmp_path / "exchange.db")).close()
        assert connection.execute(views).fetchall() == new


def test_two_processes_do_not_write_one_history(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    write_story(path, 40)
    with history_lock(path), pytest.raises(HistoryBusyError):
        update_history(path, print, _no_progress, anew=True)


@pytest.mark.slow
def test_a_history_can_begin_with_the_state_of_a_journal_without_its_archive(tmp_path: Path) -> None:
    """The state before the first command becomes the first row of everything."""
    path = tmp_path / "exchange.db"
    write_steps(path, _market_commands(300))
    compact(path, 200, lambda sentence: None, _no_progress)
    for archive in (tmp_path / "exchange.db.archives").iterdir():
        archive.unlink()
    _update(path)
    with open_journal_reader(path) as reader, closing(open_history(path)) as connection:
        engine = restore_base(reader, 199)
        for record in reader.records(engine.head):
            replay(engine, record)
            past = PastViews(connection, record.seq)
            assert _present(past) == _present(engine.views), f"seq {record.seq} of seed {SEED}"


@pytest.mark.slow
def test_the_follower_continues_a_history_from_its_snapshot(tmp_path: Path) -> None:
    """A writer that ended in the middle of the journal is continued from the journal's newest usable snapshot."""
    path = tmp_path / "exchange.db"
    write_story(path, 40)
    with open_journal_reader(path) as reader:
        writer = open_fitting_writer(reader, print)
        engine = restore_base(reader, 0)
        for record in reader.records(engine.head, 25):
            writer.add(record, *replay_step(engine, record), engine)
        writer.flush([])
        writer.close()
    _update(path)
    assert _dump(history_path(path)) == _dump_of_fresh(path, tmp_path)


def _present(views: Views) -> dict[str, bytes]:
    """The answers about the present alone, without lists of past trades, orders and settlements."""
    past = ("trades", "user trades", "settlements", "user settlements", "tickers", "accounts", "orders by label")
    return {name: answer for name, answer in _answers(views).items() if name not in past}


def _answers(views: Views) -> dict[str, bytes]:
    """The answers to all questions, encoded."""
    return {name: msgspec.json.encode(ask(views)) for name, ask in QUESTIONS.items()}


def _accounts(views: Views) -> list[Any]:
    """All accounts. Positions are sorted: their order is not part of an answer."""
    accounts = [views.account(user_id) for user_id in views.balances.users]
    for account in accounts:
        account.positions.sort(key=lambda position: position.instrument_id)
    return accounts


def _waiting(order: OrderView | None) -> OrderView | None:
    """The order, if it has not ended: the live views forget the others at some time."""
    return order if order is not None and order.status in ("open", "partially_filled", "untriggered") else None


# Everything that the read models answer.
QUESTIONS: dict[str, Callable[[Views], Any]] = {
    "instruments": lambda views: list(views.instruments.values()),
    "balances": lambda views: [views.balance(user_id) for user_id in views.balances.users],
    "accounts": _accounts,
    "tickers": lambda views: [views.ticker(one.instrument_id) for one in views.live_instruments()],
    "books": lambda views: [(views.depths[name].bids(), views.depths[name].asks()) for name in views.instruments],
    "MMP groups": lambda views: [views.mmp_groups(user_id) for user_id in views.balances.users],
    "open orders": lambda views: [views.open_orders(user_id) for user_id in views.balances.users],
    "orders by label": lambda views: [
        [_waiting(views.find_order(user_id, None, None, label)), views.open_orders(user_id, None, label)]
        for user_id in views.balances.users
        for label in LABELS
    ],
    "trades": lambda views: [views.trades(name, 100) for name in views.instruments],
    "user trades": lambda views: [views.user_trades(user_id, 100) for user_id in views.balances.users],
    "settlements": lambda views: views.settlements.newest(100),
    "user settlements": lambda views: [views.settlements.newest_of(user_id, 100) for user_id in views.balances.users],
    "indexes": lambda views: sorted(views.indexes.items()),
    "marks": lambda views: sorted(views.marks.items()),
    "rules": lambda views: views.rules,
}


def _dump(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    with closing(sqlite3.connect(file)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in tables}


def _dump_of_fresh(path: Path, folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    with open_journal_reader(path) as reader:
        engine = restore_base(reader, 0)
        with closing(HistoryWriter(folder / "fresh.db")) as writer:
            for record in reader.records(engine.head):
                writer.add(record, *replay_step(engine, record), engine)
            writer.flush([])
            assert head_of(writer._connection) == engine.head
    return _dump(folder / "fresh.db")


def _update(path: Path) -> None:
    update_history(path, lambda sentence: None, _no_progress)


def _no_progress(_done: int, _total: int) -> None:
    pass


def test_a_history_that_is_still_without_tables_is_written(tmp_path: Path) -> None:
    """Another process has just created the file, or was killed when it did."""
    write_story(tmp_path / "exchange.db", 20)
    file = history_path(tmp_path / "exchange.db")
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    with pytest.raises(NoHistoryError, match="has no tables yet"):
        open_history(tmp_path / "exchange.db")
    assert update_history(tmp_path / "exchange.db", lambda sentence: None, lambda done, total: None).seq == 20
