"""A folder of snapshot files: save one, find the newest that fits, delete. Snapshots can be deleted at any time.

The name of a file is its seq; one that was made by hand also has `.hand` in its name. The content is a MessagePack
array, in which the state and the views are compressed with zlib, followed by the SHA-256 of these bytes. In files of
earlier versions, the whole array is compressed instead. A file is written under a temporary name, synced and then
renamed, so that a crash leaves the whole file or none.
"""

import hashlib
import os
import re
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec
from msgspec import structs

from exchange.snapshots.compression import CompressionError, compress, decompress
from exchange.snapshots.ladder import Rung, excess

_CHECKSUM_SIZE = 32
# Each piece is synced by itself, so that a sync of the journal never waits for a large one.
_PIECE_SIZE = 512 * 1024
_MANUAL = ".hand"
# The MessagePack array of 7 fields (of earlier versions) or 8, up to the digest: version, seq, time, hash of 32 bytes,
# digest of 64 characters.
_HEADER = re.compile(rb"[\x97\x98].{3,27}?\xc4\x20.{32}\xd9\x40[0-9a-f]{64}", re.DOTALL)
_HEADER_SIZE_MAX = 256
# Bytes of a file that hold the header, compressed or not.
_START_SIZE = 4_096
# The first byte of what zlib compressed. An array begins with another.
_ZLIB_START = b"\x78"


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """The encoded state and views of an exchange after command `seq`.

    `journal_hash` is the hash of the journal at `seq`. `version` is the version of the encoding. `digest` is the
    SHA-256 of `state` in hexadecimal. `events_digest` is that of the events since the last multiple of 10,000 commands;
    None if it is unknown, as in snapshots of earlier versions.
    """

    version: int
    seq: int
    ts_us: int
    journal_hash: bytes
    digest: str
    state: bytes
    views: bytes
    events_digest: bytes | None = None


class SnapshotHeader(msgspec.Struct, frozen=True, array_like=True):
    """The fields of a snapshot before its state."""

    version: int
    seq: int
    ts_us: int
    journal_hash: bytes
    digest: str


class DamagedSnapshotError(Exception):
    """The contents of the file are not those that were saved."""


class SnapshotStore:
    """The snapshots of the journal at `journal_path`, in a folder next to it."""

    def __init__(self, journal_path: Path) -> None:
        self.folder = journal_path.with_name(journal_path.name + ".snapshots")

    def files(self) -> list[Path]:
        """The snapshot files, oldest first."""
        return sorted(self.folder.glob("*.snapshot"))

    def seqs(self) -> list[int]:
        """The seqs in the names of the files, oldest first."""
        return sorted({rung.seq for rung in self.rungs()})

    def rungs(self) -> list[Rung]:
        """What the names of the files say, oldest first."""
        return [rung for rung in map(rung_of, self.files()) if rung is not None]

    def save(self, snapshot: Snapshot, is_manual: bool = False) -> Path:
        """Write a snapshot; it is on disk when this returns. One that is `is_manual` is deleted only by hand."""
        self.folder.mkdir(exist_ok=True)
        path = self.path_of(Rung(snapshot.seq, is_manual))
        draft = self.folder / f"{snapshot.seq:016d}.draft-{os.getpid()}"
        try:
            with draft.open("wb", buffering=0) as file:
                content = memoryview(pack(snapshot))
                while content:
                    # A disk that is almost full takes a part.
                    content = content[file.write(content[:_PIECE_SIZE]) :]
                    os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(self.folder)
        return path

    def newest(
        self, versions: Collection[int], hash_at: Callable[[int], bytes | None], up_to: int, warn: Callable[[str], None]
    ) -> Iterator[Snapshot]:
        """The snapshots of these versions at or before seq `up_to` that fit the journal, newest first.

        `hash_at(seq)` returns the hash of the journal at a seq, None if it has no such record. `warn` receives the
        reason for each snapshot that is skipped.
        """
        for path in reversed(self.files()):
            rung = rung_of(path)
            # A file can be large, so one that is too new is not read.
            if rung is not None and rung.seq > up_to:
                continue
            try:
                snapshot = load(path)
            except (OSError, DamagedSnapshotError) as error:
                warn(f"snapshot {path.name} is skipped: {error}")
                continue
            if snapshot.version not in versions:
                warn(f"snapshot {path.name} is skipped: its version is {snapshot.version}, not {max(versions)}")
            elif snapshot.seq > up_to:
                continue
            elif hash_at(snapshot.seq) != snapshot.journal_hash:
                warn(f"snapshot {path.name} is skipped: it belongs to another journal")
            else:
                yield snapshot

    def prune(self, keep: int) -> list[Path]:
        """Delete all but the newest `keep` snapshots, and temporary files of crashes. Returns the deleted files.

        Snapshots that were made by hand stay, and do not count.
        """
        automatic = [rung for rung in self.rungs() if not rung.is_manual]
        return self._delete(automatic[: max(0, len(automatic) - keep)])

    def thin(self, dense_gap: int, last_seq: int | None = None) -> list[Path]:
        """Delete the snapshots that the ladder does not need, and temporary files of crashes. Returns these files.

        `dense_gap` is the number of commands whose replay takes REPLAY_SECONDS_MAX. Those after `last_seq` count for
        nothing and stay: they are not of this journal, or the follower that thins is behind.
        """
        known = [rung for rung in self.rungs() if last_seq is None or rung.seq <= last_seq]
        return self._delete(excess(known, dense_gap))

    def delete(self, seq: int) -> list[Path]:
        """Delete the snapshots of `seq`, also those made by hand. Returns the deleted files."""
        doomed = [self.path_of(rung) for rung in self.rungs() if rung.seq == seq]
        for path in doomed:
            path.unlink(missing_ok=True)
        return doomed

    def _delete(self, rungs: list[Rung]) -> list[Path]:
        doomed = [self.path_of(rung) for rung in rungs]
        for path in doomed:
            path.unlink(missing_ok=True)
        return doomed + delete_dead_drafts(self.folder, "*.draft-*")

    def path_of(self, rung: Rung) -> Path:
        """The file of a snapshot."""
        return self.folder / f"{rung.seq:016d}{_MANUAL if rung.is_manual else ''}.snapshot"


