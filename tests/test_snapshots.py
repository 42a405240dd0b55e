"""Snapshots and recovery: a start with a snapshot equals one without, and unfit snapshots are not used."""

import asyncio
import hashlib
import zlib
from pathlib import Path

import msgspec
import pytest

from exchange.engine.engine import IMAGE_VERSION, Engine
from exchange.engine.recovery import recover
from exchange.history.recovery_plan import check_snapshots, list_snapshots
from exchange.journal.errors import JournalDamagedError
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.records import chain
from exchange.matching.state_codec import digest
from exchange.projections.views_codec import Compression, encode_views
from exchange.snapshots import compression
from exchange.snapshots.ladder import Rung
from exchange.snapshots.store import (
    DamagedSnapshotError,
    SnapshotStore,
    header_of,
    load,
    load_header,
    pack,
    read_header,
)
from tests.journals import COMMANDS, play


def recovered(path: Path, use_snapshots: bool = True, up_to: int | None = None) -> tuple[Engine, list[str]]:
    said: list[str] = []
    return recover(path, said.append, lambda done, total: None, up_to, use_snapshots).engine, said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "exchange.db"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_a_start_with_a_snapshot_equals_one_without(path: Path, seed: int) -> None:
    live = play(path, seed, snapshots_at=(100, 333))
    with_snapshot, said = recovered(path)
    without, _ = recovered(path, use_snapshots=False)
    assert "snapshot at seq 333, replaying 67 commands" in said[-1]
    for engine in (with_snapshot, without):
        engine.state.check()
        assert engine.head == live.head
        assert digest(engine.state) == digest(live.state)
        assert encode_views(engine.views) == encode_views(live.views)
        assert engine.events_digest.rows() == live.events_digest.rows() != []
        assert {key: (d.bids(), d.asks()) for key, d in engine.views.depths.items()} == {
            key: (d.bids(), d.asks()) for key, d in live.views.depths.items()
        }


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("is_restored", [False, True])
def test_a_copy_changes_independently(path: Path, seed: int, is_restored: bool) -> None:
    play(path, seed, snapshots_at=(100,))
    engine, _ = recovered(path, is_restored, up_to=150)
    made, copied = engine.snapshot(), engine.copy()
    with open_journal_reader(path) as reader:
        for record in reader.records(engine.head):
            engine.replay(record)
        assert copied.snapshot() == made
        again = copied.copy()
        for one in (copied, again):
            for record in reader.records(one.head):
                one.replay(record)
            one.state.check()
            assert one.snapshot() == engine.snapshot()


def test_the_state_at_an_earlier_seq(path: Path) -> None:
    play(path, snapshots_at=(100, 300))
    with_snapshot, said = recovered(path, up_to=250)
    without, _ = recovered(path, use_snapshots=False, up_to=250)
    assert "snapshot at seq 100, replaying 150 commands" in said[-1]
    assert with_snapshot.head == without.head
    assert digest(with_snapshot.state) == digest(without.state)


def test_a_start_needs_no_recorded_events(path: Path) -> None:
    """An earlier version did not record the events of the last commands before a crash."""
    play(path, snapshots_at=(100, 300), events_up_to=250)
    _, said = recovered(path)
    assert "snapshot at seq 300" in said[-1]


def test_a_damaged_snapshot_is_skipped_with_a_warning(path: Path) -> None:
    live = play(path, snapshots_at=(100, 300))
    newest = SnapshotStore(path).files()[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    engine, said = recovered(path)
    assert "0000000000000300.snapshot is skipped: its checksum" in said[0]
    assert "snapshot at seq 100" in said[1]
    assert digest(engine.state) == digest(live.state)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 500])
def test_a_cut_off_snapshot_is_damaged(path: Path, length: int) -> None:
    play(path, snapshots_at=(100,))
    (file,) = SnapshotStore(path).files()
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(DamagedSnapshotError):
        load(file)


@pytest.mark.slow
def test_a_snapshot_of_another_journal_is_not_used(path: Path, tmp_path: Path) -> None:
    live = play(path, seed=1)
    other = tmp_path / "other.db"
    play(other, seed=2, snapshots_at=(200,))
    SnapshotStore(other).folder.rename(SnapshotStore(path).folder)
    engine, said = recovered(path)
    assert "belongs to another journal" in said[0]
    assert digest(engine.state) == digest(live.state)


def test_a_snapshot_of_another_version_is_not_used(path: Path) -> None:
    engine = play(path)
    snapshot = engine.snapshot()
    SnapshotStore(path).save(type(snapshot)(IMAGE_VERSION + 1, *(getattr(snapshot, f) for f in FIELDS_AFTER_VERSION)))
    _, said = recovered(path)
    assert f"its version is {IMAGE_VERSION + 1}, not {IMAGE_VERSION}" in said[0]


def test_a_snapshot_of_version_2_is_used(path: Path) -> None:
    """It was compressed as a whole. What did not change since stays as it was in the next snapshot."""
    live = play(path, snapshots_at=(100,))
    (file,) = SnapshotStore(path).files()
    engine, _ = recovered(path, up_to=100)
    old = msgspec.structs.replace(engine.snapshot(), version=2, views=encode_views(engine.views))
    body = zlib.compress(msgspec.msgpack.encode(old))
    file.write_bytes(body + hashlib.sha256(body).digest())
    assert read_header(file) == load_header(file) == header_of(old)
    assert [found.fault for found in check_snapshots(path, lambda done, total: None)] == [None]
    restored, said = recovered(path)
    assert "snapshot at seq 100" in said[0]
    for one in (restored, Engine.restore(restored.snapshot())):
        assert one.digest() == live.digest()
        assert encode_views(one.views) == encode_views(live.views)
        assert live.mismatch_with(one.snapshot()) is None


