"""Verify, check and rebuild: every kind of damage is found and located, and verifying changes nothing."""

import asyncio
import hashlib
import json
import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from exchange.cli.main import main
from exchange.domain.commands import Deposit, StartSession, encode_command
from exchange.engine.digests import EVENTS_SUBJECT, OldEventsDigest
from exchange.engine.engine import STATE_SUBJECT
from exchange.engine.recovery import event_rows, recover
from exchange.history.checks import known_checks
from exchange.history.compact import compact
from exchange.history.verdict import Verdict
from exchange.history.verify import verify
from exchange.history_db.file import history_path
from exchange.journal.archives import archive_folder
from exchange.journal.errors import JournalError
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.records import chain
from exchange.matching.state import State
from exchange.matching.state_codec import digest
from exchange.snapshots.store import SnapshotStore, load
from tests.history_sql import ask_past, change_past
from tests.journals import play, write_journal
from tests.old_archives import compact_into_journal
from tests.old_events import append_old_events
from tests.small_market import START_US, history
from tests.test_market_crash import BROKEN as BROKEN_BY_CRASH
from tests.test_sql_market import BROKEN

COUNT = 2_000
PLACES, SOAK_PLACES = 80, 200


def no_bar(_done: int, _total: int) -> None:
    pass


def full_verdict(path: Path) -> Verdict:
    return verify(path, False, no_bar)


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["journal", *arguments, "--db", str(path)])


def pack_file(path: Path) -> None:
    """Remove stale bytes from the file, so that every byte sequence found in it belongs to a row."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "exchange.db"
    play(path, seed=1, count=COUNT, snapshots_at=(700, 1_500))
    pack_file(path)
    return path


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "exchange.db"
    shutil.copy(original, copy)
    shutil.copytree(SnapshotStore(original).folder, SnapshotStore(copy).folder)
    return copy


def change(path: Path, *statements: str) -> None:
    """Change the file with SQL as an attacker would, after dropping its triggers."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, statement


def flip_everywhere(path: Path, rng: random.Random, places: int) -> None:
    """Flip one bit of a command's payload, hash or time, or of an event, in `places` random places, one at a time."""
    content = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        commands = connection.execute("SELECT seq, payload, hash FROM commands").fetchall()
        events = connection.execute(
            "SELECT min(seq), payload FROM events GROUP BY payload HAVING count(*) = 1"
        ).fetchall()
    for _ in range(places):
        field = rng.choice(("payload", "hash", "time", "event"))
        if field == "event":
            seq, text = rng.choice(events)
            start, size = content.find(text.encode()), len(text)
        else:
            seq, text, row_hash = rng.choice(commands)
            # A row holds the time in 8 bytes, then the payload, then the hash.
            at = content.find(row_hash)
            assert content[at - len(text.encode()) : at] == text.encode()
            start, size = {
                "payload": (at - len(text.encode()), len(text.encode())),
                "hash": (at, 32),
                "time": (at - len(text.encode()) - 8, 8),
            }[field]
        assert start > 0
        place = start + rng.randrange(size)
        before, content[place] = content[place], content[place] ^ 1 << rng.randrange(8)
        path.write_bytes(content)
        verdict = full_verdict(path)
        assert (verdict.damaged_seq, verdict.damage is not None) == (seq, True), (field, seq, place, verdict)
        assert str(seq) in (verdict.damage or "")
        content[place] = before
    path.write_bytes(content)
    assert full_verdict(path).damage is None


@pytest.mark.long
def test_a_flipped_bit_of_any_row_is_found(path: Path) -> None:
    flip_everywhere(path, random.Random(11), PLACES)


