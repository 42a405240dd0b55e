"""Images of a power cut: what a disk may hold if the power fails while a real exchange runs.

`power_shim.c` records the writes and syncs of all processes of an exchange. An image is made for a place in this
record. It holds what was synced by then. Of every other write it holds all, a part, or nothing, in any combination,
since a disk may write in any order. Names changed in the order of the record, up to some change that was not synced.
"""

import asyncio
import itertools
import os
import shutil
import struct
import subprocess
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from exchange.engine.recovery import recover
from exchange.journal.lock import JournalLock
from exchange.journal.opening import open_journal_reader
from exchange.runtime.node import open_journal
from exchange.runtime.server_settings import ServerSettings

_HEADER = struct.Struct("=cIQQ")
_SECTOR_BYTES = 512


class Operation(NamedTuple):
    """One record of the shim. `end` is its end in the trace; for the letters of `kind` see `power_shim.c`."""

    kind: str
    path: str
    number: int
    data: bytes
    end: int


class Told(NamedTuple):
    """A client received the receipt of a command when the trace was `trace_bytes` long."""

    trace_bytes: int
    seq: int
    hash: str


def build_shim(folder: Path, name: str = "power_shim") -> Path | None:
    """Compile a shim around the C library; None if there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    shim = folder / f"{name}.so"
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run([compiler, "-O1", "-fPIC", "-shared", "-o", shim, source, "-ldl"], check=True)
    return shim


def operations_of(trace: Path) -> list[Operation]:
    """Read the record of the shim. An incomplete record at its end is left out."""
    content, at, found = trace.read_bytes(), 0, []
    while at + _HEADER.size <= len(content):
        kind, length, number, size = _HEADER.unpack_from(content, at)
        data_at = at + _HEADER.size + length
        end = data_at + size
        if end > len(content):
            break
        path = content[at + _HEADER.size : data_at].decode()
        found.append(Operation(kind.decode(), path, number, content[data_at:end], end))
        at = end
    return found


class _File:
    """The synced bytes of a file, and the writes after them: (offset, bytes), or (length, None) for a cut."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.pending: list[tuple[int, bytes | None]] = []

    def sync(self, count: int) -> None:
        for change in self.pending[:count]:
            _apply(self.synced, *change)
        del self.pending[:count]

    def survivor(self, random: Random) -> bytes:
        content = bytearray(self.synced)
        how = random.random()
        for offset, data in self.pending:
            if how < 0.2 or random.random() < how:
                continue
            if data is not None and random.random() < 0.1:
                data = data[: random.randrange(0, len(data) + 1, _SECTOR_BYTES)]
            _apply(content, offset, data)
        return bytes(content)


class _Renaming(NamedTuple):
    """A change of names in a folder: the file that a path means now; None: nothing."""

    number: int
    folder: str
    changes: tuple[tuple[str, _File | None], ...]


class Disk:
    """The state of a disk after the first operations of a trace."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._names: dict[str, _File] = {}
        self._synced_names: dict[str, _File] = {}
        # Changes of names that are not synced, in order.
        self._changes: list[_Renaming] = []
        self._numbers = itertools.count()
        # Syncs that have begun, by path and thread: the file and how many of its writes they make durable; or for a
        # folder the number of the first change that they do not.
        self._syncs: dict[tuple[str, int], tuple[_File | None, int]] = {}

    def apply(self, operation: Operation) -> None:
        """Let the disk do what the shim recorded."""
        kind, path, number, data, _ = operation
        file = self._names.get(path)
        if kind == "C":
            self._rename((path, _File()))
        elif kind == "R":
            self._rename((path, None), (data.decode(), file))
        elif kind == "U":
            self._rename((path, None))
        elif kind == "B":
            self._syncs[path, number] = (file, next(self._numbers) if file is None else len(file.pending))
        elif kind == "E":
            synced, count = self._syncs.pop((path, number), (None, 0))
            if synced is not None:
                synced.sync(count)
            else:
                self._sync_names(path, count)
        elif file is not None:
            file.pending.append((number, data if kind == "W" else None))

    def image(self, folder: Path, random: Random) -> None:
        """Write one of the possible contents of the disk to `folder`."""
        names = dict(self._synced_names)
        for renaming in self._changes[: random.randint(0, len(self._changes))]:
            _set(names, renaming.changes)
        for path, file in names.items():
            # SQLite makes its shared memory anew, and no crash of the machine leaves a useful one.
            if not path.endswith("-shm"):
                target = folder / Path(path).relative_to(self._folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.survivor(random))
                target.chmod(0o600)

    def _rename(self, *changes: tuple[str, _File | None]) -> None:
        _set(self._names, changes)
        self._changes.append(_Renaming(next(self._numbers), os.path.dirname(changes[0][0]), changes))

    def _sync_names(self, folder: str, end: int) -> None:
        synced = [one for one in self._changes if one.folder == folder and one.number < end]
        for renaming in synced:
            _set(self._synced_names, renaming.changes)
            self._changes.remove(renaming)


def losses(trace: Path, recorded: Path, folder: Path, told: list[Told], cuts: list[float], seed: int) -> Iterator[str]:
    """Make an image at each of these places (0: the begin of the trace, 1: its end), and yield what each has lost.

    `recorded` is the folder of the exchange that was recorded.
    """
    operations = operations_of(trace)
    disk, done = Disk(recorded), 0
    for number, cut in enumerate(sorted(cuts)):
        last = int(cut * len(operations))
        for operation in operations[done:last]:
            disk.apply(operation)
        done = max(done, last)
        reached = operations[done - 1].end if done else 0
        known = told[: bisect_right(told, reached, key=lambda one: one.trace_bytes)]
        image = folder / f"image-{number}"
        image.mkdir()
        disk.image(image, Random(f"{seed}/{number}"))
        if problem := _problem(image / "exchange.db", known):
            yield f"image {number} of seed {seed} at operation {done} of {len(operations)}: {problem}"
        shutil.rmtree(image)


def _problem(path: Path, told: list[Told]) -> str | None:
    """Start from an image as the exchange does. Returns what it has lost of what clients were told."""
    if not path.exists():
        return f"no journal, but seq {told[-1].seq} was answered" if told else None
    try:
        asyncio.run(_open(path))
        head = recover(path, _ignore, _ignore).engine.head
    except Exception as error:
        return f"it does not start: {error!r}"
    with open_journal_reader(path) as reader:
        for _, seq, expected in told:
            found = reader.head_at(seq)
            if found is None or found.hash.hex() != expected:
                return f"seq {seq} was answered, but the journal ends with seq {head.seq}"
    return None


async def _open(path: Path) -> None:
    with JournalLock(path) as lock:
        await (await open_journal(ServerSettings(path), lock=lock)).close()


def _set(names: dict[str, _File], changes: tuple[tuple[str, _File | None], ...]) -> None:
    for path, file in changes:
        if file is None:
            names.pop(path, None)
        else:
            names[path] = file


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if data is not None:
        content[offset : offset + len(data)] = data


def _ignore(*_: object) -> None:
    pass
