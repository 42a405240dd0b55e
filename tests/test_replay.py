"""`exchange replay`, `state` and `sessions`: events as text, the state at any moment, and the runs of a server."""

import asyncio
import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result

from exchange.cli.client import RunningExchange, log_in
from exchange.cli.main import main
from exchange.cli.replay import _Pace
from exchange.domain.events import CommandLost, Event, MarginsChanged, MarksSet, decode_event
from exchange.engine.engine import STATE_SUBJECT, Engine
from exchange.engine.recovery import recover
from exchange.history.event_text import affects, describe
from exchange.history.runs import runs
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.matching.apply import apply
from exchange.matching.state import State
from exchange.matching.state_codec import digest
from tests import market_story
from tests.history_sql import ask_past
from tests.journals import play, write_journal
from tests.link_commands import link_steps
from tests.market_commands import fair_steps
from tests.market_story import write_story
from tests.order_commands import order_steps
from tests.quote_commands import quote_steps
from tests.test_chart import MARKET, START_US
from tests.test_market_crash import timed as crash_of
from tests.test_recovery import INSTRUMENT, server

LINES = """\
       1  2026-02-25T06:13:21.000000Z  the exchange begins, rules version 1
       2  2026-02-25T06:13:22.000000Z  SOL_USDC-28FEB26-150-C is listed: tick 0.001, minimum size 0.001, \
expires 2026-02-28T08:00:00Z
       3  2026-02-25T06:13:23.000000Z  account alice is opened
       3  2026-02-25T06:13:23.000000Z  alice now has 10,000.00 USDC, 0.00 of it locked
       4  2026-02-25T06:13:24.000000Z  account bob is opened
       4  2026-02-25T06:13:24.000000Z  bob now has 10,000.00 USDC, 0.00 of it locked
       5  2026-02-25T06:13:25.000000Z  order 1: alice buys 2.0 SOL_USDC-28FEB26-150-C @ 5.00, gtc
       5  2026-02-25T06:13:25.000000Z  alice now has 10,000.00 USDC, 10.00 of it locked
       6  2026-02-25T06:13:26.000000Z  order 2: alice buys 1.0 SOL_USDC-28FEB26-150-C @ 4.90, gtc
       6  2026-02-25T06:13:26.000000Z  alice now has 10,000.00 USDC, 14.90 of it locked
       7  2026-02-25T06:13:27.000000Z  order 3: bob sells 1.0 SOL_USDC-28FEB26-150-C @ 5.20, gtc
       7  2026-02-25T06:13:27.000000Z  bob now has a position of 0.0 SOL_USDC-28FEB26-150-C, margin 150.00
       7  2026-02-25T06:13:27.000000Z  bob now has 10,000.00 USDC, 150.00 of it locked
       8  2026-02-25T06:13:28.000000Z  order 4: bob sells 0.5 SOL_USDC-28FEB26-150-C @ 5.00, gtc
       8  2026-02-25T06:13:28.000000Z  trade 1: bob sells 0.5 SOL_USDC-28FEB26-150-C to alice @ 5.00, 2.50 USDC \
(orders 4 and 1)
       8  2026-02-25T06:13:28.000000Z  bob now has a position of -0.5 SOL_USDC-28FEB26-150-C, margin 225.00
       8  2026-02-25T06:13:28.000000Z  alice now has a position of 0.5 SOL_USDC-28FEB26-150-C, margin 0.00
       8  2026-02-25T06:13:28.000000Z  bob now has 10,002.50 USDC, 225.00 of it locked
       8  2026-02-25T06:13:28.000000Z  alice now has 9,997.50 USDC, 12.40 of it locked
"""


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--db", str(path)])


