"""The follower and the digests: a digest that differs from a replay of the commands raises an alarm."""

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from exchange.cli.client import RunningExchange, log_in
from exchange.cli.main import main
from exchange.domain.commands import Deposit, Genesis, OpenAccount, encode_command
from exchange.engine.digests import EVENTS_SUBJECT, EventsDigest, OldEventsDigest
from exchange.engine.engine import STATE_SUBJECT, Engine
from exchange.engine.recovery import recover
from exchange.history.recovery_plan import plan_recovery
from exchange.history_db.file import head_of, open_history
from exchange.journal.errors import JournalFullError
from exchange.journal.memory import MemoryJournal
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.records import Head, Record, chain
from exchange.journal.sqlite_reader import SqliteJournalReader
from exchange.projections.fold import Change
from exchange.runtime.clock import Clock
from exchange.runtime.follower import DivergedError, Follower, FollowerStatus, follow, read_status
from exchange.runtime.follower_pace import FollowerPace
from exchange.runtime.pipeline import Pipeline
from exchange.snapshots.ladder import Rung
from exchange.snapshots.store import SnapshotStore, load
from tests.journals import play
from tests.test_recovery import INSTRUMENT, server

# The commands of the long journal: two whole digest spans of 10,000 and the beginning of a third.
LONG = 21_000
# The follower has the lowest priority: it waits long on a machine with other work.
HANG_SECONDS = 500


def no_bar(_done: int, _total: int) -> None:
    pass


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--db", str(path)])


def digests(path: Path) -> dict[tuple[int, str], str]:
    with open_journal_reader(path) as reader:
        return {(seq, subject): digest for seq, subject, digest in reader.digests()}


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "exchange.db"
    play(path, seed=1, count=LONG, snapshots_at=(10_000,))
    return path


