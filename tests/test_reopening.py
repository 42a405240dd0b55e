"""The phases in which the market reopens: in the state, in the history at every moment and in the shell.

The conversation tests/sessions/reopening.txt has them on the wire.
"""

import re
from contextlib import closing
from pathlib import Path

import pytest

from exchange.domain.commands import (
    ChangeRules,
    Command,
    CreateInstrument,
    EndDay,
    EndSession,
    Genesis,
    SetHalt,
    SetIndexPrice,
    StartSession,
)
from exchange.domain.rules import Market, Rules, SettlementRules
from exchange.engine.recovery import replay, restore_base
from exchange.history.compact import compact
from exchange.history_db.file import open_history
from exchange.history_db.past_views import PastViews
from exchange.history_db.update import update_history
from exchange.journal.opening import open_journal_reader
from tests.cli_support import exchange, said, said_json
from tests.journals import write_journal

START_US = 1_771_545_600_000_000
SECOND_US = 1_000_000
RULES = Rules(market=Market(index_age_max_s=0, settlement=SettlementRules(post_only_s=30)))
WITHOUT = Rules(market=Market(index_age_max_s=0))
START, END = StartSession("test"), EndSession()
DAY = EndDay(START_US, is_before_start=True)
SOL, ETH = SetIndexPrice("SOL", 150_000_000), SetIndexPrice("ETH", 4_000_000_000)
# Each with the time since the one before, in seconds, and the phases after it: the assets that can only cancel, and
# those with a time of post-only orders.
STORY: list[tuple[int, Command, str]] = [
    (0, Genesis(RULES, 2), ""),
    (1, CreateInstrument("SOL_USDC-28FEB26-150-C", 10_000, 100), ""),
    (1, CreateInstrument("ETH_USDC-28FEB26-4000-C", 10_000, 100), ""),
    (1, START, ""),
    (1, SOL, ""),
    (1, SetHalt(True), ""),
    (1, SetHalt(False), "SOL cancel"),
    (1, ETH, "SOL cancel"),
    (1, SOL, "SOL post-only"),
    (29, ETH, "SOL post-only"),
    (1, ETH, ""),
    (1, START, "SOL cancel, ETH cancel"),
    (1, ETH, "SOL cancel, ETH post-only"),
    (1, ChangeRules(WITHOUT), ""),
    (1, ChangeRules(RULES), "SOL cancel, ETH post-only"),
    (1, END, ""),
    (1, DAY, ""),
    (1, START, ""),
    (1, DAY, "SOL cancel, ETH cancel"),
    (1, SetHalt(True), "SOL cancel, ETH cancel"),
    (1, SetHalt(False), "SOL cancel, ETH cancel"),
    (1, SOL, "SOL post-only, ETH cancel"),
]


def steps() -> list[tuple[int, Command]]:
    ts_us, found = START_US, []
    for seconds, command, _ in STORY:
        ts_us += seconds * SECOND_US
        found.append((ts_us, command))
    return found


def text_of(phases: dict[str, int]) -> str:
    return ", ".join(f"{asset} {'post-only' if until_us else 'cancel'}" for asset, until_us in phases.items())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "exchange.db"
    write_journal(found, steps())
    return found


def _update(path: Path) -> None:
    update_history(path, lambda sentence: None, lambda *_: None)


def test_the_phases_follow_halts_crashes_and_index_prices(path: Path) -> None:
    seen: list[str] = []
    write_journal(path.with_name("again.db"), steps(), seen=lambda engine: seen.append(text_of(engine.reopening())))
    assert seen == [phases for _, _, phases in STORY]


def test_the_history_has_the_phases_of_every_moment(path: Path) -> None:
    _update(path)
    with open_journal_reader(path) as reader, closing(open_history(path)) as connection:
        engine = restore_base(reader, 0)
        for record in reader.records(engine.head):
            replay(engine, record)
            assert PastViews(connection, record.seq).reopening == engine.reopening(), record


@pytest.mark.parametrize("seq", [8, 10, 13, 14, 17, 20])
def test_a_history_that_begins_in_the_middle_has_them_too(path: Path, seq: int) -> None:
    compact(path, seq, lambda sentence: None, lambda *_: None)
    for archive in path.with_name("exchange.db.archives").iterdir():
        archive.unlink()
    _update(path)
    with open_journal_reader(path) as reader, closing(open_history(path)) as connection:
        engine = restore_base(reader, seq - 1)
        assert PastViews(connection, seq - 1).reopening == engine.reopening()
        for record in reader.records(engine.head):
            replay(engine, record)
            assert PastViews(connection, record.seq).reopening == engine.reopening(), record


def test_the_state_in_the_shell_tells_them(path: Path) -> None:
    text = said(exchange("state", "--db", path))
    assert re.search(r"^reopening SOL  post-only until 2026-02-20T00:01:19", text, re.MULTILINE)
    assert re.search(r"^reopening ETH  cancel-only until the next index price$", text, re.MULTILINE)
    assert said_json(exchange("state", "--db", path, "--json"))["reopening"][1] == {
        "asset": "ETH",
        "phase": "cancel_only",
        "until_us": None,
    }
    assert "reopening" not in said(exchange("state", "--db", path, "--at", 5))
