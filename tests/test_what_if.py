"""What-if: the figures at the end, the first command with another outcome, and the commands refused now."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from exchange.domain.commands import (
    CancelAll,
    CancelOrder,
    Command,
    CreateInstrument,
    Deposit,
    EditOrder,
    EndDay,
    Genesis,
    OpenAccount,
    PlaceOrder,
    PlaceTriggerOrder,
    Withdraw,
    encode_command,
)
from exchange.domain.enums import Side
from exchange.domain.events import Event
from exchange.domain.rules import Fees, Rules
from exchange.domain.units import next_day_end_us
from exchange.engine.engine import Engine
from exchange.history.compact import compact
from exchange.history.comparison import Comparison, OutcomeChange
from exchange.history.edits import EditError, Edits, Insertion
from exchange.history.moment import Moment
from exchange.history.what_if import what_if
from exchange.journal.archives import archive_folder
from exchange.journal.records import Record
from exchange.projections.fold import Change
from tests.cli_support import complained, exchange, said, said_json
from tests.journals import write_journal
from tests.small_market import CALL, START_US, USDC, buy, history, sell


def compare(path: Path, edits: Edits, moment: Moment = Moment()) -> Comparison:
    return what_if(path, edits, moment, lambda done, total: None)


def printed(path: Path, *options: object) -> str:
    """The output of the command, without trailing blanks."""
    return "".join(f"{line.rstrip()}\n" for line in said(exchange("what-if", *options, "--db", path)).splitlines())


def inserted(*commands: Command) -> list[Insertion]:
    return [Insertion(f"test:{number}", command) for number, command in enumerate(commands, 1)]


def seqs(changes: list[OutcomeChange]) -> list[int]:
    return [change.seq for change in changes]


def cash_of(found: Comparison) -> dict[str, int]:
    """The difference of each user's cash, in micros, without users whose cash is the same."""
    return {user.user_id: user.cash_micros.difference for user in found.users if user.cash_micros.difference}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """alice sells to bob. carol bids, edits and cancels. alice tries to cancel and edit her filled order."""
    path = tmp_path / "exchange.db"
    steps = history(
        # The first command is seq 6. These are the orders 1, 2, 3 and, further down, 4.
        sell("alice", 1_000, 1_500_000),
        buy("bob", 1_000, 1_600_000),
        buy("carol", 1_000, 1_400_000),
        EditOrder("carol", 3, None, 1_450_000),
        CancelOrder("carol", 3),
        CancelOrder("alice", 1),
        sell("bob", 1_000, 1_700_000),
        EditOrder("alice", 1, None, 1_800_000),
    )
    write_journal(path, steps)
    return path


def test_drop_a_command(path: Path) -> None:
    """Later orders get other ids. Commands that name them by id still mean the same orders."""
    assert (
        printed(path, "--drop", 6)
        == """\
replayed seq 6 to 13 twice: 1 command dropped, 0 commands inserted
3 commands with another outcome

first difference:
       7  2026-02-20T00:00:07.000000Z  place_order        bob         SOL_USDC-28FEB26-150-C     bid 1.0 @ 1.60 gtc
    real    order 2 accepted, 1.0 @ 1.50 traded with alice's order 1
    edited  order 1 accepted

user       cash    edited  difference  profit  edited  difference  fills  edited  difference
────────────────────────────────────────────────────────────────────────────────────────────
alice  1,001.50  1,000.00       -1.50    0.00    0.00        0.00      1       0          -1
bob      998.50  1,000.00       +1.50    0.00    0.00        0.00      1       0          -1
total  3,000.00  3,000.00        0.00

user   position                contracts  edited  difference
────────────────────────────────────────────────────────────
alice  SOL_USDC-28FEB26-150-C       -1.0     0.0        +1.0
bob    SOL_USDC-28FEB26-150-C        1.0     0.0        -1.0
"""
    )


