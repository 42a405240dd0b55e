"""A folder of snapshot files: save, find the newest that fits, prune. Snapshots may always be deleted.

A file is a MessagePack array, compressed with zlib, and after it the SHA-256 of what stands before. It is written under
another name, synced, and then renamed, so that a crash leaves either the whole file or none.
"""

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

_CHECKSUM_SIZE = 32
_COMPRESSION = 1  # the quickest; what it saves is time of the disk, which the journal needs
_PIECE_SIZE = 512 * 1024  # synced one by one, so that the journal's own syncs never queue behind a large one


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """The images of an exchange after command `seq` of the journal whose hash there is `journal_hash`.

    `version` is that of the images: others are not read. `digest` is the SHA-256 of `state`, in hexadecimal.
    """

    version: int
    seq: int
    ts_us: int
    journal_hash: bytes
    digest: str
    state: bytes
    views: bytes


class DamagedSnapshotError(Exception):
    """The file is not what was saved."""


class SnapshotStore:
    """The snapshots of the journal at `journal_path`, in a folder beside it."""

    def __init__(self, journal_path: Path) -> None:
        self.folder = journal_path.with_name(journal_path.name + ".snapshots")

    def files(self) -> list[Path]:
        """Oldest first."""
        return sorted(self.folder.glob("*.snapshot"))

    def seqs(self) -> list[int]:
        """Of the files by their names, oldest first."""
        return [int(file.stem) for file in self.files() if file.stem.isdigit()]

    def save(self, snapshot: Snapshot) -> Path:
        """Write a snapshot, durable when this returns."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"{snapshot.seq:016d}.snapshot"
        draft = path.with_suffix(f".draft-{os.getpid()}")
        with draft.open("wb", buffering=0) as file:
            content = memoryview(pack(snapshot))
            for start in range(0, len(content), _PIECE_SIZE):
                file.write(content[start : start + _PIECE_SIZE])
                os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(self.folder)
        return path

    def newest(
        self, version: int, hash_at: Callable[[int], bytes | None], up_to: int, warn: Callable[[str], None]
    ) -> Iterator[Snapshot]:
        """The snapshots at or before seq `up_to` that fit the journal, newest first; `warn` hears why others do not.

        `hash_at(seq)` is the journal's hash at a seq, None where it has no such record.
        """
        for path in reversed(self.files()):
            try:
                snapshot = load(path)
            except (OSError, DamagedSnapshotError) as error:
                warn(f"snapshot {path.name} is skipped: {error}")
                continue
            if snapshot.version != version:
                warn(f"snapshot {path.name} is skipped: its version is {snapshot.version}, not {version}")
            elif snapshot.seq > up_to:
                continue
            elif hash_at(snapshot.seq) != snapshot.journal_hash:
                warn(f"snapshot {path.name} is skipped: it belongs to another journal")
            else:
                yield snapshot

    def prune(self, keep: int) -> list[Path]:
        """Delete all but the newest `keep`, and drafts that a crash left. Returns what was deleted."""
        files = self.files()
        doomed = files[: max(0, len(files) - keep)] + [
            draft for draft in self.folder.glob("*.draft-*") if not _is_alive(int(draft.suffix.rpartition("-")[2]))
        ]
        for path in doomed:
            path.unlink(missing_ok=True)
        return doomed


def load(path: Path) -> Snapshot:
    """The snapshot in a file; DamagedSnapshotError says what is wrong with it."""
    return unpack(path.read_bytes())


def pack(snapshot: Snapshot) -> bytes:
    """A snapshot as a file holds it."""
    body = zlib.compress(msgspec.msgpack.encode(snapshot), _COMPRESSION)
    return body + hashlib.sha256(body).digest()


def unpack(content: bytes) -> Snapshot:
    """What `pack` packed; DamagedSnapshotError says what is wrong with it."""
    body, checksum = content[:-_CHECKSUM_SIZE], content[-_CHECKSUM_SIZE:]
    if hashlib.sha256(body).digest() != checksum:
        raise DamagedSnapshotError("its checksum is not that of its contents")
    try:
        snapshot = msgspec.msgpack.decode(zlib.decompress(body), type=Snapshot)
    except (msgspec.DecodeError, zlib.error) as error:
        raise DamagedSnapshotError(f"it is no snapshot ({error})") from error
    if digest_of(snapshot.state) != snapshot.digest:
        raise DamagedSnapshotError("its digest is not that of its state")
    return snapshot


def digest_of(state: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(state).hexdigest()


def sync_folder(folder: Path) -> None:
    """Have the disk know the names in a folder as well."""
    if os.name == "nt":  # Windows cannot open a folder, and keeps renames by itself
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