def test_a_small_snapshot_is_compressed_too(path: Path) -> None:
    """Its views have few trades and orders, which are compressed one by one, and many other parts."""
    snapshot = play(path, count=200).snapshot()
    assert len(pack(snapshot)) < 0.75 * (len(snapshot.state) + len(snapshot.views))


def test_a_snapshot_may_be_compressed_by_another_library(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = play(path)
    other = Compression(lambda content: zlib.compress(content, 9), zlib.decompress)
    with monkeypatch.context() as patch:
        patch.setattr("exchange.engine.engine._COMPRESSION", other)
        snapshot = engine.snapshot()
    assert snapshot != engine.snapshot()
    assert engine.mismatch_with(snapshot) is None
    later, _ = recovered(path, up_to=COMMANDS - 1)
    views = later.snapshot().views
    assert engine.mismatch_with(msgspec.structs.replace(snapshot, views=views)) is not None


def test_a_snapshot_of_an_earlier_version_has_no_digest_of_the_events(path: Path) -> None:
    """A start uses it all the same, and the digest is known again after the next multiple of 10,000 commands."""
    play(path, count=COMMANDS, snapshots_at=(30,))
    store = SnapshotStore(path)
    (file,) = store.files()
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(load(file)))
    body = zlib.compress(msgspec.msgpack.encode(fields[:-1]))
    file.write_bytes(body + hashlib.sha256(body).digest())
    engine, said = recovered(path)
    assert "snapshot at seq 30" in said[0]
    assert (engine.head.seq, engine.events_digest.rows(), engine.snapshot().events_digest) == (COMMANDS, [], None)
    replayed, _ = recovered(path, use_snapshots=False)
    assert engine.mismatch_with(replayed.snapshot()) is None


FIELDS_AFTER_VERSION = ("seq", "ts_us", "journal_hash", "digest", "state", "views")


def test_old_snapshots_and_drafts_of_dead_processes_are_pruned(path: Path) -> None:
    play(path, snapshots_at=(10, 20, 30, 40))
    store = SnapshotStore(path)
    draft = store.folder / "0000000000000050.draft-999999999"
    draft.touch()
    store.prune(keep=2)
    assert [file.name for file in store.folder.iterdir() if "draft" in file.name] == []
    assert [int(file.stem) for file in store.files()] == [30, 40]


def test_snapshots_made_by_hand_stay(path: Path) -> None:
    engine = play(path, snapshots_at=(10, 20, 30))
    store = SnapshotStore(path)
    store.save(engine.snapshot(), is_manual=True)
    store.prune(keep=0)
    store.thin(dense_gap=10**9)
    assert store.rungs() == [Rung(COMMANDS, is_manual=True)]
    assert [file.name for file in store.delete(COMMANDS)] == [f"{COMMANDS:016d}.hand.snapshot"]
    assert store.files() == []


def test_a_snapshot_after_the_moment_is_not_even_read(path: Path) -> None:
    play(path, snapshots_at=(100, 300))
    newest = SnapshotStore(path).files()[-1]
    newest.write_bytes(b"")
    _, said = recovered(path, up_to=250)
    assert len(said) == 1 and "snapshot at seq 100, replaying 150 commands" in said[0]


def test_the_header_of_a_snapshot(path: Path) -> None:
    snapshot = play(path).snapshot()
    file = SnapshotStore(path).save(snapshot)
    assert load_header(file) == read_header(file) == header_of(snapshot)
    file.write_bytes(pack(msgspec.structs.replace(snapshot, journal_hash=b"", digest=snapshot.digest)))
    assert load_header(file).journal_hash == read_header(file).journal_hash == b""
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DamagedSnapshotError):
        load_header(file)


def test_a_list_reads_the_beginning_of_each_snapshot_alone(path: Path) -> None:
    play(path, snapshots_at=(100, 300))
    first, second = SnapshotStore(path).files()
    first.write_bytes(first.read_bytes()[:-1])
    second.write_bytes(b"")
    assert [check.fault for check in list_snapshots(path)] == [
        None,
        "damaged: its checksum does not match its contents",
    ]
    assert all(check.fault is not None for check in check_snapshots(path))


def test_a_command_that_cannot_be_applied_is_named(path: Path) -> None:
    play(path)

    async def add() -> None:
        journal = await open_journal_writer(path)
        await journal.append(chain(journal.head, [(journal.head.ts_us + 1, '{"kind":"genesis"}')]))
        await journal.close()

    asyncio.run(add())
    with pytest.raises(JournalDamagedError, match=f"seq {COMMANDS + 1} cannot be applied"):
        recovered(path)


def test_a_command_that_this_program_does_not_know_is_named(path: Path) -> None:
    play(path)

    async def add() -> None:
        journal = await open_journal_writer(path)
        await journal.append(chain(journal.head, [(journal.head.ts_us + 1, '{"kind":"teleport","user_id":"alice"}')]))
        await journal.close()

    asyncio.run(add())
    with pytest.raises(JournalDamagedError, match=f"seq {COMMANDS + 1} is a command that this program does not know"):
        recovered(path)


@pytest.mark.parametrize("content", [b"", b"abc", bytes(range(256)) * 5_000])
def test_each_library_reads_what_the_other_compressed(content: bytes) -> None:
    assert zlib.decompress(compression.compress(content)) == content
    assert compression.decompress(zlib.compress(content, 1)) == content
    for damaged in (b"", b"abc", zlib.compress(content)[:-5]):
        with pytest.raises(compression.CompressionError):
            compression.decompress(damaged)