MARKET_SENTENCES = """\
10 the index of SOL is 150.00
10 SOL marks: SOL_USDC-20FEB26-140-C 10.00, SOL_USDC-20FEB26-140-P 0.00, SOL_USDC-20FEB26-150-C 0.00 and 9 more
15 carol now has 100,005.455 USDC, 303.75 of it locked, maintenance margin 11.25
29 erin is liquidated: 69.91 USDC, below the maintenance margin of 108.50
29 order 13: erin buys 2.0 SOL_USDC-20FEB26-150-C @ 43.80, ioc, liquidation
29 erin now has 53.0872 USDC, and 109.60 is locked, maintenance margin 86.80
31 order 8 of dave is cancelled (liquidation), 0.1 remaining
38 options on BTC of 2026-02-20T08:00:00Z cannot settle yet: there is no delivery price
38 options on SOL of 2026-02-20T08:00:00Z settle at 191.33
38 alice receives 41.33 USDC for 1.0 SOL_USDC-20FEB26-150-C, fee 0.028699
38 bob pays 82.66 USDC for -2.0 SOL_USDC-20FEB26-150-C
38 bob pays nothing for -1.5 SOL_USDC-20FEB26-150-P
38 the insurance pays 15.753651 USDC that erin lacks, 15.753651 in total
38 insurance now has -5.753651 USDC, 0.00 of it locked
47 20 instruments on SOL of 2026-02-21T08:00:00Z paused in total
49 20 instruments resumed in total
50 the exchange is halted
52 the exchange is no longer halted
53 alice is suspended
56 alice is no longer suspended
57 limits of alice: at most 2 open orders, positions up to 1.0
67 order 23: bob buys 0.5 SOL_USDC-21FEB26-190-C @ 5.00, ioc, reduce-only
69 new rules are in force
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "exchange.db"
    write_journal(path, ((START_US + n * 1_000_000, command) for n, command in enumerate(MARKET, 1)))
    return path


def test_replay_prints_events_as_sentences(path: Path) -> None:
    assert run(path, "replay", "--to", "8").stdout == LINES


def test_replay_of_one_user_or_one_instrument(path: Path) -> None:
    lines = LINES.splitlines(keepends=True)
    assert run(path, "replay", "--to", "8", "--user", "bob").stdout == "".join(line for line in lines if "bob" in line)
    assert run(path, "replay", "--to", "8", "--instrument", INSTRUMENT).stdout == "".join(
        line for line in lines if INSTRUMENT in line
    )


def test_times_and_seqs_select_the_same_range(path: Path) -> None:
    by_seq = run(path, "replay", "--from", "5", "--to", "7").stdout
    assert by_seq == "".join(LINES.splitlines(keepends=True)[6:13])
    for start, end in (("06:13:25", "06:13:27"), ("06:13:24.5", "06:13:27.999999")):
        assert run(path, "replay", "--from", f"2026-02-25T{start}", "--to", f"2026-02-25T{end}").stdout == by_seq


def test_json_output_is_the_recorded_events(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    play(path)
    lines = [json.loads(line) for line in run(path, "replay", "--json").stdout.splitlines()]
    with closing(sqlite3.connect(path)) as connection:
        recorded = connection.execute("SELECT seq, n, payload FROM events ORDER BY seq, n").fetchall()
    assert [(line["seq"], line["n"], line["event"]) for line in lines] == [
        (seq, n, json.loads(payload)) for seq, n, payload in recorded
    ]


@pytest.mark.slow
def test_every_event_has_a_description(tmp_path: Path) -> None:
    play(tmp_path / "orders.db", seed=0, count=1_500)
    write_story(tmp_path / "market.db")
    events = []
    for path in (tmp_path / "orders.db", tmp_path / "market.db"):
        with open_journal_reader(path) as reader:
            events += [decode_event(payload) for _, _, payload in reader.events(1, reader.head().seq)]
    # The market of rules version 2: a random one, and a rise by 80 % that ends in shared losses.
    state = State()
    events += [event for step in fair_steps(39, 400) for event in step.events]
    # Trigger orders.
    events += [event for step in order_steps(4, 300) for event in step.events]
    # Mass quotes.
    events += [event for step in quote_steps(30, 400) for event in step.events]
    # Linked orders.
    events += [event for step in link_steps(3, 400) for event in step.events]
    events += [event for ts_us, command in crash_of(80) for event in apply(state, ts_us, command)]
    # Only the administrator of a journal that lost commands causes this one.
    events.append(CommandLost(next_order_id=7, next_trade_id=3))
    assert {type(event) for event in events} == set(get_args(Event))
    assert all(describe(event) for event in events)


def test_descriptions_of_market_events(tmp_path: Path) -> None:
    """The description of each kind of market event, and the variants that say more."""
    write_story(tmp_path / "exchange.db")
    with open_journal_reader(tmp_path / "exchange.db") as reader:
        events = [(seq, decode_event(payload)) for seq, _, payload in reader.events(1, reader.head().seq)]
    sentences = [f"{seq} {describe(event)}" for seq, event in events]
    assert [line for line in MARKET_SENTENCES.splitlines() if line not in sentences] == []
    parts = [event for seq, event in events if seq == 31 and isinstance(event, MarksSet)]
    (marks,) = [part for part in parts if market_story.CALL in part.marks]
    assert describe(marks, market_story.CALL) == "SOL marks: SOL_USDC-20FEB26-150-C 42.00"
    assert affects(marks, None, market_story.CALL) and not affects(marks, None, market_story.COIN)
    assert not affects(marks, "alice", None)
    margins = MarginsChanged("alice", {market_story.CALL: 28_000_000, "SOL_USDC-20FEB26-160-C": 2_500_000})
    assert describe(margins) == "alice's margin in 2 instruments is now 30.50"
    assert describe(margins, market_story.CALL) == "alice's margin in SOL_USDC-20FEB26-150-C is now 28.00"
    assert affects(margins, "alice", market_story.CALL) and not affects(margins, "bob", None)
    assert not affects(margins, "alice", market_story.COIN)


def test_the_summary_has_the_digest_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    engine = play(path)
    found = json.loads(run(path, "replay", "--summary", "--json").stdout)
    assert (found["seq"], found["digest"]) == (400, digest(engine.state))
    assert found["trades"] == engine.state.next_trade_id - 1
    assert found["orders"] == engine.state.next_order_id - 1
    assert digest(engine.state) in run(path, "replay", "--summary").stdout


@pytest.mark.long
def test_the_state_at_200_moments_equals_the_live_state(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    live: dict[int, dict[str, Any]] = {}

    def look(engine: Engine) -> None:
        views = engine.views
        instruments = [name for name in views.depths if name == "SOL_USDC-28FEB26-3-P"]
        if "alice" in views.balances.users and instruments:
            book = views.depths[instruments[0]]
            live[engine.head.seq] = {
                "digest": digest(engine.state),
                "bids": [(level.price_micros, level.size_milli, level.count) for level in book.bids(5)],
                "asks": [(level.price_micros, level.size_milli, level.count) for level in book.asks(5)],
                "available": views.balance("alice").available_micros,
                "orders": [(order.order_id, order.remaining_milli) for order in views.open_orders("alice")],
            }

    play(path, 2, 600, snapshots_at=(250,), seen=look)
    chosen = ["--digest", "--account", "alice", "--orders", "alice", "--book", "SOL_USDC-28FEB26-3-P", "--depth", "5"]
    for seq in random.Random(5).sample(sorted(live), 200):
        found = json.loads(run(path, "state", "--at", str(seq), "--json", *chosen).stdout)
        sides = {side: [tuple(level.values()) for level in found["book"][side]] for side in ("bids", "asks")}
        assert {
            "digest": found["digest"],
            **sides,
            "available": found["account"]["available"],
            "orders": [(order["order_id"], order["remaining"]) for order in found["orders"]],
        } == live[seq]


def test_state_prints_tables(path: Path) -> None:
    output = run(path, "state", "--at", "8").stdout
    for part in ("seq 8", "alice", "9,985.10", "12.40", INSTRUMENT, "5.00", "5.20"):
        assert part in output
    shown = run(path, "state", "--at", "8", "--book", INSTRUMENT, "--account", "bob", "--orders", "bob").stdout
    for part in ("4.90", "last trades", "bob", "-0.5", "sell", "225.00"):
        assert part in shown
    line = run(path, "state", "--at", "8", "--digest").stdout
    assert line.split()[0] == digest(recover(path, lambda s: None, lambda d, t: None, up_to=8).engine.state)


@pytest.mark.long
def test_three_runs_of_a_server_one_of_them_killed(tmp_path: Path) -> None:
    """Each run has its ending, and a replay of each gives the digest recorded for it."""
    path = tmp_path / "exchange.db"

    def trade(url: str) -> None:
        with RunningExchange(url) as client:
            log_in(client, "alice")
            client.call("private/buy", instrument_id=INSTRUMENT, amount=1_000, price=1_500_000)

    async def run_once(kill: bool) -> None:
        async with server(path) as (process, url):
            await asyncio.to_thread(trade, url)
            assert [one.ending for one in runs(path)][-1] == "running"
            (process.kill if kill else process.terminate)()
            await process.wait()

    for kill in (False, True, False):
        asyncio.run(run_once(kill))
    found = runs(path)
    assert [one.ending for one in found] == ["clean", "crashed", "clean"]
    recorded = {
        one.last_seq: digest(recover(path, lambda s: None, lambda d, t: None, one.last_seq).engine.state)
        for one in found
    }

    for one in runs(path):
        outcome = run(path, "replay", "--session", str(one.number), "--summary")
        assert outcome.exit_code == 0, outcome.output
        assert f"ends in the recorded state, digest {recorded[one.last_seq]}" in outcome.stderr
    table = run(path, "sessions").stdout
    assert "crashed" in table and recorded[found[1].last_seq][:16] in table


@pytest.mark.slow
def test_a_day_end_made_up_at_a_start_is_not_part_of_the_crashed_run(tmp_path: Path) -> None:
    """After a crash, a start on another day ends the day before its own run begins."""
    path = tmp_path / "exchange.db"

    async def run_once(day: int, kill: bool) -> None:
        async with server(path, "--clock-start", f"2026-02-{day}T12:00:00Z") as (process, _):
            (process.kill if kill else process.terminate)()
            await process.wait()

    asyncio.run(run_once(20, kill=True))
    last = runs(path)[0]
    asyncio.run(run_once(22, kill=False))
    rows = ask_past(path, f"SELECT kind FROM commands WHERE seq > {last.last_seq}")
    assert [kind for (kind,) in rows] == ["end_day", "start_session", "end_session"]
    crashed = runs(path)[0]
    assert (crashed.last_seq, crashed.ended_us, crashed.ending) == (last.last_seq, last.ended_us, "crashed")
    outcome = run(path, "replay", "--session", "1", "--summary")
    assert f"session 1 ends in the recorded state, digest {crashed.digest}" in outcome.stderr


def test_a_run_that_replays_to_another_state_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    play(path)
    one = runs(path)[0]

    async def record() -> None:
        journal = await open_journal_writer(path)
        await journal.append_digests([(one.last_seq, STATE_SUBJECT, "0" * 64)])
        await journal.close()

    asyncio.run(record())
    outcome = run(path, "replay", "--session", str(one.number))
    assert outcome.exit_code == 1
    assert "recorded the digest" in outcome.stderr


def test_the_recorded_pace() -> None:
    slept: list[float] = []
    now = [100.0]

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))
        now[0] += seconds

    pace = _Pace(10, sleep, lambda: now[0])
    for ts_us in (5_000_000, 6_000_000, 6_500_000, 9_000_000):
        pace.wait(ts_us)
    assert slept == [0.1, 0.05, 0.25]
    slept.clear()
    slow = _Pace(1e-9, sleep, lambda: now[0])
    slow.wait(0)
    slow.wait(100)
    assert len(slept) == 28 and sum(slept) == 100_000, "a single sleep is too long for the system"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("replay", "--from", "9", "--to", "3"), 1, "the end comes before the beginning"),
        (("replay", "--to", "999"), 1, "there is no seq 999 in"),
        (("replay", "--from", "2030-01-01"), 1, "ends before that time: its last command is seq 10"),
        (("replay", "--to", "2001-01-01"), 1, "begins after that time: its first command is seq 1"),
        (("replay", "--session", "1"), 1, "there is no run 1 in"),
        (("replay", "--session", "1", "--from", "3"), 2, "remove --from and --to"),
        (("replay", "--speed", "fast"), 2, "'fast' is not a speed"),
        (("replay", "--speed", "0"), 2, "'0' is not a speed"),
        (("replay", "--user", "carol"), 1, "no account 'carol'"),
        (("replay", "--instrument", "SOL_USDC-28FEB26-1-C"), 1, "SOL_USDC-28FEB26-1-C is not listed"),
        (("replay", "--summary", "--user", "bob"), 2, "--summary covers all users and instruments"),
        (("replay", "--summary", "--instrument", INSTRUMENT), 2, "--summary covers all users and instruments"),
        (("replay", "--paused"), 2, "--paused needs --serve"),
        (("replay", "--host", "::1"), 2, "--host needs --serve"),
        (("replay", "--port", "8765"), 2, "--port needs --serve"),
        (
            ("replay", "--from", "soon"),
            2,
            "'soon' is not a time; expected a sequence number such as 1234, or a time",
        ),
        (("state", "--at", "0"), 1, "there is no seq 0 in"),
        (("state", "--at", "3", "--account", "bob"), 1, "no account 'bob'"),
        (("state", "--at", "1", "--book", INSTRUMENT), 1, f"{INSTRUMENT} is not listed"),
    ],
)
def test_replay_and_state_refuse_bad_arguments(path: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    outcome = run(path, *arguments)
    assert (outcome.exit_code, message in outcome.stderr) == (code, True), outcome.output


def test_state_of_a_market(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    state = write_story(path)
    lines = [" ".join(line.split()) for line in run(path, "state", "--at", "31").stdout.splitlines()]
    for line in (
        "index of SOL 191.00 since 2026-02-20T00:00:09.001000Z",
        "account available locked maintenance shortfall open orders",
        "erin -26.953891 26.988300 21.516150 0.000000 0",
        "SOL_USDC-20FEB26-150-C - 43.50 43.50 42.00 open",
    ):
        assert line in lines
    assert "halted new orders are refused" in [
        " ".join(line.split()) for line in run(path, "state", "--at", "50").stdout.splitlines()
    ]
    final = run(path, "state").stdout
    assert f"18 live, {len(state.books) - 18} expired" in final and market_story.CALL not in final
    # An account with settlements, which this command does not show.
    assert "150-C" not in run(path, "state", "--at", "54", "--account", "alice").stdout
    found = json.loads(run(path, "state", "--at", "54", "--json").stdout)
    assert (found["halted"], found["indexes"]) == (
        False,
        [{"asset": "SOL", "price": 190_000_000, "ts_us": 1_771_574_410_007_000}],
    )
    (call,) = [one for one in found["instruments"] if one["instrument_id"] == market_story.CALL]
    assert (call["state"], call["delivery_price"], call["mark"]) == ("expired", 191_330_000, None)
    assert "alice (suspended)" in run(path, "state", "--at", "54").stdout
