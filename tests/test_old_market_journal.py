"""The journal of a market that version 0.1.0 left behind reads as it did then: proofs, past moments, SQL, commands.

The fixture holds two server runs (seq 1 to 340 and 341 to 524) and one archive (seq 1 to 239) next to the journal.
`dump.json.gz` holds the answers of the program that wrote it.
"""

import asyncio
import gzip
import hashlib
import json
import sqlite3
from contextlib import closing
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.engine.engine import STATE_SUBJECT, Engine
from exchange.history.moment import Moment, engine_at
from exchange.history.verify import verify
from exchange.journal.opening import open_journal_reader, open_journal_writer
from tests.cli_support import exchange, said_json
from tests.history_sql import open_past

FIXTURE = Path(__file__).parent / "old_market"
# Fields of JSON output that describe the file or the program rather than the recorded market.
OF_THE_FILE = ("schema", "size_bytes", "promise")
# Fields of JSON output that the release that wrote the market did not have.
ADDED = ("expected", "last_hash", "genesis_hash", "storage", "history_rows", "history_seq", "reopening")
# Fields of an account that it did not have.
ADDED_TO_ACCOUNTS = ("greeks",)
# Checks that the release that wrote the market did not have.
ADDED_CHECKS = ("losses_are_shared_pro_rata",)
# Fields of JSON output that told about events that were not recorded yet.
REMOVED = ("events_behind", "commands_without_events")

# The decoded commands of the old program, without the columns that it took from events.
DECODED_SHA256 = "a5f83265304f4e269e312b5b50bd01c7ca9a90d1dc1ca1dbc870afefbf1e6fd5"


def unpack(folder: Path) -> Path:
    """Write the journal and its archive into the folder as the exchange left them. Returns the path of the journal."""
    for packed in sorted(FIXTURE.rglob("*.db.gz")):
        file = folder / packed.relative_to(FIXTURE).with_suffix("")
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(gzip.decompress(packed.read_bytes()))
    return folder / "market.db"


def open_once_for_writing(path: Path) -> None:
    """Open the journal as a server does, which applies new migrations and views."""

    async def open_and_close() -> None:
        await (await open_journal_writer(path)).close()

    asyncio.run(open_and_close())


@pytest.fixture(scope="module")
def dump() -> dict[str, Any]:
    """The answers of the old program."""
    found: dict[str, Any] = json.loads(gzip.decompress((FIXTURE / "dump.json.gz").read_bytes()))
    return found