@pytest.fixture
def path(long: Path, tmp_path: Path) -> Path:
    """A copy of the long journal, with its snapshot."""
    copy = tmp_path / "exchange.db"
    with closing(sqlite3.connect(long)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    folder = SnapshotStore(copy).folder
    folder.mkdir()
    for file in SnapshotStore(long).files():
        (folder / file.name).write_bytes(file.read_bytes())
    return copy


def expected_digest(path: Path, seq: int) -> str:
    """The digest of the 10,000 commands up to `seq`, from a replay without snapshots."""
    digest = EventsDigest(seq - 10_000)
    engine = recover(path, lambda s: None, no_bar, seq - 10_000, use_snapshots=False).engine
    with open_journal_reader(path) as reader:
        for record in reader.records(engine.head, seq):
            digest.add(engine.replay(record))
    ((_, _, found),) = digest.take_complete()
    return found


async def start_and_stop(path: Path, *options: str) -> tuple[int | None, str]:
    async with server(path, *options) as (process, _):
        process.terminate()
        _, errors = await process.communicate()
    return process.returncode, errors.decode()


@pytest.mark.long
def test_a_start_completes_the_digest_of_the_last_whole_span(path: Path) -> None:
    assert asyncio.run(start_and_stop(path))[0] == 0
    assert digests(path)[20_000, EVENTS_SUBJECT] == expected_digest(path, 20_000)
    assert json.loads(run(path, "journal", "verify", "--json").stdout)["damage"] is None


class SilentPublisher:
    """A publisher without clients."""

    def publish(self, change: Change) -> None: ...

    def flush(self) -> None: ...


def test_the_pipeline_records_the_digest_of_each_span() -> None:
    """Also if the disk was full for a while."""
    journal, engine = MemoryJournal(), Engine()

    async def run_all() -> None:
        (record,) = chain(engine.head, [(1, encode_command(Genesis()).decode())])
        await journal.append([record])
        engine.events_digest = EventsDigest(every=10)
        engine.step(record, Genesis())
        pipeline = Pipeline(engine, journal, Clock(None), SilentPublisher())
        running = asyncio.create_task(pipeline.run())
        for number in range(25):
            pipeline.submit(OpenAccount(f"user{number}", number), lambda change: None)
            if number == 12:
                journal.failures.append(JournalFullError("full"))
            await asyncio.sleep(0)
        pipeline.stop()
        await running

    asyncio.run(run_all())
    again, replayed = EventsDigest(every=10), Engine()
    for record in journal.records:
        again.add(replayed.replay(record))
    assert journal.digests == again.take_complete()
    assert [seq for seq, _, _ in journal.digests] == [10, 20]


@pytest.mark.long
def test_state_digests_of_runs_with_a_crash(tmp_path: Path) -> None:
    """A run records a digest at its start and at a clean stop. Each is equal to the digest of a replay."""
    path = tmp_path / "exchange.db"

    def trade(url: str) -> None:
        with RunningExchange(url) as client:
            log_in(client, "alice")
            client.call("private/buy", instrument_id=INSTRUMENT, amount=1_000, price=1_500_000)

    async def run_once(kill: bool) -> None:
        async with server(path) as (process, url):
            await asyncio.to_thread(trade, url)
            (process.kill if kill else process.terminate)()
            await process.wait()

    for kill in (False, True, False):
        asyncio.run(run_once(kill))
    found = digests(path)
    # At the first start, at the first stop, after the crash, and at the last stop.
    assert len(found) == 8
    for seq in {seq for seq, _ in found}:
        engine = recover(path, lambda s: None, no_bar, up_to=seq).engine
        assert found[seq, STATE_SUBJECT] == engine.digest()
        assert engine.events_digest.rows() == [(seq, EVENTS_SUBJECT, found[seq, EVENTS_SUBJECT])]
    assert [session["digest"] is not None for session in json.loads(run(path, "sessions", "--json").stdout)] == [
        True
    ] * 3


@pytest.mark.slow
def test_no_start_if_the_state_differs_from_the_recorded_one(path: Path) -> None:
    async def falsify() -> None:
        journal = await open_journal_writer(path)
        await journal.append_digests([(LONG, STATE_SUBJECT, "0" * 64)])
        await journal.close()

    asyncio.run(falsify())
    before = path.stat().st_size

    async def start() -> tuple[int | None, bytes]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "exchange.cli.main", "serve", "--port", "0", "--db", str(path)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[1],
        )
        _, errors = await process.communicate()
        return process.returncode, errors

    code, errors = asyncio.run(start())
    assert code == 1
    assert b"seq 21000: the journal records the state digest" in errors
    assert path.stat().st_size == before


@pytest.mark.slow
def test_a_follower_saves_the_snapshots_of_a_live_exchange(path: Path) -> None:
    store = SnapshotStore(path)
    asyncio.run(start_and_stop(path, "--snapshot-every", "0"))
    for file in store.files():
        if int(file.stem) > 10_000:
            file.unlink()
    follower = Follower(path, 4_000, lambda sentence: None)
    with open_journal_reader(path) as reader:
        while follower.catch_up(reader):
            pass
    newest = load(store.files()[-1])
    assert newest.seq > 17_000
    assert newest.digest == recover(path, lambda s: None, no_bar, newest.seq, use_snapshots=False).engine.digest()
    assert follower.compared_seq == max(digests(path))[0]


def falsify(path: Path, digest: str = "f", subject: str = EVENTS_SUBJECT) -> str:
    """Replace the recorded digest of events at seq 20,000, and return the old one."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        chosen = f"seq = 20000 AND subject = '{subject}'"
        (before,) = connection.execute(f"SELECT digest FROM digests WHERE {chosen}").fetchone()
        connection.execute(f"UPDATE digests SET digest = ? WHERE {chosen}", (digest,))
    return str(before)


async def read_until(log: asyncio.StreamReader, *words: str) -> str:
    """Read a log until it contains all of `words`, and return what was read."""
    text = ""
    while not all(word in text for word in words):
        line = await asyncio.wait_for(log.readline(), HANG_SECONDS)
        assert line, f"the log ended:\n{text}"
        text += line.decode()
    return text


async def serve_until(path: Path, *words: str) -> str:
    """Run a server until its log contains all of `words`, stop it, and return its log."""
    async with server(path, "--snapshot-every", "1000") as (process, _):
        assert process.stderr is not None
        log = await read_until(process.stderr, *words)
        process.terminate()
        log += (await process.communicate())[1].decode()
        assert process.returncode == 0
    return log


async def status_where(path: Path, condition: Callable[[FollowerStatus], bool]) -> FollowerStatus:
    """Wait until the status of the follower meets the condition, and return it."""
    while True:
        if (status := read_status(path)) is not None and condition(status):
            return status
        await asyncio.sleep(0.05)


def alarm_of(path: Path) -> tuple[int, int | None]:
    """The exit code of `journal info`, and the seq of the alarm in its JSON output."""
    assert ("ALARM" in run(path, "journal", "info").stdout) == (run(path, "journal", "info").exit_code == 1)
    shown = run(path, "journal", "info", "--json")
    alarm = json.loads(shown.stdout)["alarm"]
    return shown.exit_code, alarm and alarm["seq"]


@pytest.mark.long
def test_a_falsified_digest_raises_an_alarm_that_stays_until_it_is_repaired(path: Path) -> None:
    """The log, `journal info` and exit codes show the alarm, also after a restart of the exchange."""
    asyncio.run(start_and_stop(path, "--snapshot-every", "0"))
    assert run(path, "follow", "--once", "--snapshot-every", "0").exit_code == 0
    assert alarm_of(path) == (0, None)
    true_digest = falsify(path)
    log = asyncio.run(serve_until(path, "ALARM: up to seq 20000"))
    assert "up to seq 20000 the exchange recorded other events" in log
    assert "`exchange journal verify` names the command" in log
    snapshots = SnapshotStore(path).seqs()
    for _ in range(2):
        assert alarm_of(path) == (1, 20_000)
        log = asyncio.run(serve_until(path, "ALARM: up to seq 20000", "while it stands"))
        assert "no snapshot was made: the alarm stands" in log
    assert SnapshotStore(path).seqs() == snapshots
    assert "ALARM: up to seq 20000" in run(path, "follow").stderr
    outcome = run(path, "follow", "--once", "--snapshot-every", "0")
    assert (outcome.exit_code, "ALARM: up to seq 20000" in outcome.stderr) == (1, True)
    falsify(path, true_digest)
    assert "the alarm for seq 20000 is removed" in run(path, "follow", "--once", "--snapshot-every", "0").stdout
    assert alarm_of(path) == (0, None)


@pytest.mark.long
def test_a_dismissed_alarm_is_ignored_from_then_on(path: Path) -> None:
    """An exchange that runs on the journal ignores it too, and makes snapshots again."""
    asyncio.run(start_and_stop(path, "--snapshot-every", "0"))
    assert run(path, "follow", "--dismiss").stdout == f"there is no alarm for {path}\n"
    falsify(path)

    async def run_all() -> None:
        async with server(path, "--snapshot-every", "1000") as (process, _):
            assert process.stderr is not None
            await read_until(process.stderr, "ALARM")
            assert "differing digests up to seq 20000 are ignored" in run(path, "follow", "--dismiss").stdout
            await status_where(path, lambda status: status.seq > LONG)
            process.terminate()
            await process.communicate()

    asyncio.run(asyncio.wait_for(run_all(), HANG_SECONDS))
    assert SnapshotStore(path).seqs()[-1] > LONG
    assert alarm_of(path) == (0, None)
    assert run(path, "follow", "--once", "--snapshot-every", "0").exit_code == 0
    assert run(path, "follow", "--once", "--dismiss").exit_code == 2


def test_an_unreadable_alarm_file_is_an_alarm(tmp_path: Path) -> None:
    play(path := tmp_path / "exchange.db")
    path.with_name("exchange.db.alarm").write_bytes(b"{")
    assert alarm_of(path) == (1, 0)
    run(path, "follow", "--dismiss")
    assert alarm_of(path) == (0, None)


def follow_to_the_end(path: Path) -> Follower:
    follower = Follower(path, 0, lambda sentence: None)
    with open_journal_reader(path) as reader:
        while follower.catch_up(reader):
            pass
    return follower


@pytest.mark.long
def test_a_follower_that_begins_within_a_span_compares_its_digest_too(path: Path) -> None:
    asyncio.run(start_and_stop(path, "--snapshot-every", "0"))
    for file in SnapshotStore(path).files():
        file.unlink()
    run(path, "snapshot", "create", "--at", "15000")
    assert follow_to_the_end(path).compared_seq > 20_000
    falsify(path)
    with pytest.raises(DivergedError, match="up to seq 20000 the exchange recorded other events"):
        follow_to_the_end(path)


@pytest.mark.slow
def test_digests_that_an_earlier_version_recorded_are_compared_too(path: Path) -> None:
    async def record() -> None:
        with open_journal_reader(path) as reader:
            rows = OldEventsDigest(10_000).add(list(reader.events(10_001, LONG)))
        journal = await open_journal_writer(path)
        await journal.append_digests(rows)
        await journal.close()

    asyncio.run(record())
    assert follow_to_the_end(path).compared_seq == 20_000
    falsify(path, subject="events")
    with pytest.raises(DivergedError, match="up to seq 20000 the exchange recorded other events"):
        follow_to_the_end(path)


@pytest.mark.slow
def test_the_newest_snapshot_is_compared_with_a_replay(path: Path) -> None:
    """An exchange with a wrong state saves it when it stops, so the next follower begins at an earlier snapshot."""

    async def record() -> None:
        journal = await open_journal_writer(path)
        await journal.append_digests([(15_000, STATE_SUBJECT, "0" * 64)])
        await journal.close()

    asyncio.run(record())
    run(path, "snapshot", "create", "--at", "15000")
    with pytest.raises(DivergedError, match="up to seq 15000 the exchange was in another state"):
        follow_to_the_end(path)


def test_a_follower_continues_with_new_commands(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    engine = play(path)
    follower = Follower(path, 0, lambda sentence: None)
    with open_journal_reader(path) as reader:
        assert follower.catch_up(reader)
        assert not follower.catch_up(reader)
        asyncio.run(_add(path, engine))
        assert follower.catch_up(reader)
        assert follower.seq == engine.head.seq


class SetPace(FollowerPace):
    """A pace that a test sets. The follower works at each look."""

    def is_time_to_work(self, now_seconds: float, head_seq: int, seq: int, commands_per_second: float) -> bool:
        return True


@pytest.mark.slow
def test_an_overloaded_follower_saves_snapshots_and_writes_the_history_later(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pace = SetPace()
    seen: list[tuple[bool, int, int]] = []
    with open_journal_reader(path) as reader:
        for seconds in follow(path, 5_000, reader, lambda: False, pace=pace):
            status = read_status(path)
            history_seq = status.history_seq if status else 0
            if seconds and not pace.is_overloaded and history_seq == LONG:
                break
            if status and status.seq and not pace.is_overloaded and not seen:
                pace.is_overloaded = True
            elif seconds and pace.is_overloaded:
                with closing(open_history(path)) as history:
                    seen.append((status is not None, head_of(history).seq, SnapshotStore(path).seqs()[-1]))
                pace.is_overloaded = False
    assert len(seen) == 1
    has_status, history_seq, snapshot_seq = seen[0]
    assert has_status and history_seq < LONG - 5_000 < snapshot_seq
    assert f"the history, which ends at seq {history_seq}" in caplog.text


def test_a_follower_saves_by_the_cost_of_its_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test sets the clock: a batch of 100 commands takes 0.1 s."""
    play(path := tmp_path / "exchange.db")
    now_us = iter(range(0, 10**9, 100_000))
    monkeypatch.setattr("exchange.runtime.follower.thread_cpu_us", lambda: next(now_us))
    monkeypatch.setattr("exchange.runtime.follower.COMMANDS_AT_ONCE", 100)
    monkeypatch.setattr("exchange.snapshots.ladder.SAVE_AFTER_SECONDS", 0.2)
    monkeypatch.setattr("exchange.snapshots.ladder.ACTIVE_SECONDS", 10**9)
    follower = Follower(path, None, lambda sentence: None)
    with open_journal_reader(path) as reader:
        while follower.catch_up(reader):
            pass
    assert SnapshotStore(path).rungs() == [Rung(200), Rung(400)]
    follower.write_status()
    status = read_status(path)
    assert status is not None
    assert (status.snapshot_seq, status.commands_per_second) == (400, 1_000.0)
    assert Follower(path, None, lambda sentence: None).seq == 200


async def _add(path: Path, engine: Engine) -> None:
    journal = await open_journal_writer(path)
    (record,) = chain(journal.head, [(journal.head.ts_us + 1, encode_command(Deposit("alice", 1)).decode())])
    await journal.append([record])
    await journal.close()
    engine.replay(record)


@pytest.mark.slow
def test_a_recovery_plan_uses_the_measured_speed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test sets the clock: reading a command takes one millisecond, and everything else takes no time."""
    now, records = [0.0], SqliteJournalReader.records

    def slow_records(reader: SqliteJournalReader, after: Head, up_to: int | None = None) -> Iterator[Record]:
        for record in records(reader, after, up_to):
            now[0] += 0.001
            yield record

    monkeypatch.setattr(SqliteJournalReader, "records", slow_records)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    for file in SnapshotStore(path).files():
        file.unlink()
    found = plan_recovery(path)
    assert (found.commands, round(found.commands_per_second), round(found.seconds)) == (LONG, 1_000, LONG // 1_000)


def test_a_recovery_plan_without_commands_to_replay_shows_no_speed(tmp_path: Path) -> None:
    play(path := tmp_path / "exchange.db")
    run(path, "snapshot", "create")
    assert "commands a second" not in run(path, "recovery-plan").stdout


@pytest.mark.slow
def test_snapshot_commands(path: Path, tmp_path: Path) -> None:
    assert (
        "0000000000015000.hand.snapshot: saved the state after seq 15000"
        in run(path, "snapshot", "create", "--at", "15000").stdout
    )
    plan = json.loads(run(path, "recovery-plan", "--json").stdout)
    assert (plan["snapshot_seq"], plan["commands"], plan["last_seq"]) == (15_000, 6_000, LONG)
    assert "the snapshot at seq 15000" in run(path, "recovery-plan").stdout
    assert plan["seconds"] >= 6_000 / plan["commands_per_second"]
    listed = json.loads(run(path, "snapshot", "list", "--json").stdout)
    assert [(entry["seq"], entry["fault"], entry["kept"]) for entry in listed] == [
        (10_000, None, "one of the newest 8"),
        (15_000, None, "made by hand"),
    ]
    assert run(path, "snapshot", "verify").exit_code == 0
    first, second = SnapshotStore(path).files()
    damaged = second.read_bytes()[:-1] + b"x"
    second.write_bytes(damaged)
    outcome = run(path, "snapshot", "verify", "--fast")
    assert (outcome.exit_code, "damaged" in outcome.stdout) == (1, True)
    plan = json.loads(run(path, "recovery-plan", "--json").stdout)
    assert plan["snapshot_seq"] == 10_000
    assert "0000000000015000.hand.snapshot is skipped" in plan["skipped"][0]
    assert "deleted 0, kept 2" in run(path, "snapshot", "prune", "--keep", "1").stdout
    assert "deleted 1, kept 1" in run(path, "snapshot", "prune", "--keep", "0").stdout
    refused = run(path, "snapshot", "delete", "10000")
    assert (refused.exit_code, "there is no snapshot of seq 10000" in refused.stderr) == (1, True)
    assert "deleted 1, kept 0" in run(path, "snapshot", "delete", "15000").stdout
    other = tmp_path / "other.db"
    play(other)
    SnapshotStore(other).folder.mkdir()
    (SnapshotStore(other).folder / first.name).write_bytes(damaged)
    assert run(tmp_path / "none.db", "snapshot", "list").exit_code == 1
    assert run(path, "snapshot", "create", "--at", "999999").exit_code == 1
