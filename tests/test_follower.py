"""The follower and the digests: what the exchange records is what its commands cause, and a difference is an alarm."""

import asyncio
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.client import Client, enter
from cli.main import main
from exchange.domain.commands import Deposit, Genesis, OpenAccount, encode_command
from exchange.projections.views import Change
from exchange.runtime.clock import Clock
from exchange.runtime.core import STATE_SUBJECT, Core
from exchange.runtime.digests import EventsDigest
from exchange.runtime.follower import DivergedError, Follower, read_status
from exchange.runtime.pipeline import Pipeline
from exchange.runtime.recovery import event_rows, recover
from journal.errors import JournalFullError
from journal.log import Journal
from journal.memory import MemoryJournal
from journal.reader import JournalReader
from journal.records import chain
from snapshots.store import SnapshotStore, load
from tests.journals import play
from tests.test_recovery import INSTRUMENT, server

LONG = 21_000  # commands: two spans of 10,000 and some


def no_bar(_done: int, _total: int) -> None:
    pass


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--db", str(path)])


def digests(path: Path) -> dict[tuple[int, str], str]:
    with JournalReader(path) as reader:
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
    digest = EventsDigest(seq - 10_000)
    with JournalReader(path) as reader:
        ((_, _, found),) = digest.add(list(reader.events(seq - 9_999, seq)))
    return found


async def start_and_stop(path: Path, *options: str) -> tuple[int | None, str]:
    async with server(path, *options) as (process, _):
        process.terminate()
        _, errors = await process.communicate()
    return process.returncode, errors.decode()


def test_a_start_completes_the_digest_of_the_last_whole_span(path: Path) -> None:
    assert asyncio.run(start_and_stop(path))[0] == 0
    assert digests(path)[20_000, "events"] == expected_digest(path, 20_000)
    assert json.loads(run(path, "journal", "verify", "--json").stdout)["damage"] is None


class Nobody:
    """A publisher to no one."""

    def publish(self, change: Change) -> None: ...

    def flush(self) -> None: ...


def test_the_pipeline_records_a_digest_with_the_events_that_complete_it() -> None:
    """Also where the disk was full for a while, and the events came late."""
    journal, core = MemoryJournal(), Core()

    async def go() -> None:
        (record,) = chain(core.head, [(1, encode_command(Genesis()).decode())])
        await journal.append([record])
        events, _ = core.step(record, Genesis())
        await journal.append_events(event_rows([(1, events)]))
        digest = EventsDigest(0, every=10)
        digest.add(event_rows([(1, events)]))
        pipeline = Pipeline(core, journal, Clock(None), Nobody(), digest)
        road = asyncio.create_task(pipeline.run())
        for number in range(25):
            pipeline.submit(OpenAccount(f"user{number}", number), lambda change: None)
            if number == 12:
                journal.failures.append(JournalFullError("full"))
            await asyncio.sleep(0)
        pipeline.stop()
        await road

    asyncio.run(go())
    assert journal.digests == EventsDigest(0, every=10).add(journal.events)
    assert journal.digests[0][0] == 10


def test_state_digests_of_runs_one_of_them_killed(tmp_path: Path) -> None:
    """Every run begins with one and, stopped in good order, ends with one; each is what a replay comes to."""
    path = tmp_path / "exchange.db"

    def trade(url: str) -> None:
        with Client(url) as client:
            enter(client, "alice")
            client.call("private/buy", instrument_id=INSTRUMENT, amount=1_000, price=1_500_000)

    async def run_once(kill: bool) -> None:
        async with server(path) as (process, url):
            await asyncio.to_thread(trade, url)
            (process.kill if kill else process.terminate)()
            await process.wait()

    for kill in (False, True, False):
        asyncio.run(run_once(kill))
    found = digests(path)
    assert len(found) == 4  # the beginning, the first stop, where the crash left it, and the last stop
    for (seq, subject), digest in found.items():
        assert subject == STATE_SUBJECT
        assert recover(path, lambda s: None, no_bar, up_to=seq).core.digest() == digest
    assert [session["digest"] is not None for session in json.loads(run(path, "sessions", "--json").stdout)] == [
        True
    ] * 3


def test_no_start_on_another_state_than_the_recorded_one(path: Path) -> None:
    async def falsify() -> None:
        journal = await Journal.open(path)
        await journal.append_digests([(LONG, STATE_SUBJECT, "0" * 64)])
        await journal.close()

    asyncio.run(falsify())
    before = path.stat().st_size

    async def start() -> tuple[int | None, bytes]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "cli.main", "serve", "--port", "0", "--db", str(path)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[1],
        )
        _, errors = await process.communicate()
        return process.returncode, errors

    code, errors = asyncio.run(start())
    assert code == 1
    assert b"seq 21000 left the exchange in another state than this program comes to" in errors
    assert path.stat().st_size == before