@pytest.fixture(params=["as it was left", "opened for writing"], scope="module")
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old journal, before and after this program has opened it for writing."""
    journal = unpack(tmp_path_factory.mktemp("old_market"))
    if request.param == "opened for writing":
        open_once_for_writing(journal)
    return journal


def no_progress(done: int, total: int) -> None:
    pass


def plain(value: Any) -> Any:
    """The value as a client decodes it from JSON."""
    return msgspec.json.decode(msgspec.json.encode(value))


def moment_at(path: Path, seq: int, events_digest: str) -> dict[str, Any]:
    """Everything that the dump tells about the exchange after command `seq`."""
    engine = engine_at(path, Moment(seq), no_progress)
    return {
        "seq": engine.head.seq,
        "ts_us": engine.head.ts_us,
        "hash": engine.head.hash.hex(),
        "events_digest": events_digest,
        "state_digest": engine.digest(),
        "users": {user_id: user_in(engine, user_id) for user_id in engine.views.balances.users},
    }


def user_in(engine: Engine, user_id: str) -> dict[str, Any]:
    """The cash of a user, the account with its positions, and the open orders, as the protocol tells them."""
    account = without_added(plain(engine.views.account(user_id)))
    return {
        "cash": account["available"] + account["locked"],
        "account": account,
        "open_orders": plain(engine.views.orders.open_orders(user_id)),
    }


def events_digests(path: Path, seqs: list[int]) -> dict[int, str]:
    """By seq, the SHA-256 of the recorded events of all commands up to it, each event ended by a line feed."""
    found: dict[int, str] = {}
    digest, done = hashlib.sha256(), 0
    with open_journal_reader(path) as reader:
        for seq in seqs:
            for _, _, payload in reader.events(done + 1, seq):
                digest.update(f"{payload}\n".encode())
            found[seq], done = digest.hexdigest(), seq
    return found


def view_in(connection: sqlite3.Connection, view: str, columns: list[str]) -> dict[str, Any]:
    """These columns of a view, the number of its rows, and a SHA-256 of the rows as sorted JSON."""
    cursor = connection.execute(f"SELECT {', '.join(columns)} FROM {view}")
    rows = sorted(json.dumps(row, separators=(",", ":"), default=bytes.hex) for row in cursor)
    text = "".join(f"{row}\n" for row in rows)
    return {"columns": columns, "rows": len(rows), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def without_the_file(value: Any) -> Any:
    """JSON output without the fields that describe the file or the program, and without added ones."""
    match value:
        case dict():
            ignored = (*OF_THE_FILE, *ADDED, *REMOVED)
            kept = without_added(value).items()
            return {name: without_the_file(inner) for name, inner in kept if name not in ignored}
        case list():
            return [without_the_file(inner) for inner in value if not _is_added(inner)]
        case _:
            return value


def without_added(value: dict[str, Any]) -> dict[str, Any]:
    """An account without its added fields; any other object as it is."""
    is_account = "total_pnl" in value and "limits" in value
    return {name: inner for name, inner in value.items() if not is_account or name not in ADDED_TO_ACCOUNTS}


def _is_added(value: Any) -> bool:
    return isinstance(value, dict) and value.get("check") in ADDED_CHECKS


def as_now(said: Any) -> Any:
    """What the old program said, with positions in the order of their instruments, and no mark of an expired one."""
    match said:
        case {"positions": list(positions)}:
            others = {name: as_now(value) for name, value in said.items() if name != "positions"}
            return others | {"positions": sorted(positions, key=itemgetter("instrument_id"))}
        case {"state": "expired", "mark": _}:
            return said | {"mark": None}
        case dict():
            return {name: as_now(value) for name, value in said.items()}
        case list():
            return [as_now(value) for value in said]
        case _:
            return said


def test_it_verifies(path: Path, dump: dict[str, Any]) -> None:
    verdict = verify(path, False, no_progress)
    assert (verdict.damage, verdict.notes) == (None, [])
    assert (verdict.first_seq, verdict.commands, verdict.events) == (1, dump["commands"], dump["events"])
    assert (verdict.digests, verdict.snapshots) == (len(dump["recorded_digests"]), 1)
    assert verdict.digest == dump["moments"][-1]["state_digest"]


def test_its_digests_are_the_same(path: Path, dump: dict[str, Any]) -> None:
    with open_journal_reader(path) as reader:
        assert [list(row) for row in reader.digests()] == dump["recorded_digests"]
    assert {subject for _, subject, _ in dump["recorded_digests"]} == {STATE_SUBJECT}
    expected = {moment["seq"]: moment["events_digest"] for moment in dump["moments"]}
    assert events_digests(path, list(expected)) == expected


@pytest.mark.slow
def test_its_past_moments_are_the_same(path: Path, dump: dict[str, Any]) -> None:
    """Cash, positions, open orders and the digest of the state, in the archive and in the journal."""
    assert len(dump["moments"]) == 20
    for expected in dump["moments"]:
        assert moment_at(path, expected["seq"], expected["events_digest"]) == as_now(expected), expected["seq"]


def test_its_views_are_the_same(path: Path, dump: dict[str, Any]) -> None:
    """The old columns have the same rows in the history, over archive and journal together."""
    with closing(open_past(path)) as connection:
        for view, expected in dump["views"]["whole"].items():
            assert view_in(connection, view, expected["columns"]) == expected, view


def test_its_commands_can_be_read_with_sqlite_alone(path: Path, dump: dict[str, Any]) -> None:
    """The view of the runs is the same in the journal file alone, and the decoded commands lack what events told."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        expected = dump["views"]["alone"]
        columns = expected["sessions"]["columns"]
        assert view_in(connection, "sessions", columns) == expected["sessions"]
        lost = {"order_id", "outcome", "reason"}
        columns = [column for column in expected["commands_decoded"]["columns"] if column not in lost]
        found = view_in(connection, "commands_decoded", columns)
    assert found["rows"] == expected["commands_decoded"]["rows"]
    assert found["sha256"] == DECODED_SHA256


@pytest.mark.slow
def test_the_command_line_says_the_same(path: Path, dump: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON output of the commands that read a journal, apart from schema number, file size and texts of checks."""
    monkeypatch.chdir(path.parent)
    for said in dump["cli"]:
        printed = said_json(exchange(*said["arguments"]))
        if "state" in said["arguments"]:
            printed |= {"digest": said_json(exchange(*said["arguments"], "--digest"))["digest"]}
        assert without_the_file(printed) == without_the_file(as_now(said["printed"])), said["arguments"]