def delete_dead_drafts(folder: Path, pattern: str) -> list[Path]:
    """Delete the files of this pattern that end with the id of a process that does not run. Returns them."""
    ids = ((draft, draft.name.rpartition("-")[2]) for draft in folder.glob(pattern))
    dead = [draft for draft, pid in ids if pid.isdigit() and not _is_alive(int(pid))]
    for draft in dead:
        draft.unlink(missing_ok=True)
    return dead


def rung_of(file: Path) -> Rung | None:
    """The seq and the origin in the name of a snapshot file; None if the name has another form."""
    number = file.stem.removesuffix(_MANUAL)
    return Rung(int(number), file.stem != number) if number.isdigit() else None


def load(path: Path) -> Snapshot:
    """The snapshot in a file. Raises DamagedSnapshotError, which names the fault."""
    return unpack(path.read_bytes())


def load_header(path: Path) -> SnapshotHeader:
    """The header of the snapshot in a file. Compares the checksum, but does not decode the state. Raises as `load`."""
    content = path.read_bytes()
    return _header_at_start(_checked_body(content)) or header_of(unpack(content))


def read_header(path: Path) -> SnapshotHeader:
    """The header of the snapshot in a file, from its first bytes alone: it finds no later damage. Raises as `load`."""
    with path.open("rb") as file:
        start = file.read(_START_SIZE)
    return _header_at_start(start) or load_header(path)


def _header_at_start(body: bytes) -> SnapshotHeader | None:
    try:
        start = body[:_HEADER_SIZE_MAX]
        if body.startswith(_ZLIB_START):
            start = zlib.decompressobj().decompress(body, _HEADER_SIZE_MAX)
        match = _HEADER.match(start)
        # The same bytes as an array of five: the state and the views are left out.
        return None if match is None else msgspec.msgpack.decode(b"\x95" + match[0][1:], type=SnapshotHeader)
    except (msgspec.DecodeError, zlib.error) as error:
        raise DamagedSnapshotError(f"it is not a snapshot ({error})") from error


def header_of(snapshot: Snapshot) -> SnapshotHeader:
    """The fields of a snapshot before its state."""
    return SnapshotHeader(snapshot.version, snapshot.seq, snapshot.ts_us, snapshot.journal_hash, snapshot.digest)


def pack(snapshot: Snapshot) -> bytes:
    """Encode a snapshot with its checksum."""
    # Most of a large image of the views is compressed already, but most of a small one is not.
    packed = structs.replace(snapshot, state=compress(snapshot.state), views=compress(snapshot.views))
    body = msgspec.msgpack.encode(packed)
    return body + hashlib.sha256(body).digest()


def unpack(content: bytes) -> Snapshot:
    """Decode a snapshot from `pack`. Raises DamagedSnapshotError, which names the fault."""
    body = _checked_body(content)
    try:
        if body.startswith(_ZLIB_START):
            snapshot = msgspec.msgpack.decode(decompress(body), type=Snapshot)
        else:
            packed = msgspec.msgpack.decode(body, type=Snapshot)
            snapshot = structs.replace(packed, state=decompress(packed.state), views=decompress(packed.views))
    except (msgspec.DecodeError, CompressionError) as error:
        raise DamagedSnapshotError(f"it is not a snapshot ({error})") from error
    if digest_of(snapshot.state) != snapshot.digest:
        raise DamagedSnapshotError("its digest does not match its state")
    return snapshot


def _checked_body(content: bytes) -> bytes:
    body, checksum = content[:-_CHECKSUM_SIZE], content[-_CHECKSUM_SIZE:]
    if hashlib.sha256(body).digest() != checksum:
        raise DamagedSnapshotError("its checksum does not match its contents")
    return body


def digest_of(state: bytes) -> str:
    """The SHA-256 of an encoded state, in hexadecimal."""
    return hashlib.sha256(state).hexdigest()


def sync_folder(folder: Path) -> None:
    """Write the names in a folder to disk, so that a renamed file survives a loss of power."""
    # Windows cannot open a folder; it keeps renames by itself.
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