def test_commands_refused_now_are_listed(path: Path) -> None:
    assert (
        printed(path, "--drop", 8)
        == """\
replayed seq 8 to 13 twice: 1 command dropped, 0 commands inserted
2 commands with another outcome

first difference:
       9  2026-02-20T00:00:09.000000Z  edit_order         carol                                  order_id=3 price=1.45
    real    order 3 edited to 1.0 @ 1.45
    edited  refused: Order not found (order_not_found)

accepted in the real history, refused in the edited one:
       9  2026-02-20T00:00:09.000000Z  edit_order         carol                                  order_id=3 price=1.45
    real    order 3 edited to 1.0 @ 1.45
    edited  refused: Order not found (order_not_found)
      10  2026-02-20T00:00:10.000000Z  cancel_order       carol                                  order_id=3
    real    carol's order 3 cancelled (user_request)
    edited  refused: Order not found (order_not_found)

all accounts end with the same cash and the same positions
"""
    )


def test_edits_without_effect(path: Path) -> None:
    assert printed(path, "--drop", 11) == (
        "replayed seq 11 to 13 twice: 1 command dropped, 0 commands inserted\n"
        "no other command has another outcome, and all accounts end the same\n"
    )
    assert compare(path, Edits(drops=[(11, 11), (13, 13)])).is_same
    assert compare(path, Edits(rules=["fees=0/0"])).is_same
    assert compare(path, Edits()).is_same
    assert not compare(path, Edits(drops=[(7, 7)])).is_same


def test_leave_out_a_user(path: Path) -> None:
    found = compare(path, Edits(without=["bob"]))
    assert found.dropped == 3
    assert cash_of(found) == {"alice": -1_500_000, "bob": -998_500_000}
    assert found.total_cash_micros.difference == -1_000 * USDC
    # The order that alice sold in reality is still open, so she can cancel it.
    assert seqs(found.possible) == [11]
    assert found.impossible == []


def test_ranges_and_several_options_at_once(path: Path) -> None:
    assert printed(path, "--drop", "6-7", "--drop", "12") == printed(path, "--drop", 12, "--drop", 7, "--drop", 6)
    found = compare(path, Edits([(9, 10)], ["alice"], {5: inserted(Deposit("bob", 5))}, ["fees=10/10"]))
    assert (found.dropped, len(found.inserted)) == (6, 1)
    assert found.fork_seq == 0


def test_compare_up_to_a_moment(path: Path) -> None:
    assert printed(path, "--drop", 8, "--to", 9).startswith("replayed seq 8 to 9 twice: ")
    assert printed(path, "--drop", 8, "--to", 9) == printed(path, "--drop", 8, "--to", "2026-02-20T00:00:09.5Z")
    assert seqs(compare(path, Edits([(8, 8)]), Moment(9)).impossible) == [9]


def test_insert_commands(path: Path, tmp_path: Path) -> None:
    """carol buys before bob, so his order rests. alice's inserted cancellation names her order by its real id."""
    file = tmp_path / "commands.jsonl"
    commands = buy("carol", 1_000, 1_500_000), CancelOrder("alice", 1)
    file.write_bytes(b"\n\n".join(map(encode_command, commands)))
    lines = printed(path, "--insert", 6, file).splitlines()
    assert lines[:4] == [
        "replayed seq 7 to 13 twice: 0 commands dropped, 2 commands inserted",
        f"  {file}:1: order 2 accepted, 1.0 @ 1.50 traded with alice's order 1",
        f"  {file}:3: refused: Order already cancelled or filled (order_already_filled)",
        "1 command with another outcome",
    ]
    assert lines[7:9] == [
        "    real    order 2 accepted, 1.0 @ 1.50 traded with alice's order 1",
        "    edited  order 3 accepted",
    ]
    assert cash_of(compare(path, Edits(inserts={6: inserted(*commands)}))) == {"bob": 1_500_000, "carol": -1_500_000}


def test_a_repeated_order_is_placed_if_its_first_placing_is_dropped(tmp_path: Path) -> None:
    """Commands that name the first order then mean the repeated one."""
    path = tmp_path / "exchange.db"
    one = buy("alice", 1_000, 1_500_000, client_order_id="one")
    write_journal(path, history(buy("bob", 500, 1_400_000), one, one, EditOrder("alice", 2, None, 1_600_000)))
    found = compare(path, Edits([(7, 7)]))
    assert (seqs(found.impossible), found.changed, found.users) == ([], 1, [])
    assert found.first_change is not None and found.first_change.seq == 8


def test_an_id_without_an_order_never_means_an_inserted_order(tmp_path: Path) -> None:
    """bob cancels order 2, which does not exist in reality. The inserted order 2 is not meant."""
    path = tmp_path / "exchange.db"
    write_journal(path, history(buy("bob", 500, 1_400_000), CancelOrder("bob", 2), buy("bob", 500, 1_300_000)))
    found = compare(path, Edits(inserts={6: inserted(buy("bob", 500, 1_350_000))}))
    assert (found.changed, found.possible, found.users) == (0, [], [])


STOP_LIMIT = PlaceTriggerOrder("bob", CALL, "bid", "stop_limit", "last_price", 2 * USDC, None, "gtc", 2 * USDC, 1_000)


def test_set_rules(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    orders = [sell("alice", 1_000, 1_500_000), buy("alice", 1_000, 1_500_000), buy("bob", 1_000, 1_500_000)]
    write_journal(path, history(*orders, sell("carol", 1_000, 1_500_000), sell("carol", 1_000, 1_500_000)))
    found = compare(path, Edits(rules=["self_trade_prevention=off"]))
    assert found.first_change is not None and found.first_change.seq == 7
    assert cash_of(found) == {"alice": 1_500_000, "carol": -1_500_000}
    found = compare(path, Edits(rules=["fees.maker_premium_ppm=1000", "fees.taker_premium_ppm=2000"]))
    assert found == compare(path, Edits(rules=["fees=1000/2000"]))
    assert cash_of(found) == {"alice": -1_500, "bob": -1_500, "carol": -6_000, "fees": 9_000}
    assert found.fees_micros.difference == 9_000
    assert seqs(compare(path, Edits(rules=["open_orders_max=0"])).impossible) == [6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "commands.jsonl:2: Input data was truncated"),
        ('{"kind":"place"}', "commands.jsonl:2: Invalid value 'place'"),
        ('{"kind":"deposit","user_id":"bob"}', "missing required field `amount_micros`"),
        ('{"kind":"genesis"}', "commands.jsonl:2: a genesis can only be the first command"),
        (encode_command(replace(buy("bob", 1, 1), price_micros=None)).decode(), "a limit order needs price_micros"),
        (
            encode_command(replace(buy("bob", 1, None), time_in_force="gtc")).decode(),
            "a market order must be ioc",
        ),
        (encode_command(replace(STOP_LIMIT, time_in_force="fok", post_only=True)).decode(), "must be gtc or day"),
        (encode_command(replace(STOP_LIMIT, reprices=True)).decode(), "set post_only too"),
        (encode_command(buy("alice", 1_000, 1_500_000, reprices=True)).decode(), "set post_only too"),
        (
            encode_command(buy("alice", 1_000, 1_500_000, time_in_force="ioc", display_milli=100)).decode(),
            "must be able to rest: gtc or day",
        ),
        (encode_command(replace(STOP_LIMIT, time_in_force="fok", display_milli=100)).decode(), "must be able to rest"),
        (
            encode_command(replace(buy("alice", 1_000, None), type="market_limit")).decode(),
            "a market_limit order must be gtc or day, and not post_only",
        ),
        (
            encode_command(buy("alice", 1_000, 1_500_000, time_in_force="ioc", post_only=True)).decode(),
            "must be gtc or day, because it must be able to rest",
        ),
        (encode_command(EndDay(START_US * 2)).decode(), "commands.jsonl:2: no exchange would record"),
    ],
)
def test_a_line_that_is_not_a_valid_command(path: Path, tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "commands.jsonl"
    file.write_text(encode_command(Deposit("bob", 5)).decode() + "\n" + line + "\n")
    text = complained(exchange("what-if", "--insert", 6, file, "--db", path), exit_code=2)
    assert message in " ".join(text.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "expected at least one change"),
        (("--drop", 1), "seq 1 is the genesis"),
        (("--drop", 14), "the compared history holds only seq 1 to 13"),
        (("--drop", "9-14"), "the compared history holds only seq 1 to 13"),
        (("--drop", 10, "--to", 9), "the compared history holds only seq 1 to 9"),
        (("--drop", "9-8"), "expected FIRST-LAST"),
        (("--drop", "x"), "is not a sequence number or a range"),
        (("--drop", "0"), "expected FIRST-LAST with 1 <= FIRST"),
        (("--set", "fees.x=1"), "with one of these names"),
        (("--set", "fees=1%"), "expected fees=MAKER/TAKER in parts per million"),
        (("--without", "zed"), "--without zed: there is no such account; known accounts: alice, bob, carol"),
        (("--insert", 6, "/nowhere"), "/nowhere cannot be read: No such file"),
    ],
)
def test_invalid_options(path: Path, options: tuple[object, ...], message: str) -> None:
    assert message in " ".join(complained(exchange("what-if", *options, "--db", path), exit_code=2).split())


def test_an_empty_file_and_an_unknown_seq(path: Path, tmp_path: Path) -> None:
    empty, file = tmp_path / "empty", tmp_path / "file"
    empty.write_text("\n")
    file.write_bytes(encode_command(Deposit("bob", 5)))
    assert "contains no command" in complained(exchange("what-if", "--insert", 6, empty, "--db", path), exit_code=2)
    text = complained(exchange("what-if", "--insert", 14, file, "--db", path), exit_code=2)
    assert "commands can be inserted after seq 1 to 13" in text


def random_traders(seed: int, count: int, by_id: bool = True) -> Iterator[tuple[int, Command]]:
    """Random orders, edits and cancellations in two options. They name orders by id or by client_order_id."""
    random = Random(seed)
    ts_us = START_US
    users = [f"trader-{n}" for n in range(6)]
    instrument_ids = [CALL, "SOL_USDC-28FEB26-150-P"]
    listings = [CreateInstrument(instrument_id, 10_000, 100) for instrument_id in instrument_ids]
    rules = Rules(fees=random.choice((Fees(), Fees(500, 1_000))))
    opening: list[Command] = [Genesis(rules), *listings, *(OpenAccount(user_id, 2_000 * USDC) for user_id in users)]
    placed: list[tuple[str, int, str]] = []
    # The engine shows which orders are accepted and so have an id.
    engine = Engine()
    for n in range(len(opening) + count):
        ts_us += random.choice((1, 1, 1_000))
        command = opening[n] if n < len(opening) else _trade(random, users, instrument_ids, placed, n)
        events, _ = engine.step(Record(n + 1, ts_us, "", b""), command)
        if isinstance(command, PlaceOrder) and events[0].__struct_config__.tag == "order_accepted":
            assert command.client_order_id is not None
            placed.append((command.user_id, engine.state.next_order_id - 1, command.client_order_id))
        if isinstance(command, EditOrder | CancelOrder) and by_id:
            (order_id,) = [order_id for _, order_id, key in placed if key == command.client_order_id]
            command = replace(command, order_id=order_id, client_order_id=None)
        yield ts_us, command


def _trade(
    random: Random, users: list[str], instrument_ids: list[str], placed: list[tuple[str, int, str]], n: int
) -> Command:
    user_id, kind = random.choice(users), random.randrange(20)
    if kind == 0:
        return random.choice((Deposit(user_id, 100 * USDC), Withdraw(user_id, 50 * USDC), CancelAll(user_id)))
    price = random.randint(1, 8) * 10_000
    if kind < 7 and placed:
        owner, _, key = random.choice(placed[-15:])
        if kind < 4:
            return CancelOrder(owner, None, key)
        return EditOrder(owner, None, key, price, random.choice((None, 500, 1_500)))
    side: Side = random.choice(("bid", "ask"))
    is_market = kind == 7
    return PlaceOrder(
        user_id,
        random.choice(instrument_ids),
        side,
        "market" if is_market else "limit",
        "ioc" if is_market else "gtc",
        None if is_market else price,
        random.choice((100, 1_000, 2_000)),
        client_order_id=f"key-{n}",
    )


def edits_of(seed: int, last: int) -> Edits:
    random = Random(seed)
    first = random.randint(30, last - 20)
    extra: list[Command] = [Deposit("trader-1", 7 * USDC), Withdraw("trader-2", USDC), CancelAll("trader-3")]
    choices = (
        Edits(drops=[(first, first + random.randrange(20))]),
        Edits(without=[f"trader-{random.randrange(6)}"]),
        Edits(inserts={first: inserted(*extra), first + 3: inserted(*extra)}),
        Edits(rules=[random.choice(("fees=700/300", "self_trade_prevention=off", "open_orders_max=2"))]),
        Edits([(first, first + 4)], ["trader-4"], {40: inserted(*extra)}, ["fees=100/5000"]),
    )
    return choices[seed % len(choices)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_differences_are_consistent(tmp_path: Path, seed: int) -> None:
    """Differences of cash come from deposits and withdrawals. Differences of positions sum to zero."""
    path = tmp_path / "exchange.db"
    real = write_journal(path, random_traders(seed, 400))
    found = compare(path, edits_of(seed, real.head.seq))
    assert found.changed > 0 or found.inserted
    cash = sum(user.cash_micros.difference for user in found.users)
    assert cash == found.total_cash_micros.difference
    without_fees = sum(user.cash_micros.difference for user in found.users if user.user_id != "fees")
    assert without_fees == found.total_cash_micros.difference - found.fees_micros.difference
    positions: dict[str, int] = {}
    for user in found.users:
        for instrument_id, pair in user.positions_milli.items():
            positions[instrument_id] = positions.get(instrument_id, 0) + pair.difference
    assert not any(positions.values())
    for user in found.users:
        account = real.views.account(user.user_id)
        assert user.total_pnl_micros.real == account.total_pnl_micros
        assert user.cash_micros.real == account.available_micros + account.locked_micros


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_orders_named_by_id_or_by_client_order_id_give_the_same_result(tmp_path: Path, seed: int) -> None:
    """An edited history shifts order ids but not client_order_ids, so both must lead to the same comparison."""
    by_id, by_key = tmp_path / "by_id.db", tmp_path / "by_key.db"
    last = write_journal(by_id, random_traders(seed, 400)).head.seq
    write_journal(by_key, random_traders(seed, 400, by_id=False))
    one, other = (compare(path, edits_of(seed, last)) for path in (by_id, by_key))
    assert one.users == other.users
    assert seqs(one.impossible) == seqs(other.impossible) and seqs(one.possible) == seqs(other.possible)
    assert one.changed == other.changed


def test_inserted_commands_act_as_if_they_had_been_recorded(tmp_path: Path) -> None:
    """Times rise strictly, although the real commands leave no time between them."""
    path, longer = tmp_path / "exchange.db", tmp_path / "longer.db"
    extra: list[Command] = [Deposit("bob", 9), buy("bob", 1_000, 1_400_000), CancelAll("carol")]
    steps = [(ts_us // USDC, command) for ts_us, command in history(*[buy("carol", 200, 1_300_000)] * 5)]
    write_journal(path, steps)
    with_extra = [*steps[:7], *((0, command) for command in extra), *steps[7:]]
    engine = write_journal(longer, [(START_US // USDC + n, command) for n, (_, command) in enumerate(with_extra, 1)])
    times: list[int] = []
    step = Engine.step

    def timed(engine: Engine, record: Record, command: Command) -> tuple[list[Event], Change]:
        times.append(record.ts_us)
        return step(engine, record, command)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "step", timed)
        found = compare(path, Edits(inserts={7: inserted(*extra)}))
    (bob,) = [user for user in found.users if user.user_id == "bob"]
    assert bob.cash_micros.edited == engine.state.accounts["bob"].cash_micros
    # After the fork both histories step in turn, beginning with the inserted commands.
    edited = times[7:]
    assert edited[:3] == [steps[6][0] + n for n in (1, 2, 3)]
    assert edited[3:] == [ts for n, (ts_us, _) in enumerate(steps[7:]) for ts in (ts_us, steps[6][0] + 4 + n)]


def test_what_if_writes_nothing(path: Path) -> None:
    def files() -> dict[str, str]:
        found = {file for file in path.parent.rglob("*") if file.is_file()}
        # SQLite makes these files next to every journal that is read.
        shared = {path.name + "-shm", path.name + "-wal"}
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in found if file.name not in shared}

    before = files()
    assert said_json(exchange("what-if", "--without", "bob", "--db", path, "--json"))["dropped"] == 3
    assert files() == before


@pytest.mark.slow
def test_an_archived_beginning(tmp_path: Path) -> None:
    """Archives are part of the history. Without them, only commands after them can be edited."""
    path = tmp_path / "exchange.db"
    write_journal(path, random_traders(3, 400))
    dropped = compare(path, Edits([(250, 260)]))
    fees = compare(path, Edits(rules=["fees=700/300"]))
    compact(path, 201, lambda sentence: None, lambda done, total: None)
    assert compare(path, Edits([(250, 260)])) == dropped
    assert compare(path, Edits(rules=["fees=700/300"])) == fees
    archive_folder(path).rename(tmp_path / "elsewhere")
    assert compare(path, Edits([(250, 260)])) == dropped
    assert compare(path, Edits([(201, 201)])).dropped == 1
    with pytest.raises(EditError, match="holds only seq 201 to "):
        compare(path, Edits([(200, 200)]))
    for edits in (Edits(rules=["fees=1/1"]), Edits(without=["trader-1"])):
        with pytest.raises(EditError, match="begins after seq 200, but --set and --without need it from its genesis"):
            compare(path, edits)


def test_the_day_ends_in_both_histories(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    day = buy("alice", 1_000, 1_500_000, time_in_force="day")
    listing = CreateInstrument("SOL_USDC-27MAR26-150-C", 10_000, 100)
    write_journal(path, history(day, listing, EndDay(next_day_end_us(START_US)), CancelOrder("alice", 1)))
    found = compare(path, Edits(inserts={7: inserted(sell("bob", 400, 1_500_000))}))
    assert seqs([change for change in (found.first_change,) if change is not None]) == [8]
    assert CALL in next(iter(found.users)).positions_milli


def test_fields_that_the_words_do_not_show_are_printed(tmp_path: Path) -> None:
    """Without bob's fill the edited order has more left. Both histories describe the edit in the same words."""
    path = tmp_path / "exchange.db"
    trades = sell("alice", 1_000, 1_500_000), buy("bob", 400, 1_500_000), EditOrder("alice", 1, None, 1_600_000)
    write_journal(path, history(*trades))
    assert """\
    real    order 1 edited to 1.0 @ 1.60
    edited  order 1 edited to 1.0 @ 1.60
    differs order 1: remaining 0.6, edited 1.0
    differs order 1: previous remaining 0.6, edited 1.0
""" in printed(path, "--drop", 7)