def test_a_follower_reads_along_and_saves_what_a_live_exchange_would(path: Path) -> None:
    store = SnapshotStore(path)
    asyncio.run(start_and_stop(path, "--snapshot-every", "0"))
    for file in store.files():
        if int(file.stem) > 10_000:
            file.unlink()
    follower = Follower(path, 4_000, lambda sentence: None)
    with JournalReader(path) as reader:
        while follower.catch_up(reader):
            pass
    newest = load(store.files()[-1])
    assert newest.seq > 17_000
    assert newest.digest == recover(path, lambda s: None, no_bar, newest.seq, use_snapshots=False).core.digest()
    assert follower.compared_seq == 20_000


def test_a_falsified_digest_is_an_alarm(path: Path) -> None:
    """By hand with exit code 1; beside a real server as an error in its log, and in what `info` shows."""
    asyncio.run(start_and_stop(path, "--snapshot-every", "0"))
    assert run(path, "follow", "--once", "--snapshot-every", "0").exit_code == 0
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE digests SET digest = 'f' WHERE subject = 'events'")
    outcome = run(path, "follow", "--once", "--snapshot-every", "0")
    assert (outcome.exit_code, "up to seq 20000 the exchange recorded other events" in outcome.stderr) == (1, True)
    follower = Follower(path, 0, lambda sentence: None)
    for file in SnapshotStore(path).files():
        if int(file.stem) > 10_000:
            file.unlink()
    follower = Follower(path, 0, lambda sentence: None)
    with JournalReader(path) as reader, pytest.raises(DivergedError):
        while follower.catch_up(reader):
            pass
    status = read_status(path)
    assert status is not None and status.differs_at == 20_000
    assert "ALARM: up to seq 20000" in run(path, "journal", "info").stdout

    async def serve_until_alarm() -> bytes:
        async with server(path, "--snapshot-every", "1000") as (process, _):
            assert process.stderr is not None
            said = b""
            while b"raised the alarm" not in said:
                said += await asyncio.wait_for(process.stderr.readline(), 60)
            process.terminate()
            await process.wait()
        return said

    assert b"`exchange journal verify` names the command" in asyncio.run(serve_until_alarm())


def test_a_follower_goes_on_with_what_is_added(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    core = play(path)
    follower = Follower(path, 0, lambda sentence: None)
    with JournalReader(path) as reader:
        assert follower.catch_up(reader)
        assert not follower.catch_up(reader)
        asyncio.run(_add(path, core))
        assert follower.catch_up(reader)
        assert follower.seq == core.head.seq


async def _add(path: Path, core: Core) -> None:
    journal = await Journal.open(path)
    (record,) = chain(journal.head, [(journal.head.ts_us + 1, encode_command(Deposit("alice", 1)).decode())])
    await journal.append([record])
    await journal.close()
    core.replay(record)


def test_snapshots_at_the_terminal(path: Path, tmp_path: Path) -> None:
    assert (
        "0000000000015000.snapshot: the state after seq 15000"
        in run(path, "snapshot", "create", "--at", "15000").stdout
    )
    plan = json.loads(run(path, "recovery-plan", "--json").stdout)
    assert (plan["snapshot_seq"], plan["commands"], plan["last_seq"]) == (15_000, 6_000, LONG)
    assert "the snapshot at seq 15000" in run(path, "recovery-plan").stdout
    listed = json.loads(run(path, "snapshot", "list", "--json").stdout)
    assert [(entry["seq"], entry["fault"]) for entry in listed] == [(10_000, None), (15_000, None)]
    assert run(path, "snapshot", "verify").exit_code == 0
    first, second = SnapshotStore(path).files()
    second.write_bytes(second.read_bytes()[:-1] + b"x")
    outcome = run(path, "snapshot", "verify", "--fast")
    assert (outcome.exit_code, "damaged" in outcome.stdout) == (1, True)
    plan = json.loads(run(path, "recovery-plan", "--json").stdout)
    assert plan["snapshot_seq"] == 10_000
    assert "0000000000015000.snapshot is skipped" in plan["skipped"][0]
    assert "deleted 1, kept 1" in run(path, "snapshot", "prune", "--keep", "1").stdout
    other = tmp_path / "other.db"
    play(other)
    SnapshotStore(other).folder.mkdir()
    (SnapshotStore(other).folder / first.name).write_bytes(second.read_bytes())
    assert run(tmp_path / "none.db", "snapshot", "list").exit_code == 1
    assert run(path, "snapshot", "create", "--at", "999999").exit_code == 1