@pytest.mark.soak
def test_a_flipped_bit_in_50_000_commands_is_found(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")  # noqa: T201
    path = tmp_path / "exchange.db"
    play(path, seed % 1_000, 50_000)
    pack_file(path)
    flip_everywhere(path, random.Random(seed), SOAK_PLACES)


@pytest.mark.long
def test_a_flipped_bit_anywhere_is_found_or_harmless(tmp_path: Path) -> None:
    """Also in headers, schema, inner pages and unused space: never a traceback, never a false "sound"."""
    path = tmp_path / "exchange.db"
    play(path, seed=1, count=300)
    pack_file(path)
    content = bytearray(path.read_bytes())
    good = contents(path)
    rng = random.Random(12)
    for place in [*range(0, 100, 7), *rng.sample(range(100, len(content)), 150)]:
        before, content[place] = content[place], content[place] ^ 1 << rng.randrange(8)
        path.write_bytes(content)
        for file in tmp_path.glob("exchange.db-*"):
            file.unlink()
        outcome = run(path, "verify")
        assert outcome.exit_code in (0, 1, 2)
        assert outcome.exception is None or isinstance(outcome.exception, SystemExit), (place, outcome.exception)
        if outcome.exit_code == 0:
            assert contents(path) == good, place
        content[place] = before


def contents(path: Path) -> list[list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return [
            connection.execute(f"SELECT {columns} FROM {table} ORDER BY {columns}").fetchall()
            for table, columns in (("commands", "seq, ts_us, payload, hash"), ("events", "seq, n, payload"))
        ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "seq", "message"),
    [
        ("DELETE FROM commands WHERE seq = 77", 77, "seq 77 is missing"),
        ("DELETE FROM commands WHERE seq > 1990", 2000, "events of seq 2000 are recorded, but no such command"),
        ("UPDATE commands SET payload = (SELECT payload FROM commands WHERE seq = 78) WHERE seq = 77", 77, "its hash"),
        ("UPDATE commands SET ts_us = 0 WHERE seq = 500", 500, "its time 0 is not later than the record before"),
        ("UPDATE events SET payload = (SELECT payload FROM events WHERE seq = 1) WHERE seq = 9 AND n = 0", 9, "other"),
        ("DELETE FROM events WHERE seq = 600", 600, "seq 600 causes other events than recorded"),
        ("INSERT INTO events SELECT seq, n + 50, payload FROM events WHERE seq = 8", 8, "seq 8 has more events"),
        (
            f"INSERT INTO digests VALUES (1000, '{STATE_SUBJECT}', 'x')",
            1000,
            "the digest of the state recorded at seq 1000 is x",
        ),
        (
            "INSERT INTO digests VALUES (999, 'events', 'x')",
            999,
            "digest of the events at seq 999, where the exchange never records one",
        ),
        (
            f"INSERT INTO digests VALUES (999, '{EVENTS_SUBJECT}', 'x')",
            999,
            "the digest of the events recorded at seq 999 is x",
        ),
        (
            f"INSERT INTO digests VALUES (2001, '{EVENTS_SUBJECT}', 'x')",
            2001,
            "ends with seq 2000, but a digest in the journal has seq 2001: seq 2001 is lost",
        ),
    ],
)
def test_changed_rows_are_found(path: Path, statement: str, seq: int, message: str) -> None:
    change(path, statement)
    verdict = full_verdict(path)
    assert verdict.damaged_seq == seq
    assert message in (verdict.damage or "")
    outcome = run(path, "verify")
    assert (outcome.exit_code, message in outcome.stdout) == (1, True)


def test_swapped_rows_are_found(path: Path) -> None:
    change(
        path,
        "UPDATE commands SET seq = -1 WHERE seq = 40",
        "UPDATE commands SET seq = 40 WHERE seq = 41",
        "UPDATE commands SET seq = 41 WHERE seq = -1",
    )
    assert full_verdict(path).damaged_seq == 40


@pytest.mark.slow
def test_a_forged_chain_differs_from_the_recorded_events(path: Path) -> None:
    """An attacker recomputes every hash after a change. The recorded events still show the change."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT seq, ts_us, payload FROM commands ORDER BY seq").fetchall()
    change(path, "DELETE FROM commands")
    previous, forged = bytes(32), 0
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for seq, ts_us, payload in rows:
            if '"open_account"' in payload and not forged:
                forged, payload = seq, payload.replace('"cash_micros":', '"cash_micros":1')
            previous = hashlib.sha256(previous + seq.to_bytes(8) + ts_us.to_bytes(8) + payload.encode()).digest()
            connection.execute(
                "INSERT INTO commands (seq, ts_us, payload, hash) VALUES (?, ?, ?, ?)", (seq, ts_us, payload, previous)
            )
    assert verify(path, True, no_bar).damage is None
    assert full_verdict(path).damaged_seq == forged


def test_dropped_triggers_are_found(path: Path) -> None:
    change(path)
    assert "trigger commands_are_never_changed is missing" in (full_verdict(path).damage or "")


@pytest.mark.slow
def test_damaged_and_foreign_snapshots_are_found(path: Path, tmp_path: Path) -> None:
    verdict = full_verdict(path)
    assert (verdict.snapshots, verdict.damage) == (2, None)
    first, _ = SnapshotStore(path).files()
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    good = first.read_bytes()
    first.write_bytes(content)
    assert f"snapshot {first.name} is damaged" in (full_verdict(path).damage or "")
    first.write_bytes(good)
    other = tmp_path / "other.db"
    play(other, seed=2, count=COUNT, snapshots_at=(700,))
    shutil.copy(SnapshotStore(other).files()[0], first)
    assert full_verdict(path).damage == f"snapshot {first.name} is of another journal: it has another hash for seq 700"


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({"views": 1_500}, "its views are not those"),
        ({"ts_us": 5}, "its views are not those"),
        ({"state": 1_500}, ""),
        ({"events_digest": 1_500}, "its digest of the events is not the one"),
    ],
)
def test_every_part_of_a_snapshot_is_compared(path: Path, changes: dict[str, int], subject: str) -> None:
    """The snapshot has a valid checksum and belongs to this journal, but one part of it is from another seq."""
    first, second = SnapshotStore(path).files()
    later = load(second)
    replaced: dict[str, object] = dict(changes)
    if "views" in changes:
        replaced["views"] = later.views
    if "events_digest" in changes:
        replaced["events_digest"] = later.events_digest
    if "state" in changes:
        replaced |= {"state": later.state, "digest": later.digest}
        subject = "its state is not the one"
    SnapshotStore(path).save(msgspec.structs.replace(load(first), **replaced))
    verdict = full_verdict(path)
    assert verdict.damaged_seq == 700
    fault = f"{subject} that the commands up to seq 700 make"
    assert verdict.damage == f"snapshot {first.name} has wrong content: {fault}"
    outcome = CliRunner().invoke(main, ["snapshot", "verify", "--db", str(path)])
    assert (outcome.exit_code, fault in outcome.stdout) == (1, True), outcome.output


def test_writes_of_a_running_exchange_are_not_damage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While verify reads, the exchange appends a command, and the follower saves one snapshot and deletes another."""
    files = SnapshotStore.files

    def files_after_more_writes(store: SnapshotStore) -> list[Path]:
        monkeypatch.setattr(SnapshotStore, "files", files)
        engine = recover(path, lambda s: None, no_bar).engine
        head = engine.head
        (record,) = chain(head, [(head.ts_us + 1, encode_command(Deposit("alice", 5)).decode())])
        rows = event_rows([(record.seq, engine.replay(record))])

        async def append() -> None:
            journal = await open_journal_writer(path)
            await journal.append([record])
            await append_old_events(journal, rows)
            await journal.append_digests([(record.seq, STATE_SUBJECT, engine.digest())])
            await journal.close()

        asyncio.run(append())
        return [store.folder / "0000000000000001.snapshot", *files(store), store.save(engine.snapshot())]

    monkeypatch.setattr(SnapshotStore, "files", files_after_more_writes)
    verdict = full_verdict(path)
    assert (verdict.damage, verdict.commands, verdict.snapshots) == (None, COUNT + 1, 3)


def test_a_snapshot_without_read_permission_is_not_damage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_file: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("exchange.history.audit.load", refuse)
    outcome = run(path, "verify")
    assert (outcome.exit_code, "cannot be read (Permission denied)" in outcome.stderr) == (2, True)


@pytest.mark.parametrize(
    ("statement", "seq", "table"),
    [
        ("INSERT INTO events (seq, n, payload) VALUES (0, 0, '{}')", 0, "events"),
        ("INSERT INTO commands (seq, ts_us, payload, hash) VALUES (-7, 1, '{}', x'00')", -7, "commands"),
    ],
)
def test_rows_before_the_first_command_are_found(path: Path, statement: str, seq: int, table: str) -> None:
    """A replay never reads them, but queries would. The attacker has restored the triggers."""
    with closing(sqlite3.connect(path)) as connection:
        triggers = [text for (text,) in connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")]
    change(path, statement)
    with closing(sqlite3.connect(path)) as connection:
        for text in triggers:
            connection.execute(text)
    verdict = full_verdict(path)
    assert verdict.damaged_seq == seq
    assert f"a row of seq {seq} in its table {table}" in (verdict.damage or "")


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seqs 6 to 8 are of the first run, 9 to 11 of the second; one second passes between two commands."""
    path = tmp_path_factory.mktemp("runs") / "exchange.db"
    run = StartSession("1"), Deposit("alice", 1), Deposit("alice", 2)
    write_journal(path, history(*run, *run))
    return path


@pytest.mark.parametrize(
    ("answers", "damaged_seq", "problem"),
    [
        # The clock of the second run continues from the last command, before the last answer.
        ([(6, 10), (8, 5_000_000), (9, 900)], None, ""),
        ([(7, 0), (8, 70_000_000)], 8, "after the next run began"),
        ([(7, -1)], 7, "before the command at"),
        ([(6, 3_000_000), (7, 500)], 7, "before the answer of seq 6"),
        ([(7, -(10**18))], 7, "microseconds, before the command"),
        ([(12, 0)], 12, "in its table answers, where none belongs"),
        ([(0, 0)], 0, "in its table answers, where none belongs"),
        ([(10**9, 10**18)], 10**9, "in its table answers, where none belongs"),
    ],
)
def test_added_times_of_answers_are_found(
    two_runs: Path, tmp_path: Path, answers: list[tuple[int, int]], damaged_seq: int | None, problem: str
) -> None:
    """Each time is given in microseconds after its command."""
    path = tmp_path / "exchange.db"
    shutil.copy(two_runs, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        times = dict(connection.execute("SELECT seq, ts_us FROM commands"))
        connection.executemany(
            "INSERT INTO answers (seq, answered_us) VALUES (?, ?)",
            [(seq, times.get(seq, START_US) + after_us) for seq, after_us in answers],
        )
    verdict = full_verdict(path)
    assert verdict.damaged_seq == damaged_seq, verdict.damage
    assert problem in (verdict.damage or "")


def test_a_foreign_trigger_is_damage_but_an_index_is_not(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE INDEX mine ON commands (kind)")
        assert full_verdict(path).damage is None
        connection.execute("CREATE TRIGGER mine AFTER INSERT ON commands BEGIN DELETE FROM events; END")
    assert "trigger mine is not one of the exchange's" in (full_verdict(path).damage or "")


@pytest.mark.slow
def test_the_schema_of_an_archive_is_verified(path: Path) -> None:
    archive = compact_into_journal(path, 1_001)
    archive.chmod(0o644)
    change(archive)
    damage = full_verdict(path).damage or ""
    assert str(archive) in damage and "trigger commands_are_never_changed is missing" in damage


@pytest.mark.long
def test_a_digest_across_an_archive_boundary(tmp_path: Path) -> None:
    """An archive and a journal that meet in the middle of 10,000 commands are sound on their own."""
    path = tmp_path / "exchange.db"
    play(path, count=10_200)
    with open_journal_reader(path) as reader:
        recorded = OldEventsDigest(0).add(list(reader.events(1, 10_200)))

    async def record() -> None:
        journal = await open_journal_writer(path)
        await journal.append_digests(recorded)
        await journal.close()

    asyncio.run(record())
    compact(path, 9_990, lambda s: None, no_bar)
    archive_folder(path).rename(tmp_path / "away")
    verdict = full_verdict(path)
    assert (verdict.damage, verdict.digests) == (None, 0)
    assert verdict.notes == ["the digest of the events at seq 10000 includes commands that are not here: not checked"]
    alone = compact_into_journal(path, 10_100)
    # Such an archive has the digest of the state at its end.
    assert (full_verdict(alone).damage, full_verdict(alone).digests) == (None, 1)
    name = f"{1:016d}-{9_989:016d}.archive"
    (tmp_path / "away" / name).rename(archive_folder(path) / name)
    assert (full_verdict(path).damage, full_verdict(path).digests, full_verdict(path).notes) == (None, 2, [])


def test_recorded_digests_are_compared(path: Path) -> None:
    async def record(value: str) -> None:
        journal = await open_journal_writer(path)
        await journal.append_digests([(1_000, STATE_SUBJECT, value)])
        await journal.close()

    asyncio.run(record(digest(recover(path, lambda s: None, no_bar, up_to=1_000).engine.state)))
    assert (full_verdict(path).digests, full_verdict(path).damage) == (1, None)


@pytest.mark.slow
def test_broken_invariants_name_the_command(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug breaks the state at one command. Everything recorded agrees with the replay."""

    def check(state: State) -> None:
        assert state.next_order_id < 300, "an order too many"

    monkeypatch.setattr(State, "check", check)
    ((seq,),) = ask_past(path, "SELECT placed_seq FROM orders WHERE order_id = 299")
    verdict = full_verdict(path)
    assert verdict.damaged_seq == seq
    assert (verdict.damage or "").startswith(f"after seq {seq} an order too many")


def test_a_truncated_file_is_found(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    outcome = run(path, "verify")
    assert outcome.exit_code == 1
    assert f"it has {len(content) // 2:,} of {len(content):,} bytes, the rest is cut off" in outcome.stdout
    path.write_bytes(content[:50])
    assert run(path, "verify").exit_code == 2


def test_files_that_are_not_readable_journals_exit_with_2(path: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "none.db", "verify").exit_code == 2
    text = tmp_path / "text.db"
    text.write_text("not a database, but long enough to be taken for one" * 40)
    assert run(text, "verify").exit_code == 2
    (tmp_path / "empty.db").touch()
    outcome = run(tmp_path / "empty.db", "verify")
    assert (outcome.exit_code, "empty.db is empty" in outcome.stderr) == (2, True)
    change(path, "PRAGMA user_version = 99")
    outcome = run(path, "verify")
    assert (outcome.exit_code, "written by a newer program" in outcome.stderr) == (2, True)


@pytest.mark.slow
def test_events_not_recorded_yet_are_not_damage(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    play(path, events_up_to=390)
    verdict = full_verdict(path)
    assert (verdict.damage, verdict.commands) == (None, 400)


@pytest.mark.slow
def test_archives_are_verified_too(path: Path, tmp_path: Path) -> None:
    archive = compact_into_journal(path, 1_001)
    compact(path, 1_600, lambda s: None, no_bar)
    verdict = full_verdict(path)
    assert (verdict.damage, verdict.commands, verdict.snapshots) == (None, COUNT, 4)
    assert full_verdict(archive).damage is None
    moved = tmp_path / "away"
    shutil.move(archive, moved)
    verdict = full_verdict(path)
    assert (verdict.damage, verdict.first_seq) == (None, 1_001)
    shutil.move(moved, archive)
    archive.chmod(0o644)
    change(archive, "UPDATE commands SET payload = payload || ' ' WHERE seq = 321 OR seq = 5")
    assert full_verdict(path).damaged_seq == 5
    other = tmp_path / "other.db"
    play(other, seed=2, count=COUNT)
    shutil.copy(compact_into_journal(other, 1_001), archive)
    outcome = run(path, "verify")
    assert (outcome.exit_code, "is an archive of another journal" in outcome.stdout) == (1, True), outcome.output
    assert archive_folder(path).exists()


@pytest.mark.slow
def test_verify_and_check_change_nothing(path: Path) -> None:
    def everything() -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}

    compact(path, 500, lambda s: None, no_bar)
    for arguments in (("verify",), ("verify", "--fast"), ("check",), ("rebuild", "--dry-run"), ("info",), ("tail",)):
        # The first run may create -wal, -shm and lock files.
        run(path, *arguments)
    before = everything()
    for arguments in (("verify",), ("verify", "--fast"), ("check",), ("info",), ("tail",)):
        assert run(path, *arguments).exit_code == 0, arguments
    assert everything() == before


@pytest.mark.slow
def test_verify_prints_a_table_or_json(path: Path) -> None:
    outcome = run(path, "verify")
    assert outcome.stdout.endswith("sound\n")
    assert "2,000, seq 1 to 2000" in outcome.stdout
    found = json.loads(run(path, "verify", "--json").stdout)
    assert (found["commands"], found["damage"], len(found["digest"])) == (COUNT, None, 64)
    assert run(path, "verify", "--fast").stdout.endswith("the chain is unbroken\n")


@pytest.mark.slow
def test_checks_hold_and_each_can_fail(path: Path) -> None:
    outcome = run(path, "check")
    assert outcome.exit_code == 0, outcome.output
    of_alice = "user = (SELECT user FROM user WHERE user_id = 'alice')"
    broken = {
        "seq_has_no_gap": "DELETE FROM command WHERE seq = 300",
        "time_rises": "UPDATE command SET ts_us = 5 WHERE seq = 300",
        "every_command_has_events": "DELETE FROM event WHERE seq = 300",
        "events_have_a_command": "INSERT INTO event (seq, n, kind) VALUES (9999, 0, 1)",
        "cash_is_conserved": "UPDATE balance_version SET cash_micros = 1",
        "positions_sum_to_zero": f"DELETE FROM position_version WHERE {of_alice}",
        "positions_are_the_fills": "DELETE FROM position_version",
        "no_balance_is_overdrawn": "UPDATE balance_version SET cash_micros = -1",
        "trades_keep_to_the_limits": "UPDATE trade SET price_micros = 77",
        "no_order_is_overfilled": "UPDATE book_order SET filled_milli = 777777",
        "nothing_follows_an_end": (
            "UPDATE order_version SET seq = seq + 1000 WHERE (order_id, seq) = "
            "(SELECT order_id, seq FROM order_version WHERE change = 'placed' "
            "AND order_id IN (SELECT order_id FROM order_version WHERE change = 'cancelled') LIMIT 1)"
        ),
        "trades_are_numbered": "UPDATE trade SET trade_id = 7777 WHERE trade_id = 5",
        "orders_are_numbered": "DELETE FROM book_order WHERE order_id = 9",
    }
    assert broken.keys() | BROKEN.keys() | BROKEN_BY_CRASH.keys() == {known.name for known in known_checks()}
    assert len(outcome.stdout.splitlines()) == len(known_checks())
    history = history_path(path)
    good = history.read_bytes()
    for name, statement in broken.items():
        change_past(path, statement)
        outcomes = json.loads(run(path, "check", "--json").stdout)
        assert name in [found["check"] for found in outcomes if not found["holds"]], name
        assert run(path, "check").exit_code == 1
        for file in path.parent.glob("exchange.history.db*"):
            file.unlink()
        history.write_bytes(good)


@pytest.mark.slow
def test_custom_checks(path: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.sql").write_text("-- Alice never trades.\nSELECT seq, user_id FROM fills WHERE user_id = 'alice'")
    outcome = run(path, "check", "--checks", str(mine))
    assert outcome.exit_code == 1
    assert "broken  Alice never trades." in outcome.stdout
    (mine / "a.sql").write_text("SELEC")
    outcome = run(path, "check", "--checks", str(mine / "a.sql"))
    assert (outcome.exit_code, "a.sql" in outcome.stderr or "a is not a valid query" in outcome.stderr) == (2, True)
    (mine / "a.sql").unlink()
    assert run(path, "check", "--checks", str(mine)).exit_code == 2
    assert run(path, "check", "--checks", str(tmp_path / "nothing")).exit_code == 2


@pytest.mark.slow
def test_rebuild_restores_the_events(path: Path) -> None:
    good = contents(path)
    change(
        path,
        "DELETE FROM events WHERE seq = 50 AND n = 0",
        "UPDATE events SET payload = '{}' WHERE seq = 60",
        "INSERT INTO events (seq, n, payload) VALUES (61, 99, '{}')",
    )
    bad = contents(path)
    dry = json.loads(run(path, "rebuild", "--dry-run", "--json").stdout)
    assert contents(path) == bad
    done = json.loads(run(path, "rebuild", "--json").stdout)
    assert done == dry
    assert (done["first_differing_seq"], done["events"]) == (50, len(good[1]))
    assert contents(path) == good
    assert json.loads(run(path, "rebuild", "--json").stdout)["differing"] == 0


def test_rebuild_refuses_damaged_commands(path: Path) -> None:
    change(path, "UPDATE commands SET payload = '{}' WHERE seq = 1500", "DELETE FROM events WHERE seq = 7")
    before = contents(path)
    outcome = run(path, "rebuild")
    assert (outcome.exit_code, "seq 1500 is damaged" in outcome.stderr) == (1, True)
    assert contents(path) == before


def test_rebuild_without_a_journal_creates_no_file(tmp_path: Path) -> None:
    outcome = run(tmp_path / "none.db", "rebuild")
    assert (outcome.exit_code, "there is no journal at" in outcome.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_rebuild_leaves_archives_alone(path: Path) -> None:
    compact(path, 1_001, lambda s: None, no_bar)
    change(path, "DELETE FROM events WHERE seq = 1500")
    assert json.loads(run(path, "rebuild", "--json").stdout)["first_differing_seq"] == 1500
    with pytest.raises(JournalError):
        verify(path.parent / "nothing.db", True, no_bar)
