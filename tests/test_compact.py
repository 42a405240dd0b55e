"""Compaction: the journal shrinks, the state stays the same, and every past moment can still be read."""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from exchange.cli.client import RunningExchange, log_in
from exchange.cli.main import main
from exchange.engine.engine import STATE_SUBJECT, Engine
from exchange.engine.recovery import recover
from exchange.history import compact as compaction
from exchange.history.compact import compact
from exchange.history.moment import Moment, UnknownMomentError, engine_at
from exchange.journal.archives import archive_folder
from exchange.journal.errors import JournalArchivedError, JournalDamagedError, JournalError, JournalLockedError
from exchange.journal.lock import JournalLock
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head
from exchange.matching.state_codec import digest
from exchange.projections.views_codec import encode_views
from tests.journals import play
from tests.old_archives import compact_into_journal
from tests.test_recovery import INSTRUMENT, server

SEQS = (1, 99, 100, 101, 150, 249, 250, 251, 400)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "exchange.db"


def say_nothing(_sentence: str) -> None:
    pass


def no_bar(_done: int, _total: int) -> None:
    pass


def image(engine: Engine) -> tuple[Head, str, bytes]:
    return engine.head, digest(engine.state), encode_views(engine.views)


def rows(path: Path) -> tuple[list[object], list[object]]:
    """All rows that can be read, archives included."""
    with open_journal_reader(path) as reader:
        return list(reader.records(reader.bases[0].head)), list(reader.events(1, 400))


@pytest.mark.slow
@pytest.mark.parametrize("is_first_old", [False, True], ids=["two archives", "an old archive and a new one"])
def test_compaction_loses_nothing(is_first_old: bool, path: Path) -> None:
    """After two compactions, with old events that a crash cut off, all rows, all moments and the start are the same."""
    live: list[tuple[Head, str, bytes]] = [image(Engine())]
    play(path, seed=3, snapshots_at=(150,), events_up_to=390, seen=lambda engine: live.append(image(engine)))
    commands, _ = rows(path)
    with open_journal_reader(path) as reader:
        events = list(reader.events(1, 400))
    if is_first_old:
        compact_into_journal(path, 101)
    else:
        compact(path, 101, say_nothing, no_bar)
    done = compact(path, 251, say_nothing, no_bar)
    assert (done.first_seq, done.last_seq) == (101, 250)
    assert rows(path) == (commands, events)
    for seq in SEQS:
        assert image(engine_at(path, Moment(seq), no_bar)) == live[seq]
        assert image(recover(path, say_nothing, no_bar, seq, use_snapshots=False).engine) == live[seq]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT min(seq), max(seq) FROM commands").fetchone() == (251, 400)


def test_an_archive_of_an_earlier_version_is_a_complete_journal(path: Path) -> None:
    live: list[tuple[Head, str, bytes]] = [image(Engine())]
    play(path, seed=4, seen=lambda engine: live.append(image(engine)))
    compact_into_journal(path, 101)
    archive = compact_into_journal(path, 251)
    alone = path.parent / "elsewhere.db"
    shutil.copy(archive, alone)
    assert image(recover(alone, say_nothing, no_bar).engine) == live[250]
    with open_journal_reader(alone) as reader:
        assert list(reader.digests()) == [(250, STATE_SUBJECT, live[250][1])]
        assert [record.seq for record in reader.records(reader.bases[0].head)] == list(range(101, 251))


def test_start_without_the_archive_and_error_of_past_queries(path: Path) -> None:
    live = play(path, seed=5)
    compact(path, 251, say_nothing, no_bar)
    shutil.move(archive_folder(path), path.parent / "away")
    assert image(recover(path, say_nothing, no_bar).engine) == image(live)
    assert engine_at(path, Moment(250), no_bar).head.seq == 250
    with pytest.raises(UnknownMomentError, match=r"no seq 249 in .*: it holds seq 250 to 400"):
        engine_at(path, Moment(249), no_bar)
    with (
        open_journal_reader(path) as reader,
        pytest.raises(JournalArchivedError, match=r"up to seq 250 .* put the archive back"),
    ):
        next(reader.records(Head()))
    with pytest.raises(JournalArchivedError, match="begins after seq 250"):
        recover(path, say_nothing, no_bar, up_to=100)


@pytest.mark.slow
def test_archive_of_another_journal_is_reported(path: Path, tmp_path: Path) -> None:
    play(path, seed=6)
    other = tmp_path / "other.db"
    play(other, seed=7)
    mine = compact(path, 251, say_nothing, no_bar).archive
    shutil.copy(compact(other, 251, say_nothing, no_bar).archive, mine.with_suffix(".copy"))
    mine.with_suffix(".copy").replace(mine)
    with pytest.raises(JournalDamagedError, match="is an archive of another journal: it does not end with seq 250"):
        open_journal_reader(path)


@pytest.mark.parametrize("before_seq", [0, 1, 401, 500])
def test_empty_archive_or_journal_is_refused(path: Path, before_seq: int) -> None:
    play(path)
    before = path.read_bytes()
    with pytest.raises(JournalError, match="--before must be from 2 to 400"):
        compact(path, before_seq, say_nothing, no_bar)
    assert path.read_bytes() == before
    assert not archive_folder(path).exists()


def test_running_exchange_prevents_compaction(path: Path) -> None:
    play(path)
    with JournalLock(path), pytest.raises(JournalLockedError):
        compact(path, 100, say_nothing, no_bar)


@pytest.fixture(params=["write_archive", "sync_folder", "continue_from"])
def failing_step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(compaction, request.param, fail)
    yield
    monkeypatch.undo()


def test_crash_during_compaction_leaves_the_journal_unchanged(
    path: Path, failing_step: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(path)
    before = rows(path)
    with pytest.raises(KeyboardInterrupt):
        compact(path, 251, say_nothing, no_bar)
    assert rows(path) == before
    monkeypatch.undo()
    compact(path, 251, say_nothing, no_bar)  # and once more, over what was left
    assert rows(path) == before
    assert [file.suffix for file in archive_folder(path).iterdir()] == [".archive"]


def test_only_archived_commands_can_be_deleted(path: Path) -> None:
    play(path)
    compact(path, 251, say_nothing, no_bar)
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.Error, match="never deleted"):
        connection.execute("DELETE FROM commands WHERE seq = 251")


@pytest.mark.slow
def test_exchange_continues_after_compaction(path: Path) -> None:
    """Trade, stop, compact at the terminal, start again, trade on: orders and numbers continue."""

    def buy(url: str) -> tuple[int, int]:
        with RunningExchange(url) as client:
            log_in(client, "alice")
            result = client.call("private/buy", instrument_id=INSTRUMENT, amount=1_000, price=1_000_000)
        return result["order"]["order_id"], result["seq"]

    async def trade() -> tuple[int, int]:
        async with server(path) as (process, url):
            bought = await asyncio.to_thread(buy, url)
            process.terminate()
            await process.wait()
        return bought

    first = asyncio.run(trade())
    outcome = CliRunner().invoke(main, ["journal", "compact", "--db", str(path), "--before", str(first[1])])
    assert outcome.exit_code == 0, outcome.output
    assert f"moved seq 1 to {first[1] - 1} to" in outcome.output
    second = asyncio.run(trade())
    assert second[0] == first[0] + 1
    assert second[1] > first[1]
