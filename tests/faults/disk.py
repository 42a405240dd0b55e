"""The simulated disk: the files of an exchange in a real folder, with a record of which bytes and names are synced.

A kill leaves the files as they are. A power cut keeps the names up to some operation after the last sync of their
folder, and of bytes that were not synced nothing, a part, all, or zeros. SQLite writes its files (the history) around
this module, and is trusted here: `files_of_sqlite` are kept as they were after some transaction.
"""

import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from tests.faults.journal import DiskJournal
from tests.faults.machine import Machine

JOURNAL_NAME = "exchange.db"
_HISTORY = "exchange.history.db"


class FileFault(NamedTuple):
    """The `nth` operation on files of this kind in a life fails, with ENOSPC or EIO."""

    kind: str
    nth: int
    errno: int


class _Name(NamedTuple):
    """A change of the names in a folder: `name` now means the file `inode`; None: nothing."""

    folder: str
    changes: tuple[tuple[str, int | None], ...]


class SimulatedDisk:
    """The folder of the exchange, a new one in `root` for each life, and the journal, which is no file but a model."""

    def __init__(self, machine: Machine, root: Path) -> None:
        self._machine = machine
        self._random = machine.random("disk")
        self._root = root
        self.journal = DiskJournal(machine)
        self.faults: list[FileFault] = []
        self._counts: dict[str, int] = {}
        # The surviving files of the last life: content and mode by relative path.
        self._survivors: dict[str, tuple[bytes, int]] = {}
        self.folder = root
        self._snapshot_seq = 0
        self._synced: dict[int, bytes] = {}
        self._durable: dict[str, dict[str, int]] = {}
        self._names: dict[str, dict[str, int]] = {}
        self._pending: list[_Name] = []

    @property
    def snapshot_seq(self) -> int:
        """The newest snapshot that was ever on disk under its name; 0: none."""
        return self._snapshot_seq

    @property
    def path(self) -> Path:
        """The journal of the present life."""
        return self.folder / JOURNAL_NAME

    def begin_audit(self) -> None:
        """Put the surviving files into a folder for the audit, which may only read them."""
        self._restore("audit")

    def begin_life(self) -> None:
        """Put the surviving files into a new folder. They are on disk."""
        self._restore("life")
        self._counts.clear()
        self._pending.clear()
        self._names = {folder: self._list(folder) for folder in self._folders()}
        self._durable = {folder: dict(names) for folder, names in self._names.items()}
        self._synced = {
            inode: (self.folder / folder / name).read_bytes()
            for folder, names in self._names.items()
            for name, inode in names.items()
        }

    def _restore(self, kind: str) -> None:
        self.folder = self._root / f"{kind}-{self._machine.life}"
        self.folder.mkdir()
        for name, (content, mode) in self._survivors.items():
            file = self.folder / name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
            file.chmod(mode)
        if self.journal.exists:
            self.journal.put_files(self.path)

    def end_life(self, is_power_cut: bool) -> None:
        """Decide which files survive. What happens to the folder afterwards has no effect."""
        self._look(None)
        self.journal.end_life(is_power_cut)
        names = self._names
        if is_power_cut:
            names = {folder: dict(entries) for folder, entries in self._durable.items()}
            for folder, changes in self._pending[: self._random.randint(0, len(self._pending))]:
                for name, inode in changes:
                    _apply(names.setdefault(folder, {}), name, inode)
        contents = {
            inode: self._content(inode, self.folder / folder / name, is_power_cut)
            for folder, entries in self._names.items()
            for name, inode in entries.items()
        }
        self._survivors = {
            # A file whose deletion was lost has its last synced content.
            str(Path(folder) / name): contents.get(inode, (self._synced.get(inode, b""), 0o600))
            for folder, entries in sorted(names.items())
            for name, inode in sorted(entries.items())
        }

    def remove(self) -> None:
        """Delete the folder of the present life."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """See every sync, rename and deletion of this process in the folder."""
        real: dict[str, Callable[..., Any]] = {
            "fsync": os.fsync,
            "replace": os.replace,
            "rename": os.rename,
            "unlink": os.unlink,
            "open": io.open,
        }

        def fsync(descriptor: int) -> None:
            found = self._inside(os.readlink(f"/proc/self/fd/{descriptor}"))
            if found is None:
                return
            self._before(found)
            self._sync(found, descriptor)
            self._machine.step(self._kind(found))

        def renamed(name: str) -> Callable[..., None]:
            def rename(source: Any, target: Any, **options: Any) -> None:
                found = self._inside(target)
                if found is not None:
                    self._before(found)
                real[name](source, target, **options)
                if found is not None:
                    self._look(found)
                    self._machine.step(self._kind(found))

            return rename

        def unlink(file: Any, **options: Any) -> None:
            found = self._inside(file)
            if found is not None:
                self._before(found, can_fail=False)
            real["unlink"](file, **options)
            if found is not None:
                self._look(found)

        def open_file(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            found = self._inside(file) if mode[0] in "wxa" else None
            if found is not None:
                self._before(found)
            return real["open"](file, mode, *arguments, **options)

        with ExitStack() as stack:
            for name, value in (
                ("os.fsync", fsync),
                ("os.replace", renamed("replace")),
                ("os.rename", renamed("rename")),
                ("os.unlink", unlink),
                ("io.open", open_file),
            ):
                stack.enter_context(patch(name, value))
            yield

    def _before(self, name: str, can_fail: bool = True) -> None:
        """Take the step before an operation. Raises OSError if it is planned to fail."""
        self._look(name)
        kind = self._kind(name)
        self._machine.step(kind)
        if not self._machine.is_up or not can_fail:
            return
        self._counts[kind] = self._counts.get(kind, 0) + 1
        for fault in self.faults:
            if fault.kind == kind and fault.nth == self._counts[kind]:
                self._machine.note("disk", f"{errno.errorcode[fault.errno]} at {kind}".encode())
                raise OSError(fault.errno, os.strerror(fault.errno), name)

    def _sync(self, name: str, descriptor: int) -> None:
        """A file or a folder is on disk now."""
        if name.endswith(f"{JOURNAL_NAME}-wal"):
            self.journal.sync()
        elif (self.folder / name).is_dir():
            for pending in [one for one in self._pending if one.folder == name]:
                for entry, inode in pending.changes:
                    _apply(self._durable.setdefault(name, {}), entry, inode)
                self._pending.remove(pending)
            seqs = [int(entry[:16]) for entry in self._durable.get(name, ()) if entry.endswith(".snapshot")]
            self._snapshot_seq = max([self._snapshot_seq, *seqs])
        else:
            self._synced[os.fstat(descriptor).st_ino] = (self.folder / name).read_bytes()

    def _look(self, name: str | None) -> None:
        """Notice what changed in the names of a folder, as one change that survives or not."""
        if not self._machine.is_up:
            return
        folders = self._folders() if name is None else [str(Path(name).parent), name]
        for folder in folders:
            if not (self.folder / folder).is_dir():
                continue
            before, now = self._names.get(folder, {}), self._list(folder)
            changed = [(entry, now.get(entry)) for entry in before | now if before.get(entry) != now.get(entry)]
            if changed:
                self._pending.append(_Name(folder, tuple(changed)))
                self._names[folder] = now

    def _content(self, inode: int, file: Path, is_power_cut: bool) -> tuple[bytes, int]:
        current, mode = file.read_bytes(), file.stat().st_mode & 0o777
        synced = self._synced.get(inode)
        if not is_power_cut or current == synced:
            return current, mode
        part = current[: self._random.randint(0, len(current))]
        return self._random.choice((synced or b"", part, current, bytes(len(current)))), mode

    def _folders(self) -> list[str]:
        return [".", *sorted(entry.name for entry in os.scandir(self.folder) if entry.is_dir())]

    def _list(self, folder: str) -> dict[str, int]:
        """The files of a folder with their inodes, but those of SQLite and the placeholders of the journal."""
        entries = sorted(os.scandir(self.folder / folder), key=lambda entry: entry.name)
        return {
            entry.name: entry.inode()
            for entry in entries
            if entry.is_file()
            and not entry.name.startswith((_HISTORY, f"{JOURNAL_NAME}-"))
            and entry.name != JOURNAL_NAME
            and not entry.name.endswith("-journal")
        }

    def _inside(self, file: Any) -> str | None:
        """The path relative to the folder of the present life; None if it is elsewhere, or the machine is down."""
        if isinstance(file, int) or not self._machine.is_up:
            return None
        name, folder = str(os.fspath(file)), f"{self.folder}/"
        if not f"{name}/".startswith(folder):
            return None
        return name.removeprefix(folder.rstrip("/")).lstrip("/") or "."

    def _kind(self, name: str) -> str:
        return next((kind for kind in ("snapshot", "archive", "follower", "wal") if kind in name), "file")


def _apply(names: dict[str, int], name: str, inode: int | None) -> None:
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode
