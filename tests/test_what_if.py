"""The history with something changed: who ends with what, which outcome changes first, what becomes impossible."""

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
    Withdraw,
    encode_command,
)
from exchange.domain.enums import Side
from exchange.domain.events import Event
from exchange.domain.rules import Fees, Rules
from exchange.domain.units import next_day_end_us
from exchange.engine.engine import Engine
from exchange.history.compact import compact
from exchange.history.edits import EditError, Edits, Insertion
from exchange.history.moment import Moment
from exchange.history.what_if import Comparison, OutcomeChange, what_if
from exchange.journal.archives import archive_folder
from exchange.journal.records import Record
from exchange.projections.views import Change
from tests.cli_support import complained, exchange, said, said_json
from tests.journals import write_journal
from tests.small_market import CALL, START_US, USDC, buy, history, sell


def compare(path: Path, edits: Edits, moment: Moment = Moment()) -> Comparison:
    return what_if(path, edits, moment, lambda done, total: None)


def told(path: Path, *options: object) -> str:
    """What it prints, without the blanks that fill up a table."""
    return "".join(f"{line.rstrip()}\n" for line in said(exchange("what-if", *options, "--db", path)).splitlines())


def inserted(*commands: Command) -> list[Insertion]:
    return [Insertion(f"test:{number}", command) for number, command in enumerate(commands, 1)]


def seqs(changes: list[OutcomeChange]) -> list[int]:
    return [change.seq for change in changes]


def cash_of(found: Comparison) -> dict[str, int]:
    """By how much each user's cash is different, in micros; those for whom it is not are left out."""
    return {user.user_id: user.cash_micros.difference for user in found.users if user.cash_micros.difference}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """alice sells to bob; carol bids, and thinks better of it; alice would cancel and edit what is sold."""
    path = tmp_path / "exchange.db"
    steps = history(
        sell("alice", 1_000, 1_500_000),  # seq 6, order 1
        buy("bob", 1_000, 1_600_000),  # order 2
        buy("carol", 1_000, 1_400_000),  # order 3
        EditOrder("carol", 3, None, 1_450_000),
        CancelOrder("carol", 3),
        CancelOrder("alice", 1),
        sell("bob", 1_000, 1_700_000),  # order 4
        EditOrder("alice", 1, None, 1_800_000),
    )
    write_journal(path, steps)
    return path


def test_a_command_is_dropped(path: Path) -> None:
    """The orders after it have other ids, and whoever names them still means the same ones."""
    assert (
        told(path, "--drop", 6)
        == """\
replayed seq 6 to 13 twice: 1 command dropped, 0 commands inserted
3 commands with another outcome

first difference:
       7  2026-02-20T00:00:07.000000Z  place_order        bob         SOL_USDC-28FEB26-150-C     bid 1 @ 1.60 gtc
    real    order 2 accepted, 1 @ 1.50 traded with alice's order 1
    edited  order 1 accepted

user        cash     edited   difference   profit   edited   difference   fills   edited   difference
─────────────────────────────────────────────────────────────────────────────────────────────────────
alice   1,001.50   1,000.00        -1.50     0.00     0.00         0.00       1        0           -1
bob       998.50   1,000.00        +1.50     0.00     0.00         0.00       1        0           -1
total   3,000.00   3,000.00         0.00

user    position                 contracts   edited   difference
────────────────────────────────────────────────────────────────
alice   SOL_USDC-28FEB26-150-C          -1        0           +1
bob     SOL_USDC-28FEB26-150-C           1        0           -1
"""
    )


def test_what_becomes_impossible_is_listed(path: Path) -> None:
    assert (
        told(path, "--drop", 8)
        == """\
replayed seq 8 to 13 twice: 1 command dropped, 0 commands inserted
2 commands with another outcome

first difference:
       9  2026-02-20T00:00:09.000000Z  edit_order         carol                                  order_id=3 price=1.45
    real    order 3 edited to 1 @ 1.45
    edited  refused: Order not found (order_not_found)

accepted in the real history, refused in the edited one:
       9  2026-02-20T00:00:09.000000Z  edit_order         carol                                  order_id=3 price=1.45
    real    order 3 edited to 1 @ 1.45
    edited  refused: Order not found (order_not_found)
      10  2026-02-20T00:00:10.000000Z  cancel_order       carol                                  order_id=3
    real    carol's order 3 cancelled (user_request)
    edited  refused: Order not found (order_not_found)

all accounts end with the same cash and the same positions
"""
    )


def test_nothing_changes(path: Path) -> None:
    assert told(path, "--drop", 11) == (
        "replayed seq 11 to 13 twice: 1 command dropped, 0 commands inserted\n"
        "no other command has another outcome, and all accounts end the same\n"
    )
    assert compare(path, Edits(drops=[(11, 11), (13, 13)])).is_same
    assert compare(path, Edits(rules=["fees=0/0"])).is_same
    assert compare(path, Edits()).is_same
    assert not compare(path, Edits(drops=[(7, 7)])).is_same


def test_a_user_never_was(path: Path) -> None:
    found = compare(path, Edits(without=["bob"]))
    assert found.dropped == 3
    assert cash_of(found) == {"alice": -1_500_000, "bob": -998_500_000}
    assert found.total_cash_micros.difference == -1_000 * USDC
    assert seqs(found.possible) == [11]  # what alice had sold is still hers to cancel
    assert found.impossible == []


def test_ranges_and_several_options_at_once(path: Path) -> None:
    assert told(path, "--drop", "6-7", "--drop", "12") == told(path, "--drop", 12, "--drop", 7, "--drop", 6)
    found = compare(path, Edits([(9, 10)], ["alice"], {5: inserted(Deposit("bob", 5))}, ["fees=10/10"]))
    assert (found.dropped, len(found.inserted)) == (6, 1)
    assert found.fork_seq == 0


def test_only_up_to_a_moment(path: Path) -> None:
    assert told(path, "--drop", 8, "--to", 9).startswith("replayed seq 8 to 9 twice: ")
    assert told(path, "--drop", 8, "--to", 9) == told(path, "--drop", 8, "--to", "2026-02-20T00:00:09.5Z")
    assert seqs(compare(path, Edits([(8, 8)]), Moment(9)).impossible) == [9]


def test_commands_are_inserted(path: Path, tmp_path: Path) -> None:
    """carol is quicker than bob, whose order then rests; alice's cancellation names her order as it is in reality."""
    file = tmp_path / "commands.jsonl"
    commands = buy("carol", 1_000, 1_500_000), CancelOrder("alice", 1)
    file.write_bytes(b"\n\n".join(map(encode_command, commands)))
    lines = told(path, "--insert", 6, file).splitlines()
    assert lines[:4] == [
        "replayed seq 7 to 13 twice: 0 commands dropped, 2 commands inserted",
        f"  {file}:1: order 2 accepted, 1 @ 1.50 traded with alice's order 1",
        f"  {file}:3: refused: Order already cancelled or filled (order_already_filled)",
        "1 command with another outcome",
    ]
    assert lines[7:9] == [
        "    real    order 2 accepted, 1 @ 1.50 traded with alice's order 1",
        "    edited  order 3 accepted",
    ]
    assert cash_of(compare(path, Edits(inserts={6: inserted(*commands)}))) == {"bob": 1_500_000, "carol": -1_500_000}


def test_an_order_is_sent_again_where_its_first_placing_is_gone(tmp_path: Path) -> None:
    """Then that is the order, and whoever names the first means it."""
    path = tmp_path / "exchange.db"
    one = buy("alice", 1_000, 1_500_000, client_order_id="one")
    write_journal(path, history(buy("bob", 500, 1_400_000), one, one, EditOrder("alice", 2, None, 1_600_000)))
    found = compare(path, Edits([(7, 7)]))
    assert (seqs(found.impossible), found.changed, found.users) == ([], 1, [])
    assert found.first_change is not None and found.first_change.seq == 8


def test_a_name_that_leads_nowhere_never_meets_another_order(tmp_path: Path) -> None:
    """In reality there was no order 2 when bob cancelled it; an inserted order with that number is not meant."""
    path = tmp_path / "exchange.db"
    write_journal(path, history(buy("bob", 500, 1_400_000), CancelOrder("bob", 2), buy("bob", 500, 1_300_000)))
    found = compare(path, Edits(inserts={6: inserted(buy("bob", 500, 1_350_000))}))
    assert (found.changed, found.possible, found.users) == (0, [], [])


def test_other_rules(tmp_path: Path) -> None:
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
        ('{"kind":"genesis"}', "commands.jsonl:2: a genesis comes first or not at all"),
        (encode_command(replace(buy("bob", 1, 1), price_micros=None)).decode(), "a limit order has price_micros"),
        (encode_command(replace(buy("bob", 1, None), time_in_force="gtc")).decode(), "a market order is ioc or fok"),
        (encode_command(EndDay(START_US * 2)).decode(), "commands.jsonl:2: no exchange would have recorded"),
    ],
)
def test_a_file_whose_line_is_no_command(path: Path, tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "commands.jsonl"
    file.write_text(encode_command(Deposit("bob", 5)).decode() + "\n" + line + "\n")
    text = complained(exchange("what-if", "--insert", 6, file, "--db", path), exit_code=2)
    assert message in " ".join(text.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "expected at least one change"),
        (("--drop", 1), "seq 1 is the genesis"),
        (("--drop", 14), "the history compared holds seq 1 to 13"),
        (("--drop", "9-14"), "the history compared holds seq 1 to 13"),
        (("--drop", 10, "--to", 9), "the history compared holds seq 1 to 9"),
        (("--drop", "9-8"), "expected FIRST-LAST"),
        (("--drop", "x"), "is not a sequence number or a range"),
        (("--drop", "0"), "expected FIRST-LAST with 1 <= FIRST"),
        (("--set", "fees.x=1"), "with one of these names"),
        (("--set", "fees=1%"), "write fees=MAKER/TAKER in parts per million"),
        (("--without", "zed"), "--without zed: there is no such account up to here, only alice, bob, carol"),
        (("--insert", 6, "/nowhere"), "/nowhere cannot be read: No such file"),
    ],
)
def test_misuse(path: Path, options: tuple[object, ...], message: str) -> None:
    assert message in " ".join(complained(exchange("what-if", *options, "--db", path), exit_code=2).split())


def test_an_empty_file_and_a_seq_that_is_not_there(path: Path, tmp_path: Path) -> None:
    empty, file = tmp_path / "empty", tmp_path / "file"
    empty.write_text("\n")
    file.write_bytes(encode_command(Deposit("bob", 5)))
    assert "holds no command" in complained(exchange("what-if", "--insert", 6, empty, "--db", path), exit_code=2)
    text = complained(exchange("what-if", "--insert", 14, file, "--db", path), exit_code=2)
    assert "commands can come after seq 1 to 13" in text


def random_traders(seed: int, count: int, by_id: bool = True) -> Iterator[tuple[int, Command]]:
    """On two options, orders, edits and cancellations that name orders by id, or by key."""
    random = Random(seed)
    ts_us = START_US
    users = [f"trader-{n}" for n in range(6)]
    instrument_ids = [CALL, "SOL_USDC-28FEB26-150-P"]
    listings = [CreateInstrument(instrument_id, 10_000, 100) for instrument_id in instrument_ids]
    rules = Rules(fees=random.choice((Fees(), Fees(500, 1_000))))
    opening: list[Command] = [Genesis(rules), *listings, *(OpenAccount(user_id, 2_000 * USDC) for user_id in users)]
    placed: list[tuple[str, int, str]] = []
    engine = Engine()  # knows which orders are accepted, and so have an id
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


@pytest.mark.parametrize("seed", range(20))
def test_differences_add_up(tmp_path: Path, seed: int) -> None:
    """All cash that is different was paid in or out differently; what one holds less of, others hold more of."""
    path = tmp_path / "exchange.db"
    real = write_journal(path, random_traders(seed, 400))
    found = compare(path, edits_of(seed, real.head.seq))
    assert found.changed > 0 or found.inserted
    cash = sum(user.cash_micros.difference for user in found.users)
    assert cash == found.total_cash_micros.difference
    without_fees = sum(user.cash_micros.difference for user in found.users if user.user_id != "fees")
    assert without_fees == found.total_cash_micros.difference - found.fees_micros.difference
    held: dict[str, int] = {}
    for user in found.users:
        for instrument_id, pair in user.positions_milli.items():
            held[instrument_id] = held.get(instrument_id, 0) + pair.difference
    assert not any(held.values())
    for user in found.users:
        account = real.views.account(user.user_id)
        assert user.total_pnl_micros.real == account.total_pnl_micros
        assert user.cash_micros.real == account.available_micros + account.locked_micros


@pytest.mark.parametrize("seed", range(20))
def test_orders_named_by_id_are_those_named_by_key(tmp_path: Path, seed: int) -> None:
    """The same market twice, where cancellations and edits name orders by id, and where they name them by a key that
    nothing shifts: the same edit comes to the same end."""
    by_id, by_key = tmp_path / "by_id.db", tmp_path / "by_key.db"
    last = write_journal(by_id, random_traders(seed, 400)).head.seq
    write_journal(by_key, random_traders(seed, 400, by_id=False))
    one, other = (compare(path, edits_of(seed, last)) for path in (by_id, by_key))
    assert one.users == other.users
    assert seqs(one.impossible) == seqs(other.impossible) and seqs(one.possible) == seqs(other.possible)
    assert one.changed == other.changed


def test_what_is_inserted_is_played_as_if_it_had_been_there(tmp_path: Path) -> None:
    """And times rise strictly, though in reality nothing would have fitted between."""
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
    edited = times[
        7:
    ]  # after the fork both histories take turns; those of the edited one are those that are inserted too
    assert edited[:3] == [steps[6][0] + n for n in (1, 2, 3)]
    assert edited[3:] == [ts for n, (ts_us, _) in enumerate(steps[7:]) for ts in (ts_us, steps[6][0] + 4 + n)]


def test_nothing_is_written(path: Path) -> None:
    def files() -> dict[str, str]:
        found = {file for file in path.parent.rglob("*") if file.is_file()}
        shared = {path.name + "-shm", path.name + "-wal"}  # SQLite's own, beside every journal that somebody reads
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in found if file.name not in shared}

    before = files()
    assert said_json(exchange("what-if", "--without", "bob", "--db", path, "--json"))["dropped"] == 3
    assert files() == before


def test_where_the_beginning_is_archived(tmp_path: Path) -> None:
    """The archives count as history; without them it begins later, and only what came then can be different."""
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
    with pytest.raises(EditError, match="holds seq 201 to "):
        compare(path, Edits([(200, 200)]))
    for edits in (Edits(rules=["fees=1/1"]), Edits(without=["trader-1"])):
        with pytest.raises(EditError, match="begins after seq 200, and --set and --without need it from its genesis"):
            compare(path, edits)


def test_a_day_that_ends_in_both(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    day = buy("alice", 1_000, 1_500_000, time_in_force="day")
    listing = CreateInstrument("SOL_USDC-27MAR26-150-C", 10_000, 100)
    write_journal(path, history(day, listing, EndDay(next_day_end_us(START_US)), CancelOrder("alice", 1)))
    found = compare(path, Edits(inserts={7: inserted(sell("bob", 400, 1_500_000))}))
    assert seqs([change for change in (found.first_change,) if change is not None]) == [8]
    assert CALL in next(iter(found.users)).positions_milli
